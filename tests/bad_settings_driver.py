"""Run a management command once with each of the wrong settings, as users would, and tell of it.

    python -m tests.bad_settings_driver prodserver --all

prints JSON: for each name of tests/bad_settings the exit status, stdout and stderr, and what it did
that settings are not to do. Each has a process of its own, forked from here, where Django is
imported and no settings are: what `manage.py` does from there on, without half a second of
imports for each. What would start something raises an error there, so nothing ever does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management import execute_from_command_line

from django_prodserver.backends.uwsgi import LAUNCHER

# What every start imports, whatever the settings are.
for module in (
    "django.conf.urls",
    "django.db.migrations.autodetector",
    "django.db.models.sql.compiler",
    "django.middleware.csrf",
    "django.views.defaults",
    "django.views.debug",
    "django.views.generic",
    "importlib.metadata",
    "django_prodserver.checks",
    "django_prodserver.management.commands.prodserver",
    "django_prodserver.launch.supervise",
):
    importlib.import_module(module)

FOLDER = Path(__file__).parent / "bad_settings"
# https://docs.python.org/3/library/audit_events.html
STARTS = (
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "subprocess.Popen",
    "pty",
)


def main(arguments: list[str]) -> None:
    names = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
    gc.freeze()  # As a collection in a child would write to every page.
    with tempfile.TemporaryDirectory() as folder:
        json.dump({name: run(name, arguments, Path(folder)) for name in names}, sys.stdout)


def run(name: str, arguments: list[str], folder: Path) -> dict[str, Any]:
    files = {kind: folder / f"{name}.{kind}" for kind in ("stdout", "stderr", "started")}
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            status = execute(name, arguments, files)
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"status": status, **{kind: path.read_text() for kind, path in files.items()}}


def execute(name: str, arguments: list[str], files: dict[str, Path]) -> int:
    signal.alarm(60)  # Nobody waits for one that runs.
    fds = {kind: os.open(path, os.O_WRONLY | os.O_CREAT) for kind, path in files.items()}
    os.dup2(fds["stdout"], 1)
    os.dup2(fds["stderr"], 2)
    sys.addaudithook(lambda event, values: tell(fds["started"], event, values))
    module = f"tests.bad_settings.{name}"
    os.environ["DJANGO_SETTINGS_MODULE"] = module
    # Otherwise a fork of this one would preload the project, and the supervisor wait for it.
    os.environ["PRODSERVER_LOCAL_FORK"] = "1"
    os.environ.update(getattr(importlib.import_module(module), "ENVIRONMENT", {}))
    sys.argv = ["manage.py", *arguments]
    status: Any = 0
    try:
        execute_from_command_line(sys.argv)
    except SystemExit as end:
        status = end.code
    except BaseException:
        status = 1
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status or 0)


def tell(fd: int, event: str, values: Sequence[Any]) -> None:
    """Let nothing start, and tell that it would have."""
    if event == "subprocess.Popen" and values[0] == "file":
        return  # croniter, which rq-scheduler imports, asks what kind of Python this is.
    if event in ("subprocess.Popen", "os.posix_spawn") and LAUNCHER in map(os.fsdecode, values[1]):
        return  # uWSGI has no other parser of its options than itself.
    if event.startswith((*STARTS, "_thread.start")):
        os.write(fd, f"{event}\n".encode())
        if event.startswith(STARTS):
            raise RuntimeError(f"{event}: nothing is to be started")


if __name__ == "__main__":
    main(sys.argv[1:])
