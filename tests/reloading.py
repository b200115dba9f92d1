"""A whole site that is reloaded, for each server: a folder, its supervisor, and its clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.inside import free_port
from tests.load import Load

ROOT = Path(__file__).resolve().parent.parent
# By name: the backend, and its arguments except those for its address.
SERVERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "gunicorn sync": ("gunicorn", {"worker-class": "sync", "workers": 4}),
    "gunicorn gthread": ("gunicorn", {"threads": 8}),
    "gunicorn asgi": ("gunicorn-asgi", {}),
    "gunicorn UvicornWorker": ("gunicorn-asgi", {"worker-class": "uvicorn_worker.UvicornWorker"}),
    "uvicorn": ("uvicorn", {"log-level": "warning"}),
    "uvicorn, asyncio and h11": (
        "uvicorn",
        {"log-level": "warning", "loop": "asyncio", "http": "h11"},
    ),
    "waitress": ("waitress", {"threads": 8}),
    "hypercorn -w 0": ("hypercorn", {"workers": 0}),
    "hypercorn -w 2": ("hypercorn", {"workers": 2}),
    "granian": ("granian", {}),
    "granian WSGI": ("granian-wsgi", {"blocking-threads": 8}),
    "daphne": ("daphne", {"verbosity": 0}),
}
SETTINGS = """
import json, pathlib
SECRET_KEY = "x"
USE_TZ = True
INSTALLED_APPS = ["django_prodserver"]
WSGI_APPLICATION = ASGI_APPLICATION = "application.application"
PRODUCTION_PROCESSES = json.loads(pathlib.Path(__file__).with_name("processes.json").read_text())
"""
MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.management import execute_from_command_line

# Processes that multiprocessing spawns import this file.
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""


class Done(NamedTuple):
    """The result of a command."""

    status: int
    stderr: str


class Site:
    """A server with two instances in a folder of its own, whose files tests change."""

    def __init__(self, folder: Path, server: str, replicas: int = 2) -> None:
        self.folder = folder
        # Words before the command that starts it.
        self.prefix: Sequence[str] = ()
        self.port = free_port()
        backend, args = SERVERS[server]
        at = f"127.0.0.1:{self.port}"
        listens: Mapping[str, Any] = {"port": self.port, "host": "127.0.0.1"}
        if backend.startswith(("gunicorn", "hypercorn")):
            listens = {"bind": at}
        elif backend == "waitress":
            listens = {"listen": at}
        elif backend == "daphne":
            listens = {"port": self.port, "bind": "127.0.0.1"}
        self.web = {"BACKEND": backend, "ARGS": {**args, **listens}, "REPLICAS": replicas}
        kind = "wsgi" if backend in ("gunicorn", "waitress", "granian-wsgi") else "asgi"
        self.write("manage.py", MANAGE)
        self.write("settings.py", SETTINGS)
        self.write("application.py", f"from tests.load import {kind} as application\n")
        self.set({"web": self.web})
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
            "PRODSERVER_CONTROL": str(folder / "control.sock"),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
        }

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def set(self, processes: Mapping[str, Any]) -> None:
        self.write("processes.json", json.dumps(processes))

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @contextmanager
    def running(self, until: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """Run its supervisor, and wait until all is ready, or until this text is logged."""
        command = [*self.prefix, sys.executable, "manage.py", "prodserver", "--all"]
        with (self.folder / "log").open("ab") as log:
            run = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log)
        try:
            while until not in self.log if until else self.prodctl("health").status != 0:
                assert run.poll() is None, self.log
            yield run
        finally:
            run.send_signal(signal.SIGTERM)
            assert run.wait() == 0, self.log

    def prodctl(self, *words: str) -> Done:
        command = [sys.executable, "-m", "django_prodserver.prodctl.main", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        return Done(done.returncode, done.stderr)

    def load(self, keep: int = 8, fresh: int = 8, idle: int = 2) -> Load:
        return Load(("127.0.0.1", self.port), keep, fresh, idle)
