"""Errors in the project's code: the file and line, or everything with `--traceback`.

An error because a database does not answer is reported, and does not prevent the start.
"""

from __future__ import annotations

from signal import SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import Runs, code, shell

PRICES = """
    def price(customer):
        return {}[customer]

    TOTAL = price("customer")
"""
PLACE = "(prices.py, line 3)"
WSGI = """
    import prices
    application = None
"""
SETTINGS = """
    from settings import *
    ROOT_URLCONF = "urls"
    WSGI_APPLICATION = "wsgi.application"
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/no/such/folder/db"}}
    INSTALLED_APPS = ["django_prodserver", "asking"]
"""
BROKEN = {
    "prices.py": PRICES,
    "wsgi.py": WSGI,
    "production.py": SETTINGS,
    "urls.py": "urlpatterns = []",
}
ENV = {"DJANGO_SETTINGS_MODULE": "production"}
ASKING = """
    from django.core import checks
    from django.db import connection

    @checks.register
    def tables(**kwargs):
        connection.introspection.table_names()
        return []
"""
QUIET = ""


def begin(start: Runs, processes: Any, *options: str, asking: str = QUIET, **kwargs: Any) -> Any:
    (start.project / "asking").mkdir(exist_ok=True)
    files = {**BROKEN, "asking/__init__.py": "", "asking/models.py": asking}
    return start(processes, *options, files={**files, **kwargs.pop("files", {})}, env=ENV, **kwargs)


@pytest.mark.parametrize(
    ("processes", "kwargs", "said"),
    [
        ({"web": {"BACKEND": "waitress"}}, {}, "PRODUCTION_PROCESSES['web'] cannot be loaded: "),
        (
            {"w": shell("true")},
            {"supervisor": {"PRELOAD": ["prices"]}},
            "which cannot be imported: ",
        ),
        ({"w": shell("true")}, {"files": {"urls.py": "import prices"}}, "checks cannot run: "),
        ({"w": {"BACKEND": "celery", "APP": "prices.app"}}, {}, "which cannot be imported: "),
        ({"w": {"BACKEND": "prices.Backend"}}, {}, "which cannot be imported: "),
    ],
    ids=["wsgi", "PRELOAD", "URLconf", "Celery app", "backend"],
)
def test_an_error_names_file_and_line_and_the_traceback_option_shows_the_rest(
    start: Runs, processes: Any, kwargs: Any, said: str
) -> None:
    plain = begin(start, processes, "--check", **kwargs)
    traced = begin(start, processes, "--check", "--traceback", **kwargs)

    assert (plain.end(), traced.end()) == (1, 1)
    assert "Traceback" not in plain.stderr
    assert f"{said}KeyError: 'customer' {PLACE}" in plain.stderr
    assert 'TOTAL = price("customer")' in traced.stderr
    assert "return {}[customer]" in traced.stderr
    assert f"{said}KeyError: 'customer' {PLACE}" in traced.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:\n    pass", "SyntaxError: invalid syntax (odd.py, line 1)"),
        ("raise SystemExit('no licence')", "SystemExit: no licence (odd.py, line 1)"),
        ("raise ValueError", "ValueError (odd.py, line 1)"),
        ("raise ValueError('one\\ntwo')", "ValueError: one two (odd.py, line 1)"),
        (
            "class E(Exception):\n    def __str__(self): return 1 / 0\nraise E",
            "E: its message is not available: ZeroDivisionError (odd.py, line 3)",
        ),
        (
            "import json\njson.loads('{')",
            (
                "JSONDecodeError: Expecting property name enclosed in double quotes: "
                "line 1 column 2 (char 1) (odd.py, line 2)"
            ),
        ),
    ],
)
def test_an_exception_in_a_preload_is_reported_in_one_line(
    start: Runs, source: str, said: str
) -> None:
    supervisor = {"PRELOAD": ["odd"]}
    run = start({"w": shell("true")}, "--check", supervisor=supervisor, files={"odd.py": source})

    assert run.end() == 1
    assert run.stderr == (
        "CommandError: PRODUCTION_SUPERVISOR['PRELOAD'] names 'odd', which cannot be imported: "
        f"{said}.\n"
    )


def test_the_traceback_option_shows_the_tracebacks_of_all_errors(start: Runs) -> None:
    files = {"one.py": "1 / 0", "two.py": "[][1]"}
    supervisor = {"PRELOAD": ["one", "two"]}
    run = start({"w": shell("true")}, "--traceback", "--check", supervisor=supervisor, files=files)

    assert run.end() == 1
    assert "ZeroDivisionError: division by zero\n" in run.stderr
    assert "IndexError: list index out of range\n" in run.stderr


# A port that is bound, but not listening.
REFUSED = """
import socket
with socket.socket() as bound:
    bound.bind(("127.0.0.1", 0))
    socket.create_connection(bound.getsockname())
"""
WAITS = {"wait": shell("echo waited", TYPE="oneshot")}
LATER = {**WAITS, "w": code("print('here'); forever()", AFTER=["wait"])}


def test_a_system_check_that_cannot_reach_a_database_is_only_a_warning(start: Runs) -> None:
    run = begin(start, LATER, asking=ASKING)
    run.wait_for("system", r"^all 2 ready")

    assert run.end(SIGTERM) == 0
    (warning,) = [line for line in run.said("system") if "OperationalError" in line]
    assert warning == (
        "The system checks cannot run: OperationalError: unable to open database file "
        "(asking/models.py, line 7); going on, because it may answer later"
    )
    assert run.said("wait.1") == ["waited"]


def test_a_preload_that_cannot_reach_a_database_is_only_a_warning(start: Runs) -> None:
    files = {"eager.py": "from django.db import connection\nconnection.cursor()\n"}
    run = begin(start, LATER, files=files, supervisor={"PRELOAD": ["eager"]})
    run.wait_for("w.1", "^here$")

    assert run.end(SIGTERM) == 0
    (warning,) = [line for line in run.said("system") if "OperationalError" in line]
    assert warning.startswith("PRODUCTION_SUPERVISOR['PRELOAD'] names 'eager', which cannot be ")
    assert "(eager.py, line 2)" in warning


@pytest.mark.parametrize(
    "source",
    [
        REFUSED,
        "class OperationalError(Exception): pass\nraise OperationalError('broker')",
        "try:\n    raise ConnectionRefusedError\nexcept OSError:\n    raise ValueError('no cache')",
    ],
)
def test_a_connection_error_in_a_preload_is_only_a_warning(start: Runs, source: str) -> None:
    supervisor = {"PRELOAD": ["eager"]}
    run = start(LATER, files={"eager.py": source}, supervisor=supervisor)
    run.wait_for("w.1", "^here$")

    assert run.end(SIGTERM) == 0
    assert any("going on, because it may answer later" in line for line in run.said("system"))


def test_a_connection_error_in_a_celery_app_does_not_stop_other_processes(
    start: Runs,
) -> None:
    files = {"eager.py": "raise ConnectionRefusedError"}
    worker = {"BACKEND": "celery", "APP": "eager.app", "AFTER": ["wait"]}
    run = start({**WAITS, "w": worker}, files=files)

    assert run.end() == 2  # The exit status of Celery.
    assert run.said("wait.1") == ["waited"]
    assert any("ConnectionRefusedError" in line for line in run.said("w.1"))


def test_an_error_beside_a_connection_error_still_fails_the_run(start: Runs) -> None:
    files = {"eager.py": "raise ConnectionRefusedError", "odd.py": "1 / 0"}
    run = start(LATER, files=files, supervisor={"PRELOAD": ["eager", "odd"]})

    assert run.end() == 1
    assert [text for text in run.said("system") if "odd.py, line 1" in text]


def test_the_skip_checks_option_skips_the_system_checks(start: Runs) -> None:
    files = {"urls.py": "import prices"}
    supervised = ["--all", "--skip-checks"]
    for options in (supervised, [*supervised, "--start-method=spawn"], ["wait", "--skip-checks"]):
        run = begin(start, WAITS, *options, files=files)
        assert run.end() == 0, run.stderr

    assert begin(start, LATER, "--all", files=files).end() == 1


def test_a_process_run_alone_starts_with_a_warning_if_checks_cannot_run(start: Runs) -> None:
    run = begin(start, WAITS, "wait", asking=ASKING)

    assert run.end() == 0
    assert run.raw == ["waited"]
    assert run.stderr.startswith("WARNING: The system checks cannot run: OperationalError: ")
