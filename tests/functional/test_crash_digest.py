"""The digest of a crash, in the log, in JSON and in events."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.operating import prodctl, socket_of
from tests.running import skip_unless_it_works

CRASHES = """
    for number in range(30):
        print("line", number)
    sys.exit(3)
"""
DUMPS = """
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
    os.abort()
"""
AGAIN = {"RESTART": "always", "BACKOFF": {"INITIAL": 0.01, "MAX": 0.01}}


def ends(run: Run) -> list[dict[str, Any]]:
    """The events of unexpected exits, in a JSON log."""
    found = [json.loads(raw) for raw in run.raw]
    return [one for one in found if one.get("event") == "instance.exited"]


def test_a_json_log_line_has_the_digest_as_a_field(start: Runs) -> None:
    run = start({"web": code(CRASHES)}, supervisor={"LOG_FORMAT": "json"})

    assert run.end() == 3

    (ended,) = ends(run)
    digest = ended["digest"]
    assert digest.pop("seconds") == ended["seconds"]
    assert digest == {
        "restarts": 0,
        "exit_status": 3,
        "lines": [f"line {number}" for number in range(10, 30)],
    }
    assert json.loads(run.raw[-1])["event"] == "supervisor.stopped"  # No lines follow it.


def test_the_first_exit_of_a_crash_loop_has_a_digest_and_the_second_has_none(start: Runs) -> None:
    web = code(CRASHES, **AGAIN, START_LIMIT={"BURST": 3, "INTERVAL": 600})
    run = start({"web": web, "worker": FOREVER})
    run.wait_for("system", r"web\.1 exited with status 3 .*restarted once")
    found = [
        json.loads(line)
        for line in socket_of(start).get("/v1/events?names=web").body.splitlines()
        if b"instance.exited" in line
    ]
    assert run.end() == 3

    assert ["digest" in one for one in found][:2] == [True, False]
    # The log has its lines already, so nothing is repeated below.
    assert not any(text.startswith("  ") for text in run.said("system"))


@pytest.mark.skipif(sys.platform != "linux", reason="core_pattern is Linux's")
def test_a_core_dump_is_reported_below_the_log_line_of_the_exit(start: Runs) -> None:
    run = start({"web": code(DUMPS)})

    assert run.end() == 134

    said = run.said("system")
    (ended,) = [at for at, text in enumerate(said) if "was killed by SIGABRT" in text]
    assert said[ended + 1].startswith("  core dump: ")
    if Path("/proc/sys/kernel/core_pattern").read_text() == "core\n":
        path = Path(said[ended + 1].removeprefix("  core dump: "))
        assert path.parent == start.project
        path.unlink()


def test_the_log_shows_which_user_and_pid_requested_a_signal(start: Runs) -> None:
    run = start({"web": {**FOREVER, **AGAIN}})
    run.wait_for("system", "all 1 ready")
    assert prodctl(start, "signal", "KILL", "web").status == 0
    run.wait_for("system", r"web\.1 was killed by SIGKILL \(sent on request\)")
    run.wait_for("system", r"  the signal was requested by uid \d+ \(pid \d+\)")

    lines = prodctl(start, "logs", "system").stdout
    assert "|   the signal was requested by uid " in lines
    assert run.end(SIGTERM) == 0


UNSHARE = ["unshare", "--mount"]
SCRIPT = """
mount -t tmpfs none /sys/fs/cgroup
mkdir /sys/fs/cgroup/memory
cd /sys/fs/cgroup
echo "oom_kill 0" | tee memory.events memory/memory.oom_control > /dev/null
echo 536870912 | tee memory.max memory/memory.limit_in_bytes > /dev/null
echo 300000000 | tee memory.current memory/memory.usage_in_bytes > /dev/null
cd - > /dev/null
exec "$@"
"""
KILLED = """
    for path in ("memory.events", "memory/memory.oom_control"):
        with open(f"/sys/fs/cgroup/{path}", "w") as counter:
            counter.write("oom_kill 1\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_an_out_of_memory_kill_is_logged_with_control_group_numbers(start: Runs) -> None:
    """The files are the test's own, as in test_oom.py."""
    prefix = [*UNSHARE, "sh", "-ec", SCRIPT, "sh"]
    skip_unless_it_works(*prefix)
    run = start({"web": code(KILLED)}, prefix=prefix)

    assert run.end() == 128 + SIGKILL

    said = run.said("system")
    (ended,) = [at for at, text in enumerate(said) if "(out of memory)" in text]
    assert said[ended + 1] == (
        "  its control group may use 537 MB, it uses 300 MB now, 1 process killed so far"
    )
