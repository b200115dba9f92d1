"""Requests of operators through the control socket, and their effects."""

from __future__ import annotations

import json
import re
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, STUBBORN, Run, Runs, code
from tests.operating import PRODCTL, Done, Socket, prodctl, socket_of
from tests.running import gone

# A pause that outlasts every test.
FOR_EVER = {"INITIAL": 3600, "MAX": 3600}


def ready(start: Runs, processes: dict[str, Any], count: int, **kwargs: Any) -> tuple[Run, Socket]:
    """Start these, and wait until all are ready."""
    run = start(processes, **kwargs)
    run.wait_for("system", f"all {count} (ready|running)")
    return run, socket_of(start)


def rows(done: Done) -> dict[str, list[str]]:
    """The table of `prodctl status`, by instance; the last column may contain spaces."""
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "INFO"]
    return {line.split()[0]: line.split(maxsplit=7)[1:] for line in lines}


# ---- status ----


def test_status_shows_each_instance_in_a_row(start: Runs) -> None:
    run, socket = ready(start, {"web": {**FOREVER, "REPLICAS": 2}, "worker": FOREVER}, 3)

    shown = prodctl(start, "status")

    assert (shown.status, shown.stderr) == (0, "")
    table = rows(shown)
    assert list(table) == ["web.1", "web.2", "worker.1"]
    for name, (state, pid, uptime, restarts, cpu, memory, *info) in table.items():
        assert state == "RUNNING"
        assert int(pid) == socket.instances()[name]["pid"]
        assert re.fullmatch(r"\d+s|\dm \d\ds", uptime)
        assert restarts == "0"
        assert re.fullmatch(r"\d+\.\d%", cpu)
        assert re.fullmatch(r"\d+\.\dMiB", memory)
        assert not info
    assert prodctl(start).stdout.split()[:2] == ["NAME", "STATE"]  # The default.
    assert list(rows(prodctl(start, "status", "worker", "web.2"))) == ["web.2", "worker.1"]
    assert list(rows(prodctl(start, "status", "w*2"))) == ["web.2"]
    assert run.end(SIGTERM) == 0


def test_status_json_describes_the_supervisor_and_its_instances(start: Runs) -> None:
    run, _ = ready(start, {"web": FOREVER}, 1)

    status = json.loads(prodctl(start, "status", "--json").stdout)

    assert (status["api"], status["pid"], status["phase"]) == (1, run.pid, "running")
    ((instance,),) = (process["instances"] for process in status["processes"])
    assert instance["name"] == "web.1"
    assert instance["as_wanted"] is True
    assert instance["memory_bytes"] > 1 << 20
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize(
    ("entry", "state", "why"),
    [
        (
            code("sys.exit(3)", RESTART="on-failure", BACKOFF=FOR_EVER),
            "BACKOFF",
            r"exited with status 3 after \d\.\d\d s; starts in \d{4} s",
        ),
        (
            code(
                "os.kill(os.getpid(), signal.SIGKILL)",
                RESTART="on-failure",
                START_LIMIT={"BURST": 1, "INTERVAL": 60},
                BACKOFF=FOR_EVER,
            ),
            "BACKOFF",
            r"was killed by SIGKILL \(not sent by prodserver\) after \S+ s; starts in \d{4} s",
        ),
        (code("forever()", "NotifyingCode"), "STARTING", ""),
        (
            code("notify(b'STATUS=loading \\x1b[31mred')\nforever()", "NotifyingCode"),
            "STARTING",
            r"loading \[31mred",
        ),
    ],
    ids=["exited", "killed", "not ready", "with a status of its own"],
)
def test_status_shows_why_a_process_is_not_running(
    start: Runs, entry: Any, state: str, why: str
) -> None:
    run = start({"web": entry, "other": code("print('there')\nforever()")})
    run.wait_for("other.1", "there")
    socket = socket_of(start)
    while socket.instances()["web.1"]["state"] != state:
        pass
    while why and not re.search(why, prodctl(start, "status").stdout):
        pass

    shown = prodctl(start, "status")

    assert shown.status == 3
    assert rows(shown)["web.1"][0] == state
    assert "\x1b" not in shown.stdout
    assert run.end(SIGTERM) in (0, 1)


def test_status_watch_repeats_the_table_until_an_interrupt(start: Runs) -> None:
    run, _ = ready(start, {"web": FOREVER}, 1)
    watch = start.command([*PRODCTL, "status", "--watch"], env={"PWD": str(start.project)})
    for _ in range(2):
        while not (line := watch.read()) or not line.text.startswith("web.1 "):
            assert line is not None

    watch.signal(SIGINT)

    assert watch.end() == 130
    assert watch.stderr == ""
    assert run.end(SIGTERM) == 0


def test_changes_do_not_survive_a_restart_of_the_supervisor(start: Runs) -> None:
    processes = {"web": FOREVER, "worker": FOREVER}
    run, _ = ready(start, processes, 2)
    assert prodctl(start, "scale", "web=2").status == 0
    assert prodctl(start, "stop", "worker").status == 0
    assert run.end(SIGTERM) == 0

    run, socket = ready(start, processes, 2)

    assert {n: o["changed"] for n, o in socket.instances().items()} == {
        "web.1": None,
        "worker.1": None,
    }
    assert run.end(SIGTERM) == 0


# ---- start, stop, restart ----


def test_stop_and_start_change_the_goal_and_wait(start: Runs) -> None:
    run, socket = ready(start, {"web": FOREVER, "worker": FOREVER}, 2)
    before = socket.instances()

    stopped = prodctl(start, "stop", "web")

    assert stopped == Done(0, "web.1 STOPPED\n", "")
    assert gone(before["web.1"]["pid"])
    shown = prodctl(start, "status")
    assert shown.status == 0  # It matches its goal.
    assert "stopped on request" in shown.stdout
    assert socket.instances()["worker.1"]["pid"] == before["worker.1"]["pid"]

    started = prodctl(start, "start", "web")

    pid = socket.instances()["web.1"]["pid"]
    assert started == Done(0, f"web.1 RUNNING (pid {pid})\n", "")
    assert run.end(SIGTERM) == 0
    said = run.said("system")
    assert [
        text
        for text in said
        if re.match(r"(stop|start) web: requested by uid \d+ \(pid \d+\)", text)
    ]
    stopping = [text for text in said if "stopping everything" in text]
    assert stopping == ["SIGTERM received; stopping everything"]


def test_start_and_stop_report_that_there_is_nothing_to_do(start: Runs) -> None:
    run, _ = ready(start, {"web": FOREVER, "worker": FOREVER}, 2)

    up = prodctl(start, "start", "web")
    prodctl(start, "stop", "worker")
    down = prodctl(start, "stop", "worker")

    assert up.status == down.status == 0
    assert re.fullmatch(r"nothing to do\nweb\.1 RUNNING \(pid \d+\)\n", up.stdout)
    assert down.stdout == "nothing to do\nworker.1 STOPPED\n"
    assert run.end(SIGTERM) == 0


def test_restart_replaces_every_instance_of_the_process(start: Runs) -> None:
    web = code("notify()\nforever()", "NotifyingCode", REPLICAS=2)
    run, socket = ready(start, {"web": web, "worker": FOREVER}, 3)
    before = socket.instances()

    done = prodctl(start, "restart", "web")

    after = socket.instances()
    assert done.status == 0
    assert done.stdout.splitlines() == [
        f"{name} RUNNING (pid {after[name]['pid']})" for name in ("web.1", "web.2")
    ]
    changed = {name for name in after if after[name]["pid"] != before[name]["pid"]}
    assert changed == {"web.1", "web.2"}
    assert run.end(SIGTERM) == 0


def test_restart_and_stop_may_name_a_single_instance(start: Runs) -> None:
    run, socket = ready(start, {"web": {**FOREVER, "REPLICAS": 2}}, 2)
    before = socket.instances()

    assert prodctl(start, "restart", "web.2").status == 0
    after = socket.instances()
    assert after["web.1"]["pid"] == before["web.1"]["pid"]
    assert after["web.2"]["pid"] != before["web.2"]["pid"]
    assert prodctl(start, "stop", "web.1").stdout == "web.1 STOPPED\n"
    assert socket.instances()["web.2"]["state"] == "RUNNING"
    assert run.end(SIGTERM) == 0


def test_a_failed_restart_is_reported_with_its_reason(start: Runs) -> None:
    source = "if life() > 1: sys.exit(3)\nnotify()\nprint('there')\nforever()"
    run = start({"web": code(source, "NotifyingCode"), "worker": FOREVER})
    run.wait_for("web.1", "there")

    failed = prodctl(start, "restart", "web")

    assert failed.status == 1
    assert failed.stderr.startswith("prodctl: restart failed: web.1 ")
    assert "exited with status 3" in failed.stderr
    run.end(SIGTERM)


def test_the_exit_of_a_process_stopped_on_request_is_no_failure(start: Runs) -> None:
    """Under the policy `never`, an exit of its own would stop everything."""
    run, _ = ready(
        start,
        {"web": code("signal.signal(15, lambda *_: os._exit(9))\nforever()"), "worker": FOREVER},
        2,
    )

    assert prodctl(start, "stop", "web").status == 0
    assert prodctl(start, "status").status == 0
    assert run.end(SIGTERM) == 0


# ---- scale ----


def test_scale_adds_and_removes_the_instances_with_the_highest_numbers(start: Runs) -> None:
    run, socket = ready(start, {"web": FOREVER, "worker": FOREVER}, 2)
    first = socket.instances()["web.1"]["pid"]

    assert prodctl(start, "scale", "web=3").status == 0
    assert list(socket.instances()) == ["web.1", "web.2", "web.3", "worker.1"]
    assert "added by scaling" in prodctl(start, "status").stdout
    assert prodctl(start, "scale", "web=2", "worker=2").status == 0
    states = {name: one["state"] for name, one in socket.instances().items()}
    assert states["web.2"] == states["worker.2"] == "RUNNING"
    assert states.get("web.3", "STOPPED") == "STOPPED"
    assert socket.instances()["web.1"]["pid"] == first
    assert run.end(SIGTERM) == 0


def test_scale_stops_all_instances_and_starts_one_again(start: Runs) -> None:
    run, socket = ready(start, {"web": FOREVER, "worker": FOREVER}, 2)

    assert prodctl(start, "scale", "web=0").status == 0
    assert socket.instances()["web.1"]["state"] == "STOPPED"
    assert prodctl(start, "status").status == 0
    assert prodctl(start, "scale", "web=1").status == 0
    assert socket.instances()["web.1"]["state"] == "RUNNING"
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["web=x"], 2, "'web=x' is not NAME=COUNT, such as web=4"),
        (["web"], 2, "'web' is not NAME=COUNT"),
        (["web=-1"], 2, "'web=-1' is not NAME=COUNT"),
        (["web=1001"], 1, "the count of web must be an integer from 0 to 1000; got 1001"),
        (["wbe=2"], 4, "no process is named 'wbe'; did you mean 'web'?"),
        (["web.1=2"], 4, "no process is named 'web.1'"),
        (["server=2"], 1, "only one instance of server: only one instance can listen at 127.0.0.1"),
    ],
)
def test_scale_refuses_invalid_counts_and_names(
    start: Runs, words: list[str], status: int, message: str
) -> None:
    processes = {
        "web": FOREVER,
        "server": code("print('here')\nforever()", "ListeningCode"),
    }
    run = start(processes)
    run.wait_for("server.1", "here")
    before = socket_of(start).instances()

    refused = prodctl(start, "scale", *words)

    assert (refused.status, refused.stdout) == (status, "")
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    after = socket_of(start).instances()
    assert {n: o["pid"] for n, o in after.items()} == {n: o["pid"] for n, o in before.items()}
    assert run.end(SIGTERM) == 0


# ---- signal ----


@pytest.mark.parametrize("name", ["USR1", "SIGUSR1", "usr1", "10"])
def test_signal_sends_a_signal_by_name_or_number(start: Runs, name: str) -> None:
    source = "signal.signal(signal.SIGUSR1, lambda *_: say('told'))\nprint('there')\nforever()"
    run = start({"web": code(source)})
    run.wait_for("web.1", "there")

    assert prodctl(start, "signal", name, "web").status == 0

    run.wait_for("web.1", "told")
    assert run.end(SIGTERM) == 0
    assert [text for text in run.said("system") if text.startswith("signal web SIGUSR1: requested")]


def test_an_unknown_signal_and_a_stopped_process_are_refused(start: Runs) -> None:
    run, _ = ready(start, {"web": FOREVER, "worker": FOREVER}, 2)

    unknown = prodctl(start, "signal", "NOPE", "web")
    prodctl(start, "stop", "worker")
    asleep = prodctl(start, "signal", "HUP", "worker")

    assert unknown.status == asleep.status == 1
    assert "'NOPE' is not a signal" in unknown.stderr
    assert asleep.stderr == "prodctl: worker.1: not running\n"
    assert run.end(SIGTERM) == 0


# ---- shutdown ----


def test_shutdown_ends_everything_with_status_0(start: Runs) -> None:
    run, _ = ready(start, {"web": FOREVER, "worker": FOREVER}, 2)

    assert prodctl(start, "shutdown") == Done(0, "", "")

    assert run.end() == 0
    assert [text for text in run.said("system") if text.startswith("shutdown: requested by uid")]
    assert list(start.runtime.glob("prodserver/*")) == []


def test_requests_are_refused_while_everything_stops(start: Runs) -> None:
    run = start({"web": STUBBORN, "worker": FOREVER}, supervisor={"STOP_TIMEOUT": 60})
    run.wait_for("web.1", "deaf")
    run.signal(SIGTERM)
    run.wait_for("system", "SIGTERM received")

    for words in (["restart", "worker"], ["scale", "worker=2"], ["start", "worker"]):
        refused = prodctl(start, *words)
        assert (refused.status, refused.stdout) == (1, "")
        assert refused.stderr == "prodctl: everything is being stopped\n"
    assert prodctl(start, "status").status == 3
    again = prodctl(start, "shutdown", "--timeout", "0.05")
    assert again.status == 124
    run.kill(socket_of(start).instances()["web.1"]["pid"], SIGKILL)
    run.end()


# ---- waiting ----


def test_a_stop_continues_after_its_timeout(start: Runs) -> None:
    run = start({"web": STUBBORN, "worker": FOREVER}, supervisor={"STOP_TIMEOUT": 60})
    run.wait_for("web.1", "deaf")
    pid = socket_of(start).instances()["web.1"]["pid"]

    late = prodctl(start, "stop", "web", "--timeout", "0.2")

    assert late == Done(124, "", "prodctl: stop is not done after 0.2 s; it goes on\n")
    assert socket_of(start).instances()["web.1"]["state"] == "STOPPING"
    run.kill(pid, SIGKILL)
    assert prodctl(start, "stop", "web").status == 0
    assert run.end(SIGTERM) == 0


def test_no_wait_returns_at_once(start: Runs) -> None:
    run = start({"web": STUBBORN, "worker": FOREVER}, supervisor={"STOP_TIMEOUT": 60})
    run.wait_for("web.1", "deaf")

    assert prodctl(start, "stop", "web", "--no-wait") == Done(0, "", "")

    instance = socket_of(start).instances()["web.1"]
    assert instance["state"] == "STOPPING"
    run.kill(instance["pid"], SIGKILL)
    assert run.end(SIGTERM) == 0


# ---- names ----


@pytest.mark.parametrize("verb", ["status", "start", "stop", "restart", "logs", "health"])
def test_unknown_names_get_a_suggestion(start: Runs, verb: str) -> None:
    run, _ = ready(start, {"web": FOREVER}, 1)

    refused = prodctl(start, verb, "wbe")

    assert refused.status == 4
    assert "'wbe'; did you mean 'web'?" in refused.stdout + refused.stderr
    assert prodctl(start, verb, "web.7").status == 4
    assert run.end(SIGTERM) == 0


# ---- logs ----


def test_logs_prints_the_last_lines_of_one_process_or_of_all(start: Runs) -> None:
    web = code("for number in range(5): print('line', number)\nprint('there')\nforever()")
    run, _ = ready(start, {"web": web, "worker": code("print('mine')\nforever()")}, 2)
    run.handshake()

    assert [
        line.split("| ")[1] for line in prodctl(start, "logs", "web", "-n", "3").stdout.splitlines()
    ] == [
        "line 3",
        "line 4",
        "there",
    ]
    everything = prodctl(start, "logs").stdout
    assert "mine" in everything
    assert re.search(r"system +\| all 2 ", everything)
    assert prodctl(start, "logs", "-n", "0").stdout == ""
    entry = json.loads(prodctl(start, "logs", "worker.1", "--json").stdout)
    assert (entry["process"], entry["stream"], entry["message"]) == ("worker.1", "stdout", "mine")
    assert run.end(SIGTERM) == 0


def test_logs_follow_prints_new_lines_until_the_supervisor_ends(
    start: Runs, tmp_path: Path
) -> None:
    source = "signal.signal(signal.SIGUSR1, lambda *_: say('told'))\nprint('there')\nforever()"
    run = start({"web": code(source)})
    run.wait_for("web.1", "there")

    follower = start.command([*PRODCTL, "logs", "-f", "web"], env={"PWD": str(start.project)})
    follower.wait_for("web.1", "there")
    prodctl(start, "signal", "USR1", "web")
    follower.wait_for("web.1", "told")
    everything = start.command([*PRODCTL, "logs", "-f"], env={"PWD": str(start.project)})
    everything.wait_for("web.1", "told")
    assert run.end(SIGTERM) == 0
    assert follower.end() == everything.end() == 0
    assert everything.said("system")[-1].startswith("all stopped after ")


# ---- health ----


def test_health_reports_on_all_processes_or_on_a_named_one(start: Runs) -> None:
    run = start(
        {
            "web": code("print('there')\nforever()"),
            "slow": code("held()\nnotify()\nforever()", "NotifyingCode"),
        }
    )
    run.wait_for_all(("web.1", "there"), ("slow.1", "held as"))

    everything, web, slow = (prodctl(start, "health", *names) for names in ([], ["web"], ["slow"]))

    assert (everything.status, web.status, slow.status) == (3, 0, 3)
    assert web.stdout == "ok\n"
    assert everything.stdout == slow.stdout == "slow.1 is STARTING: not ready\n"
    run.release("slow.1")
    run.wait_for("system", "all 2 ready")
    assert prodctl(start, "health") == Done(0, "ok\n", "")
    assert run.end(SIGTERM) == 0
