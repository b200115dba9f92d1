"""`manage.py prodserver`: parse, wire, start."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, get_args

import django
import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from django_prodserver import __version__, completion
from django_prodserver.backends.application import describe
from django_prodserver.exports import procfile
from django_prodserver.launch.resolve import Process, addresses_in_use, resolve
from django_prodserver.posix.interpreter import restart_program
from django_prodserver.posix.signals import die_as_others_do
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import ConfigurationError
from django_prodserver.settings.load import load
from django_prodserver.settings.schema import WEEK, LogFormat, ProcessSettings, StartMethod
from django_prodserver.settings.wording import no_such_process


class Command(BaseCommand):
    help = "Run the processes of PRODUCTION_PROCESSES: one of them here, or several supervised."
    # They run in `_resolve`, once our own settings are known to be right.
    requires_system_checks = ()

    def get_version(self) -> str:
        return f"django-prodserver {__version__}, Django {django.get_version()}"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.__class__ = _Parser  # Django leaves no other way to choose it.
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = "What follows -- goes to the software: prodserver web -- --workers 4"
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME[=N]",
            help="what to run: one name becomes this very process, several are supervised, as is "
            "NAME=N with N instances; without any the first service that is configured",
        )
        parser.add_argument("--all", action="store_true", help="run all of them, supervised")
        parser.add_argument(
            "--except",
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME",
            dest="excluded",
            help="with --all: but not these",
        )
        group = parser.add_argument_group("instead of running them")
        group.add_argument("--json", action="store_true", help="with --list: for machines")
        instead = group.add_mutually_exclusive_group()
        instead.add_argument("--list", action="store_true", help="print what is configured")
        instead.add_argument("--procfile", action="store_true", help="print a Procfile")
        instead.add_argument("--check", action="store_true", help="find what would go wrong")
        instead.add_argument("--dry-run", action="store_true", help="print what would be started")
        instead.add_argument(
            "--schema", action="store_true", help="print a JSON Schema of the settings"
        )
        instead.add_argument(
            "--init",
            action="store_true",
            help="ask a few questions, and print settings, a Dockerfile and a Procfile",
        )
        group.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help="with --init: ask nothing",
        )
        instead.add_argument(
            "--completion", choices=completion.SHELLS, help="print what this shell has to source"
        )
        override = parser.add_argument_group("overriding PRODUCTION_SUPERVISOR")
        override.add_argument("--stop-timeout", type=_seconds, metavar="SECONDS")
        override.add_argument("--start-method", choices=get_args(StartMethod))
        override.add_argument("--log-format", choices=get_args(LogFormat))
        override.add_argument("--timestamps", action=BooleanOptionalAction, default=None)
        override.add_argument("--color", choices=("auto", "always", "never"))

    def handle(self, *args: str, **options: Any) -> None:
        try:
            self._handle(Namespace(**options))
        except ConfigurationError as error:
            raise CommandError(str(error)) from None

    def _handle(self, options: Namespace) -> None:
        if options.schema or options.init or options.completion:
            self.stdout.write(self._about_no_process(options), ending="")
            return
        if not options.interactive:
            raise CommandError("--noinput goes with --init.")
        configuration = load()
        counts = _counts(options, configuration)
        chosen = {
            "stop_timeout": options.stop_timeout,
            "start_method": options.start_method,
            "log_format": options.log_format,
            "timestamps": options.timestamps,
            "color": options.color or _djangos_color(options),
        }
        replicas = {name: count for name, count in counts.items() if count is not None}
        configuration = configuration.overridden(replicas, **chosen)
        if options.list or options.json:
            self._list({name: configuration.processes[name] for name in counts}, options.json)
        elif options.procfile:
            self._procfile({name: configuration.processes[name] for name in counts})
        elif options.check:
            self._check(configuration, list(counts), options.extra)
            if options.verbosity > 1:
                self._variables(configuration, counts, chosen)
        elif options.dry_run:
            order = configuration.starting_order(counts)
            self._dry_run(resolve(configuration, order, options.extra))
        elif options.all or len(counts) > 1 or any(counts.values()):
            self._supervise(configuration, list(counts), options.extra)
        else:
            self._run_alone(configuration, next(iter(counts)), options.extra)

    def _about_no_process(self, options: Namespace) -> str:
        """What is printed however wrong the settings are, by modules that nobody else needs."""
        option = "--schema" if options.schema else "--init" if options.init else "--completion"
        if options.names or options.all or options.excluded or options.extra:
            raise CommandError(f"{option} is about no process: give it alone.")
        if options.schema:
            from django_prodserver.settings import json_schema

            return f"{json_schema.render()}\n"
        if options.init:
            from django_prodserver.wizard.console import proposal

            return proposal(sys.stdin, self.stderr, options.interactive)
        return completion.script(options.completion)

    def _list(self, processes: Mapping[str, ProcessSettings], as_json: bool) -> None:
        rows = [
            {"name": name, "type": p.type, "backend": p.backend, "replicas": p.replicas}
            for name, p in processes.items()
        ]
        if as_json:
            self.stdout.write(msgspec.json.format(msgspec.json.encode(rows)).decode())
        else:
            for line in _table(["NAME", "TYPE", "BACKEND", "REPLICAS"], rows):
                self.stdout.write(line)

    def _procfile(self, processes: Mapping[str, ProcessSettings]) -> None:
        # Who runs a Procfile stops everything when one of its processes has ended.
        services = [name for name, p in processes.items() if p.type != "oneshot"]
        if not services:
            raise CommandError(
                f"A Procfile is for services, and there are only oneshots: {', '.join(processes)}."
            )
        self.stdout.write(procfile.render(services), ending="")

    def _check(
        self, configuration: Configuration, names: Sequence[str], extra: Sequence[str]
    ) -> None:
        from django_prodserver.launch.supervise import preload

        processes = self._resolve(configuration, names, extra)
        preload(processes, configuration.supervisor.preload)
        self.stdout.write(f"Nothing wrong with {', '.join(names)}.")

    def _variables(
        self, configuration: Configuration, names: Iterable[str], chosen: Mapping[str, Any]
    ) -> None:
        from django_prodserver.settings.origins import origins

        keys = {field.upper() for field, value in chosen.items() if value is not None}
        rows = [
            {"variable": variable, "value": _shown(value), "origin": origin}
            for variable, value, origin in origins(configuration, names, keys)
        ]
        for line in _table(["VARIABLE", "VALUE", "FROM"], rows):
            self.stdout.write(line)

    def _dry_run(self, processes: Sequence[Process]) -> None:
        for process in processes:
            for instance in process.instances:
                command = shlex.join(process.new_backend(instance).prep_server_args())
                self.stdout.write(f"{instance}: {process.backend_class.__name__} {command}")

    def _supervise(
        self, configuration: Configuration, names: Sequence[str], extra: Sequence[str]
    ) -> None:
        if not hasattr(os, "fork"):
            raise CommandError(
                "Supervising several processes needs fork, which this platform does not have. "
                f"Start each with `prodserver NAME`: {', '.join(names)}."
            )
        from django_prodserver.launch.supervise import supervise

        status = supervise(
            lambda: self._resolve(configuration, names, extra), configuration.supervisor
        )
        if status:
            sys.exit(status)

    def _run_alone(self, configuration: Configuration, name: str, extra: Sequence[str]) -> None:
        before = dict(os.environ)
        os.environ.update(configuration.processes[name].env)
        # A supervisor may have started it in a fresh interpreter, as one of several instances, and
        # software that re-executes itself comes back here with the name that it was given.
        instance = os.environ.get("PRODSERVER_INSTANCE", "")
        supervised = instance.startswith(f"{name}.")
        if supervised:
            configuration = configuration.overridden({name: 1})
        (process,) = self._resolve(configuration, [name], extra)
        if process.read_already(before):
            restart_program()
        backend = process.new_backend(instance if supervised else None)
        connections.close_all()
        die_as_others_do()
        backend.start_server(*backend.prep_server_args())

    def _resolve(
        self, configuration: Configuration, names: Sequence[str], extra: Sequence[str]
    ) -> list[Process]:
        processes = resolve(configuration, names, extra)
        self._check_project()
        in_use = addresses_in_use(processes)
        if in_use:
            raise ConfigurationError(in_use)
        return processes

    def _check_project(self) -> None:
        try:
            self.check()
        except CommandError:
            raise
        except Exception as error:  # A URLconf that cannot be imported, and the like.
            raise CommandError(f"The system checks cannot run: {describe(error)}.") from error


class _Parser(CommandParser):
    """Keeps from argparse what it does not understand.

    That is what follows `--`, its ways with which differ from version to version, and the half of a
    command line that a shell asks to complete.
    """

    def parse_args(  # type: ignore[override]
        self, args: Optional[Sequence[str]] = None, namespace: Optional[Namespace] = None
    ) -> Namespace:
        words = list(sys.argv[1:] if args is None else args)
        if words[:1] == [completion.ASKED]:
            answer = completion.answer(self, words[1:])
            self._print_message(answer or "", sys.stdout)
            self.exit(0 if answer is not None else 1)
        end = words.index("--") if "--" in words else len(words)
        parsed = super().parse_args(words[:end], namespace)
        parsed.extra = words[end + 1 :]
        return parsed


def _counts(options: Namespace, configuration: Configuration) -> dict[str, Optional[int]]:
    """The chosen processes, each with the number of instances that was asked for, if any."""
    configured = configuration.processes
    if options.all and options.names:
        raise CommandError("--all means every process: give it, or names, but not both.")
    # What only prints is about all of them, unless some are named.
    prints = options.list or options.json or options.procfile or options.check or options.dry_run
    if options.excluded and (options.names or not (options.all or prints)):
        raise CommandError("--except goes with --all.")
    counts: dict[str, Optional[int]] = {}
    for word in options.names:
        name, equals, count = word.partition("=")
        _known(name, configured)
        if name in counts:
            raise CommandError(f"{name} is named twice; {name}=2 runs two instances of it.")
        counts[name] = _count(word, count) if equals else None
    for name in options.excluded:
        _known(name, configured)
    if options.all or (prints and not counts):
        counts = {name: None for name in configured if name not in options.excluded}
    if not counts and options.excluded:
        raise CommandError("--except leaves no process to run.")
    services = (name for name, process in configured.items() if process.type == "service")
    counts = counts or {next(services, next(iter(configured))): None}
    if options.extra and (options.all or len(counts) > 1):
        raise CommandError("Arguments after -- go to one process: name it.")
    return counts


def _known(name: str, configured: Iterable[str]) -> None:
    if name not in configured:
        raise CommandError(no_such_process(name, configured))


def _count(word: str, count: str) -> int:
    if not count.isdecimal() or int(count) < 1:
        raise CommandError(f"{word!r}: the number of instances is a whole number from 1 on.")
    return int(count)


def _djangos_color(options: Namespace) -> Optional[str]:
    """What `--no-color` and `--force-color`, which every management command has, ask for."""
    return "never" if options.no_color else "always" if options.force_color else None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= WEEK:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0, a week at most")
    return seconds


def _shown(value: Any) -> str:
    """A value as a variable of the environment would have it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[str]:
    cells = [list(columns), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells
    ]
