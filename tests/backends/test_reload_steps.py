"""In each step of a reload a life is stopped or killed, or the supervisor is stopped.

A FIFO holds each step for as long as the test needs: code in the step reads it to its end.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, NamedTuple

import psutil
import pytest

from tests.backends.test_reload_under_load import BETWEEN
from tests.operating import Socket
from tests.reloading import SETTINGS, Done
from tests.reloading import Site as AnySite

pytestmark = pytest.mark.template

HOLDS = """
from django.core.checks import register

FOLDER = pathlib.Path(__file__).parent
RELEASE = (FOLDER / "release").read_text()


def hold(step):
    if (FOLDER / step).exists():
        (FOLDER / step).read_bytes()


@register
def check(app_configs, **kwargs):
    hold("checks")
    return []


hold("loads")
"""
# Runs in gunicorn's arbiter before it is ready.
STARTS = """
import settings


def on_starting(arbiter):
    settings.hold(f"{settings.RELEASE} starts")
"""
MIGRATE = {"BACKEND": "shell", "ARGS": "test ! -p migrates || cat migrates", "TYPE": "oneshot"}
# This process is not part of the new release.
LEAVES = "trap 'test ! -p stops || cat stops; exit 0' TERM; sleep 1000 & wait"
LEAVING = {"BACKEND": "shell", "ARGS": LEAVES}
FAILING = {"BACKEND": "shell", "ARGS": "exit 3", "READY": {"LOG": "ready"}, "AFTER": ["web"]}


class Step(NamedTuple):
    """The name of the FIFO that holds the step, and whether the new release works."""

    fifo: str
    works: bool = True


STEPS = {
    "the project is loaded": Step("loads"),
    "it is checked": Step("checks"),
    "oneshots run": Step("migrates"),
    "an instance is replaced": Step("new starts"),
    "everything is rolled back": Step("old starts", works=False),
    "what is not wanted any more is stopped": Step("stops"),
}


class Site(AnySite):
    """Two gunicorn instances that start after a oneshot, and a process that a reload removes."""

    def __init__(self, folder: Path, step: Step) -> None:
        super().__init__(folder, "gunicorn gthread")
        self.step = step
        self.web.update(AFTER=["migrate"], RESTART="always", BACKOFF={"INITIAL": 0.05})
        self.write("settings.py", SETTINGS + HOLDS)
        self.write("gunicorn.conf.py", STARTS)
        self.old()

    def old(self) -> None:
        self.write("release", "old")
        self.set({"migrate": MIGRATE, "web": self.web, "leaving": LEAVING})

    def new(self) -> None:
        more = {} if self.step.works else {"failing": FAILING}
        self.write("release", "new")
        self.set({"migrate": MIGRATE, "web": self.web, **more})

    @property
    def status(self) -> Any:
        return Socket(self.folder / "control.sock").status

    def pid(self, name: str) -> int:
        instances = [one for process in self.status["processes"] for one in process["instances"]]
        (pid,) = [one["pid"] for one in instances if one["name"] == name]
        return int(pid)

    @contextmanager
    def reload_held(self) -> Iterator[subprocess.Popen[str]]:
        """Yield the reload command while the step is held."""
        path = self.folder / self.step.fifo
        os.mkfifo(path)
        command = [sys.executable, "-m", "django_prodserver.prodctl.main", "reload"]
        reload = subprocess.Popen(
            command, cwd=self.folder, env=self.env, stderr=subprocess.PIPE, text=True
        )
        with path.open("w"):  # Blocks until the step has opened the other end.
            path.unlink()
            yield reload


def end(command: subprocess.Popen[str]) -> Done:
    _, stderr = command.communicate()
    return Done(command.returncode, stderr)


@pytest.mark.parametrize("name", STEPS)
def test_a_life_that_ends_during_a_reload_does_not_make_the_reload_fail(
    tmp_path: Path, name: str
) -> None:
    step = STEPS[name]
    site = Site(tmp_path, step)
    with site.running(), site.load(4, 4, idle=0) as load:
        load.wait_for(BETWEEN)
        for number in (SIGTERM, SIGKILL):
            generation = site.status["generation"]
            site.new()
            with site.reload_held() as reload:
                life = psutil.Process(site.pid("web.1"))
                workers = life.children()
                life.send_signal(number)
                psutil.wait_procs([life, *workers])
            done = end(reload)

            assert done.status == (0 if step.works else 1), done.stderr + site.log[-3000:]
            assert site.status["generation"] == generation + step.works
            assert ("everything was rolled back" in done.stderr) is not step.works
            while site.prodctl("health").status != 0:
                """The killed life has not been replaced yet."""
            if number is SIGKILL:  # Only requests that the killed life held are lost.
                load.failures[:] = [one for one in load.failures if "refused" in one.why.lower()]
            assert load.failures == []
            site.old()
            assert site.prodctl("reload").status == 0
            load.wait_for(BETWEEN)
    assert load.failures == []


@pytest.mark.parametrize("name", STEPS)
def test_sigterm_during_any_step_of_a_reload_stops_everything(tmp_path: Path, name: str) -> None:
    site = Site(tmp_path, STEPS[name])
    with site.running() as run, site.load(4, 4, idle=0) as load:
        load.wait_for(BETWEEN)
        site.new()
        with site.reload_held() as reload:
            run.send_signal(SIGTERM)
            while "SIGTERM received" not in site.log:
                """The supervisor has not read the signal yet."""
        done = end(reload)
        status = run.wait()
    lost = [one for one in load.failures if "refused" not in one.why.lower()]

    assert lost == []
    assert status == 0, site.log[-3000:]
    assert done.status == 1
    assert "reload failed: everything is being stopped" in done.stderr
