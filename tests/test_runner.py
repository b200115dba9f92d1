"""The tests themselves: they run in the background just as at a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LONG, OF_EACH_KIND, RUNNING
from tests.running import ROOT

A_TEST = '''
import subprocess
import sys

ASK = """
from signal import *
print([n.name for n in (SIGHUP, SIGINT, SIGQUIT) if getsignal(n) is SIG_IGN])
"""


def test_a_started_program_ignores_no_signal():
    said = subprocess.run([sys.executable, "-c", ASK], stdout=subprocess.PIPE, text=True)
    assert said.stdout == "[]\\n"
'''


def test_programs_started_by_background_tests_do_not_ignore_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(A_TEST)
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.conftest",
    ]

    # Like `nohup make test &` in a script.
    background = ["sh", "-c", "trap '' HUP INT QUIT; exec \"$@\"", "sh"]
    ran = subprocess.run(
        [*background, *pytest, str(tmp_path / "test_one.py")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    assert "1 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize("beginning", [*LONG, *RUNNING, *OF_EACH_KIND])
def test_each_tier_names_files_that_exist(beginning: str) -> None:
    assert [*(ROOT / "tests").glob(f"{beginning}*")] != []


@pytest.mark.parametrize("beginning", OF_EACH_KIND)
def test_a_file_that_represents_its_kind_is_not_in_the_long_tier(beginning: str) -> None:
    assert beginning.startswith(RUNNING)
    assert not beginning.startswith(LONG)
