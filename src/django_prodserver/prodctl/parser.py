"""The command line of prodctl."""

from __future__ import annotations

from argparse import (
    ArgumentParser,
    ArgumentTypeError,
    HelpFormatter,
    RawDescriptionHelpFormatter,
)
from collections.abc import Collection, Mapping

from django_prodserver import DOCUMENTATION, __version__
from django_prodserver.completion import SHELLS
from django_prodserver.supervisor.hints import Callable, Optional

# How many log lines `logs` shows by default.
LINES = 100
# The width of the help, in columns.
WIDTH = 80
# The metavars of arguments, by which shell completion tells them apart.
NAME, COUNT, SIGNAL = "NAME", "NAME=COUNT", "SIGNAL"
NAMES = "a process (web), an instance (web.2), a pattern ('web*'), or `all`"
STATUSES = """\
exit status:
  0    done; or everything is as wanted
  1    refused, or failed
  2    wrong usage
  3    something is not as wanted, or not ready
  4    no supervisor, no permission, or no such name
  124  the --timeout expired, and the request goes on; or there was no answer"""


def parser(prog: str, words: Optional[Collection[str]] = None) -> ArgumentParser:
    """Return the parser of the command line.

    With `words`, verbs that are not among them get no arguments, because these take time to add.
    """
    made = ArgumentParser(
        prog=prog,
        description="Inspect and control the processes of a running `prodserver`.",
        epilog=f"{STATUSES}\n\nDocumentation: {DOCUMENTATION}",
        formatter_class=_layout,
    )
    made.add_argument("--version", action="version", version=__version__)
    made.add_argument(
        "--socket", metavar="PATH", help="the control socket to use (variable: PRODSERVER_CONTROL)"
    )
    verbs = made.add_subparsers(dest="verb", metavar="VERB", title="verbs", prog=prog)
    for name, (what, add_arguments) in VERBS.items():
        if words is not None and name not in words:
            verbs.add_parser(name, help=what, add_help=False)
            continue
        description = f"{what[0].upper()}{what[1:]}."
        verb = verbs.add_parser(name, help=what, description=description, formatter_class=_layout)
        add_arguments(verb)
    return made


def _layout(prog: str) -> HelpFormatter:
    """Format the help with a fixed width; argparse would query the terminal for each argument."""
    return RawDescriptionHelpFormatter(prog, width=WIDTH)


def _nothing(verb: ArgumentParser) -> None:
    """Add no argument."""


def _names(verb: ArgumentParser, many: str = "+") -> None:
    verb.add_argument("names", metavar=NAME, nargs=many, help=NAMES)


def _waits(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--no-wait", action="store_true", help="return as soon as the request is accepted"
    )
    verb.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="stop waiting after this time; the request goes on, and the exit status is 124",
    )


def _names_and_waits(verb: ArgumentParser) -> None:
    _names(verb)
    _waits(verb)


def _status(verb: ArgumentParser) -> None:
    _names(verb, "*")
    verb.add_argument("--json", action="store_true", help="print JSON")
    verb.add_argument("--watch", action="store_true", help="refresh every second")


def _analyze(verb: ArgumentParser) -> None:
    form = verb.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--svg", action="store_true", help="print a bar chart, as SVG")


def _signal(verb: ArgumentParser) -> None:
    verb.add_argument("signal", metavar=SIGNAL, help="the name or number of the signal")
    _names(verb)


def _scale(verb: ArgumentParser) -> None:
    what = "a process, and how many instances of it should run: web=4"
    verb.add_argument("counts", metavar=COUNT, nargs="+", type=_count, help=what)
    _waits(verb)


def _logs(verb: ArgumentParser) -> None:
    _names(verb, "*")
    verb.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    verb.add_argument(
        "-n",
        "--lines",
        type=_number,
        default=LINES,
        metavar="COUNT",
        help=f"how many of the last lines to show (default: {LINES})",
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object per line")


def _events(verb: ArgumentParser) -> None:
    _names(verb, "*")
    verb.add_argument("-f", "--follow", action="store_true", help="keep printing new events")
    verb.add_argument("--json", action="store_true", help="print one JSON object per line")


def _health(verb: ArgumentParser) -> None:
    verb.add_argument("name", metavar=NAME, nargs="?", help="a process or an instance")
    verb.add_argument(
        "--timeout",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long to wait for an answer (default: 5)",
    )


def _completion(verb: ArgumentParser) -> None:
    verb.add_argument("shell", choices=SHELLS, metavar="SHELL", help=" or ".join(SHELLS))


#: Verb -> what it does, and the function that adds its arguments.
VERBS: Mapping[str, tuple[str, Callable[[ArgumentParser], None]]] = {
    "status": ("show all processes, or some; the default", _status),
    "start": ("start what is not running, and wait until it is ready", _names_and_waits),
    "stop": ("stop it, and wait until it has ended; nothing else is stopped", _names_and_waits),
    "restart": (
        "replace instances one by one, and wait until they are ready",
        _names_and_waits,
    ),
    "signal": ("send a signal, such as HUP or USR1", _signal),
    "scale": ("set how many instances of a process run", _scale),
    "reload": (
        "load new code and settings, and replace all processes; roll back on failure",
        _waits,
    ),
    "shutdown": ("stop everything, then the supervisor", _waits),
    "logs": ("show the last lines of all processes, or of some", _logs),
    "events": ("show recent events of all processes, or of some", _events),
    "health": ("exit with 0 if everything, or the named process, is ready and healthy", _health),
    "analyze": ("show how long the start took, and where the time went", _analyze),
    "top": ("show all processes in a terminal, live, with keys to control them", _nothing),
    "completion": ("print a completion script for bash or zsh", _completion),
}


def _count(text: str) -> tuple[str, int]:
    name, equals, count = text.rpartition("=")
    if not (equals and name and count.isdecimal()):
        raise ArgumentTypeError(f"{text!r} is not NAME=COUNT, such as web=4")
    return name, int(count[:9])


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a number")
    return int(text[:9])


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
