"""Parse the parts of the command line that matter before Django is set up."""

from __future__ import annotations

from argparse import ArgumentError, ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Sequence
from typing import NoReturn, Optional

# If this environment variable is set, the supervisor loads the project itself and forks that.
LOCAL = "PRODSERVER_LOCAL_FORK"
# Options of `prodserver` and of every management command: those that take a value, and those that
# print something instead of running processes.
WITH_VALUE = (
    *("--stop-timeout", "--start-method", "--color", "--settings", "--pythonpath"),
    *("--output", "--set", "--only-type"),
)
INSTEAD = (
    *("--list", "--json", "--procfile", "--check", "--dry-run", "--export", "--schema", "--init"),
    *("--completion", "--version", "--help", "-h"),
)


def parsed(words: Sequence[str]) -> Optional[Namespace]:
    """Parse the words after `prodserver`. None if no process will be run."""
    parser = _Parser(add_help=False)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--log-format")
    parser.add_argument("--timestamps", action=BooleanOptionalAction, default=None)
    parser.add_argument("--except", nargs="+", action="extend")
    parser.add_argument("-v", "--verbosity")
    for option in WITH_VALUE:
        parser.add_argument(option)
    end = words.index("--") if "--" in words else len(words)
    try:
        options, others = parser.parse_known_args(words[:end])
    except ArgumentError:
        return None
    given = {word.partition("=")[0] for word in others}
    return None if given & set(INSTEAD) else options


def supervises(options: Namespace) -> bool:
    """Whether a supervisor runs the processes; otherwise this process becomes the named one."""
    return options.all or len(options.names) > 1 or "=" in str(options.names)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(None, message)
