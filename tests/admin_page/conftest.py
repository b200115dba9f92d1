"""A site with the admin that is served without a supervisor, and a supervisor that is none."""

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
    """Where it is served, and where it looks for a supervisor."""

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
        """What `manage.py` prints with these."""
        run = self.runs.command([*PYTHON, "manage.py", *words], env=self.env)
        assert run.end() == 0, run.stderr
        return "\n".join(run.raw)


@pytest.fixture(scope="session")
def admin_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """Served once for all tests of a process."""
    # Its path must not be too long for a socket.
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
    """A supervisor that answers what the test wants."""
    supervisor = FakeSupervisor(admin_site.control)
    with supervisor.listening():
        yield supervisor


@pytest.fixture(scope="session")
def visitors(admin_site: AdminSite) -> dict[str, Visitor]:
    """By their names: root, viewer, operator, clerk."""
    return {name: admin_site.visitor(name) for name in ("root", "viewer", "operator", "clerk")}


@pytest.fixture
def root(visitors: dict[str, Visitor]) -> Visitor:
    return visitors["root"]
