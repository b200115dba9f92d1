"""The example of docs/extend/test-your-processes.md, as a reader would type it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from subprocess import STDOUT

import pytest

from tests.running import ROOT, Runs

PAGE = ROOT / "docs" / "extend" / "test-your-processes.md"


@pytest.fixture
def project(start: Runs, tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    python(start, "-m", "django", "startproject", "mysite", ".", cwd=folder)
    blocks = re.findall(
        r"^```python\n# (\S+?)(?:,[^\n]*)?\n(.*?)^```$", PAGE.read_text(), re.M | re.S
    )
    assert len(blocks) == 4
    for name, source in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(source)
    return folder


def python(start: Runs, *arguments: str, cwd: Path) -> list[str]:
    """The output of a Python program, in lines."""
    run = start.command([sys.executable, *arguments], cwd=cwd, stderr=STDOUT)
    assert run.end() == 0, "\n".join(run.raw)
    return run.raw


def test_the_documented_tests_pass_with_djangos_test_runner(start: Runs, project: Path) -> None:
    said = python(start, "manage.py", "test", "mysite.tests", cwd=project)

    assert any(line.startswith("Ran 3 tests in") for line in said)
    assert "OK" in said


def test_the_documented_fixture_works_with_pytest(start: Runs, project: Path) -> None:
    quietly = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    said = python(start, *quietly, "mysite/test_site.py", cwd=project)

    assert said[-1].startswith("1 passed")


def test_the_documented_tests_fail_if_a_worker_cannot_start(start: Runs, project: Path) -> None:
    worker = project / "mysite" / "management" / "commands" / "work.py"
    worker.write_text(worker.read_text().replace("import time\n", "import tmie\n"))

    with pytest.raises(AssertionError, match="No module named 'tmie'"):
        python(start, "manage.py", "test", "mysite.tests", cwd=project)
