"""The template of a package of backends, installed as a user installs one; its own tests pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.running import ROOT

TEMPLATE = ROOT / "examples" / "backend-package"


def test_the_template_is_installed_and_its_own_tests_pass(tmp_path: Path) -> None:
    package, site = tmp_path / "package", tmp_path / "site"
    shutil.copytree(TEMPLATE, package, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # Without a network: what builds it is in the test group, what it needs is being tested.
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([*pip, *options, package], check=True, cwd=tmp_path)

    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    env = {**os.environ, "PYTHONPATH": path}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    ran = subprocess.run(
        tests, cwd=package, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )

    assert "4 passed" in ran.stdout, ran.stdout
    assert ran.returncode == 0
