"""`prodserver --init`: what it finds, asks, and prints."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

import django
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.urls import path
from honcho.environ import parse_procfile

from django_prodserver.backends import BUILT_IN
from django_prodserver.launch.resolve import resolve
from django_prodserver.prodctl.parser import parser
from django_prodserver.settings.load import load
from django_prodserver.settings.names import PROCESSES
from django_prodserver.wizard import look, questions, texts
from django_prodserver.wizard.project import (
    DEPENDENCIES,
    INSTALLS,
    WHEELS,
    CeleryApp,
    Install,
    Project,
    TaskBackend,
)
from django_prodserver.wizard.proposal import (
    DATABASE_TASKS_APPS,
    QUEUE_APPS,
    SERVERS,
    Answers,
    Proposal,
    default_answers,
    propose,
)
from tests.inside import configured, free_port, refused, sleeper
from tests.running import ROOT, Site, Terminal

IN_DATABASE = "django_tasks_db.DatabaseBackend"
SHOP = Project(
    settings_module="shop.settings",
    python="3.13",
    wsgi="shop.wsgi:application",
    asgi="shop.asgi:application",
    packages={"gunicorn": "27.0.1", "celery": "5.7.0"},
    celery=CeleryApp("shop.celery.app", scheduled=True),
    has_database=True,
    collects_static=True,
    dependencies="requirements.txt",
)
CHAT = Project(
    settings_module="chat.settings.production",
    python="3.14",
    wsgi="chat.wsgi:application",
    asgi="chat.asgi:application",
    wants_asgi=True,
    packages={"gunicorn": "22.0.0", "django_tasks_db": "0.13.0"},
    apps=frozenset({"django_tasks_db"}),
    tasks=(TaskBackend("default", IN_DATABASE, ("default", "mail")),),
    has_database=True,
    health="/healthz",
    dependencies="uv.lock",
)
EMPTY = Project(settings_module="", python="3.9")
EVERYTHING = Project(
    settings_module="all.settings",
    python="3.12",
    wsgi="all.wsgi:application",
    asgi="all.asgi:application",
    packages={"rq_scheduler": "0.14.0"},
    apps=frozenset({*QUEUE_APPS, *DATABASE_TASKS_APPS, "django_rq", "django_celery_beat"}),
    celery=CeleryApp("all.celery.app"),
    rq_queues=("high", "low"),
    tasks=(
        TaskBackend("default", IN_DATABASE),
        TaskBackend("slow ones", IN_DATABASE),
        TaskBackend("rq", "django_tasks_rq.RQBackend"),
        TaskBackend("own", "all.tasks.Backend"),
        TaskBackend("now", "django.tasks.backends.immediate.ImmediateBackend"),
    ),
    has_database=True,
    collects_static=True,
)


def proposed(project: Project, **answers: Any) -> Proposal:
    return propose(project, replace(default_answers(project), **answers))


def executed(block: str, port: Optional[str] = None) -> dict[str, Any]:
    """PRODUCTION_PROCESSES of a printed block, with this PORT in the environment."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PORT", raising=False)
        if port is not None:
            patch.setenv("PORT", port)
        exec(block, names)
    found: dict[str, Any] = names[PROCESSES]
    return found


def parts(text: str) -> list[tuple[str, str]]:
    """The text above the first heading, then each heading with the text below it."""
    pieces = re.split(r"^# ---- (.*) ----\n\n", text, flags=re.MULTILINE)
    return list(zip(["", *pieces[1::2]], pieces[::2]))


def instructions(dockerfile: str) -> list[list[str]]:
    """Each instruction of a Dockerfile with its arguments, without comments."""
    lines = [line for line in dockerfile.splitlines() if line and not line.startswith("#")]
    return [line.split(" ", 1) for line in lines]


# ---- the proposal ----


def test_settings_are_proposed_for_a_project_with_wsgi_and_celery() -> None:
    assert texts.settings_block(proposed(SHOP)) == textwrap.dedent("""\
        import os

        PRODUCTION_PROCESSES = {
            "migrate": {
                "BACKEND": "migrate",
            },
            # Leave this one out if the files are collected when the image is built.
            "collectstatic": {
                "BACKEND": "command",
                "ARGS": ["collectstatic", "--noinput"],
                "TYPE": "oneshot",
            },
            # No RESTART: if it exits, everything stops, and the platform restarts it all.
            # No HEALTHCHECK: no view was found at /healthz or at another usual path.
            "web": {
                "BACKEND": "gunicorn",
                "ARGS": {"bind": "0.0.0.0:" + os.environ.get("PORT", "8000"), "workers": 2},
                "AFTER": ["migrate", "collectstatic"],
            },
            # Workers have a RESTART: one that dies does not take the site with it. One
            # that dies again and again does (START_LIMIT), so that it is noticed.
            # Two tasks at once; Celery's own default is one for each processor.
            "worker": {
                "BACKEND": "celery",
                "APP": "shop.celery.app",
                "ARGS": {"concurrency": 2},
                "RESTART": "on-failure",
                "AFTER": ["migrate"],
            },
            "beat": {
                "BACKEND": "celery-beat",
                "APP": "shop.celery.app",
                "RESTART": "on-failure",
                "AFTER": ["migrate"],
            },
        }
        """)


def test_settings_are_proposed_for_a_project_with_asgi_and_django_tasks() -> None:
    assert executed(texts.settings_block(proposed(CHAT))) == {
        "migrate": {"BACKEND": "migrate"},
        "web": {
            "BACKEND": "uvicorn",
            "ARGS": {"host": "0.0.0.0", "port": "8000"},
            "HEALTHCHECK": {"HTTP": "/healthz", "START_PERIOD": 30},
            "AFTER": ["migrate"],
        },
        "tasks": {
            "BACKEND": "django-tasks",
            "ARGS": {"queue-name": "*"},
            "RESTART": "on-failure",
            "AFTER": ["migrate"],
        },
    }


def test_the_workers_of_every_queue_are_proposed() -> None:
    rq = ["high", "low", "--job-class=django_tasks_rq.Job"]
    scheduler = {"scheduler": "django_celery_beat.schedulers:DatabaseScheduler"}
    always = {"RESTART": "on-failure", "AFTER": ["migrate"]}
    app = {"APP": "all.celery.app"}

    found = executed(texts.settings_block(proposed(EVERYTHING)))

    assert {name: found[name] for name in list(found)[3:]} == {
        "worker": {"BACKEND": "celery", **app, "ARGS": {"concurrency": 2}, **always},
        "beat": {"BACKEND": "celery-beat", **app, "ARGS": scheduler, **always},
        "rqworker": {"BACKEND": "rq", "ARGS": rq, **always},
        "rqscheduler": {"BACKEND": "rq-scheduler", **always},
        "dramatiq": {"BACKEND": "dramatiq", **always},
        "huey": {"BACKEND": "huey", **always},
        "qcluster": {"BACKEND": "django-q2", **always},
        "procrastinate": {"BACKEND": "procrastinate", **always},
        "tasks-default": {"BACKEND": "django-tasks", **always},
        "tasks-slow-ones": {"BACKEND": "django-tasks", "ARGS": {"backend": "slow ones"}, **always},
    }


def test_beat_is_proposed_only_if_the_project_schedules_tasks() -> None:
    unscheduled = replace(SHOP, celery=CeleryApp("shop.celery.app"))
    chosen = replace(unscheduled, apps=frozenset({"django_celery_beat"}), chooses_scheduler=True)

    assert proposed(unscheduled).services == ["web", "worker"]
    assert "ARGS" not in executed(texts.settings_block(proposed(chosen)))["beat"]


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
@pytest.mark.parametrize("port", [None, "5000"])
def test_every_server_listens_everywhere_at_the_port_of_the_environment(
    server: Any, port: Optional[str]
) -> None:
    block = texts.settings_block(proposed(SHOP, server=server.name, port=81))

    args = executed(block, port)["web"]["ARGS"]

    options = {key: value for key, value in args.items() if key != "workers"}
    expected = port or "81"
    assert options in (
        {"bind": f"0.0.0.0:{expected}"},
        {"host": "0.0.0.0", "port": expected},
        {"bind": "0.0.0.0", "port": expected},
        {"http-socket": f"0.0.0.0:{expected}"},
    )


@pytest.mark.parametrize(
    "server", [one for one in SERVERS if one.name in BUILT_IN], ids=lambda server: server.name
)
def test_each_server_accepts_its_proposed_arguments(server: Any) -> None:
    here = replace(SHOP, packages={server.package: version(server.package)})
    if not server.installed(here):
        pytest.skip(f"{server.requirement} is not installed here")
    block = texts.settings_block(proposed(SHOP, server=server.name, before=(), workers=()))
    port = free_port()
    entry = executed(block, str(port))["web"]

    with configured({"web": entry}):
        (web,) = resolve(load(), ["web"])

    assert [where.at for where in web.backend.addresses()] == [("0.0.0.0", port)]
    # The program may come from another package.
    needed = list(web.backend_class.requires.values())
    assert needed == ([] if server.other else [server.package])


@pytest.mark.parametrize("project", [SHOP, CHAT, EVERYTHING], ids=lambda p: p.settings_module)
def test_every_choice_of_processes_gives_valid_settings(project: Project) -> None:
    everything = default_answers(project)
    for before, workers in itertools.product(subsets(everything.before), ((), everything.workers)):
        for server in (None, everything.server):
            proposal = propose(project, Answers(server, 8000, before, workers))
            names = [*before, *(["web"] if server else []), *workers]
            if names:
                with configured(executed(texts.settings_block(proposal))):
                    assert list(load().processes) == names


def subsets(names: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    return itertools.chain.from_iterable(
        itertools.combinations(names, count) for count in range(len(names) + 1)
    )


@pytest.mark.parametrize(
    ("project", "server"),
    [
        (SHOP, "gunicorn"),
        # The project uses ASGI, although a WSGI server is installed.
        (CHAT, "uvicorn"),
        (replace(CHAT, packages={"daphne": "4.2.3"}), "daphne"),
        (replace(CHAT, packages={"gunicorn": "22.0.0"}, asgi=""), "gunicorn"),
        (replace(SHOP, packages={}), "gunicorn"),
        (replace(SHOP, packages={"hypercorn": "0.18.0"}), "hypercorn-wsgi"),
        (replace(SHOP, packages={"daphne": "4.2.3"}), "daphne"),
        (replace(SHOP, wsgi="", packages={}), "uvicorn"),
        # gunicorn's ASGI worker is good enough from 25.1 on.
        (replace(SHOP, wsgi="", packages={"gunicorn": "25.0.3"}), "uvicorn"),
        (replace(SHOP, wsgi="", packages={"gunicorn": "25.1"}), "gunicorn-asgi"),
        (EMPTY, None),
    ],
)
def test_the_default_server_depends_on_the_interface_and_packages(
    project: Project, server: Optional[str]
) -> None:
    assert default_answers(project).server == server


def test_missing_packages_are_reported_with_the_install_command() -> None:
    bare = replace(SHOP, packages={})
    too_old = replace(SHOP, packages={"gunicorn": "22.0.0", "celery": "5.3.6"})
    no_worker = replace(CHAT, packages={"django_tasks": "0.12.0"})

    assert missing(bare) == (
        "# Not installed here: gunicorn, celery. Run: pip install gunicorn celery"
    )
    assert missing(too_old, server="gunicorn-asgi") == (
        "# Not installed here: gunicorn>=25.1. Run: pip install 'gunicorn>=25.1'"
    )
    assert missing(no_worker).endswith("Run: pip install uvicorn django-tasks-db")
    assert missing(SHOP) == ""


def missing(project: Project, **answers: Any) -> str:
    text = texts.whole(project, proposed(project, **answers))
    return "".join(re.findall("^# Not installed here.*$", text, re.MULTILINE))


def test_missing_parts_of_the_project_are_noted() -> None:
    without_app = replace(CHAT, apps=frozenset())

    assert proposed(without_app).notes == (
        "TASKS needs 'django_tasks_db' in INSTALLED_APPS, but it is not there yet.",
    )
    assert proposed(EVERYTHING).notes == (
        "TASKS['own'] is all.tasks.Backend, whose worker is not known: add it.",
    )
    assert proposed(replace(EMPTY, notes=("Something.",))).notes == (
        "Something.",
        "Neither a WSGI nor an ASGI application was found, so nothing here serves requests.",
    )


def test_the_output_has_a_summary_and_three_files() -> None:
    proposal = proposed(SHOP)
    above, settings, dockerfile, procfile = parts(texts.whole(SHOP, proposal))

    assert above[1].splitlines() == [
        "# `manage.py prodserver --init` proposes three files. Copy each to its place.",
        "# Found:",
        "#   Python 3.13",
        "#   WSGI application shop.wsgi:application",
        "#   ASGI application shop.asgi:application",
        "#   Celery app shop.celery.app, with a schedule",
        "#   requirements.txt",
        "# Then check that everything works: python manage.py prodserver --check",
        "",
    ]
    assert settings == ("shop/settings.py", texts.settings_block(proposal) + "\n")
    assert dockerfile == ("Dockerfile", texts.dockerfile(SHOP, proposal) + "\n")
    assert procfile[0].startswith("Procfile")
    assert procfile[1] == texts.procfile_text(proposal)


def test_the_language_of_the_project_does_not_affect_number_formats() -> None:
    with override_settings(USE_THOUSAND_SEPARATOR=True, LANGUAGE_CODE="de"):
        assert "EXPOSE 8000\n" in texts.dockerfile(SHOP, proposed(SHOP))


# ---- the Dockerfile ----

UV_PIP = "uv pip install --no-cache --python /venv"
PIP_INSTALL = "/venv/bin/pip install --no-cache-dir"
HEALTHCHECK = '--interval=30s --timeout=10s --start-period=60s CMD ["prodctl", "health"]'


@pytest.mark.parametrize(
    ("dependencies", "installs"),
    [
        (
            "requirements.txt",
            [
                ["RUN", "python -m venv /venv"],
                ["COPY", "requirements.txt ./"],
                ["COPY", "wheels wheels"],
                ["RUN", f"{PIP_INSTALL} --requirement requirements.txt wheels/*.whl"],
            ],
        ),
        (
            "requirements/production.txt",
            [
                ["RUN", "python -m venv /venv"],
                ["COPY", "requirements requirements"],
                ["COPY", "wheels wheels"],
                ["RUN", f"{PIP_INSTALL} --requirement requirements/production.txt wheels/*.whl"],
            ],
        ),
        (
            "uv.lock",
            [
                ["ENV", "UV_PROJECT_ENVIRONMENT=/venv UV_PYTHON_DOWNLOADS=never"],
                ["RUN", "pip install --no-cache-dir uv"],
                ["COPY", "pyproject.toml uv.lock ./"],
                ["COPY", "wheels wheels"],
                ["RUN", "uv sync --locked --no-dev --no-install-project"],
                ["RUN", "uv pip install --no-cache --python /venv wheels/*.whl"],
            ],
        ),
        (
            "pyproject.toml",
            [
                ["RUN", "pip install --no-cache-dir uv && uv venv /venv"],
                ["COPY", "pyproject.toml ./"],
                ["COPY", "wheels wheels"],
                ["RUN", f"{UV_PIP} --requirements pyproject.toml wheels/*.whl"],
            ],
        ),
        (
            "poetry.lock",
            [
                ["RUN", "pip install --no-cache-dir poetry && python -m venv /venv"],
                ["COPY", "pyproject.toml poetry.lock ./"],
                ["COPY", "wheels wheels"],
                ["RUN", "VIRTUAL_ENV=/venv poetry install --only main --no-root"],
                ["RUN", f"{PIP_INSTALL} wheels/*.whl"],
            ],
        ),
    ],
)
def test_the_dockerfile_installs_packages_from_each_kind_of_dependency_file(
    dependencies: str, installs: list[list[str]]
) -> None:
    project = replace(SHOP, dependencies=dependencies)

    text = texts.dockerfile(project, proposed(project))

    assert instructions(text) == [
        ["FROM", "python:3.13-slim AS packages"],
        ["WORKDIR", "/build"],
        *installs,
        ["FROM", "python:3.13-slim"],
        ["RUN", "useradd --uid 1000 --create-home --home-dir /srv/site site"],
        ["WORKDIR", "/srv/site"],
        ["COPY", "--from=packages /venv /venv"],
        ["ENV", "PATH=/venv/bin:$PATH"],
        ["COPY", "--chown=site . ."],
        ["USER", "1000"],
        ["EXPOSE", "8000"],
        ["STOPSIGNAL", "SIGTERM"],
        ["HEALTHCHECK", HEALTHCHECK],
        ["CMD", '["python", "-m", "django_prodserver", "--all"]'],
    ]
    assert text.splitlines()[:2] == [
        f"# {dependencies} has to name all that the project needs, these included:",
        "# gunicorn, celery",
    ]


def test_the_health_check_of_an_image_is_a_command_of_prodctl() -> None:
    options, _, words = HEALTHCHECK.partition(" CMD ")

    command, *arguments = json.loads(words)
    asked = parser(command).parse_args(arguments)

    assert (asked.verb, asked.name) == ("health", None)
    # prodctl gives up first, and reports why.
    assert f"--timeout={2 * asked.timeout:.0f}s" in options.split()


@pytest.mark.parametrize("install", INSTALLS, ids=lambda install: str(install.file))
def test_no_image_installs_the_package_of_this_name_from_pypi(install: Install) -> None:
    project = replace(SHOP, dependencies=install.file)

    lines = texts.dockerfile(project, proposed(project)).splitlines()

    run = [line for line in lines if line.startswith("RUN ")]
    assert not [line for line in run if re.search("django[-_]prodserver", line)]
    # It is installed last, so nothing replaces its packages.
    assert [line for line in run if "/venv" in line and "install" in line][-1].endswith(WHEELS)
    assert lines.index("COPY wheels wheels") < lines.index(
        next(line for line in run if line.endswith(WHEELS))
    )


def test_the_dockerfile_explains_how_to_make_a_missing_requirements_file() -> None:
    project = replace(SHOP, dependencies="")

    text = texts.dockerfile(project, proposed(project))

    assert text.startswith(
        "# There is no requirements.txt yet: "
        "python -m pip freeze --exclude django-prodserver > requirements.txt\n"
        "# requirements.txt has to name"
    )
    assert ["COPY", "requirements.txt ./"] in instructions(text)


def test_the_dockerfile_names_settings_that_manage_py_would_not_use() -> None:
    project = replace(CHAT, settings_by_environment=True)

    assert [
        "ENV",
        "PATH=/venv/bin:$PATH DJANGO_SETTINGS_MODULE=chat.settings.production",
    ] in instructions(texts.dockerfile(project, proposed(project)))


def test_the_dockerfile_exposes_no_port_without_a_server() -> None:
    assert "EXPOSE" not in texts.dockerfile(SHOP, proposed(SHOP, server=None))


# ---- the Procfile ----


def test_honcho_reads_the_services_and_nothing_else_in_the_procfile() -> None:
    text = texts.procfile_text(proposed(SHOP))

    assert dict(parse_procfile(text).processes) == {
        name: f"python manage.py prodserver {name}" for name in ("web", "worker", "beat")
    }
    assert text.splitlines()[-1] == "# release: python manage.py prodserver migrate"


def test_the_procfile_omits_the_release_line_or_reports_that_no_service_exists() -> None:
    assert "release" not in texts.procfile_text(proposed(SHOP, before=("collectstatic",)))
    assert texts.procfile_text(propose(EMPTY, Answers())) == "# There is no service to run.\n"


# ---- the questions ----

WSGI_SERVERS = "gunicorn, granian-wsgi, waitress, uvicorn-wsgi, hypercorn-wsgi, uwsgi"
ASGI_SERVERS = "uvicorn, granian, hypercorn, daphne, gunicorn-asgi"
ALL_SERVERS = f"{WSGI_SERVERS}, {ASGI_SERVERS}"


class Typing:
    """A user who types these answers, and then closes the input."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.heard: list[str] = []

    def say(self, text: str) -> None:
        self.heard.append(text)

    def ask(self, prompt: str) -> str:
        self.heard.append(prompt)
        if not self._answers:
            raise EOFError
        return self._answers.pop(0)


def test_pressing_enter_accepts_the_default_answers() -> None:
    for project in (SHOP, CHAT, EVERYTHING):
        assert questions.ask(project, Typing("", "", "", "")) == default_answers(project)


def test_typed_answers_replace_the_defaults() -> None:
    user = Typing("granian", "80", "none", "beat, worker")

    assert questions.ask(SHOP, user) == Answers("granian", 80, (), ("worker", "beat"))
    assert user.heard == [
        "Press Enter to accept the [default].",
        "Which server?",
        f"  for WSGI, shop.wsgi:application: {WSGI_SERVERS.replace('gunicorn', 'gunicorn*')}",
        f"  for ASGI, shop.asgi:application: {ASGI_SERVERS}*",
        "  * is installed here.",
        "[gunicorn] ",
        "Which port, unless the environment has a PORT?",
        "[8000] ",
        "What should run before each start? Names, or none.",
        "[migrate collectstatic] ",
        "Which workers? Names, or none.",
        "[worker beat] ",
    ]


def test_an_invalid_answer_is_explained_and_the_question_is_repeated() -> None:
    user = Typing("gunicron", "gunicorn", "eighty", "0", "99999999", "80", "migrat", "migrate", "")

    answers = questions.ask(SHOP, user)

    assert answers == Answers("gunicorn", 80, ("migrate",), ("worker", "beat"))
    assert [line for line in user.heard if line.startswith("'")] == [
        f"'gunicron' is not an option. Did you mean 'gunicorn'? Options: {ALL_SERVERS}.",
        "'eighty' is not a port: write a number from 1 to 65535.",
        "'0' is not a port: write a number from 1 to 65535.",
        "'99999999' is not a port: write a number from 1 to 65535.",
        "'migrat' is not an option. Did you mean 'migrate'? Options: migrate, collectstatic, none.",
    ]


def test_questions_without_options_are_skipped() -> None:
    assert questions.ask(EMPTY, Typing()) == Answers()
    assert questions.ask(replace(EMPTY, has_database=True), Typing("none")) == Answers()


# ---- looking at the project ----


def view(request: object) -> None:
    raise AssertionError("nobody is to be asked")


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["", "healthz"], "/healthz"),
        (["ht/"], "/ht/"),
        (["", "about/"], ""),
        # A catch-all view says nothing about health.
        (["<path:any>"], ""),
    ],
)
def test_a_health_check_view_is_found_in_the_urlconf(
    monkeypatch: pytest.MonkeyPatch, paths: list[str], found: str
) -> None:
    urls = ModuleType("urls_of_this_test")
    urls.urlpatterns = [path(one, view) for one in paths]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)

    with override_settings(ROOT_URLCONF=urls.__name__):
        assert look.inspect_project().health == found


def test_a_urlconf_that_cannot_be_imported_is_noted() -> None:
    with override_settings(ROOT_URLCONF="no.such.urls"):
        project = look.inspect_project()

    assert project.health == ""
    assert project.notes == ("The URLs cannot be read: ModuleNotFoundError: No module named 'no'.",)


def test_processes_that_are_already_in_the_settings_are_noted() -> None:
    with configured({"web": sleeper(), "worker": sleeper()}):
        right = look.inspect_project().notes
    with configured({"web": {"BACKEDN": "gunicorn"}}):
        wrong = look.inspect_project().notes

    assert right == (
        "PRODUCTION_PROCESSES is set already (web, worker): this proposal ignores it.",
    )
    assert wrong == (
        "PRODUCTION_PROCESSES is already set, but wrong: `prodserver --check` says why.",
    )
    assert look.inspect_project().notes == ()


def test_an_application_is_ignored_if_its_module_does_not_exist() -> None:
    with override_settings(WSGI_APPLICATION="no.such.application", ASGI_APPLICATION=None):
        project = look.inspect_project()

    assert (project.wsgi, project.asgi, project.wants_asgi) == ("", "", False)


@pytest.mark.parametrize("first", range(len(DEPENDENCIES)))
def test_the_first_existing_dependency_file_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    for name in DEPENDENCIES[first:]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("[project]\n")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "manage.py")])

    assert look.inspect_project().dependencies == DEPENDENCIES[first]


@pytest.mark.parametrize(
    ("manage", "by_environment"),
    [
        ("setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')", False),
        ("setdefault('DJANGO_SETTINGS_MODULE', 'site.settings.local')", True),
        (None, True),
    ],
)
def test_the_default_settings_of_manage_py_are_recognized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manage: Optional[str], by_environment: bool
) -> None:
    if manage is not None:
        (tmp_path / "manage.py").write_text(manage)
    monkeypatch.chdir(tmp_path)

    with override_settings(SETTINGS_MODULE="site.settings"):
        assert look.inspect_project().settings_by_environment == by_environment


def test_a_database_that_is_a_file_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite = {"ENGINE": "django.db.backends.sqlite3"}
    memory, file = {**sqlite, "NAME": ":memory:"}, {**sqlite, "NAME": Path("/srv/db.sqlite3")}

    # Not override_settings: its warning about DATABASES is right about open connections.
    monkeypatch.setattr(settings, "DATABASES", {"default": memory, "other": file})

    assert look.inspect_project().notes == (
        "The database is the file /srv/db.sqlite3: in a container it needs a volume.",
    )


def test_a_pyproject_that_only_configures_tools_names_no_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    monkeypatch.chdir(tmp_path)

    assert look.inspect_project().dependencies == ""


# ---- the command ----


@pytest.mark.parametrize("more", [["web"], ["--all"], ["--except", "web"], ["--", "--workers"]])
def test_init_takes_no_process_names(more: list[str]) -> None:
    if "--" in more:  # call_command cannot pass a bare `--`.
        more = ["web", *more]
    assert refused({"web": sleeper()}, "--init", *more) == ["--init takes no process names."]


def test_noinput_requires_init() -> None:
    assert refused({"web": sleeper()}, "--list", "--noinput") == ["--noinput requires --init."]


def test_init_cannot_be_combined_with_list() -> None:
    with pytest.raises(CommandError, match="not allowed with argument"):
        call_command("prodserver", "--init", "--list")


# ---- real projects ----


class RealProject:
    """A project made by `django-admin startproject`, with additions."""

    def __init__(self, site: Site, folder: Path, name: str, settings: str) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.site = site
        self.program = ("-W", "ignore", str(self.folder / "manage.py"), "prodserver")
        command = [sys.executable, "-m", "django", "startproject", name, str(self.folder)]
        assert site.command(command, cwd=self.folder).end() == 0
        self.settings = self.folder / name / "settings.py"
        self.add(textwrap.dedent(settings))

    def add(self, text: str) -> None:
        self.settings.write_text(self.settings.read_text() + "\n" + text)

    def manage(self, *arguments: str, **kwargs: Any) -> Any:
        return self.site({}, *arguments, program=self.program, **kwargs)

    def proposal(self, *arguments: str) -> tuple[list[tuple[str, str]], str]:
        """The printed parts, and stderr."""
        run = self.manage("--init", *arguments)
        assert run.end() == 0, run.stderr
        return parts("".join(line + "\n" for line in run.raw)), run.stderr

    def check(self, block: str) -> list[str]:
        """Add a block to the settings, and run `--check`."""
        self.add(block)
        run = self.manage("--check", env={"PORT": str(free_port())})
        assert run.end() == 0, run.stderr
        return run.raw


CELERY = """\
from celery import Celery

print("this is no part of a proposal")
app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""


@pytest.fixture
def shop(site: Site, tmp_path: Path) -> RealProject:
    project = RealProject(
        site,
        tmp_path,
        "shop",
        """
        INSTALLED_APPS += ["django_prodserver"]
        STATIC_ROOT = BASE_DIR / "static"
        CELERY_BROKER_URL = "memory://"
        CELERY_BEAT_SCHEDULE = {"report": {"task": "shop.report", "schedule": 60}}
        """,
    )
    (project.folder / "shop" / "celery.py").write_text(CELERY)
    (project.folder / "requirements.txt").write_text("django\n")
    return project


@pytest.fixture
def chat(site: Site, tmp_path: Path) -> RealProject:
    backend = IN_DATABASE
    if django.VERSION < (5,):  # The oldest django-tasks has its own worker.
        backend = "django_tasks.backends.database.DatabaseBackend"
    app = backend.rpartition(".")[0]
    return RealProject(
        site,
        tmp_path,
        "chat",
        f"""
        INSTALLED_APPS += ["django_prodserver", {app!r}]
        ASGI_APPLICATION = "chat.asgi.application"
        TASKS = {{"default": {{"BACKEND": {backend!r}}}}}
        PRODUCTION_PROCESSES = ["broken"]
        """,
    )


def test_the_proposal_for_a_real_wsgi_project_with_celery_passes_check(shop: RealProject) -> None:
    (_, above), (file, block), (_, dockerfile), (_, procfile) = shop.proposal("--noinput")[0]

    assert "#   Celery app shop.celery.app, with a schedule\n" in above
    assert "Not installed" not in above
    assert file == "shop/settings.py"
    assert "--requirement requirements.txt wheels/*.whl\n" in dockerfile
    assert list(parse_procfile(procfile).processes) == ["web", "worker", "beat"]
    names = "migrate, collectstatic, web, worker, beat"
    good, plan, how = shop.check(block)[-3:]
    assert good == f"No problems found: {names}."
    assert re.fullmatch(r"migrate: 18 to apply: contenttypes.0001_initial, .* and 13 more", plan)
    assert how == f"{names}: forked"


def test_the_proposal_for_a_real_asgi_project_with_broken_settings_passes_check(
    chat: RealProject,
) -> None:
    found, said = chat.proposal()
    (_, above), (_, block), _, (_, procfile) = found

    assert said == "stdin is not a terminal: asking nothing, as with --noinput.\n"
    assert "# PRODUCTION_PROCESSES is already set, but wrong: " in above
    assert list(parse_procfile(procfile).processes) == ["web", "tasks"]
    good, plan, how = chat.check(block)[-3:]
    assert good == "No problems found: migrate, web, tasks."
    assert re.fullmatch(r"migrate: \d+ to apply: contenttypes.0001_initial, .* more", plan)
    assert how == "migrate, web, tasks: forked"


SCHEDULING = """\
from celery import Celery

app = Celery()


@app.task
def report(): ...


@app.on_after_finalize.connect
def add(sender, **kwargs):
    sender.add_periodic_task(60, report.s())
"""


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("celery_app", "from celery import Celery\nqueue = Celery()\n", "shop.celery_app.queue"),
        # The schedule may be in the app as well as in the settings.
        (
            "celery",
            SCHEDULING,
            "shop.celery.app, with a schedule",
        ),
        ("celery", "vegetable = 'celery'\n", ""),
    ],
)
def test_the_celery_app_is_found_in_the_modules_of_the_project(
    site: Site, tmp_path: Path, module: str, source: str, found: str
) -> None:
    project = RealProject(site, tmp_path, "shop", 'INSTALLED_APPS += ["django_prodserver"]')
    (project.folder / "shop" / f"{module}.py").write_text(source)

    above = project.proposal("--noinput")[0][0][1]

    assert re.findall("^#   Celery app (.*)$", above, re.MULTILINE) == ([found] if found else [])


def test_a_celery_app_that_cannot_be_imported_is_noted(shop: RealProject) -> None:
    (shop.folder / "shop" / "celery.py").write_text("1 / 0\n")

    above = shop.proposal("--noinput")[0][0][1]

    note = "# shop.celery cannot be imported: ZeroDivisionError: division by zero "
    assert f"{note}(" in above
    assert "shop/celery.py, line 1).\n" in above
    assert "#   Celery app shop.celery.app, with a schedule\n" in above


def test_no_server_is_imported(shop: RealProject) -> None:
    """Together the imports take a second, and some servers change the process."""
    program = (
        "import sys; sys.path.insert(0, '.'); import django; from django.conf import settings;"
        "django.setup(); from django.core.management import call_command;"
        "call_command('prodserver', '--init', '--noinput');"
        "print(*{m.partition('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    settings = {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    run = shop.site.command(command, cwd=shop.folder, env=settings)

    assert run.end() == 0
    loaded = set(run.stderr.splitlines()[-1].split())
    assert "celery" in loaded
    assert loaded & {server.package for server in SERVERS} == set()


def test_init_asks_on_stderr_and_prints_only_the_proposal_on_stdout(
    shop: RealProject,
) -> None:
    terminal = Terminal()
    terminal.type(b"waitress\n81\nnone\nworker\n")
    run = shop.manage("--init", stdin=terminal.slave)
    os.close(terminal.slave)

    assert run.end() == 0
    os.close(terminal.master)
    found = executed(parts("".join(line + "\n" for line in run.raw))[1][1])
    assert found["web"] == {"BACKEND": "waitress", "ARGS": {"host": "0.0.0.0", "port": "81"}}
    assert list(found) == ["web", "worker"]
    assert "[worker beat] " in run.stderr


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_cancelling_prints_nothing(shop: RealProject, key: bytes) -> None:
    terminal = Terminal()
    # The prompt is on stderr, which the test reads through the terminal, as a user does.
    run = terminal.start(
        shop.site, {}, "--init", "--no-color", program=shop.program, stderr=terminal.slave
    )
    run.wait_for("", r"Press Enter to accept the \[default\]")

    terminal.type(key)

    assert run.end() == 1
    assert run.raw[-1] == "CommandError: Cancelled; nothing was printed."
    assert not any("PRODUCTION_PROCESSES" in line for line in run.raw)


# ---- the page about it ----


def test_the_docs_page_shows_the_actual_output_of_the_wizard() -> None:
    shop = replace(
        SHOP, packages={**SHOP.packages, **{server.package: "99.0" for server in SERVERS}}
    )
    note = "The database is the file /srv/shop/db.sqlite3: in a container it needs a volume."
    shop = replace(shop, notes=(note,))
    page = (ROOT / "docs" / "start" / "start-with-the-wizard.md").read_text(encoding="utf-8")
    user = Typing("", "", "", "")

    answers = questions.ask(shop, user)
    printed = parts(texts.whole(shop, propose(shop, answers)))

    for _, part in printed:
        assert f"\n{part.strip()}\n```" in page
    console = "\n".join(line.rstrip() for line in user.heard)
    assert f"proposal.txt\n{console}\n```" in page


def test_the_docs_page_names_every_path_file_and_app_that_is_inspected() -> None:
    page = (ROOT / "docs" / "start" / "start-with-the-wizard.md").read_text(encoding="utf-8")
    text = " ".join(page.split())

    for names in (look.HEALTH, DEPENDENCIES):
        *others, last = (f"`{name}`" for name in names)
        assert ", ".join(others) in text
        assert last in text
    for app, (name, *_) in QUEUE_APPS.items():
        assert f"`{app}`" in text
        assert f"`{name}`" in text
