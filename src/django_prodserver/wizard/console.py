"""`prodserver --init` at a terminal, or without one."""

from __future__ import annotations

from typing import TextIO

from django.core.management.base import CommandError, OutputWrapper

from .look import inspect_project
from .proposal import default_answers, propose
from .questions import ask
from .texts import whole


def proposal(stdin: TextIO, stderr: OutputWrapper, interactive: bool) -> str:
    """Return the text to print. Questions go to stderr, because stdout may be a file.

    Raises CommandError if the user cancels.
    """
    project = inspect_project()
    if interactive and not stdin.isatty():
        stderr.write("stdin is not a terminal: asking nothing, as with --noinput.", _plain)
        interactive = False
    if not interactive:
        return whole(project, propose(project, default_answers(project)))
    try:
        answers = ask(project, _Terminal(stdin, stderr))
        stderr.write("", _plain)
    except (KeyboardInterrupt, EOFError):
        stderr.write("", _plain)
        raise CommandError("Cancelled; nothing was printed.") from None
    return whole(project, propose(project, answers))


class _Terminal:
    def __init__(self, stdin: TextIO, stderr: OutputWrapper) -> None:
        self._stdin = stdin
        self._stderr = stderr

    def say(self, text: str) -> None:
        self._stderr.write(text, _plain)

    def ask(self, prompt: str) -> str:
        # Not input(): it writes its prompt to stdout if that is not a terminal.
        self._stderr.write(prompt, _plain, ending="")
        self._stderr.flush()
        answer = self._stdin.readline()
        if not answer:
            raise EOFError
        return answer.strip()


def _plain(text: str) -> str:
    """A style that changes nothing. Without one, Django writes stderr in red, as errors."""
    return text
