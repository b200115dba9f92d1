"""Run a management command once with each of the wrong settings, and report the results.

    python -m tests.bad_settings_driver prodserver --all

prints JSON: for each name of tests/bad_settings the exit status, stdout and stderr, and attempts to
start something. Each command runs in its own process. The processes are forked from this one, which
has imported Django but no settings: from there they do the same as `manage.py`, without half a
second of imports for each. An attempt to start something raises an error, so nothing is ever
started.
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

# The modules that every start imports, whatever the settings are.
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
    gc.freeze()  # A garbage collection in a child would copy every page.
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
    signal.alarm(60)  # Ends a command that keeps running.
    fds = {kind: os.open(path, os.O_WRONLY | os.O_CREAT) for kind, path in files.items()}
    os.dup2(fds["stdout"], 1)
    os.dup2(fds["stderr"], 2)
    sys.addaudithook(lambda event, values: tell(fds["started"], event, values))
    module = f"tests.bad_settings.{name}"
    os.environ["DJANGO_SETTINGS_MODULE"] = module
    # Otherwise the supervisor would wait for a fork of this process to preload the project.
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
    """Let nothing start, and report the attempt."""
    if event == "subprocess.Popen" and values[0] == "file":
        return  # croniter, which rq-scheduler imports, runs `file` on Python.
    if event in ("subprocess.Popen", "os.posix_spawn") and LAUNCHER in map(os.fsdecode, values[1]):
        return  # Only uWSGI itself can parse its options.
    if event.startswith((*STARTS, "_thread.start")):
        os.write(fd, f"{event}\n".encode())
        if event.startswith(STARTS):
            raise RuntimeError(f"{event}: nothing is to be started")


if __name__ == "__main__":
    main(sys.argv[1:])
