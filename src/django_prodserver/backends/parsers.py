"""Read arguments with the software's own command-line parser, before anything starts."""

from __future__ import annotations

import io
import os
import re
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from importlib.util import find_spec
from typing import Any, Callable, NamedTuple

from django.core.management.base import CommandError

from django_prodserver.settings.wording import nearest

_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


class PrintsOnly(Exception):
    """With these arguments the software prints something and exits: `--help`, `--version`."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} would only print something and exit")


def require(package: str, option: str) -> None:
    """Raise ValueError if the package that an option needs is not installed; "" is none."""
    if package and find_spec(package) is None:
        raise ValueError(f"{option} needs the package {package}: pip install {package}")


def refusal(message: str, options: Iterable[str]) -> ValueError:
    """What the software says about wrong arguments, with the nearest known option.

    `. Did you mean '--workers'?` is added if the message has an unknown option.
    """
    known = [option for option in options if option.startswith("--")]
    for word in _OPTION.findall(message):
        near = nearest(word, known, alike=0.7)
        if word not in known and near is not None:
            stop = "" if message.endswith(".") else "."
            return ValueError(f"{message}{stop} Did you mean {near!r}?")
    return ValueError(message)


def _no_options() -> Iterable[str]:
    return ()


@contextmanager
def quietly(program: str, options: Callable[[], Iterable[str]] = _no_options) -> Iterator[None]:
    """For a parser that prints a message and exits: raise a ValueError with the message instead.

    Raises PrintsOnly if the exit status is 0.
    """
    output = io.StringIO()
    try:
        with redirect_stderr(output), redirect_stdout(output):
            yield
    except SystemExit as end:
        if not end.code:
            raise PrintsOnly(program) from None
        lines = [line.strip() for line in output.getvalue().splitlines() if line.strip()]
        message = lines[-1] if lines else f"{program} exits with {end.code}"
        raise refusal(message, options()) from None


def by_argparse(parser: ArgumentParser, args: Sequence[str], program: str) -> Namespace:
    """Parse with `argparse`, or with Django's parser of a management command.

    Raises ValueError with the parser's message, and PrintsOnly for `--help` and the like.
    """
    options = partial(options_of, parser, args)
    try:
        with quietly(program, options):
            return parser.parse_args(list(args))
    except CommandError as error:
        raise refusal(f"{program}: {str(error).replace('Error: ', '')}", options()) from None


def options_of(parser: ArgumentParser, args: Sequence[str]) -> Iterator[str]:
    """The parser's options, and those of the subcommands among the arguments."""
    yield from parser._option_string_actions
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for name in set(args) & set(action.choices):
                yield from options_of(action.choices[name], args)


def _nothing(context: object) -> None: ...


def by_click(
    command: Any,
    args: Sequence[str],
    program: str,
    env: Mapping[str, str],
    further: Callable[[Any], object] = _nothing,
    **context: Any,
) -> dict[str, Any]:
    """Parse with `click`, with the variables `env` in the environment; return the options.

    `further` is called with click's context, to parse what the command only parses when it runs.
    Raises ValueError with the parser's message, and PrintsOnly for `--help` and the like.
    """
    import click

    try:
        with temporary_variables(env), quietly(program):
            parsed = command.make_context(program, list(args), **context)
            further(parsed)
    except click.exceptions.Exit:
        raise PrintsOnly(program) from None
    except click.ClickException as error:
        message = f"{program}: {error.format_message()}"
        # click may have suggested options itself.
        params = () if getattr(error, "possibilities", None) else command.params
        options = [option for one in params for option in (*one.opts, *one.secondary_opts)]
        raise refusal(message, options) from None
    found: dict[str, Any] = parsed.params
    return found


def options_in_help(print_help: Callable[[], object]) -> Iterable[str]:
    """The options in a program's `--help`, for a parser that is not accessible."""
    output = io.StringIO()
    with redirect_stdout(output), suppress(SystemExit):
        print_help()
    return _OPTION.findall(output.getvalue())


@contextmanager
def temporary_variables(env: Mapping[str, str]) -> Iterator[None]:
    """For parsers that read environment variables: set these, and restore the old ones."""
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# ---- options that do not fit under a supervisor ----
#
# A backend lists misfits by the names of options in the result of its `parse`. So they are found
# wherever they are set: in ARGS, after `--`, in a variable, or in a configuration file.


class Misfit(NamedTuple):
    """Why an option does not fit, as the rest of a sentence, and what to do instead."""

    why: str
    hint: str
    # Refused with an error; otherwise only advised against.
    refused: bool = False


DETACHES = Misfit(
    "which detaches it, so it seems to have exited",
    "Leave it out: the supervisor runs it in the background.",
    refused=True,
)
PID_FILE = Misfit(
    "a file that SIGKILL leaves behind, with an id that another process may get",
    "Leave it out: the supervisor knows its processes.",
)
RELOADS = Misfit(
    "which restarts it when code changes",
    "Leave it out: that is for development.",
)
