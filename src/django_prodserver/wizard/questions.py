"""The questions. Each has a default answer, which Enter accepts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from django_prodserver.settings.wording import did_you_mean

from .project import Project
from .proposal import (
    Answers,
    ProposedProcess,
    asks_for_port,
    default_answers,
    further_workers,
    oneshots,
    servers,
    workers,
)

NONE = "none"
PORT_QUESTION = "Which port, unless the environment has a PORT?"


class Console(Protocol):
    """Asks the questions. `ask` raises EOFError at the end of the input."""

    def say(self, text: str) -> None: ...

    def ask(self, prompt: str) -> str: ...


def ask(project: Project, console: Console) -> Answers:
    """Ask at most four questions: those without a choice are skipped."""
    answers = default_answers(project)
    console.say("Press Enter to accept the [default].")
    if answers.server is not None:
        server = _server(project, answers.server, console)
        port = answers.port
        if asks_for_port(project, server):
            port = _port(project, port, console)
        answers = replace(answers, server=server, port=port)
    if oneshots(project):
        console.say(f"What should run before each start? Names, or {NONE}.")
        answers = replace(answers, before=_some(oneshots(project), console))
    further = further_workers(project)
    if workers(project) or further:
        console.say(f"Which workers? Names, or {NONE}.")
        if further:
            names = ", ".join(process.name for process in further)
            console.say(f"  commands that seem to run for ever: {names}")
        answers = replace(answers, workers=_some(workers(project), console, further))
    return answers


def _server(project: Project, default: str, console: Console) -> str:
    possible = servers(project)
    console.say("Which server?")
    for interface, served in (("WSGI", project.wsgi), ("ASGI", project.asgi)):
        names = [
            server.name + "*" * server.installed(project)
            for server in possible
            if server.interface == interface
        ]
        if names:
            console.say(f"  for {interface}, {served}: {', '.join(names)}")
    if any(server.installed(project) for server in possible):
        console.say("  * is installed here.")
    names = [server.name for server in possible]
    while True:
        answer = console.ask(f"[{default}] ") or default
        if answer in names:
            return answer
        console.say(_unknown(answer, names))


def _port(project: Project, default: int, console: Console) -> int:
    console.say("Which port?" if project.uses_port else PORT_QUESTION)
    while True:
        answer = console.ask(f"[{default}] ") or str(default)
        if answer.isdecimal() and len(answer) < 6 and 1 <= int(answer) <= 65535:
            return int(answer)
        console.say(f"{answer!r} is not a port: write a number from 1 to 65535.")


def _some(
    processes: Sequence[ProposedProcess],
    console: Console,
    further: Sequence[ProposedProcess] = (),
) -> tuple[str, ...]:
    """Ask for names. Enter accepts all of `processes`, and none of `further`."""
    default = [process.name for process in processes]
    names = [*default, *(process.name for process in further)]
    while True:
        answer = console.ask(f"[{' '.join(default) or NONE}] ")
        chosen = answer.replace(",", " ").split() or default or [NONE]
        if chosen == [NONE]:
            return ()
        unknown = [name for name in chosen if name not in names]
        if not unknown:
            return tuple(name for name in names if name in chosen)
        console.say(_unknown(unknown[0], [*names, NONE]))


def _unknown(answer: str, known: Iterable[str]) -> str:
    known = list(known)
    return f"{answer!r} is not an option. {did_you_mean(answer, known)}Options: {', '.join(known)}."
