"""START_METHOD: a fresh interpreter gets what a fork gets, and `auto` uses it when needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL, SIGPIPE, SIGTERM, SIGXFSZ
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code, shell

THREAD = {
    "threaded.py": """
        import threading

        threading.Thread(target=threading.Event().wait, name="lurker", daemon=True).start()
    """
}
NAMES = "print('threads', [thread.name for thread in threading.enumerate()])"

# What a process can report about itself.
REPORT = """
    told = {
        "argv": sys.argv,
        "leads": os.getsid(0) == os.getpgid(0) == os.getpid(),
        "stdin": os.read(0, 1).decode(),
        "environ": {k: v for k, v in os.environ.items() if k.startswith(("PRODSERVER_I", "EXTRA"))},
        "names": [os.environ["PRODSERVER_PROCESS"], os.environ["PYTHONUNBUFFERED"]],
        "notify": os.environ["NOTIFY_SOCKET"][:1],
        "watchdog": os.environ["WATCHDOG_USEC"],
        "listen": os.environ.get("LISTEN_FDS"),
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "warnings": sys.warnoptions,
        "supervisor": signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL,
        "inherited": sorted(os.listdir("/dev/fd"))[:3],
    }
    print("told", json.dumps(told))
    forever()
"""


def told(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.wait_for("web.1", "told (.*)")[1])
    return found


def is_fresh(run: Run, name: str) -> bool:
    """Whether it is a fresh interpreter, which has not loaded the supervisor."""
    return run.wait_for(name, "loaded (True|False)")[1] == "False"


LOADED = "print('loaded', 'django_prodserver.launch.supervise' in sys.modules)"


def test_a_spawned_process_starts_in_the_same_state_as_a_forked_process(start: Runs) -> None:
    contracts = {}
    for method in ("fork", "spawn"):
        entry = code(REPORT, START_METHOD=method, WATCHDOG=60, ENV={"EXTRA": "extra"})
        run = start({"web": entry}, env={"LISTEN_FDS": "1"})
        contracts[method] = told(run)
        assert run.end(SIGTERM) == 0

    assert contracts["fork"]["argv"] == ["manage.py", "prodserver", "web"]
    assert contracts["spawn"]["argv"] == ["manage.py", "prodserver", "web", "--stop-timeout=25.0"]
    for contract in contracts.values():
        del contract["argv"]
    assert contracts["spawn"] == contracts["fork"]
    assert contracts["spawn"] == {
        "leads": True,
        "stdin": "",
        "environ": {"PRODSERVER_INSTANCE": "web.1", "EXTRA": "extra"},
        "names": ["web", "1"],
        "notify": "/",
        "watchdog": "60000000",
        "listen": None,
        "mask": [],
        "warnings": ["error"],
        "supervisor": False,
        "inherited": ["0", "1", "2"],
    }


@pytest.mark.parametrize(("method", "fresh"), [("fork", False), ("spawn", True), ("auto", False)])
def test_the_start_method_decides_whether_the_interpreter_is_fresh(
    start: Runs, method: str, fresh: bool
) -> None:
    run = start({"web": code(f"{LOADED}; forever()", START_METHOD=method)})

    assert is_fresh(run, "web.1") is fresh
    assert run.end(SIGTERM) == 0


def test_the_start_method_can_be_set_on_the_command_line(start: Runs) -> None:
    run = start({"web": code(f"{LOADED}; forever()")}, "--all", "--start-method", "spawn")

    assert is_fresh(run, "web.1")
    assert run.end(SIGTERM) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_signals_ignored_by_the_caller_are_not_ignored_by_processes(
    start: Runs, method: str
) -> None:
    """As under nohup. Python itself ignores two signals; a program that it executes, none."""
    source = """
        with open("/proc/self/status") as status:
            print(*(line for line in status if line.startswith("SigIgn")), end="")
        forever()
    """
    run = start(
        {
            "web": code(source, START_METHOD=method),
            "line": shell("grep SigIgn /proc/self/status; sleep 60", START_METHOD=method),
        },
        prefix=("sh", "-c", 'trap "" HUP QUIT; exec "$@"', "sh"),
    )
    run.wait_for_each({"web.1": "SigIgn", "line.1": "SigIgn"})

    masks = (int(run.said(name)[0].split()[1], 16) for name in ("web.1", "line.1"))
    # 32 and 33 belong to the C library; posix_spawn(3) leaves them ignored in the child.
    pythons, programs = (mask & 0x7FFFFFFF for mask in masks)
    assert pythons == 1 << SIGPIPE - 1 | 1 << SIGXFSZ - 1
    assert programs == 0
    assert run.end(SIGTERM) == 0


def test_a_spawned_process_reports_readiness_and_its_exit_status(start: Runs) -> None:
    source = """
        from django_prodserver.posix.notify import notify
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        notify()
        forever()
    """
    run = start({"web": code(source, "NotifyingCode", START_METHOD="spawn")})
    run.wait_for("system", r"web\.1 ready after")

    run.kill(run.descendants()[0], SIGTERM)

    assert run.end() == 3


def test_two_spawned_instances_have_their_own_names(start: Runs) -> None:
    source = "print('I am', os.environ['PRODSERVER_INSTANCE']); forever()"
    run = start({"web": code(source, START_METHOD="spawn", REPLICAS=2)})

    run.wait_for_each({"web.1": r"I am web\.1", "web.2": r"I am web\.2"})

    assert run.end(SIGTERM) == 0


def test_extra_arguments_reach_a_spawned_process(start: Runs) -> None:
    source = "print('args', args, sys.argv[3:]); forever()"
    processes = {"web": code(source, START_METHOD="spawn")}
    run = start(processes, "web=1", "--stop-timeout", "7", "--", "--workers", "4", "a b")

    found = run.wait_for("web.1", "args (.*)")[1]

    assert found == (
        "('--workers', '4', 'a b') ['--stop-timeout=7.0', '--', '--workers', '4', 'a b']"
    )
    assert run.end(SIGTERM) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG")
def test_a_spawned_process_dies_with_the_supervisor(start: Runs) -> None:
    run = start({"web": code("tell('here'); forever()", START_METHOD="spawn")}, channel=True)
    assert run.hear() == "here"

    run.signal(SIGKILL)

    assert run.hear() is None
    run.end()


def test_the_last_output_of_a_spawned_process_is_complete(start: Runs) -> None:
    run = start({"web": code("print('x' * 100_000, end=''); sys.exit(5)", START_METHOD="spawn")})

    assert run.end() == 5
    assert "".join(run.said("web.1")) == "x" * 100_000


# ---- auto ----


def test_start_method_auto_spawns_if_the_preload_leaves_a_thread(start: Runs) -> None:
    run = start(
        {"web": code(f"{LOADED}; {NAMES}; forever()")},
        supervisor={"PRELOAD": ["threaded"]},
        files=THREAD,
    )

    assert is_fresh(run, "web.1")
    assert run.wait_for("web.1", "threads (.*)")[1] == "['MainThread']"
    said = "\n".join(run.said("system"))
    assert "starting by spawn: the preload left the thread 'lurker' running; this costs" in said
    assert run.end(SIGTERM) == 0


def test_start_method_fork_is_used_although_the_preload_leaves_a_thread(start: Runs) -> None:
    run = start(
        {
            "web": code(f"{LOADED}; forever()", START_METHOD="fork"),
            "worker": code(f"{LOADED}; forever()"),
        },
        supervisor={"PRELOAD": ["threaded"]},
        files=THREAD,
    )

    loaded = {"web.1": "loaded True", "worker.1": "loaded False"}
    run.wait_for_each(loaded)
    assert run.end(SIGTERM) == 0
    said = run.said("system")
    assert any(
        line.startswith("starting worker by spawn: the preload left the thread 'lurker' running;")
        for line in said
    )
    assert (
        "the preload left the thread 'lurker' running, which will not exist in the "
        "processes: start it in the processes instead"
    ) in said


def test_nothing_is_preloaded_if_no_process_is_forked(start: Runs) -> None:
    files = {"noisy.py": "raise RuntimeError('imported')"}
    spawned = {"web": {**FOREVER, "START_METHOD": "spawn"}}
    run = start(spawned, supervisor={"PRELOAD": ["noisy"]}, files=files)
    run.wait_for("system", "all 1 ready")
    assert run.end(SIGTERM) == 0

    run = start({**spawned, "worker": FOREVER}, supervisor={"PRELOAD": ["noisy"]}, files=files)
    assert run.end() == 1
    assert "'noisy', which cannot be imported" in run.stderr


# ---- how the fresh interpreter is started ----


@pytest.mark.parametrize("way", ["module", "script"])
def test_a_spawned_process_uses_the_same_program_as_the_supervisor(start: Runs, way: str) -> None:
    script = str(Path(sys.executable).parent / "django-admin")
    run = start(
        {"web": code("print('path', sys.argv[0]); forever()", START_METHOD="spawn")},
        program={"module": ("-m", "django"), "script": (script,)}[way] + ("prodserver",),
        env={"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": _path(start.project)},
    )

    path = run.wait_for("web.1", "path (.*)")[1]

    assert path.endswith({"module": "django/__main__.py", "script": "django-admin"}[way])
    assert run.end(SIGTERM) == 0


def test_a_spawned_process_gets_the_settings_and_pythonpath_options(
    start: Runs, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.py").write_text("from settings import *\nEXTRA = 'other'\n")
    source = "from django.conf import settings; print('extra', settings.EXTRA); forever()"
    run = start(
        {"web": code(source, START_METHOD="spawn")},
        "--all",
        "--settings=other",
        "--pythonpath",
        str(tmp_path / "elsewhere"),
    )

    assert run.wait_for("web.1", "extra (.*)")[1] == "other"
    assert run.end(SIGTERM) == 0


AGAIN = """
import json, subprocess, sys
from django_prodserver.posix.interpreter import own_command
if "once" in sys.argv:
    print(json.dumps([list(sys.flags), sys.warnoptions, sys._xoptions, sys.argv]))
else:
    first = [list(sys.flags), sys.warnoptions, sys._xoptions, [sys.argv[0], "once"]]
    print(json.dumps(first), flush=True)
    subprocess.run(own_command(["once"]), check=True)
"""


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-W", "error", "-W", "ignore::DeprecationWarning:x.*"],
        ["-X", "utf8", "-X", "faulthandler", "-X", "importtime=0"],
        ["-OO", "-B", "-b", "-s"],
        ["-X", "dev"],
    ],
    ids=" ".join,
)
def test_own_command_keeps_the_options_of_the_interpreter(
    tmp_path: Path, options: list[str]
) -> None:
    script = tmp_path / "manage.py"
    script.write_text(AGAIN)

    ran = subprocess.run(
        [sys.executable, *options, str(script)], stdout=subprocess.PIPE, text=True, check=True
    )

    first, second = map(json.loads, ran.stdout.splitlines())
    assert second[1:] == first[1:]
    assert second[0] == first[0]


def test_own_command_runs_django_if_the_program_is_not_a_file(tmp_path: Path) -> None:
    source = (
        "import sys; from django_prodserver.posix.interpreter import own_command;"
        "print(own_command(['prodserver', 'web'])[-4:])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, check=True, cwd=tmp_path
    )

    assert ran.stdout.strip() == "['-m', 'django', 'prodserver', 'web']"


def _path(*first: Path) -> str:
    return os.pathsep.join([*map(str, first), os.environ.get("PYTHONPATH", "")])
