"""`python -m django_prodserver`: the supervisor starts before anything of Django is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals

import pytest

from tests.functional.helpers import FOREVER, Runs, code, shell
from tests.running import skip_unless_it_works

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates take a subreaper")

PROGRAM = ("-m", "django_prodserver")
MANAGE = ("manage.py", "prodserver")
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]
# Prints a line when it is imported, and then hangs, whatever signal it gets.
DEAF = """
    import signal
    print("system | importing", flush=True)
    while True:
        try:
            signal.pause()
        except:
            pass
"""
# Kills the process the first time it is imported.
ONCE = """
    import os
    if not os.path.exists("seen"):
        open("seen", "w").close()
        os.kill(os.getpid(), 9)
"""


def test_python_m_starts_all_processes_and_keeps_its_command_line(start: Runs) -> None:
    run = start({"web": FOREVER, "sh": shell(["sleep", "100"])}, program=PROGRAM)
    run.wait_for("system", "^all 2 ready")

    shown = Path(f"/proc/{run.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert shown[-4:] == [b"-m", b"django_prodserver", b"--all", b"--no-timestamps"]
    assert run.end(SIGTERM) == 0


def test_settings_are_found_through_the_environment_without_manage_py(start: Runs) -> None:
    (start.project / "manage.py").unlink()
    web = code("print('here'); forever()")
    run = start({"web": web}, program=PROGRAM, env={"DJANGO_SETTINGS_MODULE": "settings"})
    run.wait_for("web.1", "^here$")
    (template,) = run.templates()
    run.kill(template, SIGKILL)
    run.wait_for("system", "^another template is ready$")

    assert run.end(SIGTERM) == 0


def test_without_settings_the_error_says_what_is_missing(start: Runs) -> None:
    (start.project / "manage.py").unlink()
    run = start({"web": FOREVER}, program=PROGRAM)

    assert run.end() == 1
    assert run.stderr == (
        "python -m django_prodserver finds no settings: set DJANGO_SETTINGS_MODULE, or start it in "
        "the folder of manage.py.\n"
    )


@pytest.mark.parametrize(
    ("options", "status"), [(["--list"], 0), (["--all", "--check"], 0), (["nobody"], 1)]
)
def test_commands_that_start_nothing_run_without_a_supervisor(
    start: Runs, options: list[str], status: int
) -> None:
    """A supervisor would be the started process, and another one would load the project."""
    with (start.project / "settings.py").open("a") as settings:
        settings.write("\nimport os\nprint('loaded by', os.getpid(), flush=True)\n")
    run = start({"web": FOREVER}, *options, program=PROGRAM)

    assert run.end() == status
    assert [raw for raw in run.raw if raw.startswith("loaded by")] == [f"loaded by {run.pid}"]


def test_the_supervisor_starts_with_closed_standard_descriptors(start: Runs) -> None:
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    run = start(
        {"web": code("tell('here'); forever()")}, program=PROGRAM, prefix=closed, channel=True
    )
    assert run.hear() == "here"

    assert run.end(SIGTERM) == 0


def test_errors_are_the_same_as_with_manage_py(start: Runs) -> None:
    processes = {"web": {**FOREVER, "REPLICAS": "two"}}
    told = []
    for program in (PROGRAM, MANAGE):
        run = start(processes, program=program)
        assert run.end() == 1
        told.append((run.raw, run.stderr))

    assert told[0] == told[1]
    assert "REPLICAS" in run.stderr


def test_a_single_foreground_process_keeps_the_pid_of_the_command(start: Runs) -> None:
    run = start({"web": code("say(f'system | {os.getpid()}')")}, "web", program=PROGRAM)
    run.wait_for("system", f"^{run.pid}$")

    assert run.end() == 0


@pytest.mark.template
@pytest.mark.parametrize(
    ("asked", "status"), [(SIGTERM, 0), (SIGQUIT, 0), (SIGINT, 130)], ids=lambda value: str(value)
)
@pytest.mark.parametrize("prefix", [[], UNSHARE], ids=["", "pid 1"])
@pytest.mark.parametrize("program", [PROGRAM, MANAGE], ids=["-m", "manage.py"])
def test_a_hanging_import_does_not_block_a_stop_signal(
    start: Runs, program: tuple[str, ...], prefix: list[str], asked: Signals, status: int
) -> None:
    if prefix:
        skip_unless_it_works(*prefix)
    run = start(
        {"web": FOREVER},
        supervisor={"PRELOAD": ["deaf"]},
        files={"deaf.py": DEAF},
        program=program,
        prefix=prefix,
    )
    run.wait_for("system", "importing")
    if prefix:
        run.enter()

    assert run.end(asked) == status
    assert run.stderr == ""


def test_a_first_template_that_is_killed_is_started_again(start: Runs) -> None:
    run = start(
        {"web": FOREVER},
        supervisor={"PRELOAD": ["once"]},
        files={"once.py": ONCE},
        program=PROGRAM,
    )
    run.wait_for("system", "^all 1 ready")

    assert run.end(SIGTERM) == 0


def test_a_first_template_that_is_killed_each_time_decides_the_status(start: Runs) -> None:
    run = start(
        {"web": FOREVER},
        supervisor={"PRELOAD": ["never"]},
        files={"never.py": "import os; os.kill(os.getpid(), 9)"},
        program=PROGRAM,
    )
    assert run.end() == 128 + SIGKILL


def test_sighup_during_the_preload_does_not_stop_the_supervisor(start: Runs) -> None:
    os.mkfifo(start.project / "gate")
    run = start(
        {"web": FOREVER},
        supervisor={"PRELOAD": ["says"]},
        files={"says.py": "print('system | importing', flush=True); open('gate').read()"},
        program=PROGRAM,
    )
    run.wait_for("system", "importing")
    run.signal(SIGHUP)
    with (start.project / "gate").open("w"):
        """Opening the pipe lets the import continue."""
    run.wait_for("system", "^all 1 ready")

    assert run.end(SIGTERM) == 0
