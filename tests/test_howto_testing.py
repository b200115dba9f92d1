"""The example of docs/howto/test-your-processes.md, as a reader would type it in."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

PAGE = ROOT / "docs" / "howto" / "test-your-processes.md"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    python("-m", "django", "startproject", "mysite", ".", cwd=tmp_path)
    blocks = re.findall(
        r"^```python\n# (\S+?)(?:,[^\n]*)?\n(.*?)^```$", PAGE.read_text(), re.M | re.S
    )
    assert len(blocks) == 4
    for name, source in blocks:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(source)
    return tmp_path


def python(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_tests_of_the_page_pass_with_djangos_runner(project: Path) -> None:
    said = python("manage.py", "test", "mysite.tests", cwd=project)

    assert "Ran 3 tests in" in said
    assert said.endswith("\nOK\n")


def test_the_fixture_of_the_page_works_with_pytest(project: Path) -> None:
    said = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "mysite/test_site.py", cwd=project
    )

    assert said.splitlines()[-1].startswith("1 passed")


def test_a_worker_that_cannot_start_fails_them(project: Path) -> None:
    worker = project / "mysite" / "management" / "commands" / "work.py"
    worker.write_text(worker.read_text().replace("import time\n", "import tmie\n"))

    with pytest.raises(AssertionError, match="No module named 'tmie'"):
        python("manage.py", "test", "mysite.tests", cwd=project)
