"""The system checks: each id once, with its message and its hint."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_prodserver.backends.base import Problem
from django_prodserver.launch.addresses import addresses_in_use
from django_prodserver.launch.preload import preload
from django_prodserver.launch.resolve import resolve
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.load import load
from django_prodserver.settings.names import NAMES_HINT
from tests.inside import (
    BEAT,
    CELERY,
    GUNICORN,
    NOT_SET,
    configured,
    listener,
    refused,
    sleeper,
)

EXAMPLE = "Add PRODUCTION_PROCESSES = {'web': {'BACKEND': 'gunicorn'}} to your settings."
WEB = "PRODUCTION_PROCESSES['web']"


def found(processes: Any, **others: Any) -> list[checks.CheckMessage]:
    with configured(processes, **others):
        messages = checks.run_checks()
    return [message for message in messages if message.id.startswith("prodserver.")]


def test_good_settings_have_no_messages() -> None:
    assert found({"web": sleeper(), "worker": sleeper(REPLICAS=2)}) == []


def test_W001_no_processes_are_set() -> None:
    message = checks.Warning("PRODUCTION_PROCESSES is not set.", hint=EXAMPLE, id="prodserver.W001")

    assert found(NOT_SET) == [message]


def test_W002_a_package_is_not_installed() -> None:
    message = checks.Warning(
        f"{WEB}['BACKEND'] is 'tests.backends.odd.NotInstalled', which needs no-such-package, "
        "not installed here.",
        hint="Run: pip install no-such-package",
        id="prodserver.W002",
    )

    assert found({"web": {"BACKEND": "tests.backends.odd.NotInstalled"}}) == [message]


def test_E001_processes_that_are_empty_or_not_a_mapping() -> None:
    not_a_mapping = "PRODUCTION_PROCESSES is a tuple, not a mapping of names to processes."
    empty = "PRODUCTION_PROCESSES is empty."

    assert found(()) == [checks.Error(not_a_mapping, hint=EXAMPLE, id="prodserver.E001")]
    assert found({}) == [checks.Error(empty, hint=EXAMPLE, id="prodserver.E001")]


def test_E002_a_name_that_is_not_valid_in_a_procfile() -> None:
    message = checks.Error(
        "PRODUCTION_PROCESSES has a process named 'web: x'.",
        hint=NAMES_HINT,
        id="prodserver.E002",
    )

    assert found({"web: x": sleeper()}) == [message]


def test_E003_an_unknown_key() -> None:
    message = checks.Error(
        f"{WEB}['REPLICA'] is not a known key.",
        hint="Did you mean 'REPLICAS'? "
        "Known: BACKEND, ARGS, APP, ENV, CWD, USER, GROUP, UMASK, REPLICAS, AUTOSCALE, TYPE, "
        "ENABLED, REFRESH, AFTER, LOCK, SCHEDULE, EVERY, SINGLETON, RESTART, START_LIMIT, BACKOFF, "
        "STOP_SIGNAL, STOP_TIMEOUT, READY, READY_TIMEOUT, HEALTHCHECK, WATCHDOG, MAX_MEMORY, "
        "START_METHOD, SOCKETS, UPDATE_ORDER.",
        id="prodserver.E003",
    )

    assert found({"web": sleeper(REPLICA=2)}) == [message]


def test_E004_a_wrong_value() -> None:
    wrong_type = checks.Error(
        f"{WEB}['REPLICAS'] is 'two': expected int, got str.",
        hint="Write a positive integer.",
        id="prodserver.E004",
    )
    wrong_choice = checks.Error(
        "PRODUCTION_SUPERVISOR['COLOR'] must be one of auto, always, never; got 'no'.",
        id="prodserver.E004",
    )

    wrong_text = checks.Error(
        f"{WEB}['MAX_MEMORY']: 'lots' is not a size.",
        hint="Write a number of bytes, or a size such as '512MB' or '1.5GiB'.",
        id="prodserver.E004",
    )
    two_probes = checks.Error(
        f"{WEB}['HEALTHCHECK'] has HTTP and TCP at once.",
        hint="Set exactly one of HTTP, TCP, COMMAND.",
        id="prodserver.E004",
    )

    assert found({"web": sleeper(REPLICAS="two")}) == [wrong_type]
    assert found({"web": sleeper(MAX_MEMORY="lots")}) == [wrong_text]
    assert found({"web": sleeper(HEALTHCHECK={"HTTP": "/", "TCP": ":80"})}) == [two_probes]
    assert found({"web": sleeper()}, supervisor={"COLOR": "no"}) == [wrong_choice]


def test_E005_a_missing_key() -> None:
    message = checks.Error(
        f"{WEB} has no 'BACKEND'.",
        hint="Name what runs it, such as 'gunicorn'.",
        id="prodserver.E005",
    )

    assert found({"web": {"ARGS": {}}}) == [message]


def test_E006_a_class_that_cannot_be_imported() -> None:
    message = checks.Error(
        f"{WEB}['BACKEND'] is 'django_prodserver.backends.gunicorn.Gunicorn', which cannot be "
        'imported: ImportError: Module "django_prodserver.backends.gunicorn" does not define a '
        '"Gunicorn" attribute/class.',
        hint=f"Did you mean '{GUNICORN}'?",
        id="prodserver.E006",
    )

    assert found({"web": {"BACKEND": "django_prodserver.backends.gunicorn.Gunicorn"}}) == [message]


def test_E007_a_class_that_is_not_a_backend() -> None:
    message = checks.Error(
        f"{WEB}['BACKEND'] is 'datetime.date', which is not a backend.",
        hint="Let it inherit from django_prodserver.backends.base.BaseServerBackend.",
        id="prodserver.E007",
    )

    assert found({"web": {"BACKEND": "datetime.date"}}) == [message]


def test_E008_an_app_that_is_missing_or_cannot_be_imported() -> None:
    hint = "Name the Celery app, such as 'myproject.celery.app'."
    missing = f"{WEB} has no 'APP'."
    wrong = (
        f"{WEB}['APP'] is 'nowhere.app', which cannot be imported: "
        "ModuleNotFoundError: No module named 'nowhere'."
    )

    assert found({"web": {"BACKEND": CELERY}}) == [
        checks.Error(missing, hint=hint, id="prodserver.E008")
    ]
    assert found({"web": {"BACKEND": CELERY, "APP": "nowhere.app"}}) == [
        checks.Error(wrong, hint=hint, id="prodserver.E008")
    ]


def test_E009_two_replicas_of_celery_beat() -> None:
    twice = f"{WEB}['REPLICAS'] is 2."
    hint = "Use 1: every instance would do the same work."

    assert found({"web": {"BACKEND": BEAT, "APP": "celery.current_app", "REPLICAS": 2}}) == [
        checks.Error(twice, hint=hint, id="prodserver.E009")
    ]


def test_a_problem_of_a_backend_is_reported_with_its_full_location() -> None:
    problem = Problem("ARGS", "has to be one address.", "Write '127.0.0.1:8000'.")
    missing = Problem("", "has no 'APP'.", id="E008")

    assert str(problem.within(WEB)) == (
        f"{WEB}['ARGS'] has to be one address. Write '127.0.0.1:8000'."
    )
    assert problem.within(WEB).id == "E009"
    assert missing.within(WEB) == Finding(WEB, "has no 'APP'.", id="E008")


def test_a_message_that_starts_with_a_colon_gets_no_space_before_it() -> None:
    assert str(Finding(f"{WEB}['ARGS']", ": unknown option.")) == f"{WEB}['ARGS']: unknown option."


def test_a_check_imports_no_server_and_no_application() -> None:
    # The checks run before every management command.
    script = """
        import sys
        import django
        from django.conf import settings

        backend = "django_prodserver.backends.{}"
        settings.configure(
            INSTALLED_APPS=["django_prodserver"],
            ROOT_URLCONF="tests.urls",
            WSGI_APPLICATION="tests.project.wsgi.application",
            PRODUCTION_PROCESSES={
                "gunicorn": {"BACKEND": backend.format("gunicorn.GunicornServer")},
                "uvicorn": {"BACKEND": backend.format("uvicorn.UvicornWSGIServer")},
                "waitress": {"BACKEND": backend.format("waitress.WaitressServer")},
            },
        )
        django.setup()
        from django_prodserver.checks import check_settings

        print([message.msg for message in check_settings()])
        imported = {"gunicorn", "uvicorn", "waitress", "tests.project.wsgi"}
        print(sorted(imported & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n[]\n"


def test_E010_an_address_in_use_is_reported_only_at_a_start() -> None:
    with listener() as address:
        processes = {"web": {"BACKEND": GUNICORN, "ARGS": {"bind": address}}}
        assert found(processes) == []
        with configured(processes):
            (finding,) = addresses_in_use(resolve(load(), ["web"]))

    assert finding == Finding(
        WEB,
        f"cannot listen at {address}: Address already in use.",
        "Stop the program that uses it (`ss -ltnp` shows which), "
        "or choose another address in its ARGS.",
        id="E010",
    )


def test_an_address_that_all_listeners_share_is_not_reported_as_in_use() -> None:
    with listener(shared=True) as address:
        alone = {"web": {"BACKEND": GUNICORN, "ARGS": {"bind": address}}}
        sharing = {"web": {"BACKEND": GUNICORN, "ARGS": {"bind": address, "reuse-port": True}}}
        with configured(alone):
            assert [finding.id for finding in addresses_in_use(resolve(load(), ["web"]))] == [
                "E010"
            ]
        with configured(sharing):
            assert addresses_in_use(resolve(load(), ["web"])) == []


def test_E011_a_failing_preload_is_reported_only_at_a_start() -> None:
    supervisor = {"PRELOAD": ["tests.backends.odd.broken"]}
    assert found({"web": sleeper()}, supervisor=supervisor) == []

    with configured({"web": sleeper()}, supervisor):
        configuration = load()
    with pytest.raises(ConfigurationError) as error:
        preload(resolve(configuration, ["web"]), configuration.supervisor.preload)

    assert error.value.findings == [
        Finding(
            "PRODUCTION_SUPERVISOR['PRELOAD']",
            "names 'tests.backends.odd.broken', which cannot be imported: ZeroDivisionError: "
            "division by zero (tests/backends/odd/broken.py, line 5).",
            id="E011",
        )
    ]


def test_a_health_check_path_without_an_address_is_reported_only_at_a_start() -> None:
    processes = {"web": sleeper(HEALTHCHECK={"HTTP": "/health"})}
    assert found(processes) == []

    with configured(processes), pytest.raises(ConfigurationError) as error:
        resolve(load(), ["web"])

    assert [finding.id for finding in error.value.findings] == ["E004"]


def test_E012_settings_that_contradict_each_other() -> None:
    done = "a oneshot is done once it exits with 0."
    restarted = checks.Error(
        f"{WEB}['RESTART'] is 'always', but its TYPE is 'oneshot'.",
        hint=f"Use 'on-failure': {done}",
        id="prodserver.E012",
    )
    watched = checks.Error(
        f"{WEB}['WATCHDOG'] is for a service, but its TYPE is 'oneshot'.",
        hint=f"Leave it out: {done}",
        id="prodserver.E012",
    )
    shrinking = checks.Error(
        "PRODUCTION_SUPERVISOR['BACKOFF'] has an INITIAL of 40 s above its MAX of 30 s.",
        hint="Raise MAX: the pause grows from INITIAL up to it.",
        id="prodserver.E012",
    )

    assert found({"web": sleeper(TYPE="oneshot", RESTART="always", WATCHDOG=1)}) == [
        restarted,
        watched,
    ]
    assert found({"web": sleeper()}, supervisor={"BACKOFF": {"INITIAL": 40}}) == [shrinking]


def test_E012_a_watchdog_of_software_that_never_pings() -> None:
    message = checks.Error(
        f"{WEB}['WATCHDOG'] is set, but gunicorn does not send WATCHDOG=1.",
        hint="Use HEALTHCHECK instead.",
        id="prodserver.E012",
    )

    assert found({"web": {"BACKEND": "gunicorn", "WATCHDOG": 30}}) == [message]
    assert found({"web": {"BACKEND": CELERY, "APP": "celery.current_app", "WATCHDOG": 30}}) == []


UNKNOWN_PINGS = checks.Warning(
    f"{WEB}['WATCHDOG'] is set, but it is unknown whether the process sends WATCHDOG=1.",
    hint="If it does not, it will be stopped as unhealthy: use HEALTHCHECK instead. If it does, "
    "add 'prodserver.W003' to SILENCED_SYSTEM_CHECKS.",
    id="prodserver.W003",
)


def test_W003_a_watchdog_of_software_that_may_ping() -> None:
    assert found({"web": sleeper(WATCHDOG=30)}) == [UNKNOWN_PINGS]
    assert found({"web": {"BACKEND": "tests.backends.odd.Odd", "WATCHDOG": 30}}) == [UNKNOWN_PINGS]


def test_W003_names_the_variable_that_the_watchdog_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PRODSERVER_WATCHDOG_WEB", "30")

    (message,) = found({"web": sleeper()})

    assert message.msg == UNKNOWN_PINGS.msg.replace(f"{WEB}['WATCHDOG']", "PRODSERVER_WATCHDOG_WEB")


def test_W003_is_shown_by_a_check_that_passes() -> None:
    out, err = io.StringIO(), io.StringIO()

    with configured({"web": sleeper(WATCHDOG=30)}):
        call_command("prodserver", "--check", stdout=out, stderr=err)

    assert out.getvalue().startswith("No problems found: web.\n")
    assert f"(prodserver.W003) {UNKNOWN_PINGS.msg}" in err.getvalue()


def test_compatible_or_harmless_combinations_of_settings_have_no_messages() -> None:
    once = sleeper(TYPE="oneshot", RESTART="on-failure", REPLICAS=2, MAX_MEMORY="1GB")
    never = sleeper(RESTART="never", START_LIMIT={"BURST": 1}, BACKOFF={"INITIAL": 0, "MAX": 0})
    slow = sleeper(HEALTHCHECK={"TCP": ":80", "INTERVAL": 1, "TIMEOUT": 5})
    supervisor = {"RESTART": "always", "READY_TIMEOUT": 5}

    assert found({"once": once, "never": never, "slow": slow}, supervisor=supervisor) == []


def test_E013_an_impossible_order_of_processes() -> None:
    itself = checks.Error(
        f"{WEB}['AFTER'] names 'web' itself.", hint="Leave it out.", id="prodserver.E013"
    )
    nobody = checks.Error(
        f"{WEB}['AFTER'] names 'migrat', which is not a configured process.",
        hint="Did you mean 'migrate'? Known: migrate.",
        id="prodserver.E013",
    )
    circle = checks.Error(
        f"{WEB}['AFTER'] is a cycle: web -> migrate -> web.",
        hint="'->' means 'comes after'; remove one of these AFTER entries.",
        id="prodserver.E013",
    )
    migrate = sleeper(TYPE="oneshot")

    assert found({"web": sleeper(AFTER=["web", "migrat"]), "migrate": migrate}) == [itself, nobody]
    assert found({"web": sleeper(AFTER=["migrate"]), "migrate": {**migrate, "AFTER": ["web"]}}) == [
        circle
    ]


def test_every_error_gets_a_message_with_its_id() -> None:
    messages = found({"web": {"ARGS": 3}, "b c": {}}, supervisor=[])

    assert [message.id for message in messages] == [
        "prodserver.E004",
        "prodserver.E005",
        "prodserver.E002",
        "prodserver.E004",
    ]


def test_two_processes_at_one_address_are_refused_only_if_started_together() -> None:
    web = {"BACKEND": GUNICORN, "ARGS": {"bind": "127.0.0.1:8000"}}

    assert found({"web": web, "api": web}) == []
    assert len(refused({"web": web, "api": web}, "--all")) == 1


def test_a_changed_setting_is_checked_again() -> None:
    with override_settings(PRODUCTION_PROCESSES={}):
        before = checks.run_checks()
        with override_settings(PRODUCTION_PROCESSES={"web": sleeper()}):
            between = checks.run_checks()
        after = checks.run_checks()

    assert [message.id for message in before] == ["prodserver.E001"]
    assert between == []
    assert after == before


def test_the_check_command_of_django_reports_the_errors() -> None:
    with configured({}), pytest.raises(CommandError, match=r"\(prodserver\.E001\)"):
        call_command("check")


def test_an_error_of_the_project_keeps_everything_from_starting() -> None:
    wrong = refused({"web": sleeper()}, LANGUAGE_CODE="no language")

    assert any("(translation.E001)" in line for line in wrong)
