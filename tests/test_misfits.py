"""Options that are refused or advised against, because the software would bypass the supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from django_prodserver.backends.command import (
    FINISHING,
    detaching_word,
    django_command,
    last_command,
)
from django_prodserver.launch.resolve import examine
from django_prodserver.settings.load import read
from tests.inside import configured, refused, sleeper, without_threads

pytestmark = pytest.mark.timeout(60)

WEB = "PRODUCTION_PROCESSES['web']"
APP = "celery.current_app"


def found(entry: Mapping[str, Any], **settings: Any) -> list[str]:
    """The ids of the findings about a process, each with the option that it names."""
    with configured({"web": entry}, **settings):
        findings = examine(read(), ["web"])[1]
    return [f"{one.id} {one.text.split(chr(39))[3]}" for one in findings]


@pytest.mark.parametrize(
    ("backend", "arguments", "expected"),
    [
        ("gunicorn", {"daemon": True}, ["E016 daemon"]),
        ("gunicorn", ["-D", "-p", "x", "--reload"], ["E016 daemon", "W006 pidfile", "W006 reload"]),
        ("uvicorn", {"reload": True}, ["W006 reload"]),
        ("hypercorn", {"pid": "x", "reload": True}, ["W006 pid_path", "W006 use_reloader"]),
        ("granian", {"pid-file": "x"}, ["W006 pid_file"]),
        ("celery", {"detach": True, "pidfile": "x"}, ["E016 detach", "W006 pidfile"]),
        ("celery", ["-D"], ["E016 detach"]),
        ("celery-beat", {"detach": True, "pidfile": "x"}, ["E016 detach", "W006 pidfile"]),
        ("uwsgi", {"daemonize": "x"}, ["E016 daemonize"]),
        ("uwsgi", {"pidfile": "x", "py-autoreload": 1}, ["W006 pidfile", "W006 py-autoreload"]),
        ("uwsgi", {"py-autoreload": 0}, []),
        ("gunicorn", {"daemon": False}, []),
        ("celery", ["-B"], []),
        ("celery", {}, []),
        ("celery-beat", {}, []),
        ("gunicorn", {}, []),
    ],
)
def test_options_that_bypass_the_supervisor_are_found(
    backend: str, arguments: Any, expected: Any
) -> None:
    assert found({"BACKEND": backend, "APP": APP, "ARGS": arguments}) == expected


def test_bypassing_options_are_found_in_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text("daemon = True\npidfile = 'x'\n")
    (tmp_path / "conf.toml").write_text("use_reloader = true\n")
    gunicorn = {"BACKEND": "gunicorn", "ARGS": {"config": tmp_path / "conf.py"}}
    hypercorn = {"BACKEND": "hypercorn", "ARGS": {"config": tmp_path / "conf.toml"}}

    assert found(gunicorn) == ["E016 daemon", "W006 pidfile"]
    assert found(hypercorn) == ["W006 use_reloader"]


def test_bypassing_options_are_found_in_variables_and_after_two_dashes() -> None:
    web = {"BACKEND": "gunicorn", "ENV": {"GUNICORN_CMD_ARGS": "--bind=127.0.0.1:0"}}
    (said,) = refused({"web": web}, "--check", "web", "--", "--daemon")

    assert said.startswith(f"{WEB} has 'daemon' set, which detaches it")
    uvicorn = {"BACKEND": "uvicorn", "ENV": {"UVICORN_RELOAD": "true"}}
    assert found(uvicorn) == ["W006 reload"]


def test_check_shows_advice_as_a_warning_that_can_be_silenced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    web = {"BACKEND": "uvicorn", "ARGS": {"port": 0, "reload": True}}
    with configured({"web": web}):
        call_command("prodserver", "--check")

    said = capsys.readouterr()
    with configured({"web": web}, SILENCED_SYSTEM_CHECKS=["prodserver.W006"]):
        call_command("prodserver", "--check")

    assert without_threads(capsys.readouterr().err) == ""
    assert said.out.startswith("No problems found: web.\n")
    (advised,) = without_threads(said.err).splitlines()
    assert advised.startswith(f"WARNING: (prodserver.W006) {WEB} has 'reload' set, ")


def test_a_celery_worker_with_embedded_beat_refuses_several_replicas() -> None:
    worker = {"BACKEND": "celery", "APP": APP, "ARGS": ["-B"]}

    for arguments in (["web=2"], ["--check", "web=3"]):
        (said,) = refused({"web": worker, "other": sleeper()}, *arguments)
        assert said.startswith(f"{WEB}['REPLICAS'] is {arguments[-1][-1]}, and each instance ")


# ---- services that finish ----


@pytest.mark.parametrize(
    ("entry", "command"),
    [
        ({"BACKEND": "command", "ARGS": ["migrate", "--noinput"]}, "migrate"),
        ({"BACKEND": "command", "ARGS": "check"}, "check"),
        ({"BACKEND": "command", "ARGS": ["clearsessions"], "RESTART": "on-failure"}, "clearsess"),
        ({"BACKEND": "shell", "ARGS": ["sh", "manage.py", "loaddata", "x"]}, "loaddata"),
        ({"BACKEND": "shell", "ARGS": "python -m django collectstatic"}, "collectstatic"),
        ({"BACKEND": "shell", "ARGS": "sleep 5; ./manage.py migrate"}, "migrate"),
        ({"BACKEND": "shell", "ARGS": "python manage.py migrate && exec gunicorn x"}, ""),
        ({"BACKEND": "shell", "ARGS": "python manage.py db_worker"}, ""),
        ({"BACKEND": "shell", "ARGS": "echo 'migrate"}, ""),
        ({"BACKEND": "command", "ARGS": ["migrate"], "TYPE": "oneshot"}, ""),
        ({"BACKEND": "command", "ARGS": ["clearsessions"], "RESTART": "always"}, ""),
        ({"BACKEND": "command", "ARGS": ["tell"]}, ""),
    ],
)
def test_a_service_whose_command_finishes_triggers_advice_for_a_oneshot(
    entry: dict[str, Any], command: str
) -> None:
    with configured({"web": entry}, INSTALLED_APPS=["django_prodserver", *APPS]):
        findings = examine(read(), ["web"], starting=False)[1]

    assert [one.id for one in findings] == (["W005"] if command else [])
    for one in findings:
        assert not one.blocks
        assert f"{WEB} runs '{command}" in one.text
        assert one.hint == "Add 'TYPE': 'oneshot'."


APPS = [
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "tests.project.jobs",
]


def test_detaching_words_and_django_commands_are_recognised() -> None:
    assert detaching_word(["/usr/bin/uwsgi", "-d", "x"]) == "-d"
    assert detaching_word(["redis-server", "--daemonize", "yes"]) == "--daemonize"
    assert detaching_word(["redis-server", "--daemonize", "no"]) is None
    assert detaching_word(["celery", "multi", "start", "w1"]) == "multi"
    assert detaching_word(["-D", "gunicorn", "x"]) is None
    assert django_command(["python", "/srv/manage.py", "migrate"]) == "migrate"
    assert django_command(["django-admin", "check"]) == "check"
    assert django_command(["manage.py"]) is None
    assert last_command("a b && c 'd; e' | f g") == ["f", "g"]
    assert last_command("a b") == ["a", "b"]
    assert last_command("a; ") == []
    assert last_command("'") == []
    assert "runserver" not in FINISHING
