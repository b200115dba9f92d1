"""A process is found by its mark, whatever it turns into, and its environment stays intact."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from django_prodserver.posix import marks
from django_prodserver.supervisor.spec import Ref
from tests.running import not_measured

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

LONG = "x" * 200
SECOND_LIFE = Ref("web.1", 0, 2)

PRELUDE = """
    import ctypes, json, os, sys, time
    from django_prodserver.posix import marks

    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p

    def shown(pid="self"):
        return open(f"/proc/{pid}/environ", errors="replace").read()

    def from_c(names):
        return {name: (libc.getenv(name.encode()) or b"?").decode() for name in names}

    def tell(**told):
        print(json.dumps(told), flush=True)
"""


@contextmanager
def script(source: str, environ: Mapping[str, str]) -> Iterator[Any]:
    """Run a script with exactly this environment; yields its first report, and then ends it."""
    program = textwrap.dedent(PRELUDE) + textwrap.dedent(source)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as popen:
        assert popen.stdout is not None
        try:
            yield json.loads(popen.stdout.readline())
        finally:
            popen.communicate()


def variables(shown: str) -> dict[str, str]:
    return dict(one.partition("=")[::2] for one in shown.rstrip("\0").split("\0"))


def names_in(shown: str) -> list[str]:
    return list(variables(shown))


# ---- what is shown ----


@pytest.mark.parametrize("environ", [{}, {"LAST": "not long enough"}], ids=["long", "short"])
def test_a_daemon_forked_without_exec_is_found_by_its_mark(environ: dict[str, str]) -> None:
    source = """
        marks.mark("run/web.1/0.2")
        told, tell_pid = os.pipe()
        alive, held = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(tell_pid, str(os.getpid()).encode())
                os.close(held)
                os.read(alive, 1)
            os._exit(0)
        os.wait()
        os.close(alive)
        pid = int(os.read(told, 20))
        tell(shown=shown(pid), sid=os.getsid(pid), own=os.getsid(0))
        sys.stdin.read()
    """
    with script(source, {**not_measured(), **environ}) as told:
        assert told["sid"] != told["own"]
        assert marks.carries(told["shown"].encode(), "run/web.1/0.2")


def test_a_mark_replaces_one_long_variable_and_changes_no_other() -> None:
    given = {"FIRST": "1", "LONG_SECRET": LONG, "MIDDLE": "2", "ROOMY": LONG, "LAST": "3"}
    source = """
        done = marks.mark("run/web.1/0.2")
        tell(done=done, shown=shown(), c=from_c(["FIRST", "LONG_SECRET", "ROOMY", "LAST"]),
             mark=from_c(["PRODSERVER_RUN"]))
    """
    with script(source, given) as told:
        after = variables(told["shown"])

    assert told["done"]
    mark = after.pop("PRODSERVER_RUN")
    assert mark.rstrip("/") == "run/web.1/0.2"
    # As long as what it replaced, so that nothing is left of that and readers do not stop here.
    assert len(f"PRODSERVER_RUN={mark}") == len(f"ROOMY={LONG}")
    assert after == {key: value for key, value in given.items() if key != "ROOMY"}
    assert told["c"] == {key: given[key] for key in ("FIRST", "LONG_SECRET", "ROOMY", "LAST")}
    assert told["mark"] == {"PRODSERVER_RUN": "run/web.1/0.2"}


def test_a_mark_replaces_the_last_variables_if_none_is_long_enough() -> None:
    given = {f"V{number}": str(number) * 9 for number in range(8)}
    source = """
        done = marks.mark("run/web.1/0.2")
        tell(done=done, shown=shown(), c=from_c([f"V{number}" for number in range(8)]))
    """
    with script(source, given) as told:
        assert told["done"]
        assert names_in(told["shown"]) == ["V0", "V1", "V2", "V3", "V4", "PRODSERVER_RUN"]
        assert told["c"] == given


def test_a_new_mark_replaces_an_older_mark_in_place() -> None:
    given = {"PRODSERVER_RUN": f"run/template/{LONG}", "ROOMY": LONG}
    source = """
        marks.show(marks.of_guard("run", 12))
        guard, inherited = shown(), os.environ["PRODSERVER_RUN"]
        marks.mark("run/web.1/0.2")
        tell(guard=guard, inherited=inherited, life=shown(), c=from_c(["ROOMY"]))
    """
    with script(source, given) as told:
        assert marks.carries(told["guard"].encode(), "run/guard/12")
        assert told["inherited"] == given["PRODSERVER_RUN"]
        assert not marks.carries(told["life"].encode(), "run/guard")
        assert marks.carries(told["life"].encode(), "run/web.1/0.2")
        assert names_in(told["life"]) == ["PRODSERVER_RUN", "ROOMY"]
        assert told["c"] == {"ROOMY": LONG}


def test_without_room_for_a_mark_only_executed_programs_carry_the_mark() -> None:
    source = """
        before, done = shown(), marks.mark("run/web.1/0.2")
        import subprocess
        program = subprocess.run(["cat", "/proc/self/environ"], stdout=subprocess.PIPE, text=True)
        tell(done=done, same=before == shown(), program=program.stdout)
    """
    with script(source, {"A": "1"}) as told:
        assert (told["done"], told["same"]) == (False, True)
        assert variables(told["program"])["PRODSERVER_RUN"] == "run/web.1/0.2"


def test_a_mark_preserves_changes_to_variables_made_before_and_after() -> None:
    source = """
        os.environ["SET_BEFORE"] = "b"
        del os.environ["DELETED_BEFORE"]
        marks.mark("run/web.1/0.2")
        os.environ["ROOMY"] = "changed"
        del os.environ["DELETED_AFTER"]
        names = ["SET_BEFORE", "DELETED_BEFORE", "ROOMY", "DELETED_AFTER", "KEPT"]
        tell(c=from_c(names))
    """
    given = {"KEPT": "k", "DELETED_BEFORE": "d", "DELETED_AFTER": LONG, "ROOMY": LONG}
    with script(source, given) as told:
        assert told["c"] == {
            "SET_BEFORE": "b",
            "DELETED_BEFORE": "?",
            "ROOMY": "changed",
            "DELETED_AFTER": "?",
            "KEPT": "k",
        }


def test_a_title_and_a_mark_do_not_overwrite_each_other() -> None:
    source = """
        from django_prodserver.posix.titles import set_title
        set_title("web.1")
        marks.mark("run/web.1/0.2")
        set_title("web.1")
        tell(shown=shown(), title=open("/proc/self/cmdline").read())
    """
    with script(source, {"FIRST": "1", "ROOMY": LONG}) as told:
        assert told["title"].rstrip("\0") == "prodserver: web.1"
        assert names_in(told["shown"]) == ["FIRST", "PRODSERVER_RUN"]


# ---- which run and life a mark belongs to ----


def environment(mark: str) -> bytes:
    return f"A=1\0PRODSERVER_RUN={mark}\0B=2\0".encode()


@pytest.mark.parametrize(
    ("mark", "wanted", "carried"),
    [
        ("run/web.1/0.3", "run", True),
        ("run/web.1/0.3", "run/web.1/0.3", True),
        ("run/web.1/0.3////", "run/web.1/0.3", True),
        ("run/web.1/0.3/inner/worker.1/0.1", "run/web.1/0.3", True),
        ("run/web.1/0.31", "run/web.1/0.3", False),
        ("run/web.1/0.2", "run/web.1/0.3", False),
        ("run/web.1/1.3", "run/web.1/0.3", False),
        ("run/web.12/0.3", "run/web.1", False),
        ("running/web.1/0.3", "run", False),
        ("outer/web.1/0.3/run/web.1/0.1", "run", False),
    ],
)
def test_a_mark_matches_only_the_runs_and_lives_that_contain_it(
    mark: str, wanted: str, carried: bool
) -> None:
    assert marks.carries(environment(mark), wanted) is carried


def test_any_of_several_marks_in_an_environment_matches() -> None:
    both = environment("run/template/0") + environment("run/web.1/0.2")

    assert marks.carries(both, "run/web.1/0.2")
    assert not marks.carries(b"X_PRODSERVER_RUN=run/web.1/0.2\0", "run")


def test_a_run_started_inside_a_life_belongs_to_that_life() -> None:
    outer = marks.new_run({})
    life = marks.of_life(outer, SECOND_LIFE)
    inner = marks.new_run({"PRODSERVER_RUN": life})

    assert life == f"{outer}/web.1/0.2"
    assert marks.carries(environment(marks.of_life(inner, SECOND_LIFE)), life)
    assert marks.new_run({}) != marks.new_run({}) != outer


def test_the_mark_of_a_guard_matches_only_that_guard() -> None:
    assert marks.carries(environment(marks.of_guard("run", 12)), marks.of_guard("run", 12))
    assert not marks.carries(environment(marks.of_guard("run", 12)), marks.of_guard("run", 1))
    assert not marks.carries(environment(marks.of_template("run", 0)), marks.of_guard("run", 0))
