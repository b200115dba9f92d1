"""What the software's own command-line parser says of its arguments, before anything starts."""

from __future__ import annotations

import io
import os
import re
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from typing import Any, Callable

from django.core.management.base import CommandError

from django_prodserver.settings.convert import nearest

_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


class PrintsOnly(Exception):
    """With these arguments the software prints something and ends: `--help`, `--version`."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} would only print something and end")


def _no_options() -> Iterable[str]:
    return ()


def _nothing(parsed: object) -> None: ...


@contextmanager
def quietly(program: str, options: Callable[[], Iterable[str]] = _no_options) -> Iterator[None]:
    """Turn a command-line parser that prints its complaint and exits into a ValueError with it.

    Where the complaint is of an option that is unknown, the nearest of `options` is named. Raises
    PrintsOnly where it was no complaint.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(said):
            yield
    except SystemExit as end:
        if not end.code:
            raise PrintsOnly(program) from None
        lines = [line.strip() for line in said.getvalue().splitlines() if line.strip()]
        complaint = lines[-1] if lines else f"{program} exits with {end.code}"
        raise ValueError(f"{complaint}{meant(complaint, options())}") from None


def by_argparse(parser: ArgumentParser, args: Sequence[str], program: str) -> Namespace:
    """Parse with `argparse`, or with Django's parser of a management command."""
    options = partial(_options_of, parser, args)
    try:
        with quietly(program, options):
            return parser.parse_args(list(args))
    except CommandError as error:
        complaint = f"{program}: {str(error).replace('Error: ', '')}"
        raise ValueError(f"{complaint}{meant(complaint, options())}") from None


def _options_of(parser: ArgumentParser, args: Sequence[str]) -> Iterator[str]:
    """Those of the sub-command that is called, too."""
    yield from parser._option_string_actions
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for name in set(args) & set(action.choices):
                yield from _options_of(action.choices[name], args)


def by_click(
    command: Any,
    args: Sequence[str],
    program: str,
    env: Mapping[str, str],
    further: Callable[[Any], object] = _nothing,
    **context: Any,
) -> dict[str, Any]:
    """Parse with `click` in the environment that the process will have; returns the options.

    `further` is given click's context, and reads what the command itself reads when it runs.
    """
    import click

    try:
        with temporary_variables(env), quietly(program):
            parsed = command.make_context(program, list(args), **context)
            further(parsed)
    except click.exceptions.Exit:
        raise PrintsOnly(program) from None
    except click.ClickException as error:
        complaint = f"{program}: {error.format_message()}"
        known = [option for one in command.params for option in (*one.opts, *one.secondary_opts)]
        if not getattr(error, "possibilities", None):  # Those it has named itself.
            complaint += meant(complaint, known)
        raise ValueError(complaint) from None
    options: dict[str, Any] = parsed.params
    return options


def options_in_help(print_help: Callable[[], object]) -> Iterable[str]:
    """The options that a program's own help names, where its parser cannot be asked."""
    said = io.StringIO()
    with redirect_stdout(said), suppress(SystemExit):
        print_help()
    return _OPTION.findall(said.getvalue())


def meant(complaint: str, options: Iterable[str]) -> str:
    """`. Did you mean '--workers'?` where the complaint has an option like one that there is."""
    known = [option for option in options if option.startswith("--")]
    for word in _OPTION.findall(complaint):
        near = nearest(word, known, alike=0.7)
        if word not in known and near is not None:
            return f"{'' if complaint.endswith('.') else '.'} Did you mean {near!r}?"
    return ""


@contextmanager
def temporary_variables(added: Mapping[str, str]) -> Iterator[None]:
    """For parsers that read variables of their own: set them in this process."""
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
