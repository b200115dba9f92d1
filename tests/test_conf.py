"""From settings to values: defaults, which source wins, and the forms of ARGS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
from django.utils.functional import lazystr

from django_prodserver.backends.base import Address, arguments
from django_prodserver.backends.gunicorn import GunicornServer
from django_prodserver.launch.addresses import probed_address
from django_prodserver.launch.process import ResolvedProcess
from django_prodserver.launch.resolve import resolve
from django_prodserver.management.commands.prodserver import Command
from django_prodserver.settings import load as settings
from django_prodserver.settings.convert import fields_of
from django_prodserver.settings.findings import ConfigurationError
from django_prodserver.settings.schema import (
    AutoscaleSettings,
    Backoff,
    EffectiveSettings,
    HealthCheckSettings,
    ProcessSettings,
    ReadySettings,
    StartLimit,
    SupervisorSettings,
)
from tests.inside import GUNICORN, NOT_SET, SHELL, UVICORN, configured, prodserver, sleeper


def load(processes: Any, supervisor: Any = NOT_SET) -> settings.Configuration:
    with configured(processes, supervisor):
        return settings.load()


def test_a_process_gets_its_default_settings() -> None:
    loaded = load({"web": {"BACKEND": GUNICORN}})

    assert dict(loaded.processes) == {
        "web": ProcessSettings(
            backend=GUNICORN,
            args={},
            app=None,
            env={},
            replicas=1,
            type="service",
            after=[],
            restart=None,
            start_limit=None,
            backoff=None,
            stop_signal=None,
            stop_timeout=None,
            ready_timeout=None,
            healthcheck=None,
            watchdog=None,
            max_memory=None,
            start_method=None,
        )
    }


def test_the_supervisor_gets_its_default_settings() -> None:
    expected = SupervisorSettings(
        restart="never",
        start_limit=StartLimit(burst=5, interval=60.0),
        backoff=Backoff(initial=0.5, max=30.0),
        stop_timeout=25.0,
        ready_timeout=60.0,
        max_memory=None,
        start_method="auto",
        timestamps=True,
        color="auto",
        max_line=65536,
        preload=[],
    )

    assert load({"web": sleeper()}).supervisor == expected
    assert load({"web": sleeper()}, supervisor={}).supervisor == expected


EVERYTHING: dict[str, Any] = {
    "web": {
        "BACKEND": GUNICORN,
        "ARGS": ["--reload"],
        "APP": "shop.celery.app",
        "ENV": {"A": "b"},
        "CWD": "/srv",
        "USER": "www",
        "GROUP": 33,
        "UMASK": "0027",
        "ENABLED": False,
        "REPLICAS": 3,
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 4},
        "TYPE": "service",
        "AFTER": ["migrate"],
        "RESTART": "always",
        "START_LIMIT": {"BURST": 2, "INTERVAL": 3},
        "BACKOFF": {"INITIAL": 0, "MAX": 1},
        "STOP_SIGNAL": "SIGQUIT",
        "STOP_TIMEOUT": 7,
        "READY": {"TCP": ":8000"},
        "READY_TIMEOUT": 0.5,
        "HEALTHCHECK": {
            "COMMAND": ["true"],
            "INTERVAL": 1,
            "TIMEOUT": 2,
            "RETRIES": 4,
            "START_PERIOD": 0,
        },
        "WATCHDOG": 6,
        "MAX_MEMORY": "1GB",
        "START_METHOD": "spawn",
        "SOCKETS": "held",
        "UPDATE_ORDER": "stop-first",
    },
    "migrate": sleeper(TYPE="oneshot", LOCK="/srv/migrate.lock", REFRESH=True),
    "nightly": sleeper(TYPE="oneshot", SCHEDULE="0 3 * * *"),
    "often": sleeper(TYPE="oneshot", EVERY="15m"),
    "beat": sleeper(SINGLETON=True),
}
EVERYTHING_FOR_ALL: dict[str, Any] = {
    "RESTART": "on-failure",
    "START_LIMIT": {"BURST": 9},
    "BACKOFF": {"MAX": 9},
    "STOP_TIMEOUT": 8,
    "READY_TIMEOUT": 9,
    "MAX_MEMORY": 9,
    "START_METHOD": "fork",
    "CWD": "/",
    "USER": 33,
    "GROUP": "www",
    "UMASK": "0022",
    "LOG_FORMAT": "json",
    "TIMESTAMPS": False,
    "COLOR": "never",
    "STDERR": "separate",
    "MAX_LINE": 9,
    "CONTROL": "/run/control.sock",
    "CONTROL_GROUP": "staff",
    "MONITOR": "127.0.0.1:9180",
    "ON_EVENT": ["shop.page"],
    "PRELOAD": ["os"],
}


def test_every_key_of_a_process_and_the_supervisor_is_loaded() -> None:
    assert {key for entry in EVERYTHING.values() for key in entry} == {*fields_of(ProcessSettings)}
    assert {*EVERYTHING_FOR_ALL} == {*fields_of(SupervisorSettings)}

    loaded = load(EVERYTHING, EVERYTHING_FOR_ALL)

    assert loaded.findings == []
    assert loaded.processes["web"] == ProcessSettings(
        backend=GUNICORN,
        args=["--reload"],
        app="shop.celery.app",
        env={"A": "b"},
        cwd="/srv",
        user="www",
        group=33,
        umask="0027",
        enabled=False,
        replicas=3,
        autoscale=AutoscaleSettings(metric="cpu", target=0.7, max=4),
        type="service",
        after=["migrate"],
        restart="always",
        start_limit=StartLimit(burst=2, interval=3.0),
        backoff=Backoff(initial=0.0, max=1.0),
        stop_signal="SIGQUIT",
        stop_timeout=7.0,
        ready=ReadySettings(tcp=":8000"),
        ready_timeout=0.5,
        healthcheck=HealthCheckSettings(
            command=["true"], interval=1.0, timeout=2.0, retries=4, start_period=0.0
        ),
        watchdog=6.0,
        max_memory="1GB",
        start_method="spawn",
        sockets="held",
        update_order="stop-first",
    )
    migrate, nightly, often, beat = [*loaded.processes.values()][1:]
    assert (migrate.lock, migrate.refresh) == ("/srv/migrate.lock", True)
    assert (nightly.schedule, often.every, beat.singleton) == ("0 3 * * *", "15m", True)
    assert loaded.supervisor == SupervisorSettings(
        restart="on-failure",
        start_limit=StartLimit(burst=9, interval=60.0),
        backoff=Backoff(initial=0.5, max=9.0),
        stop_timeout=8.0,
        ready_timeout=9.0,
        max_memory=9,
        start_method="fork",
        cwd="/",
        user=33,
        group="www",
        umask="0022",
        log_format="json",
        timestamps=False,
        color="never",
        stderr="separate",
        max_line=9,
        control="/run/control.sock",
        control_group="staff",
        monitor="127.0.0.1:9180",
        on_event=["shop.page"],
        preload=["os"],
    )


def test_the_processes_keep_their_order() -> None:
    assert list(load({name: sleeper() for name in "zaMb"}).processes) == ["z", "a", "M", "b"]


@pytest.mark.parametrize(
    ("own", "supervisor", "command_line", "expected"),
    [
        (None, None, None, 25.0),
        (None, 10, None, 10.0),
        (None, 10, 5.0, 5.0),
        (None, None, 5.0, 5.0),
        (3, 10, 5.0, 3.0),
        (3, None, None, 3.0),
    ],
)
def test_the_most_specific_stop_timeout_wins(
    own: Any, supervisor: Any, command_line: Any, expected: float
) -> None:
    entry = sleeper() if own is None else sleeper(STOP_TIMEOUT=own)
    loaded = load({"web": entry}, {} if supervisor is None else {"STOP_TIMEOUT": supervisor})

    (process,) = resolve(loaded.overridden({}, stop_timeout=command_line), ["web"])

    assert process.settings.stop_timeout == expected


def test_the_effective_settings_are_the_defaults_if_nothing_is_set() -> None:
    web = load({"web": sleeper()}).effective("web")

    assert web == EffectiveSettings(
        backend=SHELL,
        args=["sleep", "1000"],
        restart="never",
        start_limit=StartLimit(burst=5, interval=60.0),
        backoff=Backoff(initial=0.5, max=30.0),
        stop_timeout=25.0,
        ready_timeout=60.0,
        max_memory=None,
        start_method="auto",
    )


OWN: dict[str, Any] = {
    "RESTART": "on-failure",
    "START_LIMIT": {"BURST": 1},
    "BACKOFF": {"INITIAL": 1},
    "STOP_TIMEOUT": 1,
    "READY_TIMEOUT": 1,
    "MAX_MEMORY": "1KiB",
    "START_METHOD": "spawn",
}
DEFAULTS: dict[str, Any] = {
    "RESTART": "always",
    "START_LIMIT": {"INTERVAL": 2},
    "BACKOFF": {"MAX": 2},
    "STOP_TIMEOUT": 2,
    "READY_TIMEOUT": 2,
    "MAX_MEMORY": "2kB",
    "START_METHOD": "fork",
}


def test_a_setting_of_a_process_overrides_that_of_the_supervisor() -> None:
    loaded = load({"own": sleeper(**OWN), "default": sleeper()}, DEFAULTS)

    own, default = loaded.effective("own"), loaded.effective("default")

    assert own == EffectiveSettings(
        backend=SHELL,
        args=["sleep", "1000"],
        restart="on-failure",
        # A nested mapping is replaced as a whole.
        start_limit=StartLimit(burst=1, interval=60.0),
        backoff=Backoff(initial=1.0, max=30.0),
        stop_timeout=1.0,
        ready_timeout=1.0,
        max_memory=1024,
        start_method="spawn",
    )
    assert default == EffectiveSettings(
        backend=SHELL,
        args=["sleep", "1000"],
        restart="always",
        start_limit=StartLimit(burst=5, interval=2.0),
        backoff=Backoff(initial=0.5, max=2.0),
        stop_timeout=2.0,
        ready_timeout=2.0,
        max_memory=2000,
        start_method="fork",
    )


def test_a_oneshot_takes_only_the_defaults_that_make_sense_for_it() -> None:
    processes = {
        "migrate": sleeper(TYPE="oneshot"),
        "static": sleeper(TYPE="oneshot", RESTART="never", MAX_MEMORY=7),
    }

    migrate = load(processes, DEFAULTS).effective("migrate")
    static = load(processes, DEFAULTS).effective("static")
    never = load(processes).effective("migrate")

    assert (migrate.restart, migrate.max_memory) == ("on-failure", None)
    assert (migrate.stop_timeout, migrate.start_method) == (2.0, "fork")
    assert (static.restart, static.max_memory) == ("never", 7)
    assert never.restart == "never"


@pytest.mark.parametrize(
    ("own", "supervisor", "command_line", "expected"),
    [
        (None, None, None, "auto"),
        (None, "fork", None, "fork"),
        (None, "fork", "spawn", "spawn"),
        ("auto", "fork", "spawn", "auto"),
    ],
)
def test_the_most_specific_start_method_wins(
    own: Any, supervisor: Any, command_line: Any, expected: str
) -> None:
    entry = sleeper() if own is None else sleeper(START_METHOD=own)
    loaded = load({"web": entry}, {} if supervisor is None else {"START_METHOD": supervisor})

    assert loaded.overridden({}, start_method=command_line).effective("web").start_method == (
        expected
    )


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("abcd", "bcad"),
        ("dcba", "dbca"),
        ("ab", "ba"),
        ("ac", "ca"),
        ("cb", "bc"),
        ("ad", "ad"),
        ("", ""),
    ],
)
def test_a_process_starts_after_the_processes_it_names_in_after(names: str, order: str) -> None:
    after = {"a": ["c", "b"], "b": [], "c": ["b"], "d": []}
    loaded = load({name: sleeper(AFTER=others) for name, others in after.items()})

    assert "".join(loaded.starting_order(names)) == order


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ({"bind": "127.0.0.1:8000"}, Address(("127.0.0.1", 8000))),
        ({"bind": "0.0.0.0:8000"}, Address(("127.0.0.1", 8000))),
        ({"bind": "[::]:8000"}, Address(("::1", 8000))),
        (
            {"bind": ["unix:/tmp/x", "10.0.0.1:0", "10.0.0.1:8001", "10.0.0.1:8002"]},
            Address(("10.0.0.1", 8001)),
        ),
        ({"bind": "unix:/tmp/x"}, Address("/tmp/x", mode=0o777)),
        (
            {"bind": "127.0.0.1:8000", "certfile": "c.pem", "keyfile": "k.pem"},
            Address(("127.0.0.1", 8000), tls=True),
        ),
        ({"bind": "127.0.0.1:0"}, None),
        ({"version": True}, None),
    ],
)
def test_the_address_of_a_health_check_is_the_first_that_can_be_reached(
    arguments: Any, address: Any
) -> None:
    loaded = load({"web": {"BACKEND": GUNICORN, "ARGS": arguments}})

    process = ResolvedProcess("web", loaded.effective("web"), GunicornServer)
    assert probed_address(process) == address


def test_a_process_that_listens_nowhere_has_no_health_check_address() -> None:
    (process,) = resolve(load({"web": sleeper()}), ["web"])

    assert probed_address(process) is None


def test_a_health_check_needs_only_a_path_if_the_address_is_known() -> None:
    web = {"BACKEND": GUNICORN, "HEALTHCHECK": {"HTTP": "/health"}}

    (process,) = resolve(load({"web": web}), ["web"])

    assert process.settings.healthcheck == HealthCheckSettings(http="/health")
    assert probed_address(process) == Address(("127.0.0.1", 8000))


def test_the_stop_timeout_of_the_command_line_reaches_the_software() -> None:
    processes = {"web": {"BACKEND": UVICORN}, "api": {"BACKEND": UVICORN, "STOP_TIMEOUT": 4}}

    said = prodserver(processes, "--dry-run", "web", "--stop-timeout", "12")
    assert "--timeout-graceful-shutdown=10 " in said

    said = prodserver(processes, "--dry-run", "api", "--stop-timeout", "12")
    assert "--timeout-graceful-shutdown=2 " in said


def test_the_command_line_beats_the_settings() -> None:
    loaded = load({"web": sleeper(REPLICAS=2)}, {"TIMESTAMPS": False, "COLOR": "never"})

    beaten = loaded.overridden({"web": 3}, timestamps=True, color="always", stop_timeout=None)
    kept = loaded.overridden({}, timestamps=None, color=None, stop_timeout=None)

    assert beaten.processes["web"].replicas == 3
    assert (beaten.supervisor.timestamps, beaten.supervisor.color) == (True, "always")
    assert kept == loaded


def test_the_start_method_of_the_command_line_beats_the_setting() -> None:
    web, forked = {"BACKEND": "tests.test_start_method.Plain"}, {"START_METHOD": "fork"}

    said = prodserver({"web": web}, "--check", "--start-method", "spawn", supervisor=forked)

    assert "web: spawned, because START_METHOD is 'spawn'\n" in said


def test_the_options_that_are_not_given_override_nothing() -> None:
    parser = Command().create_parser("manage.py", "prodserver")

    given = parser.parse_args([])

    assert isinstance(given, argparse.Namespace)
    assert (given.stop_timeout, given.timestamps, given.color) == (None, None, None)
    assert given.start_method is None
    assert parser.parse_args(["--timestamps"]).timestamps is True
    assert parser.parse_args(["--no-timestamps"]).timestamps is False


FORMS = [
    ({"bind": "0.0.0.0:8000"}, ["--bind=0.0.0.0:8000"]),
    ({"workers": 2, "timeout": 0.5}, ["--workers=2", "--timeout=0.5"]),
    ({"preload": True, "reload": None, "spew": False}, ["--preload", "--reload"]),
    ({"bind": ["a:1", "b:2"]}, ["--bind=a:1", "--bind=b:2"]),
    ({"bind": []}, []),
    ({"k": "gthread", "v": True, "q": False}, ["-k", "gthread", "-v"]),
    ({"e": ["A=1", "B=2"]}, ["-e", "A=1", "-e", "B=2"]),
    ({}, []),
    (["--bind", "x", "-v"], ["--bind", "x", "-v"]),
    (("--bind", "x"), ["--bind", "x"]),
    ([], []),
    ("migrate --noinput", ["migrate --noinput"]),
    ({"pid": Path("/run/web")}, ["--pid=/run/web"]),
    ({"bind": [Path("/run/web")]}, ["--bind=/run/web"]),
    ([Path("/bin/sleep"), "3"], ["/bin/sleep", "3"]),
    ({"name": lazystr("shop")}, ["--name=shop"]),
    ([lazystr("shop")], ["shop"]),
    (Path("/bin/true"), ["/bin/true"]),
]


@pytest.mark.parametrize(("given", "expected"), FORMS)
def test_every_form_of_args_becomes_a_list_of_arguments(given: Any, expected: list[str]) -> None:
    loaded = load({"web": {"BACKEND": GUNICORN, "ARGS": given}})

    assert arguments(loaded.processes["web"].args) == expected


def test_the_values_of_a_setting_may_be_lazy_or_paths() -> None:
    entry = {"BACKEND": lazystr(GUNICORN), "APP": lazystr("app"), "ENV": {"HOME": Path("/srv")}}

    web = load({"web": entry}).processes["web"]

    assert (web.backend, web.app, web.env) == (GUNICORN, "app", {"HOME": "/srv"})


def test_the_configuration_error_lists_every_wrong_setting() -> None:
    with configured({"web": {}, "b c": {}}), pytest.raises(ConfigurationError) as error:
        settings.load()

    assert [finding.id for finding in error.value.findings] == ["E005", "E002"]
    assert str(error.value).count("\n") == 1
