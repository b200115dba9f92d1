"""What the preload leaves behind: processes get a start that works, and the log says why."""

from __future__ import annotations

import os
import re
import socket
import sys
import textwrap
from collections.abc import Iterator, Mapping
from signal import SIGTERM

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.inside import free_port
from tests.running import skip_without

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")

# Prints whether it was forked, and its threads.
TELL = """
    preloaded = "django_prodserver.launch.supervise" in sys.modules
    names = [one.name for one in threading.enumerate()]
    print("I was", "forked" if preloaded else "spawned", "and have", *names)
    forever()
"""
NATIVE = """
    import ctypes

    libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
    assert not libc.pthread_create(ctypes.byref(thread), None, libc.pause, None)
    assert not libc.pthread_setname_np(thread, b"native-lurker")
"""
LOOP = "import asyncio; loop = asyncio.new_event_loop()"
CONNECTED = (
    "import os, socket; held = socket.create_connection(('127.0.0.1', int(os.environ['AT'])))"
)
LISTENS = """
    import os, socket, threading

    listener = socket.create_server(("127.0.0.1", int(os.environ["AT"])))
    threading.Thread(target=listener.accept, name="exporter", daemon=True).start()
"""
# OpenTelemetry's processors do this.
RESTARTED = """
    import os, threading

    def start():
        wait = threading.Event().wait
        threading.Thread(target=wait, name="OtelBatchSpanRecordProcessor", daemon=True).start()

    start()
    os.register_at_fork(after_in_child=start)
"""


def run(
    start: Runs,
    source: str,
    port: int = 0,
    method: str = "auto",
    env: Mapping[str, str] = {},
    **more: object,
) -> Run:
    return start(
        {"web": code(TELL, START_METHOD=method)},
        supervisor={"PRELOAD": ["preloaded"]},
        files={"preloaded.py": source},
        env={"AT": str(port), **env},
        **more,  # type: ignore[arg-type]
    )


def told(run: Run) -> str:
    """What it printed: how it was started, and its threads."""
    said = run.wait_for("web.1", "I was (.*)")[1]
    assert run.end(SIGTERM) == 0
    return said


def about_leftovers(run: Run) -> list[str]:
    return [line for line in run.said("system") if "the preload left" in line]


@pytest.fixture(name="listener")
def listener_fixture() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def port_of(one: socket.socket) -> int:
    port: int = one.getsockname()[1]
    return port


def test_nothing_is_logged_if_the_preload_leaves_nothing(start: Runs) -> None:
    web = run(start, "")

    assert told(web) == "forked and have MainThread"
    assert about_leftovers(web) == []


@pytest.mark.parametrize(
    ("source", "left"),
    [
        # The thread runs only code of the C library, so the reported owner may be wrong.
        (NATIVE, "the native thread 'native-lurker'.* running"),
        (LOOP, "an epoll of an event loop open"),
    ],
    ids=["native thread", "event loop"],
)
def test_a_process_is_spawned_if_a_native_thread_or_event_loop_is_left(
    start: Runs, source: str, left: str
) -> None:
    web = run(start, source)

    assert told(web) == "spawned and have MainThread"
    (line,) = about_leftovers(web)
    assert re.fullmatch(
        f"starting by spawn: the preload left {left}; this costs each process the import of the "
        r"project \(.* s, \d+ MB\): if it survives a fork, set PRODSERVER_START_METHOD=fork",
        line,
    )


def test_the_start_method_variable_overrides_auto(start: Runs) -> None:
    web = start(
        {"web": code(TELL)},
        supervisor={"PRELOAD": ["preloaded"]},
        files={"preloaded.py": NATIVE},
        env={"PRODSERVER_START_METHOD": "fork"},
    )

    assert told(web) == "forked and have MainThread"
    (line,) = about_leftovers(web)
    assert re.search("'native-lurker'.* running, which will not exist in the processes, so", line)


def test_a_connection_left_by_the_preload_is_logged_with_its_peer_address(
    start: Runs, listener: socket.socket
) -> None:
    port = port_of(listener)
    web = run(start, CONNECTED, port)

    assert told(web) == "forked and have MainThread"
    (line,) = about_leftovers(web)
    assert f"a connection of preloaded to 127.0.0.1:{port} open, which processes share" in line


def test_a_listening_socket_left_by_the_preload_is_logged_and_prevents_no_start(
    start: Runs,
) -> None:
    port = free_port()
    web = run(start, LISTENS, port)

    assert told(web) == "forked and have MainThread"
    lines = about_leftovers(web)
    assert lines[0].startswith("starting by fork, though the preload left the thread 'exporter'")
    assert lines[-1].startswith(f"the preload left a socket listening at 127.0.0.1:{port}, where")


def test_a_thread_known_to_restart_after_a_fork_does_not_prevent_forking(start: Runs) -> None:
    web = run(start, RESTARTED)

    assert told(web) == "forked and have MainThread OtelBatchSpanRecordProcessor"
    assert about_leftovers(web) == []


def test_threads_of_numpy_do_not_prevent_forking(start: Runs) -> None:
    skip_without("numpy")
    web = run(start, "import numpy; numpy.ones((200, 200)) @ numpy.ones((200, 200))")

    assert told(web) == "forked and have MainThread"
    assert about_leftovers(web) == []


@pytest.mark.parametrize(
    ("early", "survives"),
    [("import numpy", True), (NATIVE, False)],
    ids=["makes itself again", "is lost"],
)
def test_a_child_runs_the_preload_unless_a_fork_would_lose_a_thread(
    start: Runs, early: str, survives: bool
) -> None:
    if "numpy" in early:
        skip_without("numpy")
    (start.project / "sitecustomize.py").write_text(textwrap.dedent(early))
    source = "import os; print('loaded by a child of', os.getppid(), flush=True)"
    web = run(start, source, env={"PYTHONPATH": str(start.project)})

    told(web)
    assert f"loaded by a child of {web.pid if survives else os.getpid()}" in web.raw


def test_sockets_inherited_by_the_supervisor_are_not_leftovers(
    start: Runs, listener: socket.socket
) -> None:
    """systemd passes it sockets: listening ones, and one to the journal as its output."""
    with socket.create_connection(listener.getsockname()) as connected:
        given = (listener.fileno(), connected.fileno())
        web = run(start, "", pass_fds=given)

        assert told(web) == "forked and have MainThread"
    assert about_leftovers(web) == []


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_socket_as_stdout_is_not_a_leftover(
    start: Runs, listener: socket.socket, format: str
) -> None:
    with socket.create_connection(listener.getsockname()) as connected:
        reader, _ = listener.accept()
        web = run(start, "", stdout=connected.fileno(), stderr=connected.fileno())
        connected.close()
        with reader, reader.makefile() as lines:
            said = []
            for line in lines:
                said.append(line)
                if "I was forked" in line:
                    break
            web.signal(SIGTERM)
            said += lines

    assert web.end() == 0
    assert "I was forked" in "".join(said)
    assert "the preload left" not in "".join(said)


def test_check_shows_the_start_method_of_each_process_and_the_reason(start: Runs) -> None:
    processes = {
        "web": code(TELL),
        "worker": code(TELL, START_METHOD="fork"),
        "line": {"BACKEND": "shell", "ARGS": ["sleep", "60"]},
        "other": code(TELL, ENV={"DJANGO_SETTINGS_MODULE": "other"}),
    }
    check = start(
        processes,
        "--check",
        supervisor={"PRELOAD": ["preloaded"]},
        files={"preloaded.py": NATIVE, "other.py": "from settings import *"},
    )

    assert check.end() == 0
    web = check.raw.pop(1)
    assert web.startswith("web: spawned, because the preload left the native thread 'native-lurke")
    assert check.raw == [
        "No problems found: web, worker, line, other.",
        "worker: forked, because START_METHOD is 'fork'",
        "line: executed",
        "other: spawned, because its ENV sets DJANGO_SETTINGS_MODULE, which has already been read",
    ]
    assert (
        "WARNING: (prodserver.W008) PRODUCTION_PROCESSES: starting web by spawn: " in check.stderr
    )


# ---- DJANGO_SETTINGS_MODULE ----

SETTING = """
    from django.conf import settings

    print("extra is", getattr(settings, "EXTRA", None))
    forever()
"""
OTHER = {"other.py": "from settings import *\nEXTRA = 'other'\n"}


def with_other_settings(method: str = "auto") -> dict[str, object]:
    return code(SETTING, START_METHOD=method, ENV={"DJANGO_SETTINGS_MODULE": "other"})


def test_a_process_with_another_settings_module_is_spawned_with_it(start: Runs) -> None:
    web = start({"web": code(SETTING), "job": with_other_settings()}, files=OTHER)

    web.wait_for_each({"web.1": "extra is None", "job.1": "extra is other"})
    assert web.end(SIGTERM) == 0
    said = "starting job by spawn: its ENV sets DJANGO_SETTINGS_MODULE, which has already been read"
    assert said in web.said("system")


def test_a_forked_process_ignores_its_own_settings_module_and_the_log_warns(start: Runs) -> None:
    web = start({"job": with_other_settings("fork")}, files=OTHER)

    web.wait_for("job.1", "extra is None")
    assert web.end(SIGTERM) == 0
    said = "job will not see the DJANGO_SETTINGS_MODULE of its ENV, which has already been read"
    assert said in web.said("system")


@pytest.mark.parametrize("options", [(), ("--settings", "settings"), ("--settings=settings",)])
def test_a_foreground_process_uses_the_settings_module_of_its_env(
    start: Runs, options: tuple[str, ...]
) -> None:
    source = SETTING.replace("forever()", "print('args', *args)")
    job = {**with_other_settings(), "ARGS": [code(source)["ARGS"][0]]}
    web = start(
        {"web": code(SETTING), "job": job}, "job", *options, "--", "--settings", files=OTHER
    )

    assert web.end() == 0
    assert web.raw == ["extra is other", "args --settings"]


def test_a_manage_py_that_overwrites_the_settings_module_is_refused(
    start: Runs,
) -> None:
    manage = """
        import os
        from django.core.management import execute_from_command_line

        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        execute_from_command_line()
    """
    files = {**OTHER, "manage.py": manage}
    web = start({"job": with_other_settings()}, "job", files=files)

    assert web.end() == 1
    assert web.stderr == (
        "CommandError: The ENV of job sets DJANGO_SETTINGS_MODULE to 'other', but manage.py "
        "overwrites it. Make it set only a default: "
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', ...).\n"
    )


# An app that starts a thread, and prints a line at each setup.
SETTINGS = """
    from settings import *

    INSTALLED_APPS = ["django_prodserver", "threaded.Threaded"]
"""
THREADED = """
    import os, threading

    from django.apps import AppConfig

    class Threaded(AppConfig):
        name = "threaded"
        path = "."

        def ready(self):
            print("set up", flush=True)
            if "THREAD" in os.environ:
                wait = threading.Event().wait
                threading.Thread(target=wait, name="lurker", daemon=True).start()
"""
# Imports of the project may need the thread.
IMPORTED_LATER = """
    import threading
    print("later there are", *sorted(one.name for one in threading.enumerate()), flush=True)
"""


@pytest.mark.parametrize(
    ("env", "threads"),
    [({}, "MainThread"), ({"THREAD": "1"}, "MainThread lurker")],
    ids=["none", "one"],
)
def test_the_process_that_loads_the_project_keeps_the_threads_of_its_apps(
    start: Runs, env: dict[str, str], threads: str
) -> None:
    run = start(
        {"web": FOREVER},
        supervisor={"PRELOAD": ["later"]},
        files={"settings_of_it.py": SETTINGS, "threaded.py": THREADED, "later.py": IMPORTED_LATER},
        env={"DJANGO_SETTINGS_MODULE": "settings_of_it", **env},
    )
    run.wait_for("system", "^all 1 ready")
    (how,) = [text for text in run.said("system") if text.startswith("starting by")] or [""]
    assert run.end(SIGTERM) == 0

    assert run.raw.count("set up") == 1
    assert f"later there are {threads}" in run.raw
    assert ("'lurker'" in how) == ("THREAD" in env)
