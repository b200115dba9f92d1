"""Settings to values: defaults, what beats what, and the forms of ARGS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
from django.utils.functional import lazystr

from django_prodserver import conf
from django_prodserver.backends.base import arguments
from django_prodserver.management.commands.prodserver import Command
from django_prodserver.processes import resolve
from tests.inside import GUNICORN, NOT_SET, UVICORN, configured, prodserver, sleeper


def load(processes: Any, supervisor: Any = NOT_SET) -> conf.Configuration:
    with configured(processes, supervisor):
        return conf.load()


def test_the_defaults_of_a_process() -> None:
    loaded = load({"web": {"BACKEND": GUNICORN}})

    assert dict(loaded.processes) == {
        "web": conf.ProcessSettings(
            backend=GUNICORN,
            args={},
            app=None,
            env={},
            replicas=1,
            type="service",
            stop_signal=None,
            stop_timeout=None,
        )
    }


def test_the_defaults_of_the_supervisor() -> None:
    expected = conf.SupervisorSettings(
        stop_timeout=25.0, timestamps=True, color="auto", max_line=65536, preload=[]
    )

    assert load({"web": sleeper()}).supervisor == expected
    assert load({"web": sleeper()}, supervisor={}).supervisor == expected


def test_everything_that_can_be_said_is_kept() -> None:
    loaded = load(
        {
            "web": {
                "BACKEND": GUNICORN,
                "ARGS": ["--reload"],
                "APP": "shop.celery.app",
                "ENV": {"A": "b"},
                "REPLICAS": 3,
                "TYPE": "service",
                "STOP_SIGNAL": "SIGQUIT",
                "STOP_TIMEOUT": 7,
            }
        },
        {
            "STOP_TIMEOUT": 8,
            "TIMESTAMPS": False,
            "COLOR": "never",
            "MAX_LINE": 9,
            "PRELOAD": ["os"],
        },
    )

    assert loaded.processes["web"] == conf.ProcessSettings(
        backend=GUNICORN,
        args=["--reload"],
        app="shop.celery.app",
        env={"A": "b"},
        replicas=3,
        type="service",
        stop_signal="SIGQUIT",
        stop_timeout=7.0,
    )
    assert loaded.supervisor == conf.SupervisorSettings(
        stop_timeout=8.0, timestamps=False, color="never", max_line=9, preload=["os"]
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
def test_the_nearest_stop_timeout_counts(
    own: Any, supervisor: Any, command_line: Any, expected: float
) -> None:
    entry = sleeper() if own is None else sleeper(STOP_TIMEOUT=own)
    loaded = load({"web": entry}, {} if supervisor is None else {"STOP_TIMEOUT": supervisor})

    (process,) = resolve(loaded.overridden({}, stop_timeout=command_line), ["web"])

    assert process.stop_timeout == expected


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


def test_the_options_that_are_not_given_override_nothing() -> None:
    parser = Command().create_parser("manage.py", "prodserver")

    given = parser.parse_args([])

    assert isinstance(given, argparse.Namespace)
    assert (given.stop_timeout, given.timestamps, given.color) == (None, None, None)
    assert parser.parse_args(["--timestamps"]).timestamps is True
    assert parser.parse_args(["--no-timestamps"]).timestamps is False


@pytest.mark.parametrize(
    ("given", "expected"),
    [
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
    ],
)
def test_the_forms_of_args(given: Any, expected: list[str]) -> None:
    loaded = load({"web": {"BACKEND": GUNICORN, "ARGS": given}})

    assert arguments(loaded.processes["web"].args) == expected


def test_the_values_of_a_setting_may_be_lazy_or_paths() -> None:
    entry = {"BACKEND": lazystr(GUNICORN), "APP": lazystr("app"), "ENV": {"HOME": Path("/srv")}}

    web = load({"web": entry}).processes["web"]

    assert (web.backend, web.app, web.env) == (GUNICORN, "app", {"HOME": "/srv"})


def test_every_mistake_is_in_the_error() -> None:
    with configured({"web": {}, "b c": {}}), pytest.raises(conf.ConfigurationError) as error:
        conf.load()

    assert [finding.id for finding in error.value.findings] == ["E005", "E002"]
    assert str(error.value).count("\n") == 1
