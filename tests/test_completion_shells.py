"""Completion of `prodserver` and `prodctl`, as bash and zsh do it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from signal import SIGTERM
from typing import Union

import pytest

from django_prodserver import completion
from tests.inside import sleeper
from tests.operating import socket_of
from tests.running import Runs

PROCESSES = {"migrate": sleeper(TYPE="oneshot"), "web": sleeper(), "worker": sleeper()}
SCRIPTS = Path(completion.__file__).parent
MANAGE = "python manage.py prodserver "


@pytest.fixture
def project(start: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manage.py, `python` on PATH, and settings that print something."""
    (tmp_path / "bin").mkdir()
    for name, program in (("python", ""), ("prodctl", "-m django_prodserver.prodctl.main")):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    for name, value in start.configure(PROCESSES).items():
        monkeypatch.setenv(name, value)
    settings = start.project / "settings.py"
    settings.write_text(settings.read_text() + "\nprint('web, the settings are loaded')\n")
    manage = start.project / "manage.py"
    manage.write_text(f"#!{sys.executable}\n{manage.read_text()}")
    manage.chmod(0o755)
    return start.project


class Bash:
    """The contents of COMPREPLY at the end of a line, with `before` in the startup file."""

    name = "bash"
    without_rc = ("--norc", "--noprofile")

    def program(self, line: str, before: str) -> str:
        words = [part for word in line.split(" ") for part in re.split("(=)", word)]
        words = [word for word in words[:-1] if word] + words[-1:]
        if words[-2:] == ["=", ""]:  # readline passes `=` as a word if nothing follows it.
            words.pop()
        return f"""
            {before}
            source {SCRIPTS}/prodserver.bash
            COMP_LINE={shlex.quote(line)} COMP_POINT=${{#COMP_LINE}}
            COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
            compopt() {{ files=; }}  # The real one is for functions that readline has called.
            files='(files)'
            spec=$(complete -p {Path(words[0]).name})
            function=${{spec#* -F }}
            ${{function%% *}} {words[0]} {shlex.quote(words[-1])} {shlex.quote(words[-2])}
            printf '%s\\n' "${{COMPREPLY[@]:-$files}}"
        """

    def previous(self, command: str, answer: str) -> str:
        return f"before() {{ COMPREPLY=({answer}); }}; complete -o nosort -F before {command}"


class Zsh:
    """The completions at the end of a line."""

    name = "zsh"
    without_rc = ("-f",)

    def program(self, line: str, before: str) -> str:
        words = line.split(" ")
        return f"""
            autoload -Uz compinit && compinit -D -u
            {before}
            source {SCRIPTS}/prodserver.zsh
            words=({shlex.join(words)}) CURRENT={len(words)}
            # The real one is for widgets; it would leave out what does not fit.
            compadd() {{ while [[ $1 != -- ]]; do shift; done; shift; print -rl -- "$@"; }}
            _default() {{ print '(files)'; }}
            ${{=_comps[{Path(words[0]).name}]}} || true
        """

    def previous(self, command: str, answer: str) -> str:
        return f"before() {{ compadd -- {answer} }}; compdef before {command}"


Shell = Union[Bash, Zsh]


@pytest.fixture(params=[Bash(), Zsh()], ids=["bash", "zsh"])
def shell(request: pytest.FixtureRequest) -> Shell:
    found: Shell = request.param
    if which(found.name) is None:
        pytest.skip(f"there is no {found.name} here")
    return found


def offered(shell: Shell, project: Path, line: str, before: str = "") -> list[str]:
    done = subprocess.run(
        [shell.name, *shell.without_rc, "-c", shell.program(line, before)],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("call", ["python manage.py", "./manage.py", "python -m django"])
def test_process_names_are_offered_for_every_way_to_call_prodserver(
    shell: Shell, project: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "settings")

    assert offered(shell, project, f"{call} prodserver w") == ["web", "worker"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", ["migrate", "web", "worker"]),
        ("web=2 wo", ["worker"]),
        ("--all --dry", ["--dry-run"]),
        ("--all ", []),
        ("web=", []),
        ("web -- ", ["(files)"]),
    ],
)
def test_a_partly_typed_command_is_completed(
    shell: Shell, project: Path, typed: str, found: list[str]
) -> None:
    assert offered(shell, project, MANAGE + typed) == found


def test_a_value_after_an_equals_sign_is_completed_as_the_shell_expects(
    shell: Shell, project: Path
) -> None:
    prefix = "" if shell.name == "bash" else "--log-format="

    assert offered(shell, project, f"{MANAGE}web --log-format=j") == [f"{prefix}json"]
    assert offered(shell, project, f"{MANAGE}web --log-format=") == [
        f"{prefix}{one}" for one in ("text", "json", "raw")
    ]


def test_completion_works_in_a_bash_that_does_not_split_at_equals_signs(project: Path) -> None:
    class Uncut(Bash):
        def program(self, line: str, before: str) -> str:
            whole = super().program("python manage.py prodserver X", before)
            typed = line.rpartition(" ")[2]
            return whole.replace(" X'", f" {typed}'").replace(" X)", f" {typed})")

    before = "COMP_WORDBREAKS=${COMP_WORDBREAKS//=}"

    assert offered(Uncut(), project, f"{MANAGE}--color=a", before) == [
        "--color=auto",
        "--color=always",
    ]


def test_an_earlier_completion_of_other_commands_still_works(shell: Shell, project: Path) -> None:
    before = shell.previous("python", "one two")

    assert offered(shell, project, "python manage.py mig", before) == ["one", "two"]
    assert offered(shell, project, "python prodserver ", before) == ["one", "two"]
    assert offered(shell, project, "python manage.py prodserver", before) == ["one", "two"]
    assert offered(shell, project, MANAGE + "we", before) == ["web"]


@pytest.mark.parametrize(
    "before",
    [
        "_completion_loader() { complete -F before $1; return 124; }",
        "_comp_load() { complete -F before $1; }",
        "complete -o default -F before -D",
    ],
    ids=["bash-completion", "bash-completion 2.12", "default"],
)
def test_a_lazy_or_default_completion_of_bash_still_works_for_other_commands(
    project: Path, before: str
) -> None:
    before = f"before() {{ COMPREPLY=(one two); }}\n{before}"

    assert offered(Bash(), project, "python manage.py mig", before) == ["one", "two"]
    assert offered(Bash(), project, MANAGE + "we", before) == ["web"]


def test_a_bash_completion_that_is_not_a_function_is_left_in_place(project: Path) -> None:
    program = f"complete -W 'one two' python; source {SCRIPTS}/prodserver.bash; complete -p python"

    said = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True)

    assert said.stdout == "complete -W 'one two' python\n"


def test_sourcing_the_script_twice_changes_nothing(shell: Shell, project: Path) -> None:
    before = shell.previous("python", "one two")
    before += f"\nsource {SCRIPTS}/prodserver.{shell.name}"

    assert offered(shell, project, "python manage.py mig", before) == ["one", "two"]
    assert offered(shell, project, MANAGE + "we", before) == ["web"]


def test_settings_that_cannot_be_imported_are_silently_ignored(shell: Shell, project: Path) -> None:
    (project / "settings.py").write_text("import no_such_module\n")

    assert offered(shell, project, MANAGE + "w") == ["(files)"]


def test_a_missing_manage_py_is_silently_ignored(shell: Shell, project: Path) -> None:
    assert offered(shell, project, "python other/manage.py prodserver w") == ["(files)"]


def test_completion_respects_the_settings_option_of_the_command_line(
    shell: Shell, project: Path
) -> None:
    (project / "others.py").write_text(
        "INSTALLED_APPS = ['django_prodserver']\nPRODUCTION_PROCESSES = {'other': {}}\n"
    )

    assert offered(shell, project, MANAGE + "--settings others o") == ["other"]
    assert offered(shell, project, MANAGE + "--settings=others o") == ["other"]


@pytest.fixture
def supervised(start: Runs, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project, with a supervisor that runs two instances of worker."""
    run = start({"web": sleeper(), "worker": sleeper(REPLICAS=2)})
    run.wait_for("system", "^all .* ready")
    monkeypatch.setenv("PRODSERVER_CONTROL", str(socket_of(start).path))
    yield project
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize("call", ["prodctl", "bin/prodctl", "python manage.py prodctl"])
def test_names_of_running_processes_and_instances_are_offered(
    shell: Shell, supervised: Path, call: str
) -> None:
    (supervised / "bin").symlink_to("../bin")
    names = ["web", "worker", "web.1", "worker.1", "worker.2"]

    assert offered(shell, supervised, f"{call} restart ") == [*names, "all"]
    assert offered(shell, supervised, f"{call} restart worker wo") == ["worker.1", "worker.2"]
    assert offered(shell, supervised, f"{call} scale w") == ["web=", "worker="]
    assert offered(shell, supervised, f"{call} stat") == ["status"]
    assert offered(shell, supervised, f"{call} logs --f") == ["--follow"]
    assert offered(shell, supervised, f"{call} health ") == names
    assert "HUP" in offered(shell, supervised, f"{call} signal ")
    assert offered(shell, supervised, f"{call} --socket ") == ["(files)"]
    assert offered(shell, supervised, f"{call} --socket /other restart ") == ["all"]


def test_without_a_supervisor_prodctl_offers_verbs_but_no_names(
    shell: Shell, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODSERVER_CONTROL", str(project / "none.sock"))

    assert offered(shell, project, "prodctl st") == ["status", "start", "stop"]
    assert offered(shell, project, "prodctl health ") == []
    assert offered(shell, project, "prodctl restart w") == []


def test_a_missing_prodctl_is_silently_ignored(shell: Shell, project: Path) -> None:
    assert offered(shell, project, "/no/such/prodctl restart w") == ["(files)"]


def test_the_tab_key_completes_a_name(shell: Shell, project: Path) -> None:
    completed_by_tab(shell, project, "python manage.py prodserver wor", "--list", "service")


def test_the_tab_key_completes_the_name_of_a_running_process(
    shell: Shell, supervised: Path
) -> None:
    completed_by_tab(shell, supervised, "prodctl status wor", "", "RUNNING")


def completed_by_tab(shell: Shell, project: Path, typed: str, more: str, shown: str) -> None:
    """Tab completes the name `worker`, and the command works with it."""
    master, slave = pty.openpty()

    def take_control() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        [shell.name, *shell.without_rc, "-i"],
        cwd=project,
        env={**os.environ, "PS1": "prompt> ", "TERM": "dumb", "ZDOTDIR": str(project)},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=take_control,
    ) as typing:
        os.close(slave)
        seen = b""

        def see(text: bytes) -> None:
            nonlocal seen
            while text not in seen:
                chunk = os.read(master, 4096)
                assert chunk, seen
                seen += chunk
            seen = seen.partition(text)[2]

        try:
            see(b"prompt> ")
            os.write(master, f"source {SCRIPTS}/prodserver.{shell.name}\n".encode())
            see(b"prompt> ")
            os.write(master, f"{typed}\t".encode())
            see(b"ker")  # The rest of the name, which was not typed.
            os.write(master, f"{more}\n".encode())
            see(b"worker")
            see(shown.encode())
            see(b"prompt> ")
        finally:
            typing.kill()
            os.close(master)
