"""ShellCommand and ManagementCommand."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from signal import SIGTERM

from tests.functional.helpers import FOREVER, Runs, shell
from tests.running import gone

MANAGEMENT_COMMAND = "django_prodserver.backends.command.ManagementCommand"


def management(*args: str) -> dict[str, object]:
    return {"BACKEND": MANAGEMENT_COMMAND, "ARGS": args}


def test_a_list_is_run_without_a_shell(start: Runs) -> None:
    run = start({"web": shell(["echo", "$HOME", "*", ";", "a  b"])})

    assert run.end() == 1
    assert run.said("web.1") == ["$HOME * ; a  b"]


def test_a_string_is_run_by_a_shell(start: Runs) -> None:
    run = start({"web": shell("echo $FLAVOUR | tr a-z A-Z; exit 6", ENV={"FLAVOUR": "vanilla"})})

    assert run.end() == 6
    assert run.said("web.1") == ["VANILLA"]


def test_the_stop_signal_reaches_the_children_of_a_shell(start: Runs) -> None:
    run = start({"web": shell("sleep 600 & echo $!; wait; echo never"), "worker": FOREVER})
    pid = int(run.wait_for("web.1", r"^(\d+)$")[1])

    assert run.end(SIGTERM) == 0
    assert gone(pid)
    assert any(text.startswith("web.1 stopped after") for text in run.said("system"))
    assert len(run.said("web.1")) == 1


def test_the_stop_signal_for_a_list_goes_only_to_the_group_leader(start: Runs) -> None:
    script = "trap 'echo leader; exit' TERM; (trap 'echo group' TERM; sleep 600) & echo up; wait"
    run = start({"web": shell(["sh", "-c", script])})
    run.wait_for("web.1", "up")

    assert run.end(SIGTERM) == 0
    assert run.said("web.1") == ["up", "leader"]


def test_a_stop_signal_may_be_chosen(start: Runs) -> None:
    script = "trap 'echo got SIGUSR2; exit 0' USR2; echo up; while :; do sleep 0.1; done"
    run = start({"web": shell(["sh", "-c", script], STOP_SIGNAL="SIGUSR2")})
    run.wait_for("web.1", "up")

    assert run.end(SIGTERM) == 0
    assert run.said("web.1") == ["up", "got SIGUSR2"]


def test_a_command_that_the_shell_cannot_find_exits_with_127(start: Runs) -> None:
    run = start({"web": shell("no-such-command-anywhere")})

    assert run.end() == 127
    assert "not found" in run.said("web.1")[0]


def test_a_program_missing_from_the_path_is_refused_before_anything_starts(start: Runs) -> None:
    run = start({"web": shell(["no-such-command-anywhere"]), "worker": FOREVER})

    assert run.end() == 1
    assert run.raw == []
    assert "'no-such-command-anywhere', which is not a program on the PATH" in run.stderr


def beside_the_interpreter(start: Runs) -> dict[str, str]:
    """An environment whose PATH lacks the folder of the running Python."""
    folder = start.project / "bin"
    folder.mkdir()
    for name in ("sh", "sleep"):
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
    return {"PATH": str(folder)}


def test_programs_beside_the_running_python_are_found_even_outside_the_path(start: Runs) -> None:
    """As in a virtual environment that is not activated, whose python is called by its path."""
    name = os.path.basename(sys.executable)
    show = "import sys; print(sys.executable)"
    check = {"COMMAND": [name, "-c", f"{show}; sys.exit(1)"], "INTERVAL": 0.1, "RETRIES": 1000}
    processes = {
        "list": shell([name, "-c", f"{show}; import signal; signal.pause()"]),
        "string": shell(f"{name} -c '{show}'; exec sleep 1000", HEALTHCHECK=check),
    }
    run = start(processes, env=beside_the_interpreter(start))

    found = f"^{re.escape(sys.executable)}$"
    run.wait_for_each({"list.1": found, "string.1": found, "system": f"status 1: {found[1:]}"})
    assert run.end(SIGTERM) == 0


def test_a_path_in_env_takes_precedence_over_the_running_python(start: Runs) -> None:
    name = os.path.basename(sys.executable)
    env = beside_the_interpreter(start)
    own = start.project / "own"
    own.mkdir()
    (own / name).write_text(f"#!{shutil.which('sh')}\necho own\n")
    (own / name).chmod(0o755)
    run = start({"web": shell([name], TYPE="oneshot", ENV={"PATH": str(own)})}, env=env)

    assert run.end() == 0
    assert run.said("web.1") == ["own"]


def test_the_path_search_skips_files_that_cannot_be_executed(start: Runs) -> None:
    env = beside_the_interpreter(start)
    denied = start.project / "denied"
    denied.mkdir()
    (denied / "sleep").write_text("")
    path = os.pathsep.join([os.devnull, str(denied), "/nowhere", env["PATH"]])
    run = start({"web": shell(["sleep", "0"], TYPE="oneshot")}, env={"PATH": path})

    assert run.end() == 0


def test_a_script_with_a_missing_interpreter_exits_with_127(start: Runs) -> None:
    script = start.project / "serve"
    script.write_text("#!/nowhere/interpreter\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    run = start({"web": shell(["./serve", "now"])})

    assert run.end() == 127
    assert run.said("web.1") == ["./serve now: No such file or directory"]


def test_a_program_that_cannot_be_executed_exits_with_126(start: Runs) -> None:
    script = start.project / "serve"
    script.write_bytes(b"\x7fELF and then nothing")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    run = start({"web": shell(["./serve"])})

    assert run.end() == 126


def test_a_program_starts_with_no_signal_ignored_or_blocked(start: Runs) -> None:
    run = start({"web": shell(["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"])})

    assert run.end() == 1
    # 32 and 33 belong to the C library: nothing can set them, and some shells leave them ignored.
    for line in run.said("web.1"):
        assert int(line.split()[1], 16) & 0x7FFF_FFFF == 0, line
    assert len(run.said("web.1")) == 2


def test_a_broken_pipe_ends_a_program_quietly(start: Runs) -> None:
    run = start({"web": shell("yes | head -n 1")})

    assert run.end() == 1
    assert run.said("web.1") == ["y"]


def test_a_management_command_runs_as_under_manage_py(start: Runs) -> None:
    processes = {"web": management("check", "--fail-level", "ERROR"), "worker": FOREVER}
    run = start(processes)

    assert run.end() == 1
    assert run.said("web.1")[-1] == "System check identified 1 issue (0 silenced)."
    assert any("(prodserver.W005)" in text for text in run.said("web.1"))


def test_a_failing_management_command_prints_its_error_and_exits_with_1(start: Runs) -> None:
    run = start({"web": management("check", "--tag", "nonsense")})

    assert run.end() == 1
    assert run.said("web.1") == ['CommandError: There is no system check with the "nonsense" tag.']


def test_a_management_command_gets_its_options(start: Runs) -> None:
    run = start({"web": management("diffsettings", "--output", "unified")})

    assert run.end() == 1
    assert "+ SECRET_KEY = 'for tests'" in run.said("web.1")
