"""Output from before the log begins, in the machine-readable format."""

from __future__ import annotations

import json
import os
import re
from signal import SIGINT, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import Run, Runs, code
from tests.running import Reader, gone

HELLO = code("print('hello'); sys.exit(3)")
JSON = ("--all", "--log-format=json")

# A project that writes something at each stage of a start.
SETTINGS = """
    from settings import *

    INSTALLED_APPS = ["django_prodserver", "noisy.Noisy"]
    LOGGING = {
        "version": 1,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"], "level": "INFO"},
    }
"""
APP = """
    import logging
    import os
    import subprocess
    import sys
    import warnings

    from django.apps import AppConfig
    from django.core import checks

    class Noisy(AppConfig):
        name = "noisy"
        path = "."

        def ready(self):
            logging.getLogger("noisy").info("logged by an app")
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("careful", DeprecationWarning)
            print("printed by an app")
            print('{"severity": "NOTICE", "message": "an object"}', file=sys.stderr)
            checks.register(check)

    def check(app_configs, **kwargs):
        return [checks.Warning("not so good", hint="Do better.", id="noisy.W001")]
"""
PRELOADED = """
    import os
    import subprocess

    os.write(2, b"written to the descriptor\\n")
    subprocess.run(["sh", "-c", "echo by another program >&2"])
    os.write(2, b"no newline")
"""
NOISY = {"settings_of_noise.py": SETTINGS, "noisy.py": APP, "preloaded.py": PRELOADED}
ENV = {"DJANGO_SETTINGS_MODULE": "settings_of_noise"}


def noisy(start: Runs, *options: str, **kwargs: Any) -> Run:
    """Run the supervised project, with the additional files of a test."""
    files = {**NOISY, **kwargs.pop("files", {})}
    supervisor = {"PRELOAD": ["preloaded"], **kwargs.pop("supervisor", {})}
    processes = kwargs.pop("processes", {"web": HELLO})
    return start(processes, *options, files=files, env=ENV, supervisor=supervisor, **kwargs)


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_output_from_before_the_log_starts_is_json(start: Runs) -> None:
    run = noisy(start, *JSON)

    assert run.end() == 3
    errors = objects(run.stderr)
    assert {(one["process"], one["stream"]) for one in errors} == {("system", "stderr")}
    assert all("time" in one for one in errors)
    assert [one["message"] for one in errors if not re.search(r"^ |^$", one["message"])] == [
        "logged by an app",
        *[one["message"] for one in errors if "DeprecationWarning: careful" in one["message"]],
        "an object",
        "System check identified some issues:",
        "WARNINGS:",
        "?: (noisy.W001) not so good",
        "\tHINT: Do better.",
        "written to the descriptor",
        "by another program",
        "no newline",
    ]
    assert [one["severity"] for one in errors if "severity" in one] == ["NOTICE"]
    first, *others = objects("\n".join(run.raw))
    assert (first["message"], first["stream"]) == ("printed by an app", "stdout")
    assert others[0]["event"] == "supervisor.starting"


def test_early_output_precedes_the_log_when_both_share_one_stream(start: Runs) -> None:
    read, write = os.pipe()
    run = noisy(start, *JSON, stdout=write, stderr=write)
    os.close(write)
    run.output = Reader(read)

    assert run.end() == 3
    messages = [entry["message"] for entry in objects("\n".join(run.raw))]
    assert messages.index("no newline") < messages.index(
        next(one for one in messages if one.startswith("supervising"))
    )


@pytest.mark.parametrize("format", ["text", "raw"])
def test_early_output_is_unchanged_in_the_text_and_raw_formats(start: Runs, format: str) -> None:
    run = noisy(start, "--all", "--log-format", format)

    assert run.end() == 3
    assert run.stderr.startswith("logged by an app\n")
    assert run.stderr.endswith("by another program\nno newline")


def test_early_output_uses_the_format_from_the_settings_or_a_variable(start: Runs) -> None:
    by_setting = noisy(start, "--all", supervisor={"LOG_FORMAT": "json", "TIMESTAMPS": False})
    assert by_setting.end() == 3
    by_variable = start(
        {"web": HELLO, "other": HELLO},
        "web",
        "other",
        files=NOISY,
        env={**ENV, "PRODSERVER_LOG_FORMAT": "json"},
    )
    assert by_variable.end() == 3

    assert "time" not in objects(by_setting.stderr)[0]
    assert objects(by_variable.stderr)[0]["message"] == "logged by an app"


def test_early_output_of_a_single_foreground_process_is_unchanged(start: Runs) -> None:
    run = start({"web": HELLO}, "web", files=NOISY, env={**ENV, "PRODSERVER_LOG_FORMAT": "json"})

    assert run.end() == 3
    assert run.stderr.startswith("logged by an app\n")


# ---- when nothing is started ----


def test_settings_errors_are_reported_in_one_json_object(start: Runs) -> None:
    run = start({"web": HELLO, "worker": {}, "x": {}}, *JSON)

    assert run.end() == 1
    (refused,) = objects(run.stderr)
    assert refused["process"] == "system"
    assert (refused["severity"], refused["event"]) == ("ERROR", "supervisor.refused")
    assert refused["message"].startswith("CommandError: ")
    assert "PRODUCTION_PROCESSES['worker']" in refused["message"]
    assert "PRODUCTION_PROCESSES['x']" in refused["message"]


def test_a_failed_system_check_is_reported_in_one_json_object(start: Runs) -> None:
    failing = APP.replace("checks.Warning", "checks.Error")
    run = noisy(start, *JSON, files={"noisy.py": failing})

    assert run.end() == 1
    (refused,) = [entry for entry in objects(run.stderr) if "event" in entry]
    assert refused["message"].startswith("SystemCheckError: System check identified some issues:")
    assert "(noisy.W001) not so good" in refused["message"]


def test_an_invalid_option_is_reported_as_json(start: Runs) -> None:
    run = start({"web": HELLO}, *JSON, "--stop-timeout=never")

    assert run.end() == 1
    assert "argument --stop-timeout" in "".join(entry["message"] for entry in objects(run.stderr))


def test_a_traceback_during_startup_is_written_as_json(start: Runs) -> None:
    broken = APP.replace('logging.getLogger("noisy")', "nosuch")
    run = noisy(start, *JSON, files={"noisy.py": broken})

    assert run.end() == 1
    assert objects(run.stderr)[-1]["message"] == "NameError: name 'nosuch' is not defined"


@pytest.mark.template
def test_a_crash_during_the_preload_loses_no_output(start: Runs) -> None:
    crash = """
        import faulthandler, os, signal
        faulthandler.enable()
        os.write(2, b"before\\n")
        os.kill(os.getpid(), signal.SIGSEGV)
    """
    run = noisy(start, *JSON, files={"preloaded.py": crash})

    assert run.end() == 128 + 11
    messages = [entry["message"] for entry in objects(run.stderr)]
    assert messages[messages.index("before") + 1].startswith("Fatal Python error: Segmentation")


def test_a_preload_that_writes_more_than_a_pipe_holds_is_not_blocked(start: Runs) -> None:
    loud = """
        import sys
        for number in range(20_000):
            print(f"line {number}", file=sys.stderr)
    """
    run = noisy(start, *JSON, files={"preloaded.py": loud})

    assert run.end() == 3
    messages = [entry["message"] for entry in objects(run.stderr)]
    assert [one for one in messages if one.startswith("line ")] == [
        f"line {number}" for number in range(20_000)
    ]


SLOW = """
    import os, signal, sys
    print("importing", flush=True)
    signal.pause()
"""


@pytest.mark.template
@pytest.mark.parametrize(("number", "status"), [(SIGTERM, 0), (SIGINT, 130)])
def test_output_of_a_slow_preload_is_logged_at_once_and_a_signal_stops_it(
    start: Runs, number: Any, status: int
) -> None:
    run = noisy(start, *JSON, files={"preloaded.py": SLOW})
    while (line := run.read()) is not None and '"importing"' not in line.text:
        pass

    assert line is not None
    loading, helper = sorted(run.descendants(), reverse=True)
    assert run.end(number) == status
    assert gone(loading)
    assert gone(helper)


def test_the_output_helper_exits_when_its_supervisor_is_killed(start: Runs) -> None:
    run = noisy(start, *JSON, files={"preloaded.py": SLOW})
    while (line := run.read()) is not None and '"importing"' not in line.text:
        pass

    run.popen.kill()

    # If the helper survived, its ends of the pipes would keep this waiting.
    assert run.end() == -9


def test_the_output_helper_is_gone_once_the_log_starts(start: Runs) -> None:
    run = noisy(start, *JSON, processes={"web": code("print('here'); forever()")})
    while (line := run.read()) is not None and '"here"' not in line.text:
        pass

    assert len(run.descendants()) == 1
    assert run.end(SIGTERM) == 0


def test_output_of_a_program_left_running_by_the_preload_is_still_json(start: Runs) -> None:
    leaving = """
        import subprocess
        left = subprocess.Popen(["sh", "-c", "read line; echo later $line >&2"], stdin=-1)
    """
    source = """
        import preloaded
        preloaded.left.stdin.write(b"on\\n")
        preloaded.left.stdin.flush()
        forever()
    """
    read, write = os.pipe()
    run = noisy(
        start,
        *JSON,
        processes={"web": code(source)},
        files={"preloaded.py": leaving},
        stdout=write,
        stderr=write,
    )
    os.close(write)
    run.output = Reader(read)
    while (line := run.read()) is not None and '"later on"' not in line.text:
        pass

    assert line is not None
    assert json.loads(run.raw[-1])["stream"] == "stderr"
    run.end(SIGTERM)
