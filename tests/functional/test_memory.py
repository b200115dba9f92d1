"""MAX_MEMORY: the whole tree counts; an instance above it is stopped and treated as failed."""

from __future__ import annotations

import re
import subprocess
import sys
from signal import SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Runs, code
from tests.running import not_measured, skip_unless_it_works

# An instance that uses little memory itself, with two children of 80 MB each.
FAMILY = """
    def eat():
        food = os.urandom(80 * 10**6)
        say("fed")
        forever()

    signal.signal(signal.SIGTERM, lambda *_: os._exit({status}))
    lives = life()
    print("life", lives)
    if lives == 1:
        beget(lambda: beget(eat) and eat())
    forever()
"""


def family(status: int, limit: Any, **entry: Any) -> dict[str, Any]:
    return code(FAMILY.format(status=status), MAX_MEMORY=limit, **entry)


# The first measurement takes place after ten seconds, so two tests cover everything.


def test_a_process_that_uses_too_much_memory_is_replaced(start: Runs) -> None:
    policy = {"RESTART": "on-failure", "BACKOFF": {"INITIAL": 0.01}}
    processes = {
        "small": family(0, "400MB", **policy),
        "web": family(0, "150MB", **policy),
    }
    run = start(processes)

    found = run.wait_for("system", r"web\.1 uses (\d+) MB, its MAX_MEMORY is 150 MB; stopping it$")
    assert 160 <= int(found[1]) < 400
    ended = run.wait_for("system", r"web\.1 stopped after .*")[0]
    assert ended.endswith("; restarting in 0.01 s")
    run.wait_for("web.1", "life 2")

    assert run.end(SIGTERM) == 0
    assert run.said("web.1").count("fed") == 2
    assert not any(text.startswith("small.1 uses") for text in run.said("system"))


def test_a_process_above_max_memory_stops_everything_if_restart_is_never(start: Runs) -> None:
    run = start({"web": family(7, 150 * 10**6)})

    assert run.end() == 7
    stopped, ended = [text for text in run.said("system") if text.startswith("web.1")][-2:]
    assert re.fullmatch(r"web\.1 uses \d+ MB, its MAX_MEMORY is 150 MB; stopping it", stopped)
    assert ended.startswith("web.1 exited with status 7 while stopping, after ")
    assert ended.endswith("; stopping everything")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_without_a_usable_proc_the_log_says_that_max_memory_has_no_effect(start: Runs) -> None:
    # This /proc shows another pid namespace, in which the same pid is another process.
    unshare = ["unshare", "--pid", "--fork"]
    skip_unless_it_works(*unshare)
    run = start({"web": {**FOREVER, "MAX_MEMORY": 1}}, prefix=unshare)

    run.wait_for(
        "system",
        "^MAX_MEMORY has no effect: /proc does not show the processes, so nothing is measured$",
    )
    run.enter()
    assert run.end(SIGTERM) == 0
    assert not any("its MAX_MEMORY is" in text for text in run.said("system"))


def test_memory_is_not_measured_if_no_descriptor_is_left() -> None:
    source = """
import os, resource
from django_prodserver.posix import memory
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
print(memory.of_tree(os.getpid()))
"""
    command, env = [sys.executable, "-c", source], not_measured()
    ran = subprocess.run(command, env=env, capture_output=True, text=True)

    assert (ran.stdout, ran.stderr) == ("None\n", "")
