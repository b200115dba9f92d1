"""What a forked child has, and what it lacks."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Runs, code

FACTS = code(
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    facts = {
        "argv": sys.argv,
        "environ": dict(os.environ),
        "null": [os.stat(0).st_rdev, os.stat(os.devnull).st_rdev],
        "end of stdin": sys.stdin.read() == "",
        "pid": os.getpid(),
        "session": os.getsid(0),
        "group": os.getpgrp(),
        "wakeup fd": signal.set_wakeup_fd(-1),
        "blocked": sorted(blocked),
        "handlers": {
            name: str(signal.getsignal(signal.Signals[name]))
            for name in ("SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD")
        },
        "SIGINT is default": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    }
    print(json.dumps(facts))
    forever()
    """,
    ENV={"FLAVOUR": "vanilla", "HOME": "/nowhere"},
)

# What systemd passes to a supervisor, and to no other process.
SYSTEMD = {
    "NOTIFY_SOCKET": "/nowhere/notify",
    "WATCHDOG_PID": "1",
    "WATCHDOG_USEC": "30000000",
    "LISTEN_PID": "1",
    "LISTEN_FDS": "1",
    "LISTEN_FDNAMES": "http",
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The facts that each of four children reports about itself."""
    # The backend that notifies has its own address in NOTIFY_SOCKET.
    notifying = {**FACTS, "BACKEND": "backends.NotifyingCode"}
    processes = {"web": {**FACTS, "REPLICAS": 2}, "worker": FACTS, "notifying": notifying}
    names = ["web.1", "web.2", "worker.1", "notifying.1"]
    with Runs(tmp_path_factory.mktemp("facts")) as runs:
        run = runs(processes, env={**SYSTEMD, "GREETING": "hello"})
        run.wait_for_each(dict.fromkeys(names, "{"))
        run.end(SIGTERM)
    return {name: json.loads(run.said(name)[0]) for name in names}


def test_sys_argv_of_a_child_names_only_its_own_process(facts: dict[str, Any]) -> None:
    assert facts["web.2"]["argv"] == ["manage.py", "prodserver", "web"]
    assert facts["worker.1"]["argv"] == ["manage.py", "prodserver", "worker"]


def test_stdin_is_dev_null(facts: dict[str, Any]) -> None:
    mine, null = facts["web.1"]["null"]

    assert mine == null
    assert facts["web.1"]["end of stdin"]


def test_env_is_added_to_the_environment(facts: dict[str, Any]) -> None:
    environ = facts["web.1"]["environ"]

    assert environ["FLAVOUR"] == "vanilla"
    assert environ["HOME"] == "/nowhere"
    assert environ["GREETING"] == "hello"


def test_the_environment_of_each_instance_contains_its_name(facts: dict[str, Any]) -> None:
    found = {
        name: (
            of["environ"]["PRODSERVER_PROCESS"],
            of["environ"]["PRODSERVER_INSTANCE"],
        )
        for name, of in facts.items()
    }

    assert found == {
        "web.1": ("web", "web.1"),
        "web.2": ("web", "web.2"),
        "worker.1": ("worker", "worker.1"),
        "notifying.1": ("notifying", "notifying.1"),
    }


def test_variables_from_systemd_are_not_inherited(facts: dict[str, Any]) -> None:
    inherited = {name: sorted(SYSTEMD.keys() & of["environ"].keys()) for name, of in facts.items()}

    assert inherited == {
        "web.1": [],
        "web.2": [],
        "worker.1": [],
        "notifying.1": ["NOTIFY_SOCKET"],
    }
    assert facts["notifying.1"]["environ"]["NOTIFY_SOCKET"] != SYSTEMD["NOTIFY_SOCKET"]


def test_every_child_leads_a_session_of_its_own(facts: dict[str, Any]) -> None:
    for of in facts.values():
        assert of["pid"] == of["session"] == of["group"]


def test_a_child_has_the_signal_handlers_of_a_fresh_interpreter(facts: dict[str, Any]) -> None:
    of = facts["web.1"]

    assert of["wakeup fd"] == -1
    assert of["blocked"] == []
    assert set(of["handlers"].values()) <= {"Handlers.SIG_DFL", "0"}
    assert of["SIGINT is default"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are listed in /proc")
def test_sixty_instances_start_and_stop_and_no_child_has_a_descriptor_of_another(
    start: Runs,
) -> None:
    source = """
        names = {fd: "" for fd in os.listdir("/proc/self/fd")}
        for fd in names:
            try:
                names[fd] = os.readlink(f"/proc/self/fd/{fd}")
            except FileNotFoundError:
                pass  # The listing's own.
        print(json.dumps({fd: name for fd, name in names.items() if name}))
        forever()
    """
    processes = {
        "web": code(source, REPLICAS=30),
        "worker": code(source, "NotifyingCode", REPLICAS=30),
    }

    run = start(processes)
    names = [f"{name}.{number + 1}" for name in processes for number in range(30)]
    run.wait_for_each(dict.fromkeys(names, "{"))

    opened = [json.loads(run.said(name)[0]) for name in names]

    assert [of for of in opened if of.keys() != {"0", "1", "2"}] == []
    assert {of["0"] for of in opened} == {os.devnull}
    assert all(of["1"] == of["2"] for of in opened)
    assert len({of["1"] for of in opened}) == 60
    assert run.end(SIGTERM) == 0


def test_sigterm_during_the_forks_stops_everything(start: Runs) -> None:
    run = start({"web": {**FOREVER, "REPLICAS": 60}})
    run.wait_for("system", "supervising")

    assert run.end(SIGTERM) == 0
    started = re.findall(r"(web\.\d+) started", "\n".join(run.said("system")))
    stopped = re.findall(r"(web\.\d+) stopped after", "\n".join(run.said("system")))
    # One may have been forked already when its start was cancelled.
    assert set(started) <= set(stopped)
    assert len(stopped) <= len(started) + 1


def test_sigterm_right_after_a_fork_ends_the_child(start: Runs) -> None:
    run = start({"web": {**FOREVER, "REPLICAS": 20}})
    pid = int(run.wait_for("system", r"web\.20 started \(pid (\d+)\)")[1])

    os.kill(pid, SIGTERM)

    assert run.end() == 128 + SIGTERM
    assert any("web.20 was killed by SIGTERM" in text for text in run.said("system"))


def test_a_signal_to_a_child_does_not_reach_the_supervisor(start: Runs) -> None:
    source = """
        signal.signal(signal.SIGHUP, lambda *_: os.write(1, b"got SIGHUP\\n"))
        print("pid", os.getpid())
        forever()
    """
    run = start({"web": code(source)})
    pid = int(run.wait_for("web.1", r"pid (\d+)")[1])

    os.kill(pid, 1)
    run.wait_for("web.1", "got SIGHUP")
    run.handshake()

    assert not any("SIGHUP" in text for text in run.said("system"))
    assert run.end(SIGTERM) == 0


def test_text_buffered_before_the_fork_is_printed_once(start: Runs) -> None:
    run = start(
        {"web": {**code("print('here'); forever()"), "REPLICAS": 3}},
        supervisor={"PRELOAD": ["preloaded"]},
        files={"preloaded.py": "print('said while preloading')"},
    )
    run.wait_for_each({f"web.{number}": "here" for number in (1, 2, 3)})

    assert run.end(SIGTERM) == 0
    assert "\n".join(run.raw).count("said while preloading") == 1


def test_a_preloaded_module_is_imported_once(start: Runs) -> None:
    show = code("import preloaded; print(preloaded.pid); forever()", REPLICAS=3)
    run = start(
        {"web": show},
        supervisor={"PRELOAD": ["preloaded"]},
        files={"preloaded.py": "import os\npid = os.getpid()"},
    )

    pid = run.wait_for("web.1", r"^(\d+)$")[1]
    run.wait_for_each({f"web.{number}": f"^{pid}$" for number in (2, 3)})

    assert run.end(SIGTERM) == 0


def test_a_thread_left_by_the_preload_is_named_in_the_log(start: Runs) -> None:
    preloaded = """
        import threading
        threading.Thread(target=threading.Event().wait, name="telemetry", daemon=True).start()
    """
    run = start(
        {"web": code("print(threading.active_count()); forever()")},
        supervisor={"PRELOAD": ["preloaded"]},
        files={"preloaded.py": preloaded},
    )
    run.wait_for("web.1", "^1$")

    assert run.end(SIGTERM) == 0
    assert any("the thread 'telemetry' running" in text for text in run.said("system"))
    assert run.stderr == ""


def test_a_child_uses_the_interpreter_of_the_supervisor(start: Runs) -> None:
    run = start({"web": code("print(sys.executable); forever()")})

    assert run.wait_for("web.1", "python")
    assert run.said("web.1") == [sys.executable]
    assert run.end(SIGTERM) == 0
