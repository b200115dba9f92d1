"""PRODSERVER_* variables: what they set, which source wins, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from django_prodserver.settings import load as settings
from django_prodserver.settings import variables
from django_prodserver.settings.schema import ProcessSettings, SupervisorSettings
from django_prodserver.settings.variables import PROCESS_KEYS, SUPERVISOR_KEYS, Variable
from tests.functional.helpers import code
from tests.inside import NOT_SET, configured, prodserver, sleeper
from tests.running import Site

TWO = {"web": sleeper(), "celery-worker": sleeper(STOP_TIMEOUT=3)}


def load(environ: Mapping[str, str], processes: Any = TWO, supervisor: Any = NOT_SET) -> Any:
    with configured(processes, supervisor):
        return settings.load(environ)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("USER", "1000", "1000"),
        ("GROUP", "www", "www"),
        ("UMASK", "0027", "0027"),
        ("RESTART", "on-failure", "on-failure"),
        ("STOP_TIMEOUT", "2.5", 2.5),
        ("READY_TIMEOUT", "1e1", 10.0),
        ("MAX_MEMORY", "512MB", "512MB"),
        ("START_METHOD", "spawn", "spawn"),
        ("LOG_FORMAT", "json", "json"),
        ("TIMESTAMPS", "false", False),
        ("TIMESTAMPS", "1", True),
        ("TIMESTAMPS", "Yes", True),
        ("TIMESTAMPS", "off", False),
        ("COLOR", "never", "never"),
        ("STDERR", "separate", "separate"),
        ("MAX_LINE", "100", 100),
        ("CONTROL", "off", False),
        ("CONTROL", "true", True),
        ("CONTROL", "/run/mysite/control.sock", "/run/mysite/control.sock"),
        ("CONTROL_GROUP", "staff", "staff"),
        ("MONITOR", "127.0.0.1:9180", "127.0.0.1:9180"),
    ],
)
def test_a_variable_overrides_a_key_of_the_supervisor(key: str, text: str, value: Any) -> None:
    loaded = load({f"PRODSERVER_{key}": text})

    assert getattr(loaded.supervisor, key.lower()) == value


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("ENABLED", "off", False),
        ("REPLICAS", "4", 4),
        ("REPLICAS", "0", 0),
        ("USER", "www", "www"),
        ("GROUP", "1000", "1000"),
        ("UMASK", "27", "27"),
        ("RESTART", "always", "always"),
        ("STOP_SIGNAL", "SIGINT", "SIGINT"),
        ("STOP_TIMEOUT", "9", 9.0),
        ("READY_TIMEOUT", "9", 9.0),
        ("WATCHDOG", "30", 30.0),
        ("MAX_MEMORY", "1GiB", 2**30),
        ("START_METHOD", "fork", "fork"),
    ],
)
def test_a_variable_with_a_name_overrides_the_key_of_that_process(
    key: str, text: str, value: Any
) -> None:
    loaded = load({f"PRODSERVER_{key}_CELERY_WORKER": text})

    assert getattr(loaded.effective("celery-worker"), key.lower()) == value
    assert loaded.effective("web") == load({}).effective("web")


def test_every_variable_is_covered_by_these_tests() -> None:
    def tried(test: Any) -> set[str]:
        (mark,) = test.pytestmark
        return {key for key, *_ in mark.args[1]}

    supervisor = test_a_variable_overrides_a_key_of_the_supervisor
    process = test_a_variable_with_a_name_overrides_the_key_of_that_process
    assert tried(supervisor) == set(SUPERVISOR_KEYS) <= keys(SupervisorSettings)
    assert tried(process) == set(PROCESS_KEYS) <= keys(ProcessSettings)


def keys(struct: Any) -> set[str]:
    return {name.upper() for name in struct.__struct_fields__}


def test_an_empty_variable_is_ignored() -> None:
    assert load({"PRODSERVER_REPLICAS_WEB": "", "PRODSERVER_LOG_FORMAT": ""}) == load({})


def test_a_variable_overrides_the_settings_and_the_command_line_overrides_it() -> None:
    environ = {"PRODSERVER_STOP_TIMEOUT": "7", "PRODSERVER_REPLICAS_WEB": "4"}
    loaded = load(environ, {"web": sleeper(REPLICAS=2)}, {"STOP_TIMEOUT": 5})
    called = loaded.overridden({"web": 1}, stop_timeout=9.0)

    assert (loaded.supervisor.stop_timeout, loaded.processes["web"].replicas) == (7.0, 4)
    assert (called.supervisor.stop_timeout, called.processes["web"].replicas) == (9.0, 1)


def test_a_process_setting_overrides_a_variable_for_all_processes() -> None:
    loaded = load({"PRODSERVER_STOP_TIMEOUT": "7"})

    assert loaded.effective("web").stop_timeout == 7.0
    assert loaded.effective("celery-worker").stop_timeout == 3.0


def test_variables_of_other_programs_are_ignored() -> None:
    """Kubernetes sets these for a service called prodserver; the others are ours."""
    environ = {
        "PRODSERVER_SERVICE_HOST": "10.0.0.1",
        "PRODSERVER_SERVICE_PORT": "8000",
        "PRODSERVER_PORT": "tcp://10.0.0.1:8000",
        "PRODSERVER_PORT_8000_TCP_PROTO": "tcp",
        "PRODSERVER_PROCESS": "web",
        "PRODSERVER_INSTANCE": "web.1",
    }

    assert load(environ) == load({})


def test_verbose_check_lists_every_variable_with_its_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PRODSERVER_REPLICAS_WEB", "4")
    monkeypatch.setenv("PRODSERVER_STOP_TIMEOUT", "7.5")
    supervisor = {"LOG_FORMAT": "json"}

    shown = prodserver(TWO, "--check", "-v", "2", "--color", "never", supervisor=supervisor)

    first, _, header, *rows = shown.splitlines()
    assert first == "No problems found: web, celery-worker."
    assert header.split() == ["VARIABLE", "VALUE", "FROM"]
    found = {variable: (value, origin) for variable, value, origin in map(cells, rows)}
    assert list(found) == [str(one) for one in variables.variables(TWO)]
    assert found["PRODSERVER_LOG_FORMAT"] == ("json", "settings")
    assert found["PRODSERVER_COLOR"] == ("never", "command line")
    assert found["PRODSERVER_TIMESTAMPS"] == ("true", "default")
    assert found["PRODSERVER_STOP_TIMEOUT"] == ("7.5", "environment")
    assert found["PRODSERVER_REPLICAS_WEB"] == ("4", "environment")
    assert found["PRODSERVER_REPLICAS_CELERY_WORKER"] == ("1", "default")
    assert found["PRODSERVER_STOP_TIMEOUT_WEB"] == ("7.5", "PRODSERVER_STOP_TIMEOUT")
    assert found["PRODSERVER_STOP_TIMEOUT_CELERY_WORKER"] == ("3", "settings")
    assert found["PRODSERVER_MAX_MEMORY_WEB"] == ("-", "PRODSERVER_MAX_MEMORY")
    assert found["PRODSERVER_WATCHDOG_WEB"] == ("-", "default")


def cells(row: str) -> list[str]:
    variable, value, origin = row.split(maxsplit=2)
    return [variable, value, origin]


def test_check_reports_that_no_problems_were_found() -> None:
    assert prodserver(TWO, "--check") == (
        "No problems found: web, celery-worker.\nweb, celery-worker: executed\n"
    )


def test_a_variable_has_the_process_name_in_capitals_with_underscores() -> None:
    assert str(Variable("celery-worker", "REPLICAS")) == "PRODSERVER_REPLICAS_CELERY_WORKER"


def test_a_supervisor_obeys_the_variables_of_its_environment(site: Site) -> None:
    entry = code(
        "print('spawned', 'django_prodserver.launch.supervise' not in sys.modules)", TYPE="oneshot"
    )
    env = {"PRODSERVER_REPLICAS_ONE_SHOT": "3", "PRODSERVER_LOG_FORMAT": "raw"}
    env["PRODSERVER_START_METHOD"] = "spawn"

    run = site({"one-shot": entry}, env=env)

    assert run.end() == 0
    assert run.raw[0].startswith("supervising one-shot.1, one-shot.2, one-shot.3 (")  # No prefix.
    assert run.raw.count("spawned True") == 3
    assert any(text.startswith("all 3 finished after ") for text in run.raw)
