"""The files that the docs show belong to projects, which are tested as a reader would have them."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from django_prodserver.management.commands.prodserver import Command
from tests import documented
from tests.documented import File
from tests.running import ROOT
from tests.serverless.runtime_api import HANDLER
from tests.test_documented_commands import PROJECTS, Project, started

FILES = list(documented.files())


def written(project: Project, name: str) -> None:
    """Write everything that the docs show of the files of this project."""
    for file in FILES:
        if file.project == name:
            project.append(file.name, f"\n{file.text}" if file.name.endswith(".py") else file.text)


def shown(name: str) -> str:
    """The text of the only block that shows this file."""
    (file,) = (file for file in FILES if file.name == name)
    return file.text


# ---- the projects ----


def from_honcho(project: Project) -> None:
    started(project)
    project.write("mysite/celery.py", shown("mysite/celery.py"))
    written(project, "from-honcho")


def process_file(project: Project) -> None:
    started(project)
    written(project, "processes.json")


def systemd(project: Project) -> None:
    """The unit alone, which is for a machine with systemd."""
    written(project, "systemd")


def no_lost_requests(project: Project) -> None:
    """Two units: lines that replace those of the service unit, and its socket unit."""
    written(project, "no-lost-requests")


TAKE_ORDERS = """\
import logging
import time

from django.core.management.base import BaseCommand

log = logging.getLogger("shop.orders")


class Command(BaseCommand):
    def handle(self, **options):
        log.info("order taken", extra={"context": {"order": 1042, "total": "12.50"}})
        time.sleep(1000)
"""


def logs(project: Project) -> None:
    started(project)
    written(project, "logs")
    project.write("mysite/management/commands/take_orders.py", TAKE_ORDERS)


def memory(project: Project) -> None:
    written(project, "memory")


def with_tests(project: Project) -> None:
    assert project.run("python -m django startproject mysite .") == []
    written(project, "test-your-processes")


def admin(project: Project) -> None:
    started(project)
    written(project, "admin")


def monitoring(project: Project) -> None:
    started(project)
    written(project, "monitoring, before its start")


def events(project: Project) -> None:
    written(project, "events")


def sentry(project: Project) -> None:
    written(project, "sentry")


def opentelemetry(project: Project) -> None:
    written(project, "opentelemetry")


def serverless(project: Project) -> None:
    written(project, "serverless")


def example(name: str) -> Callable[[Project], None]:
    """A folder of examples/ that other tests cover."""

    def use(project: Project) -> None:
        project.folder = ROOT / "examples" / name

    return use


HERE = {
    "examples/ci": example("ci"),
    "examples/docker": example("docker"),
    "events": events,
    "admin": admin,
    "from-honcho": from_honcho,
    "processes.json": process_file,
    "systemd": systemd,
    "no-lost-requests": no_lost_requests,
    "logs": logs,
    "memory": memory,
    "monitoring, before its start": monitoring,
    "sentry": sentry,
    "serverless": serverless,
    "opentelemetry": opentelemetry,
    "test-your-processes": with_tests,
}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project(tmp_path) as project:
        yield project


# ---- every block with a file name ----


def ids(found: Iterator[File]) -> list[object]:
    return [pytest.param(file, id=file.id) for file in found]


@pytest.mark.parametrize("file", ids(iter(FILES)))
def test_a_doc_block_with_a_file_name_names_its_project_or_a_reason(file: File) -> None:
    where = f"{file.page}, line {file.line}"

    assert file.project or file.reason, (
        f"{where}: write <!-- file: NAME in PROJECT --> or <!-- not a file: REASON --> above it"
    )
    assert file.project in {*PROJECTS, *HERE, ""}, f"{where}: no project {file.project!r}"


@pytest.mark.parametrize("name", sorted({file.project for file in FILES} - {""}))
def test_the_files_of_a_project_contain_the_text_that_the_docs_show(
    name: str, project: Project
) -> None:
    {**PROJECTS, **HERE}[name](project)

    for file in (file for file in FILES if file.project == name):
        text = project.as_shown((project.folder / file.name).read_text())
        for part in file.parts:
            _, found, text = text.partition(part)
            assert found, f"{file.page}, line {file.line}: not in {file.name}:\n{part}"


def test_blocks_with_a_file_name_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documented, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    block = "```python\nimport os\n```\n\n"
    page.write_text(
        f"Write this into `mysite/a.py`:\n\n{block}"
        f"Some code:\n\n{block}"
        f"In `manage.py`:\n\n{block}"
        f"| `b.py` |\n\n{block}"
        f"```python\n# c.py, at its end\nimport os\n```\n\n"
        f"A file `d.py`:\n\n<!-- not a file: it is made up -->\n{block}"
        f"More code:\n\n<!-- file: e.py in tutorial -->\n{block}"
    )

    found = list(documented.files_of(page))

    assert [(file.name, file.project, file.reason) for file in found] == [
        ("", "", ""),
        ("", "", ""),
        ("", "", "it is made up"),
        ("e.py", "tutorial", ""),
    ]
    assert {file.text for file in found} == {"import os\n"}


# ---- what they do ----


def test_a_second_admin_site_has_the_process_page_too(project: Project) -> None:
    admin(project)
    project.append("mysite/urls.py", "from mysite.admin import staff\n")
    project.append("mysite/urls.py", 'urlpatterns.append(path("staff/", staff.urls))\n')
    reverse = (
        "from django.urls import reverse; "
        "print(*(reverse('admin:django_prodserver_process_changelist', current_app=site)"
        " for site in ('admin', 'staff')))"
    )

    said = project.run(f'python manage.py shell -c "{reverse}"')

    pages = [f"/{site}/django_prodserver/process/" for site in ("admin", "staff")]
    assert said[-1].split() == pages


def test_the_wizard_prints_the_settings_shown_for_the_procfile(project: Project) -> None:
    from_honcho(project)

    printed = "\n".join(project.run("python manage.py prodserver --init --noinput 2>/dev/null"))

    page = (ROOT / "docs" / "start" / "from-honcho.md").read_text(encoding="utf-8")
    (settings,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert settings in re.sub(r"^ *#.*\n", "", printed, flags=re.M)


def test_check_reports_the_errors_in_the_process_file(project: Project) -> None:
    process_file(project)

    said = "\n".join(project.run("python manage.py prodserver --check"))

    web = "PRODUCTION_PROCESSES['web']"
    assert f"{web}['STOP_TIMOUT'] is not a known key. Did you mean 'STOP_TIMEOUT'?" in said
    assert f"{web}['REPLICAS'] is 0" in said
    assert project.status == 1


def test_the_editor_settings_point_to_the_schema_and_the_process_file(project: Project) -> None:
    process_file(project)
    project.run("python manage.py prodserver --schema > prodserver.schema.json")

    (entry,) = json.loads((project.folder / ".vscode/settings.json").read_text())["json.schemas"]

    (match,) = entry["fileMatch"]
    assert (project.folder / match.lstrip("/")).exists()
    schema = json.loads((project.folder / entry["url"]).read_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_command_parses_the_options_of_the_systemd_unit(project: Project) -> None:
    systemd(project)
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(project.folder / "mysite.service")

    interpreter, manage, command, *options = unit["Service"]["ExecStart"].split()

    assert interpreter.startswith(unit["Service"]["WorkingDirectory"])
    assert (manage, command) == ("manage.py", "prodserver")
    parsed = Command().create_parser("manage.py", "prodserver").parse_args(options)
    assert (parsed.all, parsed.timestamps) == (True, False)


def complaints_of_systemd(*units: Path) -> list[str]:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("there is no systemd-analyze here")
    for unit in units:
        # An existing program, because systemd-analyze reports missing ones.
        programs = r"/srv/mysite/(current/)?\.venv/bin/\w+"
        unit.write_text(re.sub(programs, sys.executable, unit.read_text()))
    verified = subprocess.run(
        [verify, "verify", "--man=no", *map(str, units)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return [line for line in verified.stdout.splitlines() if re.search(r"mysite\.\w", line)]


def test_systemd_itself_accepts_the_unit(project: Project) -> None:
    systemd(project)

    assert complaints_of_systemd(project.folder / "mysite.service") == []


def test_systemd_accepts_the_unit_for_releases_behind_a_link(project: Project) -> None:
    systemd(project)
    no_lost_requests(project)
    unit, socket = project.folder / "mysite.service", project.folder / "mysite.socket"
    lines = (project.folder / "current.service").read_text().splitlines()
    replaced = dict(line.split("=", 1) for line in lines if "=" in line)

    text = unit.read_text()
    for key, value in replaced.items():
        text, found = re.subn(rf"^{key}=.*$", f"{key}={value}", text, flags=re.M)
        if not found:
            text = text.replace("[Service]\n", f"[Service]\n{key}={value}\n")
    unit.write_text(text.replace("[Unit]\n", "[Unit]\nRequires=mysite.socket\n"))

    assert replaced["Environment"] == f"PWD={replaced['WorkingDirectory']}"
    assert complaints_of_systemd(unit, socket) == []


def test_the_image_for_lambda_runs_the_handler() -> None:
    *_, entrypoint, arguments = shown("lambda.Dockerfile").splitlines()

    words = [json.loads(line.partition(" ")[2]) for line in (entrypoint, arguments)]
    assert words == [["python", "-m", "awslambdaric"], [HANDLER]]


def test_the_keys_of_the_documented_log_formatter_reach_the_log(project: Project) -> None:
    logs(project)
    run = project.start("python manage.py prodserver --all")
    taken: dict[str, str] = {}
    while taken.get("process") != "orders.1":
        assert run.read() is not None, "\n".join(run.raw)
        taken = json.loads(run.raw[-1])
    assert run.end(signal.SIGTERM) == 0, "\n".join(run.raw)

    del taken["time"]
    assert list(taken.items()) == [
        ("process", "orders.1"),
        ("stream", "stdout"),
        ("severity", "INFO"),
        ("message", "order taken"),
        ("logger", "shop.orders"),
        ("order", 1042),
        ("total", "12.50"),
    ]


def test_the_documented_memory_script_lists_each_process(project: Project) -> None:
    memory(project)

    said = project.run(f"python memory.py {os.getpid()}")

    assert project.status == 0, said
    assert re.match(rf" +\d+\.\d MiB  {os.getpid()}  \S+", said[0])
    assert len(said) >= 2  # The command itself is a child of this process.
