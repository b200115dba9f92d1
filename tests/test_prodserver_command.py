"""`manage.py prodserver`: options that only print, and how processes are chosen."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand

from django_prodserver import DOCUMENTATION, __version__
from django_prodserver.management.commands.prodserver import Command
from django_prodserver.settings.variables import SUPERVISOR_KEYS
from tests.inside import (
    BEAT,
    CELERY,
    COMMAND,
    DJANGO_TASKS,
    GUNICORN,
    SHELL,
    UVICORN,
    WAITRESS,
    configured,
    free_port,
    prodserver,
    refused,
    sleeper,
)
from tests.running import Site

TELL: dict[str, Any] = {"BACKEND": COMMAND, "ARGS": ["tell"], "ENV": {"COLOUR": "red"}}
STAY: dict[str, Any] = {"BACKEND": COMMAND, "ARGS": ["tell", "--stay"]}


def test_list_prints_a_table() -> None:
    processes = {
        "migrate": {"BACKEND": COMMAND, "TYPE": "oneshot"},
        "web": {"BACKEND": GUNICORN, "REPLICAS": 2},
        "celery-worker": {"BACKEND": CELERY},
    }

    assert prodserver(processes, "--list").splitlines() == [
        "NAME           TYPE     BACKEND                                               REPLICAS",
        "migrate        oneshot  django_prodserver.backends.command.ManagementCommand  1",
        "web            service  django_prodserver.backends.gunicorn.GunicornServer    2",
        "celery-worker  service  django_prodserver.backends.celery.CeleryWorker        1",
    ]


@pytest.mark.parametrize("arguments", [["--list", "--json"], ["--json"]])
def test_the_json_option_prints_the_list_as_json(arguments: list[str]) -> None:
    processes = {"web": {"BACKEND": GUNICORN, "REPLICAS": 2}, "beat": {"BACKEND": BEAT}}

    assert json.loads(prodserver(processes, *arguments)) == [
        {"name": "web", "type": "service", "backend": GUNICORN, "replicas": 2},
        {"name": "beat", "type": "service", "backend": BEAT, "replicas": 1},
    ]


def test_list_works_if_a_backend_cannot_be_imported() -> None:
    processes = {"web": {"BACKEND": "no.such.Class"}, "beat": {"BACKEND": BEAT}}

    assert len(prodserver(processes, "--list").splitlines()) == 3


HOSTILE = "\x1b[2J\nweb  service\u202e"


def test_control_characters_in_printed_values_are_escaped() -> None:
    processes = {"web": {"BACKEND": f"no.such{HOSTILE}.Class"}}
    assert prodserver(processes, "--list").splitlines()[1] == (
        "web   service  no.such\\x1b[2J\\nweb  service\\u202e.Class  1"
    )
    processes = {"web": {"BACKEND": SHELL, "ARGS": ["echo", HOSTILE]}}
    assert prodserver(processes, "--dry-run").splitlines() == [
        "web.1: ShellCommand echo '\\x1b[2J\\nweb  service\\u202e'"
    ]


@pytest.mark.parametrize(
    ("processes", "arguments"),
    [
        ({"web": {"BACKEND": GUNICORN}}, [f"web{HOSTILE}"]),
        ({"web": {"BACKEND": GUNICORN}}, [f"--bogus{HOSTILE}"]),
        ({"web": {"BACKEND": GUNICORN}}, ["--all", f"--stop-timeout={HOSTILE}"]),
        ({"web": {"BACKEND": GUNICORN}}, ["web", "--check", "--", f"--bind{HOSTILE}"]),
        ({"web": {"BACKEND": f"no.such{HOSTILE}.Class"}}, ["--check"]),
        ({f"we{HOSTILE}": {"BACKEND": GUNICORN}}, ["--check"]),
        ({"web": {"BACKEND": SHELL, "ARGS": [f"/bin/{HOSTILE}"]}}, ["--check"]),
        ({"web": {"BACKEND": GUNICORN, f"BIN{HOSTILE}": 1}}, ["--check"]),
        ({"web": {"BACKEND": GUNICORN, "ENV": {f"X{HOSTILE}=": "1"}}}, ["--check"]),
    ],
)
def test_control_characters_in_an_error_are_escaped_on_one_line(
    processes: dict[str, Any], arguments: list[str]
) -> None:
    (message,) = refused(processes, *arguments)

    assert message.isprintable()
    assert "x1b[2J" in message


@pytest.mark.parametrize("option", ["--check", "--list", "--json", "--schema", "--dry-run"])
def test_a_stdout_without_a_reader_is_not_an_error(site: Site, option: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        run = site({"web": sleeper()}, option, stdout=write)
    finally:
        os.close(write)

    assert run.end() == 0
    assert run.stderr == ""


def test_check_reports_no_problems_for_the_selected_processes() -> None:
    processes = {"web": sleeper(), "worker": sleeper()}

    assert prodserver(processes, "--check") == (
        "No problems found: web, worker.\nweb, worker: executed\n"
    )
    assert prodserver(processes, "--check", "worker").startswith("No problems found: worker.\n")
    said = prodserver(processes, "--check", "--all", "--except", "worker")
    assert said.startswith("No problems found: web.\n")


def test_check_reports_a_missing_app() -> None:
    assert refused({"web": {"BACKEND": CELERY}}, "--check")[0].startswith(
        "PRODUCTION_PROCESSES['web'] has no 'APP'."
    )


def test_check_reports_an_unknown_extra_argument() -> None:
    wrong = refused({"web": {"BACKEND": GUNICORN}}, "--check", "web", "--", "--no-such-option")

    assert wrong[0].endswith("gunicorn: error: unrecognized arguments: --no-such-option")


def test_check_with_json_lists_every_finding() -> None:
    processes = {"web": sleeper(RESTRAT="never"), "worker": sleeper(WATCHDOG=3)}
    printed = io.StringIO()

    with configured(processes), pytest.raises(SystemExit) as end:
        call_command("prodserver", "--check", "--json", stdout=printed)

    assert end.value.code == 1
    wrong, advised = json.loads(printed.getvalue())
    place = "PRODUCTION_PROCESSES['web']['RESTRAT']"
    assert wrong["hint"].startswith("Did you mean 'RESTART'? Known: ")
    assert {**wrong, "hint": ""} == {
        "level": "error",
        "id": "prodserver.E003",
        "place": place,
        "message": f"{place} is not a known key.",
        "hint": "",
    }
    assert (advised["level"], advised["id"]) == ("warning", "prodserver.W003")
    assert advised["place"] == "PRODUCTION_PROCESSES['worker']['WATCHDOG']"


def test_check_with_json_includes_djangos_system_checks() -> None:
    printed = io.StringIO()

    with configured({"web": sleeper()}, LANGUAGE_CODE="no language"), pytest.raises(SystemExit):
        call_command("prodserver", "--check", "--json", stdout=printed)

    ids = [finding["id"] for finding in json.loads(printed.getvalue())]
    assert sorted(ids) == ["translation.E001", "translation.E004"]


def test_check_with_json_prints_an_empty_list_if_nothing_is_wrong() -> None:
    assert json.loads(prodserver({"web": sleeper()}, "--check", "--json")) == []


def test_dry_run_with_json_prints_an_object_for_each_instance() -> None:
    processes = {"web": sleeper(AFTER=["first"]), "first": sleeper(TYPE="oneshot")}

    assert json.loads(prodserver(processes, "--dry-run", "--json", "web=2", "first")) == [
        {"instance": name, "process": process, "backend": SHELL, "arguments": ["sleep", "1000"]}
        for name, process in (("first.1", "first"), ("web.1", "web"), ("web.2", "web"))
    ]


def test_dry_run_prints_the_command_line_of_each_instance() -> None:
    port = free_port()
    app = "celery.current_app"
    processes = {
        "web": {"BACKEND": GUNICORN, "ARGS": {"bind": f"127.0.0.1:{port}"}},
        "api": {"BACKEND": UVICORN, "ARGS": {"port": 0}, "STOP_TIMEOUT": 10},
        "old": {"BACKEND": WAITRESS, "ARGS": {"listen": "127.0.0.1:0"}},
        "worker": {"BACKEND": CELERY, "APP": app, "ARGS": {"concurrency": 2}, "REPLICAS": 2},
        "beat": {"BACKEND": BEAT, "APP": app},
        "tidy": {"BACKEND": COMMAND, "ARGS": ["check"]},
        "shell": {"BACKEND": SHELL, "ARGS": "echo $HOME | cat"},
        "argv": {"BACKEND": SHELL, "ARGS": ["echo", "two words"]},
    }

    wsgi, asgi = "tests.project.wsgi:application", "tests.project.asgi:application"
    assert prodserver(processes, "--all", "--dry-run").splitlines() == [
        f"web.1: GunicornServer --bind=127.0.0.1:{port} {wsgi}",
        f"api.1: UvicornServer --timeout-graceful-shutdown=8 --interface=asgi3 --port=0 {asgi}",
        f"old.1: WaitressServer --listen=127.0.0.1:0 {wsgi}",
        *(
            f"worker.{n}: CeleryWorker -A {app} --skip-checks worker --concurrency=2 "
            f"--hostname=worker.{n}@%h"
            for n in (1, 2)
        ),
        f"beat.1: CeleryBeat -A {app} --skip-checks beat",
        "tidy.1: ManagementCommand check",
        "shell.1: ShellCommand sh -c 'echo $HOME | cat'",
        "argv.1: ShellCommand echo 'two words'",
    ]


def test_dry_run_obeys_names_counts_exclusions_and_extra_arguments() -> None:
    processes = {"web": sleeper(REPLICAS=3), "worker": sleeper(), "tidy": sleeper()}

    assert prodserver(processes, "--dry-run", "web=2", "worker").splitlines() == [
        "web.1: ShellCommand sleep 1000",
        "web.2: ShellCommand sleep 1000",
        "worker.1: ShellCommand sleep 1000",
    ]
    said = prodserver(processes, "--dry-run", "--all", "--except", "web", "tidy")
    assert said == "worker.1: ShellCommand sleep 1000\n"
    said = prodserver(processes, "--dry-run", "worker", "--", "--all", "-x")
    assert said == "worker.1: ShellCommand sleep 1000 --all -x\n"


def test_dry_run_lists_instances_in_start_order() -> None:
    processes = {
        "web": sleeper(AFTER=["migrate"], REPLICAS=2),
        "migrate": sleeper(TYPE="oneshot", AFTER=["wait"]),
        "worker": sleeper(),
        "wait": sleeper(TYPE="oneshot"),
    }

    def started(*arguments: str) -> list[str]:
        lines = prodserver(processes, "--dry-run", *arguments).splitlines()
        return [line.partition(":")[0] for line in lines]

    assert started() == ["worker.1", "wait.1", "migrate.1", "web.1", "web.2"]
    assert started("web=1", "migrate") == ["migrate.1", "web.1"]
    # It is waited for only if it runs as well.
    assert started("web=1", "wait", "worker") == ["web.1", "wait.1", "worker.1"]


def test_the_node_name_of_a_celery_worker_can_be_chosen() -> None:
    for arguments, words in (
        ({"hostname": "mine@%h"}, "--hostname=mine@%h"),
        ({"n": "mine@%h"}, "-n mine@%h"),
        (["-nmine@%h"], "-nmine@%h"),
    ):
        entry = {"BACKEND": CELERY, "APP": "celery.current_app", "ARGS": arguments}
        assert prodserver({"worker": entry}, "--dry-run").endswith(f" worker {words}\n")


def test_applications_are_found_beside_the_urlconf_if_no_setting_names_them() -> None:
    processes = {
        "web": {"BACKEND": GUNICORN, "ARGS": {"bind": "127.0.0.1:0"}},
        "api": {"BACKEND": UVICORN, "ARGS": {"port": 0}},
    }

    for missing in (
        {"WSGI_APPLICATION": None, "ASGI_APPLICATION": None},
        {"WSGI_APPLICATION": "tests.project.wsgi.application", "ASGI_APPLICATION": None},
    ):
        web, api = prodserver(processes, "--dry-run", **missing).splitlines()
        assert web.endswith(" tests.project.wsgi:application")
        assert api.endswith(" tests.project.asgi:application")


def test_db_worker_gets_the_options_no_reload_and_skip_checks(site: Site) -> None:
    run = site({"tasks": {"BACKEND": DJANGO_TASKS, "ARGS": {"interval": 1}}}, "--dry-run")

    assert run.end() == 0
    assert run.raw == [
        "tasks.1: DjangoTasksWorker db_worker --no-reload --skip-checks --interval=1"
    ]


# ---- through manage.py ----


@pytest.mark.parametrize("arguments", [[], ["first"]])
def test_a_single_process_runs_in_the_manage_py_process_itself(
    site: Site,
    arguments: list[str],
) -> None:
    """Without names it is the first one; without a supervisor there are no prefixes."""
    processes = {"first": {**STAY, "ENV": {"COLOUR": "red"}}, "second": sleeper()}
    run = site(processes, *(arguments or ["--stop-timeout=5"]))

    run.wait_for("", "COLOUR red")

    assert run.raw == [f"argv {['prodserver', *(arguments or ['--stop-timeout=5'])]}", "COLOUR red"]
    assert run.end(signal.SIGTERM) == -signal.SIGTERM
    told = "Running first only, not second. All of them: prodserver --all"
    assert run.stderr.splitlines() == ([] if arguments else [told])


def test_without_names_the_first_service_runs(site: Site) -> None:
    done = {"BACKEND": COMMAND, "ARGS": ["tell"], "TYPE": "oneshot"}

    run = site({"first": done, "second": {**STAY, "ENV": {"COLOUR": "blue"}}}, "--color=never")
    run.wait_for("", "COLOUR blue")
    assert run.end(signal.SIGTERM) == -signal.SIGTERM
    assert run.stderr == "Running second only, not first. All of them: prodserver --all\n"

    only = site({"first": {**done, "ENV": {"COLOUR": "green"}}}, "--color=never")
    assert only.end() == 0
    assert only.raw[-1] == "COLOUR green"
    assert only.stderr == "Running first in this process. Under the supervisor: prodserver --all\n"


def test_without_names_and_services_the_first_oneshot_runs(site: Site) -> None:
    done = {"BACKEND": COMMAND, "ARGS": ["tell"], "TYPE": "oneshot"}

    processes = {"first": {**done, "ENV": {"COLOUR": "green"}}, "second": done}
    only = site(processes, "--color=never")

    assert only.end() == 0
    assert only.raw[-1] == "COLOUR green"


def test_extra_arguments_go_to_the_software(site: Site) -> None:
    alone = site({"tell": TELL}, "tell", "--", "--stay")
    alone.wait_for("", "COLOUR red")
    assert alone.end(signal.SIGTERM) == -signal.SIGTERM

    counted = site({"tell": TELL}, "tell=1", "--", "--stay")
    counted.wait_for_each({"tell.1": "COLOUR red", "system": "all 1 ready"})
    assert counted.end(signal.SIGTERM) == 0


def test_several_names_are_supervised_and_a_count_overrides_replicas(
    site: Site,
) -> None:
    run = site({"a": STAY, "b": sleeper(), "c": sleeper()}, "a=2", "c")

    run.wait_for("system", "supervising a.1, a.2, c.1 ")
    run.wait_for_each({"a.1": "argv", "a.2": "argv", "system": "all 3 ready"})

    assert run.end(signal.SIGINT) == 130
    assert "argv ['prodserver', 'a']" in run.said("a.2")


def test_the_except_option_excludes_a_process_from_all(site: Site) -> None:
    run = site({"a": sleeper(), "b": sleeper(), "c": sleeper()}, "--all", "--except", "b")

    run.wait_for("system", "supervising a.1, c.1 ")
    run.wait_for("system", "all 2 ready")

    assert run.end(signal.SIGTERM) == 0


def test_check_starts_nothing_and_exits_with_0_or_1(site: Site) -> None:
    fine = site({"tell": TELL, "worker": {"BACKEND": CELERY, "APP": "workers"}}, "--check")
    wrong = site({"tell": TELL, "worker": {"BACKEND": CELERY, "APP": "wrokers"}}, "--check")

    assert fine.end() == 0
    assert fine.raw == ["No problems found: tell, worker.", "tell, worker: forked"]
    assert wrong.end() == 1
    assert wrong.raw == []
    assert "No module named 'wrokers'" in wrong.stderr


def test_extra_arguments_can_request_the_help_of_the_software(
    site: Site,
) -> None:
    for backend, words in ((GUNICORN, "usage: gunicorn"), (UVICORN, "Usage: uvicorn")):
        run = site({"web": {"BACKEND": backend}}, "web", "--", "--help")
        assert run.end() == 0
        assert run.raw[0].startswith(words)


def test_the_command_prints_its_version_and_that_of_django(site: Site) -> None:
    version = site({}, "--version")

    assert version.end() == 0
    assert version.raw[0].startswith(f"django-prodserver {__version__}, Django ")


SECTION = r"^(?P<heading>\w.*):\n(?P<text>(?: .*\n|\n)+)"


def sections_of_the_help() -> dict[str, str]:
    """The text below each heading, in order."""
    text = Command().create_parser("manage.py", "prodserver").format_help()
    return {found["heading"]: found["text"] for found in re.finditer(SECTION, text, re.MULTILINE)}


def test_the_help_has_sections_and_ends_with_the_documentation_address(site: Site) -> None:
    # Whatever is wrong with the settings.
    helped = site(None, "--help", env={"COLUMNS": "300"})

    assert helped.end() == 0
    assert [line[:-1] for line in helped.raw if re.match(r"\w.*:$", line)] == [
        "Usage",
        "Actions",
        "Options",
        "Examples",
        "Options of every Django command",
    ]
    assert helped.raw[-1] == f"Documentation: {DOCUMENTATION}"
    assert [line for line in helped.raw if len(line) > 79] == []


def test_every_prodserver_option_has_a_sentence_in_the_help() -> None:
    actions = Command().create_parser("manage.py", "prodserver")._actions
    djangos = {one.dest for one in BaseCommand().create_parser("manage.py", "any")._actions}
    ours = [action for action in actions if action.dest not in djangos]

    assert len(ours) > 15
    for action in ours:
        assert re.fullmatch(r"[A-Z].*\.", action.help or ""), action


@pytest.mark.parametrize(
    "key", ["STOP_TIMEOUT", "START_METHOD", "LOG_FORMAT", "TIMESTAMPS", "COLOR"]
)
def test_an_option_that_overrides_a_variable_names_it_in_the_help(key: str) -> None:
    actions = Command().create_parser("manage.py", "prodserver")._actions
    (option,) = [action for action in actions if action.dest == key.lower()]

    assert (option.help or "").endswith(f"Variable: PRODSERVER_{key}.")
    assert key in SUPERVISOR_KEYS


def test_the_parser_accepts_the_examples_of_the_help() -> None:
    parser = Command().create_parser("manage.py", "prodserver")
    examples = sections_of_the_help()["Examples"].strip().splitlines()

    calls = [re.split(r" {2,}", line.partition("manage.py prodserver ")[2])[0] for line in examples]

    assert [parser.parse_args(call.split()).names for call in calls] == [
        [],
        [],
        ["worker=2"],
        ["web"],
        [],
        [],
    ]
