"""`prodserver --init` on the layouts of real projects, rebuilt small: what it proposes runs.

The layouts are those of healthchecks, linkding, BookWyrm, NetBox and paperless-ngx, as their
repositories were in 2026: where the files are, their names, and what they start. Packages that are
not installed here have stand-ins of the same name.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest
from honcho.environ import parse_procfile

from django_prodserver.wizard import files, today
from django_prodserver.wizard.project import OwnCommand, Project, Run
from django_prodserver.wizard.proposal import (
    Answers,
    default_answers,
    further_workers,
    propose,
)
from tests.inside import free_port
from tests.peers import get
from tests.running import Site, skip_without
from tests.test_wizard import executed, parts

MANAGE = """\
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
execute_from_command_line(sys.argv)
"""
SETTINGS = """\
SECRET_KEY = "x"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.staticfiles", "django_prodserver"]
MIDDLEWARE = []
ROOT_URLCONF = "{package}.urls"
WSGI_APPLICATION = "{package}.wsgi.application"
STATIC_URL = "/static/"
STATIC_ROOT = "{folder}/collected"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{folder}/db"}}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
URLS = """\
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("it works"))]
"""
APPLICATION = """\
import os
from django.core.{0} import get_{0}_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{1}")
application = get_{0}_application()
"""
LOOP = """\
import signal
from django.core.management.base import BaseCommand

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("--loop", action="store_true")

    def handle(self, **options):
        self.stdout.write("looping")
        while True:
            signal.pause()
"""
ONCE = """\
from django.core.management.base import BaseCommand

class Command(BaseCommand):
    def handle(self, **options):
        self.stdout.write("done")
"""
CELERY = """\
from celery import Celery
app = Celery("{0}")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""
WHITENOISE = "def WhiteNoiseMiddleware(get_response):\n    return get_response\n"


def command(app: str, name: str, text: str = ONCE) -> dict[str, str]:
    folders = (app, f"{app}/management", f"{app}/management/commands")
    return {**{f"{f}/__init__.py": "" for f in folders}, f"{folders[-1]}/{name}.py": text}


class Layout:
    """A project of these files; the names are those in its repository."""

    def __init__(
        self,
        site: Site,
        top: Path,
        package: str,
        added: Mapping[str, str],
        settings: str = "",
        folder: str = "",
        module: str = "settings.py",
    ) -> None:
        self.site, self.top = site, top / "repository"
        self.root = self.top / folder
        self.package = package
        self.settings = self.root / package / module
        dotted = f"{package}.{module[:-3].replace('/', '.')}".replace(".__init__", "")
        text = SETTINGS.format(package=package, folder=self.root) + textwrap.dedent(settings)
        mine = {
            "manage.py": MANAGE.format(settings=dotted),
            f"{package}/__init__.py": "",
            f"{package}/urls.py": URLS,
            f"{package}/wsgi.py": APPLICATION.format("wsgi", dotted),
            f"{package}/asgi.py": APPLICATION.format("asgi", dotted),
        }
        if "/" in module:
            mine[f"{package}/{module.rpartition('/')[0]}/__init__.py"] = ""
        mine[f"{package}/{module}"] = text
        for name, content in mine.items():
            self.write(self.root / name, content)
        for name, content in added.items():
            self.write(self.top / name, textwrap.dedent(content))

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def manage(self, *arguments: str, **kwargs: Any) -> Any:
        program = ("-W", "ignore", str(self.root / "manage.py"), "prodserver")
        return self.site({}, *arguments, program=program, cwd=self.root, **kwargs)

    def init(self, **kwargs: Any) -> None:
        run = self.manage("--init", "--noinput", **kwargs)
        assert run.end() == 0, run.stderr
        (_, self.above), *rest = parts("".join(line + "\n" for line in run.raw))
        self.headings = [heading for heading, _ in rest]
        self.block, self.dockerfile, self.procfile = (text for _, text in rest)
        self.processes = executed(self.block)

    def answers(self, *options: str) -> None:
        """Assert that the proposal passes --check, starts, and answers."""
        port = free_port()
        # If the project has its own PORT, the address is fixed.
        assert self.block.count("8000") == 1
        block = self.block if '"PORT"' in self.block else self.block.replace("8000", str(port))
        self.settings.write_text(self.settings.read_text() + "\n" + block)
        env = {"PORT": str(port)}
        check = self.manage("--check", env=env)
        assert check.end() == 0, check.stderr
        run = self.manage("--all", "--no-timestamps", *options, env=env)
        run.wait_for("system", "^all [0-9]+ ready")
        assert get(port) == "it works"
        assert run.end(SIGTERM) == 0


def test_the_proposal_for_healthchecks_runs(site: Site, tmp_path: Path) -> None:
    """uWSGI with attached daemons, WhiteNoise, django-compressor, and commands that loop."""
    hc = Layout(
        site,
        tmp_path,
        "hc",
        {
            "requirements.txt": "django\n",
            **command("hc/api", "sendalerts", LOOP),
            **command("hc/api", "sendreports", LOOP),
            **command("hc/api", "smtpd", LOOP),
            **command("hc/api", "prunepings"),
            **command("compressor", "compress"),
            "whitenoise/__init__.py": "",
            "whitenoise/middleware.py": WHITENOISE,
            "docker/uwsgi.ini": """\
                [uwsgi]
                master
                http-socket = :8000
                processes = 4
                chdir = /opt/healthchecks
                module = hc.wsgi:application

                hook-pre-app = exec:./manage.py migrate
                attach-daemon = ./manage.py sendalerts
                attach-daemon = ./manage.py sendreports --loop

                if-env = SMTPD_PORT
                attach-daemon = ./manage.py smtpd --port %(_)
                endif =
                """,
            "docker/Dockerfile": 'FROM x\nCMD [ "uwsgi", "/opt/healthchecks/docker/uwsgi.ini"]\n',
        },
        settings="""
            INSTALLED_APPS += ["hc.api", "compressor"]
            MIDDLEWARE += ["whitenoise.middleware.WhiteNoiseMiddleware"]
            COMPRESS_OFFLINE = True
            """,
    )

    hc.init()

    always = {"RESTART": "on-failure", "AFTER": ["migrate"]}
    assert hc.processes == {
        "migrate": {"BACKEND": "migrate"},
        "web": {
            "BACKEND": "uwsgi",
            "ARGS": {"http-socket": "0.0.0.0:8000", "workers": 4},
            "AFTER": ["migrate"],
        },
        "sendalerts": {"BACKEND": "command", "ARGS": ["sendalerts"], **always},
        "sendreports": {"BACKEND": "command", "ARGS": ["sendreports", "--loop"], **always},
    }
    # WhiteNoise serves the files from the image.
    assert "RUN python manage.py collectstatic --noinput\nRUN python manage.py compress\n" in (
        hc.dockerfile
    )
    assert "before each start: python manage.py collectstatic --noinput && python" in hc.above
    assert "docker/uwsgi.ini runs `manage.py smtpd --port %(_)`, left out: " in hc.above
    assert "left out because nothing says that they run today: smtpd. " in hc.above
    assert "Other commands of the project, left out: prunepings. " in hc.above
    hc.answers()


def test_the_proposal_for_linkding_runs(site: Site, tmp_path: Path) -> None:
    """A settings package, supervisord that runs huey, uWSGI, and dependencies locked by uv."""
    linkding = Layout(
        site,
        tmp_path,
        "bookmarks",
        {
            "uv.lock": "",
            "pyproject.toml": "[project]\nname = 'linkding'\n",
            **command("bookmarks", "generate_secret_key"),
            "supervisord.conf": """\
                [supervisord]
                user=root

                [program:jobs]
                command=python manage.py run_huey --workers 1 ; not more
                stdout_logfile=background_tasks.log
                """,
            "uwsgi.ini": "[uwsgi]\nmodule = bookmarks.wsgi:application\nprocesses = 2\n",
        },
        settings="""
            INSTALLED_APPS += ["bookmarks", "huey.contrib.djhuey"]
            HUEY = {"huey_class": "huey.MemoryHuey", "immediate": False}
            """,
        module="settings/prod.py",
    )

    linkding.init()

    assert linkding.headings[0] == "bookmarks/settings/prod.py"
    assert linkding.processes["jobs"] == {
        "BACKEND": "huey",
        "ARGS": ["--workers", "1"],
        "RESTART": "on-failure",
        "AFTER": ["migrate"],
    }
    assert list(linkding.processes) == ["migrate", "collectstatic", "web", "jobs"]
    assert linkding.processes["web"]["BACKEND"] == "uwsgi"
    assert linkding.processes["web"]["ARGS"]["workers"] == 2
    assert "COPY pyproject.toml uv.lock ./\n" in linkding.dockerfile
    assert "Other commands of the project, left out: generate_secret_key. " in linkding.above
    linkding.answers()


def test_the_proposal_for_bookwyrm_runs(site: Site, tmp_path: Path) -> None:
    """A Celery app in its own package, a PORT with another meaning, and a compose file."""
    bookwyrm = Layout(
        site,
        tmp_path,
        "bookwyrm",
        {
            "requirements.txt": "django\n",
            "celerywyrm/__init__.py": "",
            "celerywyrm/settings.py": "from bookwyrm.settings import *\n",
            "celerywyrm/celery.py": """\
                import os
                from celery import Celery
                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "celerywyrm.settings")
                app = Celery("celerywyrm")
                app.config_from_object("django.conf:settings", namespace="CELERY")
                """,
            "django_celery_beat/__init__.py": "",
            **command("bookwyrm", "compile_themes"),
            "docker-compose.yml": """\
                services:
                  nginx:
                    image: nginx:1.25.2
                  web:
                    build: .
                    command: gunicorn bookwyrm.wsgi:application --bind 0.0.0.0:8000 --threads 3
                  redis_broker:
                    image: redis:7.2.1
                    command: redis-server --port ${REDIS_BROKER_PORT}
                  celery_worker:
                    build: .
                    command: celery -A celerywyrm worker -l info -Q high,low --pidfile=/x
                  celery_imports:
                    build: .
                    command: celery -A celerywyrm worker -l info -c ${IMPORT_WORKERS:-1} -Q imports
                  celery_beat:
                    build: .
                    command: celery -A celerywyrm beat --schedule /tmp/schedule-of-a-test
                """,
            "docker-compose.dev.yml": "services: {x: {build: ., command: ./manage.py x}}\n",
        },
        settings="""
            import os
            INSTALLED_APPS += ["bookwyrm", "django_celery_beat"]
            PORT = int(os.environ.get("PORT", "443"))
            CELERY_BROKER_URL = "memory://"
            """,
    )

    bookwyrm.init()

    always = {"APP": "celerywyrm.celery.app", "RESTART": "on-failure", "AFTER": ["migrate"]}
    found = bookwyrm.processes
    assert list(found)[2:] == ["web", "celery_worker", "celery_imports", "celery_beat"]
    assert found["web"]["ARGS"] == {"bind": "0.0.0.0:8000", "workers": 2, "threads": 3}
    assert found["celery_worker"] == {
        "BACKEND": "celery",
        "ARGS": ["-l", "info", "-Q", "high,low"],
        **always,
    }
    assert found["celery_imports"]["ARGS"] == ["-l", "info", "-c", "1", "-Q", "imports"]
    assert 'os.environ.get("IMPORT_WORKERS", "1")' in bookwyrm.block
    assert "without --pidfile=/x: it is supervised." in bookwyrm.block
    assert found["celery_beat"]["BACKEND"] == "celery-beat"
    assert "PORT has a meaning of its own in bookwyrm/settings.py, so " in bookwyrm.above
    assert "DJANGO_SETTINGS_MODULE=celerywyrm.settings" in bookwyrm.above
    assert "left out: compile_themes. " in bookwyrm.above
    assert "dev.yml" not in bookwyrm.above
    bookwyrm.answers()


def test_the_proposal_for_netbox_runs(site: Site, tmp_path: Path) -> None:
    """manage.py in a folder, requirements above it, gunicorn.conf.py, RQ with its own command."""
    netbox = Layout(
        site,
        tmp_path,
        "netbox",
        {
            "requirements.txt": "django\n",
            "netbox/gunicorn.conf.py": "import os\nbind = '127.0.0.1:' + os.environ['PORT']\n"
            "workers: int = 1\n",
            **{
                f"netbox/{name}": text
                for name, text in command(
                    "core",
                    "rqworker",
                    "from django_rq.management.commands.rqworker import Command as C\n"
                    "class Command(C): pass\n",
                ).items()
            },
            "contrib/netbox-rq.service": """\
                [Service]
                ExecStart=/opt/netbox/venv/bin/python3 /opt/netbox/netbox/manage.py rqworker high \\
                    default
                """,
        },
        settings="""
            INSTALLED_APPS = ["core", "django_rq", *INSTALLED_APPS]
            RQ_QUEUES = {"high": {"URL": "redis://127.0.0.1:1"}, "default": {"URL": "redis://x:1"}}
            """,
        folder="netbox",
    )

    netbox.init()

    assert netbox.headings == [
        "netbox/settings.py",
        "../Dockerfile",
        "../Procfile, for a host that reads one instead",
    ]
    assert netbox.processes["web"] == {"BACKEND": "gunicorn", "AFTER": ["migrate", "collectstatic"]}
    assert "# Its bind and workers are those of gunicorn.conf.py.\n" in netbox.block
    assert netbox.processes["rqworker"]["ARGS"] == ["high", "default"]
    assert "COPY requirements.txt ./\n" in netbox.dockerfile
    assert "USER 1000\nWORKDIR /srv/site/netbox\n" in netbox.dockerfile
    line = "cd netbox && exec python manage.py prodserver web"
    assert parse_procfile(netbox.procfile).processes["web"] == line
    assert "Commands" not in netbox.above
    netbox.settings.write_text(netbox.settings.read_text() + "\n" + netbox.block)
    port = free_port()
    run = netbox.manage(
        "--all", "--no-timestamps", "--except", "rqworker", "rqscheduler", env={"PORT": str(port)}
    )
    run.wait_for("system", "^all [0-9]+ ready")
    assert get(port) == "it works"
    assert run.end(SIGTERM) == 0


def test_the_proposal_for_paperless_runs(site: Site, tmp_path: Path) -> None:
    """manage.py in src, a Pipfile above it, ASGI, its own number of tasks, and a consumer."""
    skip_without("gunicorn.asgi")
    paperless = Layout(
        site,
        tmp_path,
        "paperless",
        {
            "Pipfile": "",
            "Pipfile.lock": "{}",
            "gunicorn.conf.py": "workers = 1\n",
            "src/paperless/celery.py": CELERY.format("paperless"),
            **{
                f"src/{name}": text
                for name, text in command("documents", "document_consumer", LOOP).items()
            },
            "src/whitenoise/__init__.py": "",
            "src/whitenoise/middleware.py": WHITENOISE,
            "docker/supervisord.conf": """\
                [supervisord]
                nodaemon=true               ; start in foreground

                [program:gunicorn]
                command=gunicorn -c /usr/src/gunicorn.conf.py paperless.asgi:application

                [program:consumer]
                command=python3 manage.py document_consumer

                [program:celery]
                command=celery --app paperless worker --loglevel INFO

                [program:flower]
                command=/usr/local/bin/flower-conditional.sh
                """,
        },
        settings="""
            INSTALLED_APPS += ["documents"]
            MIDDLEWARE += ["whitenoise.middleware.WhiteNoiseMiddleware"]
            ASGI_APPLICATION = "paperless.asgi.application"
            CELERY_BROKER_URL = "memory://"
            CELERY_WORKER_CONCURRENCY = 1
            CELERY_BEAT_SCHEDULE = {"x": {"task": "paperless.x", "schedule": 3600}}
            CELERY_BEAT_SCHEDULE_FILENAME = "/tmp/schedule-of-a-test"
            """,
        folder="src",
    )

    paperless.init()

    always = {"RESTART": "on-failure", "AFTER": ["migrate"]}
    app = {"APP": "paperless.celery.app"}
    assert list(paperless.processes) == ["migrate", "web", "consumer", "celery", "beat"]
    assert paperless.processes["web"] == {
        "BACKEND": "gunicorn-asgi",
        "ARGS": {"bind": "0.0.0.0:8000", "config": "../gunicorn.conf.py"},
        "AFTER": ["migrate"],
    }
    assert paperless.processes["consumer"] == {
        "BACKEND": "command",
        "ARGS": ["document_consumer"],
        **always,
    }
    assert paperless.processes["celery"] == {
        "BACKEND": "celery",
        **app,
        "ARGS": ["--loglevel", "INFO"],
        **always,
    }
    assert "flower-conditional.sh`, left out: the program is not known here" in paperless.above
    assert "COPY Pipfile Pipfile.lock ./\n" in paperless.dockerfile
    paperless.answers()


# ---- recognizing what runs today ----


def taken(*commands: str, file: str = "Procfile") -> today.Today:
    """What is recognized in these lines of a Procfile, each `name: command`."""
    text = "".join(f"{line}\n" for line in commands)
    runs = [
        Run(file, said.name, tuple(files.words(said.command)), said.first)
        for said in files.procfile(text)
        if isinstance(said, files.Command)
    ]
    return today.today(Project("shop.settings", "3.13", runs=tuple(runs)))


@pytest.mark.parametrize(
    ("command", "package", "interface", "options", "port"),
    [
        ("gunicorn shop.wsgi", "gunicorn", "WSGI", {}, None),
        (
            "exec gunicorn -w 4 -b :8001 --preload shop.wsgi:application",
            "gunicorn",
            "WSGI",
            {"workers": 4, "preload": True},
            8001,
        ),
        ("gunicorn shop.wsgi --daemon -p x.pid -w4", "gunicorn", "WSGI", {"workers": 4}, None),
        (
            "cd /app && DEBUG= poetry run gunicorn shop.asgi -k uvicorn.workers.UvicornWorker",
            "gunicorn",
            "ASGI",
            {"worker-class": "uvicorn.workers.UvicornWorker"},
            None,
        ),
        (
            'sh -c "python manage.py migrate && exec python -m uvicorn --port 80 shop.asgi:app"',
            "uvicorn",
            "ASGI",
            {},
            80,
        ),
        ("/venv/bin/daphne -b 0.0.0.0 -p 8001 shop.asgi:application", "daphne", "ASGI", {}, 8001),
        ("granian --interface wsgi shop.wsgi --workers 3", "granian", "WSGI", {"workers": 3}, None),
        ("waitress-serve --listen=*:8080 shop.wsgi:application", "waitress", "WSGI", {}, 8080),
        (
            "gunicorn shop.wsgi --workers $N --bind 0.0.0.0:$PORT",
            "gunicorn",
            "WSGI",
            {"workers": 'os.environ.get("N", "")'},
            None,
        ),
    ],
)
def test_a_server_is_recognized_from_its_command(
    command: str, package: str, interface: str, options: dict[str, Any], port: Any
) -> None:
    found = taken(f"web: {command}")

    assert found.left_out == ()
    assert found.serving is not None
    serving = found.serving
    got = (serving.package, serving.interface, serving.options, serving.port)
    assert got == (package, interface, options, port)


@pytest.mark.parametrize(
    ("command", "backend", "settings"),
    [
        ("celery -A shop worker -B", "celery", {"APP": "shop", "ARGS": ["-B"]}),
        (
            "celery worker --app=shop.celery:app -D --concurrency=3",
            "celery",
            {"APP": "shop.celery.app", "ARGS": ["--concurrency=3"]},
        ),
        (
            "celery -A shop flower --basic_auth=${ME}:$PW",
            "celery-flower",
            {
                "APP": "shop",
                "ARGS": [
                    '"--basic_auth=" + os.environ.get("ME", "") + ":" + os.environ.get("PW", "")'
                ],
            },
        ),
        ("python -u manage.py rqworker high low", "rq", {"ARGS": ["high", "low"]}),
        ("django-admin qcluster", "django-q2", {}),
        ("./manage.py procrastinate worker --wait", "procrastinate", {"ARGS": ["--wait"]}),
        (
            "uv run manage.py poll_mail --every 5",
            "command",
            {"ARGS": ["poll_mail", "--every", "5"]},
        ),
    ],
)
def test_a_worker_is_recognized_from_its_command(
    command: str, backend: str, settings: dict[str, Any]
) -> None:
    found = taken(f"w: {command}")

    assert found.left_out == ()
    assert [(w.name, w.backend, w.settings) for w in found.workers] == [("w", backend, settings)]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("nginx -g 'daemon off;'", "the program is not known here; BACKEND `shell` runs any"),
        ("manage.py runserver", "it is for development"),
        ("celery -A shop beat -s `mktemp`", "what '`mktemp`' stands for is not known here"),
        ("celery -A shop inspect ping", "it is neither a worker, nor beat, nor flower"),
    ],
)
def test_a_command_that_is_left_out_is_reported_with_the_reason(command: str, reason: str) -> None:
    found = taken(f"w: {command}")

    shown = command.replace("'", "")
    assert found.left_out == (f"Procfile runs `{shown}`, left out: {reason}.",)
    assert (found.serving, found.workers) == (None, ())


@pytest.mark.parametrize("program", ["manage.py prodserver", "-m django_prodserver"])
def test_a_command_that_runs_prodserver_is_not_proposed_as_a_process(program: str) -> None:
    found = taken(f"all: python {program} --all", f"job: python {program} migrate=1")

    assert (found.serving, found.workers, found.first, found.left_out) == (None, (), (), ())


def test_a_command_that_runs_before_the_rest_becomes_a_oneshot() -> None:
    found = taken(
        "release: python manage.py migrate && python manage.py load_countries --quiet",
        "web: python manage.py warm_up && gunicorn shop.wsgi",
    )

    assert found.first == (("migrate",), ("load_countries", "--quiet"), ("warm_up",))
    assert found.workers == ()


def test_the_first_file_decides_how_each_kind_of_process_runs() -> None:
    procfile = (Run("Procfile", "a", ("celery", "-A", "shop", "worker", "-Q", "a")),)
    procfile += (Run("Procfile", "b", ("celery", "-A", "shop", "worker", "-Q", "b")),)
    compose = (Run("compose.yml", "worker", ("celery", "-A", "shop", "worker")),)
    compose += (Run("compose.yml", "beat", ("celery", "-A", "shop", "beat")),)

    found = today.today(Project("shop.settings", "3.13", runs=(*procfile, *compose)))

    assert [worker.name for worker in found.workers] == ["a", "b", "beat"]


def test_process_names_are_unique_and_valid_in_a_procfile() -> None:
    runs = (
        Run("compose.yml", "my worker", ("./manage.py", "one")),
        Run("compose.yml", "my.worker", ("./manage.py", "two")),
        Run("compose.yml", "web", ("./manage.py", "three")),
        Run("compose.yml", "migrate", ("./manage.py", "four")),
    )

    found = today.today(Project("shop.settings", "3.13", runs=runs))

    assert [worker.name for worker in found.workers] == [
        "my-worker",
        "my-worker-2",
        "three",
        "migrate-2",
    ]


def test_a_procfile_is_read_as_honcho_reads_it() -> None:
    text = "# web: no\nweb: gunicorn  a:b\n\n a: b\nwork_er-1:x y:z\nb ad: c\nempty:\n"

    said = list(files.procfile(text))
    found = {one.name: one.command for one in said if isinstance(one, files.Command)}

    assert found == dict(parse_procfile(text).processes)
    refused = [one for one in said if isinstance(one, str)]
    assert [one.partition(",")[0] for one in refused] == [
        ": ' a' is left out",
        ": 'b ad' is left out",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("supervisord.conf", "command=x\n"),
        ("uwsgi.ini", "no section\n"),
        ("compose.yml", "a: [\n"),
        ("compose.yml", "services: [a]\n"),
        ("compose.yml", "- a\n"),
        (
            "compose.yml",
            "services: {a: b, c: {image: x, command: 1}, d: {build: ., command: null}}\n",
        ),
        ("compose.yml", 'services: {a: {build: ., command: "it\'s"}}\n'),
        ("Procfile", "web: it's\n"),
        ("Dockerfile", "CMD [web\n"),
        ("Dockerfile", "FROM x\n"),
        ("x.service", "[Service]\n[Service]\nExecStart=\n"),
    ],
)
def test_a_malformed_file_causes_at_most_a_note(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    notes: list[str] = []

    assert files.runs(tmp_path, [tmp_path], notes) == ()
    assert all(
        re.match(rf"{name}(, \w+)? (may say what runs today, |is left out[,:] )", note)
        or note.startswith(f"{name}, c is not converted: ")
        for note in notes
    )


def test_a_compose_file_is_noted_if_pyyaml_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "compose.yml").write_text("services: {a: {command: celery worker}}\n")
    notes: list[str] = []

    assert files.runs(tmp_path, [tmp_path], notes) == ()
    reason = "PyYAML is not installed here, run: pip install PyYAML"
    assert notes == [f"compose.yml may say what runs today, but was not read: {reason}."]


def test_a_parent_folder_belongs_to_the_project_only_within_its_repository(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    root = tmp_path / "shop"
    root.mkdir()

    assert files.folders(root) == [root, tmp_path]
    (root / "pyproject.toml").write_text("[project]\n")
    assert files.folders(root) == [root]
    (tmp_path / ".git").mkdir()
    assert files.folders(root) == [root, tmp_path]
    (root / ".git").mkdir()
    assert files.folders(root) == [root]


@pytest.mark.parametrize(
    ("text", "sets", "port"),
    [
        ("bind = '0.0.0.0:81'\nworkers = 2\n", {"bind", "workers"}, 81),
        ("if True:\n    workers: int = 2\n", {"workers"}, None),
        ("from base import *\n", {"*", "bind", "workers"}, None),
        ("import os\nbind = ':' + os.environ['PORT']\n", {"bind"}, None),
        ("bind = [\n", set(), None),
    ],
)
def test_the_settings_and_port_of_a_gunicorn_file_are_recognized(
    tmp_path: Path, text: str, sets: set[str], port: Any
) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(text)

    found = files.gunicorn_file(tmp_path / "gunicorn.conf.py", "x")

    assert (found.sets, found.port) == (sets, port)


def test_a_celery_app_that_was_not_found_is_noted() -> None:
    project = Project("shop.settings", "3.13", apps=frozenset({"django_celery_beat"}))

    assert any("neither worker nor beat" in note for note in propose(project, Answers()).notes)


def test_a_command_that_loops_is_offered_but_not_selected_by_default() -> None:
    project = Project(
        "shop.settings", "3.13", own_commands=(OwnCommand("poll", True), OwnCommand("clean"))
    )

    assert default_answers(project).workers == ()
    assert further_workers(project)[0].settings == {
        "BACKEND": "command",
        "ARGS": ["poll"],
        "RESTART": "on-failure",
    }
    assert propose(project, Answers(workers=("poll",))).services == ["poll"]
