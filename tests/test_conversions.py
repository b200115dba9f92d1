"""`prodserver --init`: what becomes of each key of the files that run a project today.

The files are modelled on weblate's supervisord.conf, the compose files of paperless-ngx and NetBox,
and cookiecutter-django's Procfile.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_prodserver.settings.load import load
from django_prodserver.settings.names import PROCESSES
from django_prodserver.wizard import files, keys, texts
from django_prodserver.wizard.project import CeleryApp, Project
from django_prodserver.wizard.proposal import Proposal, default_answers, propose
from tests.exports.projects import MACHINE, PROJECTS, exported
from tests.running import ROOT
from tests.test_wizard import executed


def project(folder: Path, **given: Any) -> Project:
    """The project with the files of this folder."""
    notes: list[str] = []
    runs = files.runs(folder, [folder], notes)
    return Project(
        "shop.settings",
        "3.13",
        wsgi="shop.wsgi:application",
        packages={"gunicorn": "27.0.1", "celery": "5.7.0"},
        celery=CeleryApp("shop.celery.app"),
        runs=runs,
        notes=tuple(notes),
        **given,
    )


def converted(folder: Path, name: str, text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The processes that replace this file, accepted by their own checks; and the notes."""
    (folder / name).write_text(textwrap.dedent(text))
    found = project(folder)
    proposal = propose(found, default_answers(found))
    return valid(proposal), proposal.notes


def valid(proposal: Proposal) -> dict[str, Any]:
    processes = executed(texts.settings_block(proposal))
    with override_settings(**{PROCESSES: processes}):
        assert load({}).findings == []
    return processes


def settings_of(folder: Path, name: str, text: str) -> tuple[dict[str, Any], list[str]]:
    """The settings of a file's only process, without the command; and the notes."""
    (folder / name).write_text(text)
    notes: list[str] = []
    (run,) = files.runs(folder, [folder], notes)
    return dict(run.settings), notes


# ---- supervisord ----

WEBLATE = """\
    [supervisord]
    nodaemon=true
    environment=LANG="C.UTF-8"

    [program:check]
    command=python manage.py check --deploy
    autorestart=false
    startsecs=0
    priority=1

    [program:web]
    command=gunicorn shop.wsgi --workers 2
    directory=/app/src
    autorestart=true
    stopwaitsecs=30
    stdout_logfile=/dev/fd/1
    stdout_logfile_maxbytes=0
    redirect_stderr=true

    [program:celery-notify]
    command=celery -A shop worker --queues=notify --concurrency=%(ENV_NOTIFY)s
    numprocs=2
    process_name=%(program_name)s_%(process_num)02d
    environment=QUEUE="notify",HOME="%(ENV_HOME)s",NUMBER="%(process_num)02d",API_TOKEN="x"
    user=weblate
    umask=027
    startretries=5
    stopsignal=INT
    stopwaitsecs=600
    stopasgroup=true
    killasgroup=true
    stderr_logfile=/var/log/celery.err
    autostart=false

    [group:workers]
    programs=celery-notify

    [eventlistener:die]
    command=kill.py
    events=PROCESS_STATE_FATAL
    """


def test_a_supervisord_conf_like_that_of_weblate_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY", "3")
    monkeypatch.setenv("HOME", "/home/weblate")

    processes, notes = converted(tmp_path, "supervisord.conf", WEBLATE)

    assert processes == {
        "check": {"BACKEND": "command", "ARGS": ["check", "--deploy"], "TYPE": "oneshot"},
        "web": {
            "BACKEND": "gunicorn",
            "ARGS": {"bind": "0.0.0.0:8000", "workers": 2},
            "CWD": "/app/src",
            "RESTART": "always",
            "STOP_TIMEOUT": 30,
            "AFTER": ["check"],
        },
        "celery-notify": {
            "BACKEND": "celery",
            "APP": "shop.celery.app",
            "ARGS": ["--queues=notify", "--concurrency=3"],
            "REPLICAS": 2,
            "USER": "weblate",
            "UMASK": "0027",
            "START_LIMIT": {"BURST": 6},
            "STOP_SIGNAL": "SIGINT",
            "STOP_TIMEOUT": 600,
            "ENABLED": False,
            "ENV": {"QUEUE": "notify", "HOME": "/home/weblate"},
            "RESTART": "on-failure",
            "AFTER": ["check"],
        },
    }
    assert notes == (
        (
            "supervisord.conf, [supervisord]: `environment` is not carried over: set it where the "
            "supervisor is started, or in each ENV."
        ),
        (
            "supervisord.conf, check: `priority` is not carried over: write AFTER, which also "
            "waits until the other process is ready."
        ),
        (
            "supervisord.conf, celery-notify: `stopasgroup` is not carried over: the stop signal "
            "goes to the main process only, so that it can finish its work."
        ),
        (
            "supervisord.conf, celery-notify: `stderr_logfile` is not carried over: all output "
            "goes to stdout, each line with the name of its process; no files are written."
        ),
        (
            "supervisord.conf, celery-notify: `NUMBER` is not carried over: what "
            "'%(process_num)02d' stands for is not known here."
        ),
        (
            "supervisord.conf, celery-notify: `API_TOKEN` is not carried over: a secret belongs "
            "in the environment of the supervisor."
        ),
        (
            "supervisord.conf: [group:workers] is not carried over: `prodctl` takes several names "
            "instead."
        ),
        (
            "supervisord.conf: [eventlistener:die] is not carried over: ON_EVENT calls functions "
            "instead."
        ),
    )


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("numprocs=1", {}),
        ("autostart=true", {}),
        ("autorestart=no", {"RESTART": "never"}),
        ("autorestart=unexpected", {"RESTART": "on-failure"}),
        ("startretries=0", {"START_LIMIT": {"BURST": 1}}),
        ("stopsignal=SIGQUIT", {"STOP_SIGNAL": "SIGQUIT"}),
        ("user=1000:www-data", {"USER": 1000, "GROUP": "www-data"}),
        ("umask=22", {"UMASK": "0022"}),
        ("directory=/srv/%(program_name)s", {"CWD": "/srv/jobs"}),
        ("environment=A=1,B='two, three',", {"ENV": {"A": "1", "B": "two, three"}}),
        ('environment=REMAP="50%%"', {"ENV": {"REMAP": "50%"}}),
        ("startsecs=0", {}),
        ("exitcodes=0", {}),
        ("stopasgroup=false", {}),
        ("stdout_events_enabled=false", {}),
        ("numprocs_start=0", {}),
    ],
)
def test_a_supported_key_of_supervisord_is_carried_over(
    tmp_path: Path, line: str, settings: dict[str, Any]
) -> None:
    text = f"[program:jobs]\ncommand=./manage.py jobs\n{line}\n"

    assert settings_of(tmp_path, "supervisord.conf", text) == (settings, [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("numprocs=many", "`numprocs` is not carried over: 'many' is not an integer from 1."),
        ("autorestart=maybe", "'maybe' is neither true nor false."),
        ("stopsignal=WINCH", "`stopsignal` is not carried over: STOP_SIGNAL is one of SIGTERM"),
        ("umask=rwx", "`umask` is not carried over: UMASK is three octal digits."),
        ("stopwaitsecs=9999999", "`stopwaitsecs` is not carried over: STOP_TIMEOUT"),
        ("directory=", "`directory` is not carried over: CWD: the path is empty."),
        ("user=4294967295", "`user` is not carried over: USER"),
        ("user=a b", "`user` is not carried over: USER and GROUP are names or ids."),
        ("environment=A", 'write it as KEY="value",KEY="value" for ENV.'),
        ('environment=A="1', "`environment` is not carried over: a quotation mark is missing"),
        ("directory=%(here)s", "what '%(here)s' stands for is not known here."),
        ("exitcodes=0,2", "each backend knows the exit statuses of its software."),
        (
            "numprocs_start=1",
            "`numprocs_start` is not carried over: instances are numbered",
        ),
        ("stdout_syslog=true", "`stdout_syslog` is not carried over: all output goes to stdout"),
        ("colour=red", "`colour` is not carried over: this key is not known here."),
    ],
)
def test_a_key_of_supervisord_that_cannot_be_carried_over_gets_a_note(
    tmp_path: Path, line: str, reason: str
) -> None:
    text = f"[program:jobs]\ncommand=./manage.py jobs\n{line}\n"

    settings, (note,) = settings_of(tmp_path, "supervisord.conf", text)

    assert settings == {}
    assert note.startswith("supervisord.conf, jobs: `")
    assert reason in note


def test_programs_without_a_valid_command_are_left_out_and_duplicates_merged(
    tmp_path: Path,
) -> None:
    text = """\
        [program:a]
        autostart=true
        [program:b]
        command=./manage.py one
        [program:b]
        command=./manage.py two
        [program:c]
        command=./manage.py "three
        """

    processes, notes = converted(tmp_path, "supervisord.conf", text)

    assert [one["ARGS"] for one in processes.values() if one["BACKEND"] == "command"] == [["two"]]
    assert notes == (
        (
            "supervisord.conf has [program:b] several times: the last of each key counts, as for "
            "supervisord."
        ),
        "supervisord.conf, a is left out: it has no command.",
        "supervisord.conf, c is left out, its command cannot be read: No closing quotation.",
    )


# ---- compose ----

COMPOSE = """\
    x-django: &django
      build: .
      env_file: .env
      volumes: [data:/data]
      environment: &environment
        REDIS_URL: redis://redis:6379
        DATABASE_URL: postgres://shop:secret@db/shop
        THREADS: 4
        DEBUG: false
        INHERITED:
      depends_on: [db, redis]

    services:
      db:
        image: mysql:9
      redis:
        image: redis:8
        command: redis-server --save 60 1
      migrate:
        build: .
        command: python manage.py migrate --noinput
        restart: "no"
        stop_grace_period: 10m
      django:
        <<: *django
        command: sh -c "python manage.py warm_up && exec gunicorn shop.wsgi --bind 0.0.0.0:80"
        ports: ["80:80"]
        restart: unless-stopped
        depends_on:
          db: {condition: service_healthy}
          migrate: {condition: service_completed_successfully}
        healthcheck:
          test: ["CMD", "curl", "-f", "http://localhost:80/health"]
          interval: 1m30s
          timeout: 5s
          retries: 5
          start_period: 30s
        user: "1000:1000"
        working_dir: /app
        mem_limit: 512m
      worker:
        <<: *django
        command: celery -A shop worker
        depends_on:
          django: {condition: service_started}
        stop_signal: SIGTERM
        stop_grace_period: 2m
        deploy:
          replicas: 3
          restart_policy: {condition: on-failure, max_attempts: 3}
          resources: {limits: {memory: 1g, cpus: "2"}}
          placement: {}
      flower:
        <<: *django
        environment: ["FLOWER_PORT=5555", "FLOWER_TOKEN=$TOKEN", HOME]
        command: celery -A shop flower
        profiles: [tools]
      shell:
        build: .
    """


def test_a_compose_file_like_that_of_paperless_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "t")

    processes, notes = converted(tmp_path, "compose.yaml", COMPOSE)

    shared = {"REDIS_URL": "redis://redis:6379", "THREADS": "4", "DEBUG": "false"}
    assert processes == {
        "migrate": {"BACKEND": "migrate", "STOP_TIMEOUT": 600},
        "warm_up": {
            "BACKEND": "command",
            "ARGS": ["warm_up"],
            "TYPE": "oneshot",
            "CWD": "/app",
            "USER": 1000,
            "GROUP": 1000,
            "ENV": shared,
            "AFTER": ["migrate"],
        },
        "web": {
            "BACKEND": "gunicorn",
            "ARGS": {"bind": "0.0.0.0:80", "workers": 2},
            "ENV": shared,
            "RESTART": "always",
            "HEALTHCHECK": {
                "HTTP": "http://localhost:80/health",
                "INTERVAL": 90,
                "TIMEOUT": 5,
                "START_PERIOD": 30,
                "RETRIES": 5,
            },
            "USER": 1000,
            "GROUP": 1000,
            "CWD": "/app",
            "MAX_MEMORY": "512MiB",
            "AFTER": ["migrate", "warm_up"],
        },
        "worker": {
            "BACKEND": "celery",
            "APP": "shop.celery.app",
            "ENV": shared,
            "STOP_SIGNAL": "SIGTERM",
            "STOP_TIMEOUT": 120,
            "REPLICAS": 3,
            "RESTART": "on-failure",
            "START_LIMIT": {"BURST": 4},
            "MAX_MEMORY": "1024MiB",
            "AFTER": ["migrate", "warm_up", "web"],
        },
        "flower": {
            "BACKEND": "celery-flower",
            "APP": "shop.celery.app",
            "ENV": {"FLOWER_PORT": "5555", "FLOWER_TOKEN": "t"},
            "ENABLED": False,
            "RESTART": "on-failure",
            "AFTER": ["migrate", "warm_up"],
        },
    }
    for note in (
        "compose.yaml, db is not converted: mysql:9 is not the project's, so keep it elsewhere.",
        "compose.yaml, redis is not converted: redis:8 is not the project's, so keep it elsewhere.",
        "compose.yaml, shell is left out: it has no command of its own, only that of its image.",
        (
            "compose.yaml, django: `volumes` and `ports` are not carried over: set it for the "
            "container that the supervisor runs in."
        ),
        (
            "compose.yaml, django: `DATABASE_URL` is not carried over: a secret belongs in the "
            "environment of the supervisor."
        ),
        (
            "compose.yaml, django: `depends_on` db is not carried over: it is not a process of "
            "the project."
        ),
        (
            "compose.yaml, worker: `deploy.placement` and `deploy.resources.limits.cpus` are not "
            "carried over: set it for the container that the supervisor runs in; memory is the "
            "only limit that a process has."
        ),
    ):
        assert note in notes


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("restart: no", {"RESTART": "never"}),
        ("restart: on-failure:3", {"RESTART": "on-failure", "START_LIMIT": {"BURST": 4}}),
        ("scale: 0", {"ENABLED": False}),
        ("stop_grace_period: 500ms", {"STOP_TIMEOUT": 0.5}),
        ("stop_signal: QUIT", {"STOP_SIGNAL": "SIGQUIT"}),
        ("healthcheck: {disable: true}", {}),
        ("healthcheck: {interval: 5s}", {}),
        (
            "healthcheck: {test: 'true', start_period: 0s}",
            {"HEALTHCHECK": {"COMMAND": ["sh", "-c", "true"]}},
        ),
        ("healthcheck: {test: [NONE]}", {}),
        (
            "healthcheck: {test: pgrep celery}",
            {"HEALTHCHECK": {"COMMAND": ["sh", "-c", "pgrep celery"]}},
        ),
        (
            "healthcheck: {test: 'curl -f http://localhost:8000/ht/ || exit 1'}",
            {"HEALTHCHECK": {"HTTP": "http://localhost:8000/ht/"}},
        ),
        (
            "healthcheck: {test: [CMD, celery, inspect, ping]}",
            {"HEALTHCHECK": {"COMMAND": ["celery", "inspect", "ping"]}},
        ),
        ("mem_limit: 1000b", {"MAX_MEMORY": 1000}),
        ("user: app", {"USER": "app"}),
        ("container_name: web", {}),
    ],
)
def test_a_supported_key_of_compose_is_carried_over(
    tmp_path: Path, key: str, settings: dict[str, Any]
) -> None:
    text = f"services:\n  web:\n    build: .\n    command: ./manage.py jobs\n    {key}\n"

    assert settings_of(tmp_path, "compose.yaml", text) == (settings, [])


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("restart: perhaps", "`restart` is not carried over: RESTART is one of never, always, on-"),
        ("scale: -1", "`scale` is not carried over: '-1' is not an integer from 1."),
        ("stop_grace_period: soon", "'soon' is not a duration such as '1m30s'."),
        (
            "mem_limit: much",
            "`mem_limit` is not carried over: 'much' is not a size, such as",
        ),
        ("healthcheck: {test: x, interval: 5w}", "'5w' is not a duration such as '1m30s'."),
        (
            "healthcheck: {test: [CMD, curl, 'http://a:b:c']}",
            "not carried over: HEALTHCHECK.HTTP:",
        ),
        ("healthcheck: [x]", "`healthcheck` is not carried over: it is not a mapping."),
        ("healthcheck: {test: [x]}", "its `test` begins with neither CMD nor CMD-SHELL."),
        (
            "environment: x",
            "`environment` is not carried over: it is neither a mapping",
        ),
        ("environment: {A=: x}", "`A=` is not carried over: it is not a variable"),
        ("environment: {REMAP_SIGTERM: SIGQUIT}", "`REMAP_SIGTERM` is not carried over: the back"),
        ("working_dir: [x]", "`working_dir` is not carried over: its value is not text."),
        ("deploy: 3", "`deploy` is not carried over: it is not a mapping."),
        (
            "entrypoint: /start.sh",
            "`entrypoint` is not carried over: look into what it does first.",
        ),
        ("env_file: .env", "`env_file` is not carried over: give these variables"),
        ("extends: base", "`extends` is not carried over: write out what the other service has."),
        ("colour: red", "`colour` is not carried over: this key is not known here."),
    ],
)
def test_a_key_of_compose_that_cannot_be_carried_over_gets_a_note(
    tmp_path: Path, key: str, reason: str
) -> None:
    text = f"services:\n  web:\n    build: .\n    command: ./manage.py jobs\n    {key}\n"

    settings, (note,) = settings_of(tmp_path, "compose.yaml", text)

    assert settings == {}
    assert note.startswith("compose.yaml, web: `")
    assert reason in note


def test_an_entrypoint_that_is_the_program_comes_before_the_command(tmp_path: Path) -> None:
    text = "services: {a: {build: ., entrypoint: [python, manage.py], command: jobs --all}}\n"
    (tmp_path / "compose.yaml").write_text(text)

    (run,) = files.runs(tmp_path, [tmp_path], notes := [])  # type: ignore[var-annotated]

    assert (run.words, notes) == (("python", "manage.py", "jobs", "--all"), [])


def test_a_cycle_of_service_dependencies_is_left_out_with_a_note(tmp_path: Path) -> None:
    text = """\
        services:
          a: {build: ., command: ./manage.py one, depends_on: [b]}
          b: {build: ., command: ./manage.py two, depends_on: [a]}
        """

    processes, notes = converted(tmp_path, "compose.yaml", text)

    assert [name for name, process in processes.items() if "AFTER" in process] == []
    assert notes == ("The dependencies in the files form a cycle, so they are left out.",)


# ---- Procfile ----


def test_a_procfile_like_that_of_cookiecutter_is_converted(tmp_path: Path) -> None:
    text = """\
        release: python manage.py migrate
        web: exec gunicorn shop.wsgi --bind 0.0.0.0:$PORT
        worker: REMAP_SIGTERM=SIGQUIT C_FORCE_ROOT=1 celery -A shop worker --loglevel=info
        my worker: ./manage.py other
        """

    processes, notes = converted(tmp_path, "Procfile", text)

    assert processes["worker"] == {
        "BACKEND": "celery",
        "APP": "shop.celery.app",
        "ARGS": ["--loglevel=info"],
        "ENV": {"C_FORCE_ROOT": "1"},
        "RESTART": "on-failure",
        "AFTER": ["migrate"],
    }
    assert list(processes) == ["migrate", "web", "worker"]
    assert notes == (
        (
            "Procfile: 'my worker' is left out, it is not the name of a process. Use letters, "
            "digits, _ and -, at most 63 characters; a name cannot begin with -."
        ),
        (
            "Procfile, worker: `REMAP_SIGTERM` is not carried over: the backends of Celery stop a "
            "worker so that it finishes its tasks."
        ),
    )


# ---- gunicorn.conf.py ----


def test_a_gunicorn_config_file_with_hooks_is_kept_and_not_executed(tmp_path: Path) -> None:
    text = """\
        raise SystemExit("run")
        bind = "0.0.0.0:9000"
        daemon = True
        pidfile = "/run/x.pid"
        def post_fork(server, worker):
            def inner(): ...
        def on_exit(server): ...
        """
    file = tmp_path / "gunicorn.conf.py"
    file.write_text(textwrap.dedent(text))

    found = files.gunicorn_file(file, "conf/gunicorn.conf.py")
    proposal = propose(given := project(tmp_path, gunicorn=found), default_answers(given))

    assert valid(proposal)["web"]["ARGS"] == {"workers": 2, "config": "conf/gunicorn.conf.py"}
    assert proposal.notes == (
        "conf/gunicorn.conf.py: remove `daemon`: it would take gunicorn away from its supervisor.",
        "conf/gunicorn.conf.py: remove `pidfile`: `prodctl status` knows the process.",
        (
            "conf/gunicorn.conf.py: `post_fork` and `on_exit` are not carried over: settings "
            "cannot hold functions, so gunicorn still reads this file."
        ),
    )


# ---- files that cannot be read ----


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("Procfile", b"web: caf\xe9", "it is not UTF-8"),
        ("compose.yaml", b"services: [a", "while parsing a flow sequence"),
        ("compose.yaml", b"version: 3", "it has no `services`"),
        ("supervisord.conf", b"command=x", "File contains no section headers"),
        ("supervisord.conf", None, "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported_in_one_sentence(
    tmp_path: Path, name: str, content: Any, reason: str
) -> None:
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)

    (note,) = project(tmp_path).notes

    assert note.startswith(f"{name} may say what runs today, but was not read: {reason}")
    assert "\n" not in note


# ---- round trips through --export ----

# The settings after the round trip: a platform waits 5 seconds longer than the supervisor, and its
# memory limit is a quarter above the one for a graceful restart.
CHAT_AGAIN: dict[str, dict[str, Any]] = {
    "supervisord": {
        name: {"CWD": "/srv/site", "RESTART": "always", **stop}
        for name, stop in {
            "web": {"STOP_SIGNAL": "SIGTERM", "STOP_TIMEOUT": 30},
            "api": {"STOP_SIGNAL": "SIGTERM", "STOP_TIMEOUT": 30},
            "static": {"STOP_SIGNAL": "SIGINT", "STOP_TIMEOUT": 13},
        }.items()
    },
    "compose": {
        "web": {"RESTART": "always", "STOP_SIGNAL": "SIGTERM", "STOP_TIMEOUT": 30},
        "api": {
            "RESTART": "always",
            "STOP_SIGNAL": "SIGTERM",
            "STOP_TIMEOUT": 30,
            "MAX_MEMORY": "640MiB",
        },
        "static": {"RESTART": "always", "STOP_SIGNAL": "SIGINT", "STOP_TIMEOUT": 13},
    },
}


LOST = {
    "supervisord": {
        (
            "`priority` is not carried over: write AFTER, which also waits until the other process "
            "is ready."
        ),
        (
            "`PRODSERVER_CONTROL` is not carried over: one supervisor of all processes has one "
            "control socket."
        ),
    },
    "compose": {
        (
            "`env_file` is not carried over: give these variables to the container, or read the "
            "file in the settings."
        ),
        "`ports` is not carried over: set it for the container that the supervisor runs in.",
    },
}


@pytest.mark.parametrize("to", ["supervisord", "compose"])
def test_an_exported_file_can_be_converted_back_to_settings(tmp_path: Path, to: str) -> None:
    exported(PROJECTS["chat"], to, tmp_path, *(MACHINE if to == "supervisord" else ()))
    notes: list[str] = []

    runs = files.runs(tmp_path, [tmp_path], notes)

    assert {run.name: run.settings for run in runs} == CHAT_AGAIN[to]
    assert {note.partition(", ")[2].partition(" ")[2] for note in notes} == LOST[to]


# ---- the pages ----


def test_the_page_about_compose_shows_the_actual_output(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "start" / "from-compose.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(yaml|python|text)\n(.*?)```", page, re.DOTALL)
    (_, compose), (_, settings), (_, notes) = blocks
    (tmp_path / "compose.yaml").write_text(compose)

    found = project(tmp_path, has_database=True)
    proposal = propose(found, default_answers(found))

    assert texts.settings_block(proposal) == settings
    assert [f"# {note}" for note in proposal.notes] == notes.splitlines()
    valid(proposal)


@pytest.mark.parametrize(
    ("table", "page"),
    [(keys.SUPERVISORD, "from-supervisord.md"), (keys.COMPOSE, "from-compose.md")],
)
def test_the_page_names_every_key_that_becomes_a_setting(table: Any, page: str) -> None:
    text = (ROOT / "docs" / "start" / page).read_text(encoding="utf-8")

    assert [key for key, rule in table.items() if callable(rule) and f"`{key}" not in text] == []
