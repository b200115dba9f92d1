"""Which processes are spawned, and what the log says about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.launch.leftovers import Kind, Leftover, survives
from django_prodserver.launch.process import ResolvedProcess
from django_prodserver.launch.resolve import resolve
from django_prodserver.launch.start_method import (
    JUDGED,
    how_started,
    known_before_the_preload,
    start_method_records,
    to_fork,
    to_spawn,
)
from django_prodserver.settings.load import load
from django_prodserver.supervisor.report import Price
from tests.inside import configured, sleeper


class Plain(BaseServerBackend):
    def start_server(self, *args: str) -> None: ...


class App(Plain):
    """A Django app, which read the environment when Django was set up."""

    is_an_app = True
    import_time_variables = frozenset({"COLOUR", "SIZE"})


def entry(backend: type = Plain, **more: Any) -> dict[str, Any]:
    return {"BACKEND": f"{__name__}.{backend.__name__}", **more}


READ_ALREADY = entry(App, ENV={"COLOUR": "red"})
FORK, SPAWN = entry(START_METHOD="fork"), entry(START_METHOD="spawn")

X, Y = Leftover(Kind.THREAD, "x", "project."), Leftover(Kind.THREAD, "y", "project.")
POOL = Leftover(Kind.NATIVE_THREAD, "polars-0", "/lib/_polars_runtime.abi3.so")
LOOP = Leftover(Kind.EPOLL)
SEARCH = Leftover(Kind.CONNECTION, "127.0.0.1:9200", "urllib3")
METRICS = Leftover(Kind.LISTENER, "127.0.0.1:9100")
SHARED = Leftover(Kind.SHARED_LISTENER, "127.0.0.1:9100")


def resolved(**processes: Any) -> list[ResolvedProcess]:
    with configured(processes):
        return resolve(load(), processes)


def decided(leftovers: Sequence[Leftover], **processes: Any) -> tuple[list[str], list[str]]:
    found = resolved(**processes)
    said = start_method_records(found, leftovers, Price(0.44, 38_000_000))
    return to_spawn(found, leftovers), [record.message for record in said]


def costs(it: str = "it survives") -> str:
    return (
        "; this costs each process the import of the project (0.44 s, 38 MB): "
        f"if {it} a fork, set PRODSERVER_START_METHOD=fork"
    )


def test_without_leftovers_only_processes_set_to_spawn_are_spawned() -> None:
    assert decided([], a=entry(), b=FORK, c=SPAWN) == (["c"], [])
    assert [one.name for one in to_fork(resolved(a=entry(), b=FORK, c=SPAWN))] == ["a", "b"]


def test_auto_spawns_if_the_preload_left_threads_running() -> None:
    both = (
        f"starting by spawn: the preload left the threads 'x', 'y' running{costs('they survive')}"
    )
    assert decided([X, Y], a=entry(), b=entry()) == (["a", "b"], [both])

    some = f"starting a, b by spawn: the preload left the thread 'x' running{costs()}"
    assert decided([X], a=entry(), b=entry(), c=SPAWN) == (["a", "b", "c"], [some])


def test_threads_that_a_forked_process_will_lack_are_reported() -> None:
    spawned, said = decided([X, Y], a=FORK)

    assert spawned == []
    assert said == [
        (
            "the preload left the threads 'x', 'y' running, which will not exist in the "
            "processes: start them in the processes instead"
        )
    ]


def test_the_start_method_record_has_the_cost_of_the_import() -> None:
    found = resolved(a=entry(), b=SPAWN)
    (record,) = start_method_records(found, [X, POOL, LOOP], Price(0.4444))

    assert record.fields == {
        "processes": ["a"],
        "threads": ["x", "polars-0"],
        "epolls": ["eventpoll"],
        "seconds": 0.444,
    }
    assert "(0.44 s): if they survive" in record.message


@pytest.mark.parametrize(
    ("leftovers", "spawns"),
    [
        ([X], True),
        ([POOL], True),
        ([LOOP], True),
        ([SEARCH], False),
        ([METRICS], False),
        ([SHARED], False),
        # A spawned process could not bind the address; a fork without the thread mostly works.
        ([X, METRICS], False),
        ([X, SHARED], True),
        # A process that hangs does none of its work.
        ([POOL, METRICS], True),
        ([SEARCH, LOOP], True),
    ],
)
def test_the_kinds_of_leftovers_decide_whether_auto_spawns(
    leftovers: list[Leftover], spawns: bool
) -> None:
    spawned, said = decided(leftovers, a=entry(), b=FORK, c=SPAWN)

    assert spawned == (["a", "c"] if spawns else ["c"])
    assert any("starting a by spawn: " in line for line in said) is spawns


def test_each_kind_of_leftover_is_reported_with_a_remedy() -> None:
    assert [*JUDGED] == [*Kind]

    said = [decided([one], a=FORK)[1] for one in (X, POOL, LOOP, SEARCH, METRICS, SHARED)]

    listening = [
        (
            "the preload left a socket listening at 127.0.0.1:9100, where no process will "
            "answer: open it in the one process that serves there"
        )
    ]
    assert said == [
        [
            (
                "the preload left the thread 'x' running, which will not exist in the "
                "processes: start it in the processes instead"
            )
        ],
        [
            (
                "the preload left the native thread 'polars-0' of _polars_runtime.abi3.so running, "
                "which will not exist in the processes, so anything that waits for it hangs: "
                "start by spawn, or first use the library in the processes"
            )
        ],
        [
            (
                "the preload left an epoll of an event loop open, which processes would share, so "
                "they miss events and hang: start by spawn, or make the event loop in the processes"
            )
        ],
        [
            (
                "the preload left a connection of urllib3 to 127.0.0.1:9200 open, which processes "
                "share, so they get each other's answers: connect at first use, or close it at the "
                "end of the import"
            )
        ],
        listening,
        listening,
    ]


def test_all_leftovers_that_cause_a_spawn_are_reported_in_one_line() -> None:
    left = "the thread 'x' running and the native thread 'polars-0' of _polars_runtime.abi3.so "
    said = f"starting by spawn: the preload left {left}running{costs('they survive')}"

    assert decided([X, POOL, SEARCH], a=entry()) == (["a"], [said])


def test_auto_forks_where_a_fresh_interpreter_could_not_listen_again() -> None:
    spawned, said = decided([X, METRICS], a=entry(), b=FORK)

    assert spawned == []
    assert said[0] == (
        "starting a by fork, though the preload left the thread 'x' running: a fresh interpreter "
        "could not listen at 127.0.0.1:9100 again; if each finds a port of its own, "
        "set PRODSERVER_START_METHOD=spawn"
    )
    assert [line.partition(",")[0] for line in said[1:]] == [
        "the preload left the thread 'x' running",
        "the preload left a socket listening at 127.0.0.1:9100",
    ]


def test_a_process_that_executes_another_program_is_not_spawned() -> None:
    env = {"DJANGO_SETTINGS_MODULE": "other"}
    assert decided([X, POOL, LOOP, SEARCH], a=sleeper(ENV=env)) == ([], [])

    line = f"starting b by spawn: the preload left the thread 'x' running{costs()}"
    assert decided([X], a=sleeper(), b=entry()) == (["b"], [line])


# ---- leftovers that are known to survive a fork ----


@pytest.mark.parametrize(
    ("kind", "name", "of"),
    [
        (Kind.THREAD, "OtelBatchSpanRecordProcessor", "opentelemetry.sdk._shared_internal."),
        (Kind.THREAD, "OtelBatchSpanProcessor", "project."),
        (Kind.THREAD, "OtelPeriodicExportingMetricReader", "project."),
        (Kind.THREAD, "sentry-sdk.BackgroundWorker", "sentry_sdk.worker."),
        (Kind.THREAD, "Thread-1 (_flush_loop)", "sentry_sdk._batcher."),
        (Kind.NATIVE_THREAD, "python", "/numpy.libs/libscipy_openblas64_-4b78795a.so"),
        (Kind.NATIVE_THREAD, "python", "openblas"),
        (Kind.NATIVE_THREAD, "python", "/pyarrow/libarrow.so.2600"),
        (Kind.NATIVE_THREAD, "jemalloc_bg_thd", "/pyarrow/libarrow.so.2600"),
        (Kind.NATIVE_THREAD, "tokio-rt-worker", "/ddtrace/internal/native/_native.so"),
        (Kind.CONNECTION, "127.0.0.1:6379", "redis"),
    ],
)
def test_known_threads_and_connections_survive_a_fork(kind: Kind, name: str, of: str) -> None:
    assert survives(Leftover(kind, name, of))


@pytest.mark.parametrize(
    "left",
    [
        *(X, POOL, LOOP, SEARCH, METRICS, SHARED),
        Leftover(Kind.THREAD, "Thread-1 (_flush_loop)", "project."),
        Leftover(Kind.THREAD, "Thread-1", "threading."),
        Leftover(Kind.NATIVE_THREAD, "tokio-rt-worker", "/_polars_runtime.abi3.so"),
        Leftover(Kind.NATIVE_THREAD, "event_engine", "/grpc/_cython/cygrpc.so"),
        Leftover(Kind.NATIVE_THREAD, "python"),
        Leftover(Kind.CONNECTION, "127.0.0.1:6379"),
    ],
)
def test_other_leftovers_do_not_survive_a_fork(left: Leftover) -> None:
    assert not survives(left)


# ---- variables ----


def test_auto_spawns_if_env_sets_a_variable_that_was_already_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "starting app by spawn: its ENV sets COLOUR, which has already been read"
    assert decided([], app=READ_ALREADY) == (["app"], [said])
    assert to_fork(resolved(app=READ_ALREADY)) == []

    monkeypatch.setenv("COLOUR", "red")
    assert decided([], app=READ_ALREADY) == ([], [])


def test_the_log_reports_variables_that_a_forked_process_will_not_see() -> None:
    env = {"COLOUR": "red", "SIZE": "1", "OTHER": "2"}
    said = "app will not see the COLOUR, SIZE of its ENV, which has already been read"

    assert decided([], app={**READ_ALREADY, "ENV": env, "START_METHOD": "fork"}) == ([], [said])


@pytest.mark.parametrize("name", ["DJANGO_SETTINGS_MODULE", "PYTHONPATH", "LD_PRELOAD"])
def test_some_variables_count_as_already_read_for_every_backend(name: str) -> None:
    given = entry(ENV={name: "other"})

    said = f"starting a by spawn: its ENV sets {name}, which has already been read"
    assert decided([], a=given) == (["a"], [said])
    said = f"a will not see the {name} of its ENV, which has already been read"
    assert decided([], a={**given, "START_METHOD": "fork"}) == ([], [said])


def test_each_reason_to_spawn_has_its_own_log_line() -> None:
    spawned, said = decided([X], a=entry(ENV={"PYTHONPATH": "x"}), b=entry())

    assert spawned == ["a", "b"]
    assert [line.partition(": ")[0] for line in said] == [
        "starting b by spawn",
        "starting a by spawn",
    ]


# ---- what --check and --dry-run report ----


def test_each_process_is_reported_with_its_start_method_and_reason() -> None:
    processes = resolved(
        web=entry(), other=entry(), line=sleeper(), fork=FORK, spawn=SPAWN, app=READ_ALREADY
    )
    told = {name: (how, why) for names, how, why in how_started(processes, [X]) for name in names}
    because = "the preload left the thread 'x' running"

    assert next(iter(how_started(processes, []))) == (["web", "other"], "forked", "")
    assert told == {
        "web": ("spawned", because),
        "other": ("spawned", because),
        "line": ("executed", ""),
        "fork": ("forked", "START_METHOD is 'fork'"),
        "spawn": ("spawned", "START_METHOD is 'spawn'"),
        "app": ("spawned", "its ENV sets COLOUR, which has already been read"),
    }


def test_the_start_method_is_derived_as_far_as_possible_before_the_preload() -> None:
    processes = resolved(web=entry(), fork=FORK, spawn=SPAWN, app=READ_ALREADY)

    known = [known_before_the_preload(process, ()) for process in processes]

    assert known == ["auto", "fork", "spawn", "spawn"]
