"""OOM kills are recognised by the kernel's counter.

In a mount namespace, a file of the test replaces the counter of the supervisor's control group.
The process increments it as the kernel does: before the SIGKILL.
"""

from __future__ import annotations

import sys
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import Run, Runs, code
from tests.running import skip_unless_it_works

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")

UNSHARE = ["unshare", "--mount"]
# Control groups version 1 and version 2: which file is read depends on the machine.
COUNTERS = ["/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"]
SCRIPT = f"""
mount -t tmpfs none /sys/fs/cgroup
mkdir /sys/fs/cgroup/memory
echo "oom_kill 0" | tee {" ".join(COUNTERS)} > /dev/null
exec "$@"
"""
WITH_COUNTERS = [*UNSHARE, "sh", "-ec", SCRIPT, "sh"]
DIE = f"""
def die_for_want_of_memory(number):
    for path in {COUNTERS}:
        with open(path, "w") as counter:
            counter.write(f"oom_kill {{number}}\\n")
    os.kill(os.getpid(), signal.SIGKILL)

"""


def dying(source: str, **entry: Any) -> dict[str, Any]:
    made = code(source, BACKOFF={"INITIAL": 0}, **entry)
    return {**made, "ARGS": [DIE + made["ARGS"][0]]}


def ends(run: Run) -> list[str]:
    return [text for text in run.said("system") if text.startswith("web.1 was killed")]


@pytest.fixture(autouse=True)
def works() -> None:
    skip_unless_it_works(*WITH_COUNTERS)


def test_an_out_of_memory_kill_is_distinguished_from_other_kills(start: Runs) -> None:
    source = """
        number = life()
        if number in (1, 3):
            die_for_want_of_memory(number)
        held()
    """
    run = start({"web": dying(source, RESTART="on-failure")}, prefix=WITH_COUNTERS)
    run.kill(run.held("web.1"), SIGKILL)
    run.wait_for("system", r"web\.1 was killed by SIGKILL \(not sent by prodserver\)")
    run.wait_for("system", r"web\.1 was killed by SIGKILL \(out of memory\)")
    run.wait_for("web.1", "held")

    first, second, third = ends(run)
    assert first.startswith("web.1 was killed by SIGKILL (out of memory) after ")
    assert first.endswith("; restarting")
    assert second.startswith("web.1 was killed by SIGKILL (not sent by prodserver) after ")
    assert ", restarted once so far; " in second
    assert third.startswith("web.1 was killed by SIGKILL (out of memory) after ")
    assert ", restarted 2 times so far; " in third
    assert run.end(SIGTERM) == 0


def test_an_out_of_memory_kill_stops_everything_if_restart_is_never(start: Runs) -> None:
    run = start({"web": dying("die_for_want_of_memory(1)")}, prefix=WITH_COUNTERS)

    assert run.end() == 128 + SIGKILL
    (ended,) = ends(run)
    assert ended.startswith("web.1 was killed by SIGKILL (out of memory) after ")
    assert ended.endswith("; stopping everything")


def test_a_grandchild_killed_by_out_of_memory_is_not_taken_for_the_instance(start: Runs) -> None:
    source = """
        os.waitpid(beget(lambda: die_for_want_of_memory(1)), 0)
        sys.exit(3)
    """
    run = start({"web": dying(source)}, prefix=WITH_COUNTERS)

    assert run.end() == 3
    assert any(text.startswith("web.1 exited with status 3 after ") for text in run.said("system"))


def test_an_out_of_memory_kill_is_logged_with_the_last_measured_memory(start: Runs) -> None:
    processes = {
        "web": dying("held(); die_for_want_of_memory(1)", MAX_MEMORY="1GB"),
        # It is measured after `web`, and its log line shows that this has happened.
        "clock": code("forever()", MAX_MEMORY=1, RESTART="on-failure"),
    }
    run = start(processes, prefix=WITH_COUNTERS)
    run.wait_for("system", r"clock\.1 uses \d+ MB, its MAX_MEMORY is 0 MB; stopping it")

    run.release("web.1")

    assert run.end() == 128 + SIGKILL
    assert " (out of memory, " in ends(run)[0]
    assert " MB when last seen) after " in ends(run)[0]
