"""Wait for what a project needs (a database, a broker, migrations), instead of a shell loop."""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.module_loading import import_string

from django_prodserver.settings.errors import describe
from django_prodserver.settings.texts import host_and_port
from django_prodserver.settings.wording import did_you_mean

from .base import BaseServerBackend, Problem
from .hooks import celery as celery_hooks
from .hooks import wait_for as hooks
from .parsers import PrintsOnly, by_argparse

# What is logged once a check has passed, by the kinds that name something in the settings.
DONE = {
    "database": "answered",
    "cache": "answered",
    "broker": "answered",
    "migrations": "are applied",
}
WORDS = [*DONE, "tcp://host:port", "http://host/path", "path:/file"]


class WaitFor(BaseServerBackend):
    """ARGS: what to wait for, `--timeout` and `--interval`; in a mapping, "for" is a list."""

    pings = False

    def start_server(self, *args: str) -> None:
        options = _read(args)
        dependencies = [self._dependency(word) for word in options.dependencies]
        sys.exit(hooks.wait(dependencies, options.timeout, options.interval, describe))

    def preload(self) -> None:
        for word in self.parse().dependencies:
            self._dependency(word)

    def parse(self) -> Namespace:
        return _read(self.args)

    def problems(self) -> Iterator[Problem]:
        try:
            words = self.parse().dependencies
        except (PrintsOnly, ValueError):
            return  # This is reported for every backend.
        if not words:
            yield Problem("ARGS", "has nothing to wait for.", f"Known: {', '.join(WORDS)}.")
        for word in words:
            try:
                self._dependency(word)
            except _InvalidDependency as wrong:
                message = f"has {word!r}, {wrong}."
                yield Problem("ARGS", message, wrong.hint, cause=wrong.__cause__)

    def finishing_command(self) -> str:
        return "wait-for"

    def _dependency(self, word: str) -> hooks.Dependency:
        """Resolve a word. Raises _InvalidDependency. May import the project."""
        kind, colon, rest = word.partition(":")
        check: Callable[[], None]
        if kind in ("database", "migrations"):
            alias = _known(rest or "default", settings.DATABASES, "DATABASES")
            check = partial(getattr(hooks, kind), alias)
            return hooks.Dependency(f"{kind} {alias}", check, DONE[kind])
        if kind == "cache":
            alias = _known(rest or "default", settings.CACHES, "CACHES")
            return hooks.Dependency(f"cache {alias}", partial(hooks.cache, alias), DONE[kind])
        if kind == "broker":
            app = self._celery_app(rest)
            return hooks.Dependency(f"broker {app}", partial(hooks.broker, app), DONE[kind])
        if kind == "tcp" and colon:
            return hooks.Dependency(
                word, partial(hooks.tcp, _address(rest)), "accepted a connection"
            )
        if kind in ("http", "https") and colon:
            _check_url(word)
            return hooks.Dependency(word, partial(hooks.http, word), "answered")
        if kind == "path" and rest:
            return hooks.Dependency(f"path {rest}", partial(hooks.path, rest), "is there")
        if not colon and "." in word:
            return hooks.Dependency(word, partial(hooks.call, _function(word)), "returned true")
        hint = f"{did_you_mean(kind, [one.partition(':')[0] for one in WORDS])}Known: "
        hint += f"{', '.join(WORDS)}, or the dotted path of a function."
        raise _InvalidDependency("which cannot be waited for", hint)

    def _celery_app(self, name: str) -> str:
        hint = "Name the Celery app as APP, or as in 'broker:myproject.celery.app'."
        app = name or self.config.get("APP")
        if app is None:
            raise _InvalidDependency("but there is no APP", hint)
        if find_spec("celery") is None:
            raise _InvalidDependency(
                "which needs celery, not installed here", "Run: pip install celery"
            )
        try:
            found = celery_hooks.find_app(app)
        except Exception as error:
            message = f"but {app!r} cannot be imported: {describe(error)}"
            raise _InvalidDependency(message, hint) from error
        if not celery_hooks.is_app(found):
            raise _InvalidDependency(f"but {app!r} is not a Celery app", hint)
        return str(app)


class _InvalidDependency(Exception):
    """Why a word cannot be waited for, as the rest of a sentence, and what to do instead."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.hint = hint


def _known(alias: str, aliases: Iterable[str], setting: str) -> str:
    if alias not in aliases:
        hint = f"{did_you_mean(alias, aliases)}Known: {', '.join(aliases)}."
        raise _InvalidDependency(f"but {setting} has no {alias!r}", hint)
    return alias


def _address(text: str) -> tuple[str, int]:
    hint = "Write tcp://host:port, such as 'tcp://10.0.0.5:5432'."
    if not text.startswith("//"):
        raise _InvalidDependency("which has no //", hint)
    try:
        return host_and_port(text[2:])
    except ValueError as error:
        raise _InvalidDependency(f"but {error}", hint) from None


def _check_url(text: str) -> None:
    try:
        url = urlsplit(text)
        _, usable = url.port, bool(url.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise _InvalidDependency(
            "which is not a URL", "Write one such as 'http://10.0.0.5:8000/health'."
        )


def _function(path: str) -> Callable[[], object]:
    try:
        found: Any = import_string(path)
    except Exception as error:
        hint = f"{did_you_mean(path, WORDS)}Write the dotted path of a function without arguments."
        raise _InvalidDependency(f"which cannot be imported: {describe(error)}", hint) from error
    if not callable(found):
        raise _InvalidDependency("which cannot be called", "Write the dotted path of a function.")
    function: Callable[[], object] = found
    return function


# ---- the options ----


class _Parser(ArgumentParser):
    """A parser that accepts dependencies and options in any order."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        return self.parse_intermixed_args(args, namespace)


def _read(args: Sequence[str]) -> Namespace:
    parser = _Parser(prog="wait-for", allow_abbrev=False)
    parser.add_argument("dependencies", nargs="*", metavar="DEPENDENCY")
    parser.add_argument("--for", dest="more", action="append", default=[], metavar="DEPENDENCY")
    parser.add_argument("--timeout", type=_seconds, default=300.0, metavar="SECONDS")
    parser.add_argument("--interval", type=_seconds, default=1.0, metavar="SECONDS")
    options = by_argparse(parser, args, "wait-for")
    options.dependencies = list(dict.fromkeys([*options.dependencies, *options.more]))
    return options


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return seconds
