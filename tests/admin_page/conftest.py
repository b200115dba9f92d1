"""A site with the admin, served without a supervisor, and a fake supervisor."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import PYTHON, SHELL, Runs

from .supervisor import FakeSupervisor
from .visitor import Visitor

PROJECT = Path(__file__).parent / "project"


class AdminRuns(Runs):
    """Starts commands in a project with the admin."""

    sources = (*Runs.sources, PROJECT)


class AdminSite:
    """The address of a served site, and where it looks for a supervisor."""

    def __init__(self, runs: AdminRuns, folder: Path) -> None:
        self.runs = runs
        self.control = folder / "control.sock"
        self.env = {
            **runs.configure({"web": {"BACKEND": SHELL, "ARGS": "true"}}),
            "PRODSERVER_CONTROL": str(self.control),
        }
        run = runs.command([*PYTHON, "serve.py"], env=self.env)
        port = run.wait_for("", r"serves at port (\d+)")[1]
        self.address = f"http://127.0.0.1:{port}"

    def visitor(self, name: str) -> Visitor:
        return Visitor(self.address).log_in(name)

    def command(self, *words: str) -> str:
        """Return what `manage.py` prints for these arguments."""
        run = self.runs.command([*PYTHON, "manage.py", *words], env=self.env)
        assert run.end() == 0, run.stderr
        return "\n".join(run.raw)


@pytest.fixture(scope="session")
def admin_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """One site for all tests of a process."""
    # A short path: the length of a Unix socket's path is limited.
    with tempfile.TemporaryDirectory() as folder:
        runs = AdminRuns(tmp_path_factory.mktemp("admin"))
        try:
            yield AdminSite(runs, Path(folder))
        finally:
            for run in runs.left():
                run.terminate()
            runs.close(quietly=True)


@pytest.fixture
def fake(admin_site: AdminSite) -> Iterator[FakeSupervisor]:
    """A supervisor whose answers are set by the test."""
    supervisor = FakeSupervisor(admin_site.control)
    with supervisor.listening():
        yield supervisor


@pytest.fixture(scope="session")
def visitors(admin_site: AdminSite) -> dict[str, Visitor]:
    """The logged-in visitors, by name: root, viewer, operator, clerk."""
    return {name: admin_site.visitor(name) for name in ("root", "viewer", "operator", "clerk")}


@pytest.fixture
def root(visitors: dict[str, Visitor]) -> Visitor:
    return visitors["root"]
