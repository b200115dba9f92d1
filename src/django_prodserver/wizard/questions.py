"""The questions: each has an answer already, which Enter takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from django_prodserver.settings.wording import did_you_mean

from .project import Project
from .proposal import Answers, ProposedProcess, default_answers, oneshots, servers, workers

NONE = "none"


class Console(Protocol):
    """Where the questions are put. `ask` raises EOFError where nobody answers any more."""

    def say(self, text: str) -> None: ...

    def ask(self, prompt: str) -> str: ...


def ask(project: Project, console: Console) -> Answers:
    """Four at most: what is not there to be chosen is not asked about."""
    answers = default_answers(project)
    console.say("Enter takes what is in brackets.")
    if answers.server is not None:
        server = _server(project, answers.server, console)
        answers = replace(answers, server=server, port=_port(answers.port, console))
    if oneshots(project):
        console.say(f"What is to be done before each start? Names, or {NONE}.")
        answers = replace(answers, before=_some(oneshots(project), console))
    if workers(project):
        console.say(f"Which workers? Names, or {NONE}.")
        answers = replace(answers, workers=_some(workers(project), console))
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


def _port(default: int, console: Console) -> int:
    console.say("Which port, unless the environment has a PORT?")
    while True:
        answer = console.ask(f"[{default}] ") or str(default)
        if answer.isdecimal() and len(answer) < 6 and 1 <= int(answer) <= 65535:
            return int(answer)
        console.say(f"{answer!r} is no port: it is a number from 1 to 65535.")


def _some(processes: Sequence[ProposedProcess], console: Console) -> tuple[str, ...]:
    names = [process.name for process in processes]
    while True:
        answer = console.ask(f"[{' '.join(names)}] ")
        chosen = answer.replace(",", " ").split() or names
        if chosen == [NONE]:
            return ()
        unknown = [name for name in chosen if name not in names]
        if not unknown:
            return tuple(name for name in names if name in chosen)
        console.say(_unknown(unknown[0], [*names, NONE]))


def _unknown(answer: str, known: Iterable[str]) -> str:
    known = list(known)
    return f"{answer!r} is none of them. {did_you_mean(answer, known)}It can be {', '.join(known)}."
