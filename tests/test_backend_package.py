"""The template of a backend package, installed as a user would; its own tests pass."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.running import ROOT, Runs

TEMPLATE = ROOT / "examples" / "backend-package"


def test_the_backend_package_template_installs_and_passes_its_own_tests(
    start: Runs, tmp_path: Path
) -> None:
    package, site = tmp_path / "package", tmp_path / "site"
    shutil.copytree(TEMPLATE, package, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # Without a network: the test group has the build backend, and the dependency is under test.
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--target"]
    assert start.command([*pip, *options, str(site), str(package)], cwd=tmp_path).end() == 0

    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    run = start.command(tests, cwd=package, env={"PYTHONPATH": path})

    assert run.end() == 0, "\n".join(run.raw)
    assert "4 passed" in run.raw[-1]
