"""Any management command, and any command of the operating system."""

from __future__ import annotations

import signal
from typing import Any

from tests.inside import COMMAND, SHELL
from tests.running import Site

ENV = {"COLOUR": "red"}
FOREVER = ["tail", "-f", "/dev/null"]


def command(*arguments: str) -> dict[str, Any]:
    return {"BACKEND": COMMAND, "ARGS": list(arguments), "ENV": ENV}


def shell(arguments: Any) -> dict[str, Any]:
    return {"BACKEND": SHELL, "ARGS": arguments, "ENV": ENV}


def test_a_management_command_sees_its_own_arguments_and_environment(
    site: Site,
) -> None:
    """sys.argv must start this process again, whatever the supervisor was started with."""
    run = site({"tell": command("tell", "--stay")})
    run.wait_for_each({"tell.1": "COLOUR red", "system": "all 1 ready"})

    assert run.end(signal.SIGTERM) == 0
    assert run.said("tell.1") == ["argv ['prodserver', 'tell']", "COLOUR red"]
    assert any(line.startswith("tell.1 stopped after") for line in run.said("system"))


def test_a_management_command_that_exits_on_its_own_is_a_failure(site: Site) -> None:
    run = site({"tell": command("tell"), "other": shell(FOREVER)})

    assert run.end() == 1
    assert any("tell.1 exited with status 0" in line for line in run.said("system"))


def test_a_failing_management_command_shows_its_own_error_without_a_traceback(
    site: Site,
) -> None:
    for names, name in (((), "wrong.1"), (("wrong",), "")):
        run = site({"wrong": command("migrate", "no_such_app")}, *names)
        assert run.end() == 1
        said = "\n".join(run.said(name)) if name else run.stderr
        assert "CommandError: No installed app with label 'no_such_app'." in said
        assert "Traceback" not in said


def test_args_as_a_list_run_a_program_without_a_shell(site: Site) -> None:
    run = site({"echo": shell(["echo", "$COLOUR", "two  words"])}, "echo")

    assert run.end() == 0
    assert run.raw == ["$COLOUR two  words"]


def test_args_as_a_string_are_run_by_the_shell(site: Site) -> None:
    run = site({"echo": shell("echo $COLOUR two  words; exit 7")}, "echo")

    assert run.end() == 7
    assert run.raw == ["red two words"]


def test_the_supervisor_exits_with_the_status_of_a_failed_command(site: Site) -> None:
    run = site({"echo": shell("echo last words; exit 7"), "other": shell(FOREVER)})

    assert run.end() == 7
    assert run.said("echo.1") == ["last words"]


def test_the_stop_signal_reaches_programs_started_by_a_shell(site: Site) -> None:
    """A shell forwards no signal: unless the process group gets it, tail has to be killed."""
    processes = {"list": shell(FOREVER), "line": shell("echo here; tail -f /dev/null; echo on")}
    run = site(processes)
    run.wait_for_each({"line.1": "here", "system": "all 2 ready"})

    assert run.end(signal.SIGTERM) == 0
    assert not any("killed" in line for line in run.said("system"))


def test_sigpipe_ends_a_program_that_writes_to_a_closed_pipe(
    site: Site,
) -> None:
    """Python ignores SIGPIPE, and programs that it executes would inherit that."""
    run = site({"yes": shell("yes | head -n 1; echo ${COLOUR}")}, "yes")

    assert run.end() == 0
    assert run.raw == ["y", "red"]
    assert run.stderr == ""


def test_a_file_that_cannot_be_executed_fails_with_status_126_and_a_message(site: Site) -> None:
    file = {"text": "no program"}
    (site.project / "text").write_text("no program")
    (site.project / "text").chmod(0o755)

    run = site({"text": shell(["./text"])}, "text", files=file)

    assert run.end() == 126
    assert run.stderr == "./text: Exec format error\n"
