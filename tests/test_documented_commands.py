"""The commands that the docs show, run as a reader would type them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, Optional

import psutil
import pytest

from tests import documented
from tests.documented import Block, Step
from tests.inside import free_port
from tests.rewriting import rewrite
from tests.running import QUICKSTART, ROOT, Run, Runs

BLOCKS = list(documented.blocks())
LONG = 60.0
# The programs that the docs call, and the Python arguments that run them here.
PROGRAMS = {
    "python": "",
    "mypy": "-m mypy ",
    "honcho": "-m honcho.command ",
    "prodctl": "-m django_prodserver.prodctl.main ",
}


def page(name: str) -> str:
    """The text of a page, found by its file name."""
    (found,) = (ROOT / "docs").rglob(name)
    return found.read_text(encoding="utf-8")


def python_blocks(name: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page(name), re.M | re.S)


def block_with(name: str, words: str) -> str:
    return next(block for block in python_blocks(name) if words in block)


class Project(Runs):
    """A folder for a manage.py, and a shell in it."""

    sources = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = self.project
        self.port = free_port()
        # They replace the ports of the docs, which other tests may use at the same time.
        self._ports = {":8000": f":{self.port}", ":9180": f":{free_port()}"}
        home, programs = self.folder / "home", self.folder / "home" / "bin"
        programs.mkdir(parents=True)
        # The programs of the environment that runs the tests.
        for name, run in PROGRAMS.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {run}"$@"\n')
            (programs / name).chmod(0o755)
        self.environ = {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONWARNINGS": "ignore",
            "NO_COLOR": "1",
        }
        self.status = 0
        # The supervisor that the commands of a page talk to.
        self.supervisor: Optional[Run] = None

    def start(self, command: str) -> Run:
        command = self._placed(command)
        return self.command(
            ["sh", "-c", f"exec env {command}" if _is_simple(command) else command],
            cwd=self.folder,
            env=self.environ,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, command: str) -> list[str]:
        """Run a command until it exits, and return its output."""
        if command.startswith("export "):
            self.environ.update(word.split("=", 1) for word in command.split()[1:])
            return []
        if command == "echo $?":
            return [str(self.status)]
        run = self.start(command)
        self.status = run.end()
        return run.raw

    def run_step(self, step: Step, action: str) -> list[str]:
        assert not action, f"{step.command} ends by itself"
        return self.run(step.command)

    def write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        rewrite(file, self._placed(text))

    def _placed(self, text: str) -> str:
        for shown, meant in self._ports.items():
            text = text.replace(shown, meant)
        return text

    def as_shown(self, text: str) -> str:
        """A text with the ports that the docs show."""
        for shown, meant in self._ports.items():
            text = text.replace(meant, shown)
        return text

    def append(self, name: str, text: str) -> None:
        before = (self.folder / name).read_text() if (self.folder / name).exists() else ""
        self.write(name, before + text)


def _is_simple(command: str) -> bool:
    """Whether it is one program: the shell execs it, so that signals reach it."""
    return not re.search(r"[|>;&]|^(cd|\.|source) ", command)


# ---- the projects ----


def quickstart(project: Project) -> None:
    """A copy of examples/quickstart, because some commands write files."""
    project.folder = project.folder / "quickstart"
    shutil.copytree(QUICKSTART, project.folder, ignore=shutil.ignore_patterns("var", "__pycache__"))
    project.environ["QUICKSTART_VAR"] = project.environ["HOME"]
    project.environ["QUICKSTART_BIND"] = f"127.0.0.1:{project.port}"


def started(project: Project) -> None:
    """A new project with both apps."""
    assert project.run("python -m django startproject mysite .") == []
    apps = re.escape("INSTALLED_APPS = [\n")
    settings = (project.folder / "mysite" / "settings.py").read_text()
    ours = re.sub(apps, 'INSTALLED_APPS = [\n    "django_prodserver",\n    "mysite",\n', settings)
    project.write("mysite/settings.py", ours)


def tutorial(project: Project) -> None:
    """What a reader has after the section "The settings"."""
    started(project)
    janitor = block_with("tutorial.md", "class Command(")
    project.write("mysite/management/commands/janitor.py", janitor)
    project.append("mysite/settings.py", block_with("tutorial.md", "PRODUCTION_PROCESSES = {"))
    project.run("python manage.py migrate")


def add_celery(project: Project) -> None:
    """The tutorial's project with everything that "Add Celery from zero" adds, on a file broker."""
    tutorial(project)
    for name, words in {
        "mysite/celery.py": "app = Celery(",
        "mysite/__init__.py": "from .celery import app",
        "mysite/tasks.py": "@shared_task",
    }.items():
        project.write(name, block_with("add-celery.md", words))
    for words in ("filesystem://", "PRODUCTION_PROCESSES = {"):
        project.append("mysite/settings.py", f"\n{block_with('add-celery.md', words)}")


def misspelled(project: Project) -> None:
    tutorial(project)
    settings = (project.folder / "mysite" / "settings.py").read_text()
    project.write("mysite/settings.py", settings.replace('"ARGS": {"bind"', '"AGRS": {"bind"'))


def restarting(project: Project) -> None:
    tutorial(project)
    project.append(
        "mysite/settings.py", '\nPRODUCTION_PROCESSES["janitor"]["RESTART"] = "always"\n'
    )


def migrations(project: Project) -> None:
    """The tutorial's project with the settings of the page, before its first migration."""
    tutorial(project)
    (project.folder / "db.sqlite3").unlink()
    production = 'DEBUG = False\nALLOWED_HOSTS = ["*"]\nSTATIC_ROOT = BASE_DIR / "static"'
    project.append("mysite/settings.py", f"\n{production}\n")
    settings = block_with("run-migrations-first.md", '"AFTER": ["migrate", "static"]')
    project.append("mysite/settings.py", settings)


def migrated(project: Project) -> None:
    migrations(project)
    project.run("python manage.py migrate")
    project.run("python manage.py collectstatic --noinput")


BROKEN_MIGRATION = """\
from django.db import migrations


class Migration(migrations.Migration):
    operations = [migrations.RunSQL("INSERT INTO no_such_table VALUES (1)")]
"""


def broken_migration(project: Project) -> None:
    migrated(project)
    project.write("mysite/migrations/__init__.py", "")
    project.write("mysite/migrations/0001_initial.py", BROKEN_MIGRATION)


def own_backend(project: Project) -> None:
    tutorial(project)
    project.write("mysite/backends.py", block_with("own-backend.md", "class WsgirefServer"))
    project.append(
        "mysite/settings.py",
        '\nPRODUCTION_PROCESSES["web"] = '
        '{"BACKEND": "mysite.backends.WsgirefServer", "ARGS": "127.0.0.1:8000"}\n',
    )


def own_backend_wrong(project: Project) -> None:
    own_backend(project)
    project.append("mysite/settings.py", 'PRODUCTION_PROCESSES["web"]["ARGS"] = "127.0.0.1"\n')


def two_packages(project: Project) -> None:
    """Two packages with a backend of the short name `wsgiref`."""
    tutorial(project)
    for package in ("prodserver_wsgiref", "acme_servers"):
        project.write(f"{package}.py", block_with("own-backend.md", "class WsgirefServer"))
        metadata = f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1\n"
        project.write(f"{package}-1.dist-info/METADATA", metadata)
        points = f"[django_prodserver.backends]\nwsgiref = {package}:WsgirefServer\n"
        project.write(f"{package}-1.dist-info/entry_points.txt", points)
    web = '\nPRODUCTION_PROCESSES["web"] = {"BACKEND": "wsgiref", "ARGS": "127.0.0.1:8000"}\n'
    project.append("mysite/settings.py", web)


def typed(project: Project) -> None:
    """The settings of the page, with its three mistakes."""
    tutorial(project)
    text = block_with("typed-settings.md", "PRODUCTION_PROCESSES: ProductionProcesses")
    for right, wrong in {
        '"TYPE"': '"TPYE"',
        '"STOP_TIMEOUT": 20': '"STOP_TIMEOUT": "20s"',
        "on-failure": "on-failiure",
    }.items():
        text = text.replace(right, wrong)
    project.write("mysite/processes.py", text)


def wrong_settings(project: Project) -> None:
    typed(project)
    names = "PRODUCTION_PROCESSES, PRODUCTION_SUPERVISOR"
    project.append("mysite/settings.py", f"\nfrom mysite.processes import {names}\n")
    project.append("mysite/settings.py", 'del PRODUCTION_PROCESSES["migrate"]["TPYE"]\n')
    project.append("mysite/settings.py", 'PRODUCTION_PROCESSES["migrate"]["TYPE"] = "oneshot"\n')


def wrong_option(project: Project) -> None:
    tutorial(project)
    web = 'PRODUCTION_PROCESSES["web"]["ARGS"]'
    project.append("mysite/settings.py", f'\ndel {web}["workers"]\n{web}["wrokers"] = 2\n')


def start_methods(project: Project) -> None:
    tutorial(project)
    project.write("mysite/reports.py", "from .settings import *\n")
    project.append(
        "mysite/settings.py",
        """
del PRODUCTION_PROCESSES["janitor"]
PRODUCTION_PROCESSES["proxy"] = {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}
PRODUCTION_PROCESSES["worker"] = {
    "BACKEND": "command",
    "ARGS": ["janitor"],
    "ENV": {"DJANGO_SETTINGS_MODULE": "mysite.reports"},
}
""",
    )


def procfile(project: Project) -> None:
    tutorial(project)
    project.run("python manage.py prodserver --procfile > Procfile")


def broken_code(project: Project) -> None:
    tutorial(project)
    project.write("prices.py", "PRICES = {}\n\nPRICES['customer']\n")
    project.append("mysite/wsgi.py", "\nimport prices\n")


def control(project: Project) -> None:
    """The project of "Add Celery from zero" under its supervisor, with a process that fails."""
    add_celery(project)
    project.append(
        "mysite/settings.py",
        """
PRODUCTION_PROCESSES["reports"] = {
    "BACKEND": "shell",
    "ARGS": ["python", "send_reports.py"],
    "RESTART": "on-failure",
    "BACKOFF": {"INITIAL": 600, "MAX": 600},
}
""",
    )
    project.write("send_reports.py", 'raise SystemExit("REPORTS_TOKEN is not set")\n')
    project.supervisor = project.start("python manage.py prodserver --all")
    ready = [("system", rf"^{name}\.1 ready after") for name in ("web", "worker", "beat")]
    project.supervisor.wait_for_all(*ready, ("system", r"^reports\.1 exited with status 1"))


def monitoring(project: Project) -> None:
    """The settings of the page under a supervisor."""
    started(project)
    project.append("mysite/settings.py", block_with("monitoring.md", "MONITOR"))
    project.supervisor = project.start("python manage.py prodserver --all")
    project.supervisor.wait_for("system", "^all 2 ready")


def not_owned(project: Project) -> None:
    """A new project, and a module beside it."""
    assert project.run("python -m django startproject mysite .") == []
    module = block_with("a-project-you-do-not-own.md", "from mysite.settings import *")
    project.write("deployment.py", module)


PROJECTS: dict[str, Callable[[Project], None]] = {
    "project-you-do-not-own": not_owned,
    "quickstart": quickstart,
    "tutorial": tutorial,
    "add-celery": add_celery,
    "tutorial with AGRS": misspelled,
    "tutorial with RESTART": restarting,
    "run-migrations-first": migrations,
    "run-migrations-first, migrated": migrated,
    "run-migrations-first, with a broken migration": broken_migration,
    "own-backend": own_backend,
    "own-backend with a wrong address": own_backend_wrong,
    "two packages with one short name": two_packages,
    "typed-settings": typed,
    "typed-settings in settings.py": wrong_settings,
    "tutorial with --wrokers": wrong_option,
    "tutorial with three start methods": start_methods,
    "procfile": procfile,
    "tutorial with a broken module": broken_code,
    "control": control,
    "monitoring": monitoring,
}


# ---- the tests ----


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project(tmp_path) as project:
        yield project


def ids(found: Iterator[Block]) -> list[object]:
    return [pytest.param(block, id=block.name) for block in found]


@pytest.mark.parametrize("block", ids(iter(BLOCKS)))
def test_a_block_of_commands_is_run_or_gives_a_reason_why_not(block: Block) -> None:
    where = f"{block.page}, line {block.line}"

    assert block.project or block.reason, (
        f"{where}: write <!-- run: PROJECT --> or <!-- not run: REASON --> above it"
    )
    assert block.project in PROJECTS or not block.project, f"{where}: no project {block.project!r}"


@pytest.mark.parametrize("block", ids(block for block in BLOCKS if block.project))
def test_a_command_prints_the_output_that_the_page_shows(block: Block, project: Project) -> None:
    PROJECTS[block.project](project)

    folder = os.path.realpath(project.folder)
    for step in block.steps:
        if step.command.startswith("mypy") and find_spec("mypy") is None:
            pytest.skip("mypy is not installed")
        execute = supervised if runs_on(step) else Project.run_step
        written = execute(project, step, block.action)
        assert documented.missing(step.shown, written, folder) == [], "\n".join(written)
    if project.supervisor is not None:
        assert project.supervisor.end(signal.SIGTERM) == 0


def runs_on(step: Step) -> bool:
    """Whether it runs until it is stopped."""
    words = step.command.split()
    supervises = "--all" in words and not {"--dry-run", "--check"}.intersection(words)
    return supervises or step.command == "" or is_honcho(step)


def is_honcho(step: Step) -> bool:
    return step.command == "honcho start"


def before_the_stop(shown: tuple[str, ...]) -> tuple[str, ...]:
    stops = [bool(re.search(r"^\^C|SIG\w+ received; stopping", line)) for line in shown]
    return shown[: stops.index(True)] if True in stops else shown


def supervised(project: Project, step: Step, action: str) -> list[str]:
    """Start everything, act as the page says, and stop it once it has written the lines shown."""
    run = project.start(step.command or "python manage.py prodserver --all")
    folder = os.path.realpath(project.folder)
    # honcho does not report when all processes are ready.
    ready, stopping = is_honcho(step), False
    while run.read() is not None:
        if not ready and re.search(r"\ball \d+ ready after", run.raw[-1]):
            ready = True
            act(action, run.raw, project)
        shown = before_the_stop(step.shown)
        if ready and not stopping and not documented.missing(shown, run.raw, folder):
            stopping = True
            stop(run, step)
    project.status = run.end()
    return run.raw


def stop(run: Run, step: Step) -> None:
    if is_honcho(step):
        # A signal that arrives while honcho writes a line makes it fail, and it writes often when
        # it starts. It also stops once one of its processes has ended.
        pids = re.findall(r"started \(pid=(\d+)\)", "\n".join(run.raw))
        os.killpg(int(pids[0]), signal.SIGTERM)
    else:
        is_typed = any(line.startswith("^C") for line in step.shown)
        run.signal(signal.SIGINT if is_typed else signal.SIGTERM)


def act(action: str, written: list[str], project: Project) -> None:
    verb, _, what = action.partition(" ")
    if verb == "kill":
        begins = rf"{re.escape(what)} (?:started|ready).*\(pid (\d+)\)"
        pids = re.findall(begins, "\n".join(written))
        psutil.Process(int(pids[-1])).terminate()
    elif verb == "get":
        with socket.create_connection(("127.0.0.1", project.port), LONG) as connection:
            connection.sendall(f"GET {what} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            while connection.recv(65536):
                """To its end: only then is the server done with it."""
    else:
        assert not action, f"no such action: {action}"
