"""`manage.py prodserver`: parse, wire, return."""

from __future__ import annotations

import os
import re
import shutil
import sys
from argparse import (
    Action,
    ArgumentTypeError,
    BooleanOptionalAction,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Optional, get_args

import django
from django.conf import settings
from django.core.management.base import (
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
    OutputWrapper,
)
from django.core.management.color import color_style

from django_prodserver import DOCUMENTATION, __version__, completion
from django_prodserver.exports import EXPORTS
from django_prodserver.launch.examine import all_findings, resolve_to_start
from django_prodserver.launch.process import ResolvedProcess
from django_prodserver.launch.resolve import resolve
from django_prodserver.launch.selection import Selection, select, without_a_name
from django_prodserver.management.supervising import (
    SupervisingCommand,
    add_except,
    add_skip_oneshots,
)
from django_prodserver.posix.stdout import give_up_stdout
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.errors import describe
from django_prodserver.settings.findings import ConfigurationError, Finding, refuse
from django_prodserver.settings.load import read
from django_prodserver.settings.names import PROCESSES
from django_prodserver.settings.schema import WEEK, LogFormat, StartMethod, Type
from django_prodserver.settings.variables import Variable
from django_prodserver.settings.wording import did_you_mean, nearest
from django_prodserver.supervisor.text import literal, printable

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

# Modules that only some actions need are imported where they are used, so as not to slow a start.


JSON_IS_FOR = "--json requires --list, --check or --dry-run."

# Printed by --help. It does not depend on the settings, so it works even if they are broken.
USAGE = """\
%(prog)s [NAME] [OPTION ...] [-- ARGUMENT ...]
  %(prog)s NAME NAME ... | NAME=N ... [OPTION ...]
  %(prog)s --all [--except NAME ...] [OPTION ...]
  %(prog)s ACTION [NAME ...] [OPTION ...]"""
HELP = """\
Run the processes of PRODUCTION_PROCESSES: one of them in this process, or
several under one supervisor."""
EXAMPLES = """\
manage.py prodserver --all                  every process, supervised
manage.py prodserver --all --except beat    every process but beat
manage.py prodserver worker=2               two instances of worker
manage.py prodserver web -- --workers 4     web, with one more option
manage.py prodserver --check                is everything ready to start?
PRODSERVER_LOG_FORMAT=json manage.py prodserver --all"""


class Command(SupervisingCommand):
    help = HELP
    # They run in `resolve_to_start`, once our own settings are known to be valid.
    requires_system_checks = ()

    def get_version(self) -> str:
        return f"django-prodserver {__version__}, Django {django.get_version()}"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.setdefault("formatter_class", _HelpFormatter)
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.__class__ = _Parser  # Django leaves no other way to choose it.
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.usage = USAGE
        parser.epilog = f"Documentation: {DOCUMENTATION}"
        _add_actions(parser.add_argument_group("Actions"))
        _add_options(parser.add_argument_group("Options"))
        parser.add_argument_group("Examples", EXAMPLES)
        _put_djangos_options_last(parser)

    def handle(self, *args: str, **options: Any) -> None:
        given = Namespace(**options)
        with self.mistakes_in_a_sentence(given.traceback):
            if given.schema or given.init or given.completion:
                self.stdout.write(self._without_processes(given), ending="")
            else:
                self._with_processes(given)

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            done = super().execute(*args, **options)
            self.stdout.flush()
            return done
        except BrokenPipeError:
            # The reader has closed the pipe, as `head` does.
            give_up_stdout()

    def _without_processes(self, options: Namespace) -> str:
        """Return the output of an action that works even with broken settings."""
        option = "--schema" if options.schema else "--init" if options.init else "--completion"
        if options.json:
            raise CommandError(JSON_IS_FOR)
        if options.names or options.all or options.excluded or options.extra:
            raise CommandError(f"{option} takes no process names.")
        if options.schema:
            from django_prodserver.settings import json_schema

            return f"{json_schema.render()}\n"
        if options.init:
            from django_prodserver.wizard.console import proposal

            return proposal(sys.stdin, self.stderr, options.interactive)
        return completion.script(options.completion)

    def _with_processes(self, options: Namespace) -> None:
        if not options.interactive:
            raise CommandError("--noinput requires --init.")
        # `--json` alone lists the configured processes.
        alone = options.names or options.all or options.excluded or options.procfile
        alone = alone or options.export
        lists = options.list or (options.json and not (options.check or options.dry_run or alone))
        if options.json and not (lists or options.check or options.dry_run):
            raise CommandError(JSON_IS_FOR)
        for option in ("output", "values", "strict"):
            if getattr(options, option) and not options.export:
                raise CommandError(
                    f"--{'set' if option == 'values' else option} requires --export."
                )
        configuration = read()
        if not configuration.processes:
            refuse(configuration.findings)
        selection = _select(configuration, options, lists)
        overrides = _overrides(options)
        configuration = configuration.overridden(selection.replicas, **overrides)
        if lists or options.procfile:
            refuse(configuration.findings)
            self._print_settings(configuration, selection, options)
        elif options.check:
            self._check(configuration, selection, options)
        elif options.dry_run:
            self._print_dry_run(configuration, selection, options)
        elif options.export:
            self._export(configuration, selection, options)
        elif selection.supervised:
            checks = partial(self.check_of_project, options.without_checks)
            self.supervise(configuration, selection.names, options.extra, checks)
        else:
            from django_prodserver.launch.alone import run_alone

            (name,) = selection.names
            if not options.names:
                self.stderr.write(without_a_name(name, selection.others), self.style.NOTICE)
            check = self.check_of_project(options.without_checks)
            run_alone(configuration, name, options.extra, check, self.advise)

    def _print_settings(
        self, configuration: Configuration, selection: Selection, options: Namespace
    ) -> None:
        from django_prodserver.exports import procfile, tables

        names: Sequence[str] = selection.names
        if selection.disabled and (options.list or options.json):
            # A list shows what is configured; other output shows what would run.
            listed = {*names, *selection.disabled}
            names = [name for name in configuration.processes if name in listed]
        processes = {name: configuration.processes[name] for name in names}
        if options.json:
            self.stdout.write(tables.processes_json(configuration, processes))
        elif options.list:
            self._print(tables.processes_table(configuration, processes))
        else:
            from django_prodserver.exports.export import surroundings

            services = procfile.services(processes)
            here = surroundings(settings.SETTINGS_MODULE or "", configuration.supervisor)
            self.stdout.write(procfile.render(services, here.name, here.control), ending="")
            for note in procfile.notes(configuration, services, selection.disabled):
                self.stderr.write(note, self.style.WARNING)

    def _print_dry_run(
        self, configuration: Configuration, selection: Selection, options: Namespace
    ) -> None:
        from django_prodserver.exports.dry_run import dry_run, dry_run_json

        found = {one.name: one for one in resolve(configuration, selection.names, options.extra)}
        processes = [found[name] for name in configuration.starting_order(found)]
        if options.json:
            self.stdout.write(dry_run_json(processes))
        else:
            self._print(dry_run(processes))
            self._print_disabled(configuration, selection)

    def _export(
        self, configuration: Configuration, selection: Selection, options: Namespace
    ) -> None:
        from django_prodserver.exports.export import export, left_over, surroundings, write

        found = {one.name: one for one in resolve(configuration, selection.names, options.extra)}
        exported = export(
            options.export,
            [found[name] for name in configuration.starting_order(found)],
            selection.words(configuration.processes, options.excluded),
            options.values,
            surroundings(settings.SETTINGS_MODULE or "", configuration.supervisor),
        )
        lost = [
            *exported.losses,
            *(f"{n}: left out, disabled by {by}" for n, by in selection.disabled.items()),
        ]
        for sentence in lost:
            self.stderr.write(f"WARNING: {sentence}", self.style.WARNING)
        if lost and options.strict:
            raise CommandError("Nothing is exported: --strict allows no warnings.")
        if options.output is None:
            self.stdout.write(exported.printed, ending="")
            return
        folder = Path(options.output)
        for path in write(exported.texts, folder):
            self.stdout.write(str(path))
        for path in left_over(options.export, exported.texts, folder):
            self.stderr.write(
                f"WARNING: {path} is from an earlier export: remove it", self.style.WARNING
            )

    def _check(
        self, configuration: Configuration, selection: Selection, options: Namespace
    ) -> None:
        from django_prodserver.launch.health import target_problems
        from django_prodserver.launch.preload import preload
        from django_prodserver.launch.urls import paths_without_a_view

        names = selection.names
        if options.json:
            self._check_for_machines(configuration, names, options)
            return
        check, advise = self.check_of_project(options.without_checks), self.advise
        processes = resolve_to_start(configuration, names, options.extra, check, advise)
        refuse(target_problems(processes))
        preload(processes, configuration.supervisor.preload, advise)
        for warning in paths_without_a_view(processes):
            advise(warning)
        self.stdout.write(f"No problems found: {', '.join(names)}.")
        self._print_previews(processes)
        if hasattr(os, "fork"):
            self._print_start_methods(processes)
        self._print_disabled(configuration, selection)
        if options.verbosity > 1:
            from django_prodserver.exports import tables
            from django_prodserver.launch.holding import why_own_sockets

            for process, why in why_own_sockets(processes):
                self.stdout.write(f"{process.name}: binds its own sockets, because {why}")
            keys = {option.upper() for option in _overrides(options)}
            self._print(tables.variables_table(configuration, names, keys))

    def _print_previews(self, processes: Sequence[ResolvedProcess]) -> None:
        """Print what each process would do, if its backend can tell."""
        for process in processes:
            try:
                shown = process.backend.preview()
            except Exception as error:
                shown = f"not known: {describe(error)}"
            for line in shown.splitlines():
                self.stdout.write(f"{process.name}: {line}")

    def _print_start_methods(self, processes: Sequence[ResolvedProcess]) -> None:
        """Print how each process would be started. The project must have been preloaded."""
        from django_prodserver.launch import start_method

        leftovers = start_method.left_by_preload()
        for names, how, why in start_method.how_started(processes, leftovers):
            self.stdout.write(f"{', '.join(names)}: {how}{why and f', because {why}'}")
        for warning in start_method.problems(processes, leftovers):
            self.advise(warning)

    def _print_disabled(self, configuration: Configuration, selection: Selection) -> None:
        for name, by in selection.disabled.items():
            self.stdout.write(f"{name}: left out, disabled by {by}")
        for name, disabled in configuration.not_waited_for(selection.names).items():
            self.stdout.write(f"{name}: does not wait for {', '.join(disabled)}")

    def _check_for_machines(
        self, configuration: Configuration, names: Sequence[str], options: Namespace
    ) -> None:
        from django_prodserver.exports import tables

        found = all_findings(configuration, names, options.extra)
        if hasattr(os, "fork") and not any(finding.blocks for finding in found):
            from django_prodserver.launch import start_method

            processes = resolve(configuration, names, options.extra)
            found += start_method.problems(processes, start_method.left_by_preload())
        self.stdout.write(tables.findings_json(found))
        if any(finding.blocks for finding in found):
            sys.exit(1)

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(literal(line))


class _HelpFormatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Keeps line breaks, and prints `Usage:` as a heading like the others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # At most 78 columns, even in a wide terminal: long lines are hard to read.
        width = min(shutil.get_terminal_size().columns - 2, 78)
        super().__init__(*args, **{"width": width, **kwargs})

    def add_usage(
        self, usage: Optional[str], actions: Any, groups: Any, prefix: Optional[str] = None
    ) -> None:
        super().add_usage(usage, actions, groups, prefix="Usage:\n  ")


def _add_actions(group: _ArgumentGroup) -> None:
    group.add_argument(
        "names",
        nargs="*",
        metavar="NAME[=N]",
        help="Run these processes. One NAME runs in this process, without a supervisor. Several "
        "names, or NAME=N for N instances, run under the supervisor. Without a NAME, the first "
        "service runs.",
    )
    group.add_argument(
        "--all", action="store_true", help="Run every enabled process under the supervisor."
    )
    only = group.add_mutually_exclusive_group()
    only.add_argument(
        "--check",
        action="store_true",
        help="Validate settings, imports and ports; start nothing.",
    )
    only.add_argument(
        "--dry-run", action="store_true", help="Print what would be started, in order."
    )
    only.add_argument("--list", action="store_true", help="Print the configured processes.")
    only.add_argument("--procfile", action="store_true", help="Print a Procfile.")
    only.add_argument(
        "--export",
        choices=EXPORTS,
        metavar="FORMAT",
        help=f"Print the configuration of another platform: {', '.join(EXPORTS)}.",
    )
    only.add_argument(
        "--init",
        action="store_true",
        help="Ask a few questions, then print settings, a Dockerfile and a Procfile for this "
        "project.",
    )
    only.add_argument("--schema", action="store_true", help="Print a JSON Schema of the settings.")
    only.add_argument(
        "--completion",
        choices=completion.SHELLS,
        help="Print a completion script for this shell.",
    )


def _add_options(group: _ArgumentGroup) -> None:
    also = "for --all and the actions that print"
    add_except(group, help=f"Leave these processes out; {also}.")
    group.add_argument(
        "--only-type",
        choices=get_args(Type),
        help=f"Leave out processes of the other TYPE; {also}.",
    )
    add_skip_oneshots(group, help="The same as --only-type service.")
    group.add_argument(
        "--json",
        action="store_true",
        help="Print JSON; for --list, --check and --dry-run.",
    )
    group.add_argument(
        "--output",
        metavar="DIR",
        help="Write files into this folder; for --export.",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="values",
        help="Set a value for the platform, such as name=mysite; for --export.",
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="Fail if a setting cannot be carried over; for --export.",
    )
    group.add_argument(
        "--noinput",
        "--no-input",
        action="store_false",
        dest="interactive",
        help="Ask no questions; for --init.",
    )
    # Django adds this option only to commands whose checks Django runs. This command runs its own.
    group.add_argument(
        "--skip-checks",
        action="store_true",
        dest="without_checks",
        help="Skip Django's system checks.",
    )
    group.add_argument(
        "--stop-timeout",
        type=_seconds,
        metavar="SECONDS",
        help=_overriding("Kill a process that has not stopped after this time.", "STOP_TIMEOUT"),
    )
    group.add_argument(
        "--start-method",
        choices=get_args(StartMethod),
        help=_overriding(
            "Fork processes from the loaded project, or spawn a new interpreter for each.",
            "START_METHOD",
        ),
    )
    group.add_argument(
        "--log-format",
        choices=get_args(LogFormat),
        help=_overriding("Print prefixed lines, JSON or unchanged lines.", "LOG_FORMAT"),
    )
    group.add_argument(
        "--timestamps",
        action=BooleanOptionalAction,
        default=None,
        help=_overriding("Begin each line with the time, or not.", "TIMESTAMPS"),
    )
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        help=_overriding("Colour the prefixes; auto means on a terminal only.", "COLOR"),
    )


def _overriding(sentence: str, key: str) -> str:
    """Return the help of an option that overrides a variable, which overrides the setting."""
    return f"{sentence} Variable: {Variable(None, key)}."


def _put_djangos_options_last(parser: CommandParser) -> None:
    """Move the options of every Django command, `-h` included, to the end: readers know them."""
    djangos = parser._optionals
    djangos.title = "Options of every Django command"
    groups = parser._action_groups
    groups.remove(djangos)
    groups.append(djangos)


def _values(action: Action) -> Optional[list[str]]:
    """Return process names for shell completion, even if the settings are broken."""
    if action.metavar not in ("NAME", "NAME[=N]"):
        return None
    try:
        names = [name for name in getattr(settings, PROCESSES) if isinstance(name, str)]
    except Exception:
        return []
    return names if action.metavar == "NAME" else [*names, *(f"{name}=" for name in names)]


class _Parser(CommandParser):
    """Handles what argparse cannot parse, and reports unknown options in one sentence.

    argparse cannot parse the unfinished command line of a shell completion, or names after an
    option, and its versions treat arguments after `--` differently.
    """

    def parse_args(  # type: ignore[override]
        self, args: Optional[Sequence[str]] = None, namespace: Optional[Namespace] = None
    ) -> Namespace:
        words = list(sys.argv[1:] if args is None else args)
        if words[:1] == [completion.ASKED]:
            answer = completion.answer(self, words[1:], _values)
            self._print_message(answer or "", sys.stdout)
            self.exit(0 if answer is not None else 1)
        end = words.index("--") if "--" in words else len(words)
        parsed, rest = self.parse_known_args(words[:end], namespace)
        unknown = [word.partition("=")[0] for word in rest if word.startswith("-")]
        if unknown:
            self.error(" ".join(self._unknown(option) for option in dict.fromkeys(unknown)))
        parsed.names += rest
        parsed.extra = words[end + 1 :]
        return parsed

    def _unknown(self, option: str) -> str:
        known = [one for one in self._option_string_actions if one.startswith("--")]
        near = nearest(option, known, alike=0.7) if option.startswith("--") else None
        hint = (
            f"Did you mean {near!r}?"
            if near
            else "Options of the server or worker go after --: prodserver web -- --workers 4"
        )
        return f"{option} is not an option of prodserver. {hint}"

    def error(self, message: str) -> NoReturn:
        """Report any error in one sentence with exit status 1; argparse would print the usage."""
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if choice:
            near = did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2])).strip()
            message = f"{message}. {near}" if near else message
        message = printable(message)
        if not self.called_from_command_line:
            raise CommandError(message)
        stderr = OutputWrapper(sys.stderr)
        stderr.style_func = color_style().ERROR
        stderr.write(f"CommandError: {message}")
        self.exit(1)


def _select(configuration: Configuration, options: Namespace, lists: bool) -> Selection:
    """Select the processes of the command line. A wrong name does not hide other mistakes."""
    try:
        return select(
            configuration,
            options.names,
            everything=options.all,
            excluded=options.excluded,
            only=options.only_type,
            extra=options.extra,
            prints=lists
            or options.procfile
            or options.check
            or options.dry_run
            or bool(options.export),
        )
    except CommandError as error:
        raise ConfigurationError([*configuration.findings, Finding("", str(error))]) from None


def _overrides(options: Namespace) -> dict[str, Any]:
    """Return the given options that override PRODUCTION_SUPERVISOR."""
    overrides = {
        "stop_timeout": options.stop_timeout,
        "start_method": options.start_method,
        "log_format": options.log_format,
        "timestamps": options.timestamps,
        "color": options.color or _djangos_color(options),
    }
    return {key: value for key, value in overrides.items() if value is not None}


def _djangos_color(options: Namespace) -> Optional[str]:
    """Translate `--no-color` and `--force-color`, which every management command has."""
    return "never" if options.no_color else "always" if options.force_color else None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= WEEK:
        raise ArgumentTypeError(f"{text!r} is not a positive number of seconds, at most a week")
    return seconds
