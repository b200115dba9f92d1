"""The ten members (project/member.py) that crash.py and idle.py start."""

from __future__ import annotations

import re

from harness import Run
from peers import Command, Configured

NAMES = [f"m{number}" for number in range(1, 11)]
COMMANDS = [Command(name, ("python", "-m", "project.member", name)) for name in NAMES]
OURS = Configured("project.settings_members")


def wait_for_members(run: Run) -> dict[str, int]:
    """Wait until all ten sleep; return name -> PID."""
    patterns = {name: re.compile(rf"waiting {name} (\d+)") for name in NAMES}
    found = run.wait_for_lines(list(patterns.values()), timeout=30)
    return {name: int(found[pattern][1][1]) for name, pattern in patterns.items()}
