"""A mistake gets one clear sentence and exit status 1; nothing is started, and no traceback.

Mistakes in the settings alone are in tests/bad_settings, see tests/test_bad_settings.py. Here are
those that depend on the command line, the machine, or other processes.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.corpus import wrong as wrong_settings
from tests.inside import (
    BEAT,
    COMMAND,
    GUNICORN,
    NOT_SET,
    SHELL,
    UVICORN,
    WAITRESS,
    configured,
    free_port,
    listener,
    prodserver,
    refused,
    sleeper,
)
from tests.running import Site

WEB = "PRODUCTION_PROCESSES['web']"

JSON_IS_FOR = "--json requires --list, --check or --dry-run."

COMMAND_LINE = {
    "an unknown name": (
        ["wbe"],
        (
            "No process named 'wbe' in PRODUCTION_PROCESSES. "
            "Did you mean 'web'? Configured: web, worker."
        ),
    ),
    "a name like no other": (
        ["database"],
        "No process named 'database' in PRODUCTION_PROCESSES. Configured: web, worker.",
    ),
    "an unknown name, counted": (
        ["wbe=2"],
        (
            "No process named 'wbe' in PRODUCTION_PROCESSES. "
            "Did you mean 'web'? Configured: web, worker."
        ),
    ),
    "--all and a name": (
        ["--all", "web"],
        "--all cannot be combined with names.",
    ),
    "--except an unknown name": (
        ["--all", "--except", "wokrer"],
        (
            "No process named 'wokrer' in PRODUCTION_PROCESSES. "
            "Did you mean 'worker'? Configured: web, worker."
        ),
    ),
    "--except without --all": (["--except", "web"], "--except requires --all."),
    "--except everything": (
        ["--all", "--except", "web", "worker"],
        "--except leaves no process to run.",
    ),
    "a name twice": (["web", "web"], "web is named twice; web=2 runs two instances of it."),
    "arguments for several": (
        ["web", "worker", "--", "-x"],
        "Arguments after -- require exactly one process name.",
    ),
    "arguments for all": (
        ["--all", "--", "-x"],
        "Arguments after -- require exactly one process name.",
    ),
    "a timeout of no time": (
        ["--all", "--stop-timeout", "0"],
        "argument --stop-timeout: '0' is not a positive number of seconds, at most a week",
    ),
    "a timeout in words": (
        ["--all", "--stop-timeout", "long"],
        "argument --stop-timeout: 'long' is not a positive number of seconds, at most a week",
    ),
    "an unknown option": (
        ["--everything"],
        (
            "--everything is not an option of prodserver. "
            "Options of the server or worker go after --: prodserver web -- --workers 4"
        ),
    ),
    "a misspelt option": (
        ["--stop-timout", "5", "--all"],
        "--stop-timout is not an option of prodserver. Did you mean '--stop-timeout'?",
    ),
    "a misspelt option with its value": (
        ["web", "--log-fromat=json"],
        "--log-fromat is not an option of prodserver. Did you mean '--log-format'?",
    ),
    "misspelt options": (
        ["--lsit", "--jsno", "--verbosty", "2"],
        (
            "--lsit is not an option of prodserver. Did you mean '--list'? "
            "--jsno is not an option of prodserver. Did you mean '--json'? "
            "--verbosty is not an option of prodserver. Did you mean '--verbosity'?"
        ),
    ),
    "an option of the software": (
        ["web", "-w", "4"],
        (
            "-w is not an option of prodserver. "
            "Options of the server or worker go after --: prodserver web -- --workers 4"
        ),
    ),
    "an abbreviation of two options": (
        ["--all", "--st", "5"],
        "ambiguous option: --st could match --strict, --stop-timeout, --start-method",
    ),
    "an option without its value": (
        ["--all", "--stop-timeout"],
        "argument --stop-timeout: expected one argument",
    ),
    "two that do not go together": (
        ["--list", "--check"],
        "argument --check: not allowed with argument --list",
    ),
    "--json and what runs": (["web", "--json"], JSON_IS_FOR),
    "--json and all that runs": (["--all", "--json"], JSON_IS_FOR),
    "--json and a Procfile": (["--procfile", "--json"], JSON_IS_FOR),
    "--json and a schema": (["--schema", "--json"], JSON_IS_FOR),
    "--json and the wizard": (["--init", "--json"], JSON_IS_FOR),
}


@pytest.mark.parametrize("case", COMMAND_LINE)
def test_a_wrong_command_line_is_refused(case: str) -> None:
    arguments, message = COMMAND_LINE[case]

    assert refused({"web": sleeper(), "worker": sleeper()}, *arguments) == [message]


def test_a_wrong_start_method_is_refused_in_the_words_of_argparse() -> None:
    (line,) = refused({"web": sleeper()}, "--all", "--start-method", "thread")

    # The list of choices is formatted differently in different versions of Python.
    assert line.startswith("argument --start-method: invalid choice: 'thread' (choose from")


@pytest.mark.parametrize("count", ["x", "0", "", "-1", "1.5", "²"])
def test_a_wrong_number_of_instances_is_refused(count: str) -> None:
    message = f"'web={count}': the number of instances must be a positive integer."

    assert refused({"web": sleeper()}, f"web={count}") == [message]


def test_two_instances_of_celery_beat_are_refused_on_the_command_line_too() -> None:
    beat = {"BACKEND": BEAT, "APP": "celery.current_app"}

    assert refused({"web": beat}, "web=2") == wrong_settings("replicas_of_beat").lines


@pytest.mark.parametrize("arguments", ["--all", "web", "--check"])
@pytest.mark.parametrize(("backend", "option"), [(GUNICORN, "bind"), (WAITRESS, "listen")])
def test_an_address_in_use_is_refused(backend: str, option: str, arguments: str) -> None:
    with listener() as address:
        wrong = refused({"web": {"BACKEND": backend, "ARGS": {option: address}}}, arguments)

    assert wrong == [in_use(address)]


@pytest.mark.parametrize(
    ("backend", "option", "value"),
    [(GUNICORN, "bind", "unix:{}"), (UVICORN, "uds", "{}"), (WAITRESS, "unix-socket", "{}")],
)
def test_a_unix_socket_in_use_is_refused(
    backend: str, option: str, value: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")
    entry = {"BACKEND": backend, "ARGS": {option: value.format(path)}}

    with listener(path):
        wrong = refused({"web": entry})

    assert wrong == [in_use(path)]
    # The file still exists, but no process listens there any more.
    assert prodserver({"web": entry}, "--check").startswith("No problems found: web.\n")


def in_use(address: str) -> str:
    tool = "ss -lxp" if address.startswith("/") else "ss -ltnp"
    return (
        f"{WEB} cannot listen at {address}: Address already in use. "
        f"Stop the program that uses it (`{tool}` shows which), or choose another address in "
        "its ARGS."
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_two_processes_at_one_address_are_refused(host: str) -> None:
    port = free_port()
    processes = {
        "web": {"BACKEND": GUNICORN, "ARGS": {"bind": [f"{host}:{port}", "127.0.0.1:0"]}},
        "api": {"BACKEND": UVICORN, "ARGS": {"port": port}},
    }

    at = (f"{host}:{port} and " if host == "0.0.0.0" else "") + f"127.0.0.1:{port}"
    assert refused(processes) == [
        (
            f"{WEB} and PRODUCTION_PROCESSES['api'] cannot both listen at {at}. "
            "Choose another address in the ARGS of one of them."
        )
    ]
    assert prodserver(processes, "--check", "api").startswith("No problems found: api.\n")


def test_processes_at_different_addresses_are_not_refused(tmp_path: Path) -> None:
    port = free_port()
    processes = {
        "web": {"BACKEND": GUNICORN, "ARGS": {"bind": f"127.0.0.1:{port}"}},
        "api": {"BACKEND": UVICORN, "ARGS": {"host": "127.0.0.2", "port": port}},
        "more": {"BACKEND": UVICORN, "ARGS": {"uds": str(tmp_path / "more")}},
        "most": {"BACKEND": UVICORN, "ARGS": {"port": 0}},
        "last": {"BACKEND": UVICORN, "ARGS": {"port": 0}},
    }

    said = prodserver(processes, "--check")

    assert said.startswith("No problems found: web, api, more, most, last.\n")


def test_replicas_at_one_address_are_refused() -> None:
    address = f"127.0.0.1:{free_port()}"
    entry = {"BACKEND": GUNICORN, "ARGS": {"bind": address}, "SOCKETS": "own"}

    message = (
        f"{WEB}['REPLICAS'] is 2, but only one instance can listen at {address}. "
        "Leave out SOCKETS: then the supervisor holds one socket for all of them."
    )
    assert refused({"web": {**entry, "REPLICAS": 2}}) == [message]
    assert refused({"web": entry}, "web=2") == [message]


def test_replicas_that_share_their_port_are_not_refused() -> None:
    arguments = {"bind": f"127.0.0.1:{free_port()}", "reuse-port": True}
    entry = {"BACKEND": GUNICORN, "ARGS": arguments, "REPLICAS": 2}

    assert prodserver({"web": entry}, "--check").startswith("No problems found: web.\n")


@pytest.mark.parametrize(
    ("after", "circles"),
    [
        ({"a": "b", "b": "a"}, ["a -> b -> a"]),
        ({"a": "b", "b": "c", "c": "a"}, ["a -> b -> c -> a"]),
        ({"a": "b", "b": "c", "c": "b"}, ["b -> c -> b"]),
        ({"a": "bc", "b": "a", "c": "a"}, ["a -> b -> a", "a -> c -> a"]),
        ({"a": "b", "b": "a", "c": "d", "d": "c"}, ["a -> b -> a", "c -> d -> c"]),
        ({"a": "bbb", "b": "a"}, ["a -> b -> a"]),
        ({"a": "bc", "b": "d", "c": "d", "d": ""}, []),
        ({"a": "", "b": "a", "c": "ab"}, []),
    ],
)
def test_each_cycle_in_after_is_refused_once_and_printed(
    after: dict[str, str], circles: list[str]
) -> None:
    processes = {name: sleeper(AFTER=list(others)) for name, others in after.items()}
    expected = [
        (
            f"PRODUCTION_PROCESSES['{circle[0]}']['AFTER'] is a cycle: {circle}. "
            "'->' means 'comes after'; remove one of these AFTER entries."
        )
        for circle in circles
    ]

    if expected:
        assert refused(processes) == expected
    else:
        assert prodserver(processes, "--check").startswith("No problems found: a, b, c")


def test_a_long_chain_of_processes_is_refused_only_if_it_is_a_cycle() -> None:
    names = [f"p{number}" for number in range(1500)]
    processes = {name: sleeper(AFTER=[after]) for name, after in zip(names, names[1:])}

    assert len(refused({**processes, names[-1]: sleeper(AFTER=names[:1])}, "--list")) == 1
    prodserver({**processes, names[-1]: sleeper()}, "--list")


@pytest.mark.parametrize(
    "entry",
    [
        {"BACKEND": GUNICORN, "ARGS": {"bind": "127.0.0.1:0"}},
        # Its software is not imported here, so its address is not known.
        {"BACKEND": GUNICORN, "ENV": {"PORT": "8000"}},
    ],
)
def test_a_health_check_path_requires_a_known_address(entry: dict[str, Any]) -> None:
    web = {**entry, "HEALTHCHECK": {"HTTP": "/health"}}

    assert (
        refused({"web": web})
        == wrong_settings("healthcheck_http_path_where_nothing_is_served").lines
    )

    web["HEALTHCHECK"] = {"HTTP": "http://127.0.0.1:8000/health"}
    assert prodserver({"web": web}, "--check").startswith("No problems found: web.\n")


@pytest.mark.parametrize(
    "entry",
    [
        {"BACKEND": GUNICORN, "ARGS": {"bind": "unix:{}/socket"}},
        {"BACKEND": UVICORN, "ARGS": {"uds": "{}/socket"}},
    ],
)
def test_a_health_check_path_is_accepted_for_a_unix_socket(
    entry: dict[str, Any], tmp_path: Path
) -> None:
    arguments = {key: value.format(tmp_path) for key, value in entry["ARGS"].items()}
    web = {**entry, "ARGS": arguments, "HEALTHCHECK": {"HTTP": "/"}}

    assert prodserver({"web": web}, "--check").startswith("No problems found: web.\n")


def test_settings_import_address_and_project_errors_are_reported_in_one_run() -> None:
    app = "no_such_module.app"
    with listener() as address:
        processes = {
            "web": {"BACKEND": GUNICORN, "ARGS": {"bind": "127.0.0.1:0"}, "RESTRAT": "never"},
            "busy": {"BACKEND": WAITRESS, "ARGS": {"listen": address}},
            "api": {"BACKEND": "tests.backends.odd.NotInstalled"},
            "beat": {"BACKEND": BEAT, "APP": app, "STOP_TIMEOUT": 0, "READY_TIMEOUT": "x"},
            "worker": {"BACKEND": BEAT, "APP": app, "READY_TIMEOUT": "x"},
            "more": {"BACKEND": UVICORN, "ARGS": {"port": 0, "no-such": 1}, "WATCHDOG": "x"},
        }
        supervisor = {"PRELOAD": ["no_such_module"], "LOG_FORMAT": "jsn"}
        said = refused(
            processes,
            "--check",
            supervisor=supervisor,
            LANGUAGE_CODE="no language",
            WSGI_APPLICATION="tests.settings.no_application",
        )

    begin = [
        f"{WEB}['RESTRAT'] is not a known key.",
        "PRODUCTION_PROCESSES['beat']['STOP_TIMEOUT'] ",
        "PRODUCTION_PROCESSES['beat']['READY_TIMEOUT'] ",
        "PRODUCTION_PROCESSES['worker']['READY_TIMEOUT'] ",
        "PRODUCTION_PROCESSES['more']['WATCHDOG'] ",
        "PRODUCTION_SUPERVISOR['LOG_FORMAT'] ",
        "PRODUCTION_PROCESSES['api']['BACKEND'] is 'tests.backends.odd.NotInstalled'",
        f"PRODUCTION_PROCESSES['beat']['APP'] is '{app}', which cannot be imported",
        f"PRODUCTION_PROCESSES['worker']['APP'] is '{app}', which cannot be imported",
        "PRODUCTION_PROCESSES['more']['ARGS']: uvicorn: No such option",
        f"PRODUCTION_PROCESSES['busy'] cannot listen at {address}: ",
        "PRODUCTION_SUPERVISOR['PRELOAD'] names 'no_such_module', which cannot be imported",
        f"{WEB} cannot be loaded: AttributeError: ",
        "PRODUCTION_PROCESSES['busy'] cannot be loaded: AttributeError: ",
        "(translation.E00",
        "(translation.E00",
    ]
    assert [line[: len(start)] for line, start in zip(said, begin)] == begin
    assert len(said) == len(begin)


def test_an_unknown_name_does_not_hide_errors_in_the_settings() -> None:
    first, second = refused({"web": sleeper(RESTRAT="never")}, "wbe")

    assert first.startswith(f"{WEB}['RESTRAT'] is not a known key.")
    assert second.startswith("No process named 'wbe'")


def test_a_procfile_of_oneshots_only_is_refused() -> None:
    processes = {"web": sleeper(), "migrate": sleeper(TYPE="oneshot"), "x": sleeper(TYPE="oneshot")}

    assert refused(processes, "--procfile", "x", "migrate") == [
        "A Procfile is for services, and there are only oneshots: x, migrate."
    ]


def test_errors_of_other_processes_are_ignored_if_one_process_is_named() -> None:
    processes = {"web": sleeper(), "worker": {"BACKEND": "no_such.Class"}}

    assert prodserver(processes, "web", "--dry-run") == "web.1: ShellCommand sleep 1000\n"


@pytest.mark.parametrize("processes", [NOT_SET, [], {"web": {}}, {"web": {"BACKEND": "no.such"}}])
def test_help_works_with_broken_settings(
    processes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with configured(processes), pytest.raises(SystemExit) as end:
        call_command("prodserver", "--help")

    assert end.value.code in (None, 0)
    assert "NAME[=N]" in capsys.readouterr().out


# ---- the same through manage.py: exit status, stderr, and an empty stdout ----


def wrong(site: Site, processes: Any, *arguments: str, **kwargs: Any) -> str:
    run = site(processes, *arguments, program=("manage.py", "prodserver"), **kwargs)
    assert run.end() == 1
    assert run.raw == []
    return run.stderr


def test_an_unknown_name_prints_one_line_on_stderr_and_exits_with_1(site: Site) -> None:
    said = wrong(site, {"web": sleeper(), "worker": sleeper()}, "wbe")

    assert said == f"CommandError: {COMMAND_LINE['an unknown name'][1]}\n"


@pytest.mark.parametrize("case", ["a misspelt option", "an option without its value"])
def test_a_wrong_option_prints_one_line_on_stderr_and_exits_with_1(site: Site, case: str) -> None:
    arguments, message = COMMAND_LINE[case]

    assert wrong(site, {"web": sleeper()}, *arguments) == f"CommandError: {message}\n"


def test_names_may_come_after_options(site: Site) -> None:
    said = wrong(site, {"web": sleeper(), "worker": sleeper()}, "web", "--stop-timeout=5", "wrk")

    assert said.startswith("CommandError: No process named 'wrk'")


def test_an_address_in_use_keeps_everything_from_starting(site: Site) -> None:
    with listener() as address:
        web = {"BACKEND": GUNICORN, "ARGS": {"bind": address}}
        said = wrong(
            site, {"first": {"BACKEND": SHELL, "ARGS": "echo started"}, "web": web}, "--all"
        )

    assert said == f"CommandError: {in_use(address)}\n"


# ---- a Python without fork, as on Windows ----

WITHOUT_FORK = """
import os, runpy, sys
del os.fork
sys.argv[0] = "manage.py"
runpy.run_path("manage.py", run_name="__main__")
"""
FORKLESS = ("-c", WITHOUT_FORK, "prodserver")


@pytest.mark.parametrize("arguments", [["--all"], ["web", "worker"], ["web=2"]])
def test_without_fork_several_processes_are_refused_in_one_sentence(
    site: Site,
    arguments: list[str],
) -> None:
    run = site({"web": sleeper(), "worker": sleeper()}, *arguments, program=FORKLESS)

    assert run.end() == 1
    names = "web" if arguments == ["web=2"] else "web, worker"
    assert run.stderr == (
        "CommandError: Supervising several processes needs fork, which this platform does not "
        f"have. Start each with `prodserver NAME`: {names}.\n"
    )


def test_without_fork_help_list_and_a_single_process_work(site: Site) -> None:
    processes = {"tell": {"BACKEND": COMMAND, "ARGS": ["tell"]}, "worker": sleeper()}

    assert site(processes, "--help", program=FORKLESS).end() == 0
    listed = site(processes, "--list", program=FORKLESS)
    assert listed.end() == 0
    assert listed.raw[1].startswith("tell ")
    alone = site(processes, "tell", program=FORKLESS)
    assert alone.end() == 0
    assert alone.raw[0] == "argv ['prodserver', 'tell']"


# ---- what a backend needs ----


def test_a_third_party_backend_needs_only_start_server(site: Site) -> None:
    processes = {
        "code": {"BACKEND": "backends.Code", "ARGS": ["print('here I am', flush=True); forever()"]}
    }

    alone = site(processes, "code")
    alone.wait_for("", "here I am")
    assert alone.end(signal.SIGTERM) == -signal.SIGTERM

    supervised = site(processes, "--all")
    supervised.wait_for_each({"code.1": "here I am", "system": "all 1 ready"})
    assert supervised.end(signal.SIGTERM) == 0
