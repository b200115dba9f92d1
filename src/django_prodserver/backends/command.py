"""Any management command of the project, and any program of the operating system."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar, Optional

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from django_prodserver.settings.errors import describe
from django_prodserver.settings.wording import did_you_mean

from .base import BaseServerBackend, Problem, notify
from .hooks.connections import close_connections
from .parsers import DETACHES, by_argparse, options_of

# The options with which well-known programs detach themselves.
DETACHING: Mapping[str, frozenset[str]] = {
    "celery": frozenset({"-D", "--detach", "multi"}),
    "gunicorn": frozenset({"-D", "--daemon"}),
    "memcached": frozenset({"-d", "--daemon"}),
    "redis-server": frozenset({"--daemonize"}),
    "uwsgi": frozenset({"-d", "--daemonize", "--daemonize2"}),
}
# Commands of Django that finish on their own.
FINISHING = {
    *("check", "clearsessions", "collectstatic", "compilemessages", "createcachetable"),
    *("createsuperuser", "diffsettings", "dumpdata", "flush", "loaddata", "makemessages"),
    *("makemigrations", "migrate", "optimizemigration", "remove_stale_contenttypes"),
    *("sendtestemail", "sqlflush", "sqlmigrate", "squashmigrations"),
}


class ManagementCommand(BaseServerBackend):
    """ARGS is a list: the name of the command and its arguments."""

    def start_server(self, *args: str) -> None:
        run_command(load_command(args[0]), *args)

    def preload(self) -> None:
        load_command(self.args[0])

    def problems(self) -> Iterator[Problem]:
        words = self.config.get("ARGS")
        if not words or isinstance(words, Mapping) or (isinstance(words, str) and " " in words):
            hint = "Write it as a list, such as ['clearsessions', '--verbosity=2']."
            yield Problem("ARGS", "must begin with the name of a management command.", hint)
        elif self.args[0] not in get_commands():
            message = f"names {self.args[0]!r}, which is not a management command."
            yield Problem("ARGS", message, did_you_mean(self.args[0], get_commands()).strip())

    def parse(self) -> Namespace:
        return parse_command(*self.args)

    def finishing_command(self) -> Optional[str]:
        return self.args[0] if self.args[0] in FINISHING else None


class CommandBackend(BaseServerBackend):
    """Software with a management command of its own; ARGS are the command's options.

    A project may replace the command with one of the same name, which may or may not inherit from
    it.
    """

    command: ClassVar[str]
    # The packages that provide the command. If empty, any package may.
    packages: ClassVar[Sequence[str]] = ()
    # A sentence that says how to install the command.
    comes_with: ClassVar[str]

    def defaults(self) -> Sequence[str]:
        """Options that ARGS override, because the last value of an option counts.

        Options that the project's own command does not have are left out.
        """
        return ()

    def prep_server_args(self) -> Sequence[str]:
        defaults = known_options(self.command, self.defaults())
        return [self.command, *defaults, *self.skip_checks(), *self.args]

    def start_server(self, *args: str) -> None:
        command = load_command(args[0])
        problem = self._hook_into(command)
        if problem:
            hookless = f"prodserver: cannot detect when {self.command} is ready: {problem}"
            sys.stderr.write(f"{hookless}; treating it as ready now\n")
            notify()
        run_command(command, *args)

    def _hook_into(self, command: BaseCommand) -> str:
        """Hook into the command's software; return why that may not work, or ""."""
        modules = modules_of(command, self.packages)
        own = type(command).__module__
        try:
            self.hook(*(modules or [sys.modules[own]]))
        except Exception as error:
            return describe(error)
        if modules or not self.packages:
            return ""
        return f"the command of {own} does not inherit from {self.packages[0]}'s"

    def hook(self, *modules: ModuleType) -> None:
        """Make the software send READY=1 when it is ready, and its children die with it.

        `modules` are the modules of the command's classes; the last is the package's own. Prefer
        hooks in classes of the software: a project's command may bypass these modules. May raise
        any exception if the software is not as expected.
        """

    def preload(self) -> None:
        load_command(self.command)

    def problems(self) -> Iterator[Problem]:
        if self.command not in get_commands():
            message = (
                f"needs the management command {self.command}, which no installed app provides."
            )
            yield Problem("BACKEND", message, self.comes_with)

    def parse(self) -> Namespace:
        return parse_command(*self.prep_server_args())


class ShellCommand(BaseServerBackend):
    """ARGS is a list, run without a shell, or a string, run by `sh -c`.

    A shell does not forward signals to the programs that it runs, so with a string the stop signal
    goes to the whole process group.
    """

    exit_meanings: ClassVar[Mapping[int, str]] = {
        126: "the command cannot be executed",
        127: "the command was not found",
    }

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.stop_group = isinstance(config.get("ARGS"), str)

    def prep_server_args(self) -> Sequence[str]:
        return ["sh", "-c", *self.args] if self.stop_group else self.args

    def command_line(self) -> Optional[Sequence[str]]:
        # A subclass may override `start_server` to do something else.
        return (
            None
            if type(self).start_server is not ShellCommand.start_server
            else self.prep_server_args()
        )

    def start_server(self, *args: str) -> None:
        from django_prodserver.posix.child import execute  # Not available on every system.

        # Python ignores these signals, and ignored signals stay ignored across an exec (signal(7)).
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        execute(args)

    def problems(self) -> Iterator[Problem]:
        words = self.config.get("ARGS")
        if not isinstance(words, (list, tuple, str)) or not (words and self.args[0].strip()):
            hint = "Write it as a list of words, or as one string for the shell."
            yield Problem("ARGS", "must be a command.", hint)
        elif any("\0" in word for word in self.args):
            yield Problem("ARGS", "contains a null character.")
        elif not self.stop_group and not self._is_on_the_path():
            message = f"names {self.args[0]!r}, which is not a program on the PATH."
            hint = "Install it, or give its full path."
            if not os.path.dirname(self.args[0]):
                hint += f" The PATH is {self._path()}."
            if " " in self.args[0]:
                hint = "Write each word as an item of its own, or all as one string for the shell."
            yield Problem("ARGS", message, hint)
        else:
            yield from self._detaching()

    def _detaching(self) -> Iterator[Problem]:
        words = last_command(self.args[0]) if self.stop_group else self.args
        word = detaching_word(words)
        if self.stop_group and re.search(r"(^|[^&])&\s*$", self.args[0]):
            word = "&"
        if word is not None:
            yield Problem("ARGS", f"has {word!r}, {DETACHES.why}.", DETACHES.hint, "E016")

    def finishing_command(self) -> Optional[str]:
        words = last_command(self.args[0]) if self.stop_group else self.args
        command = django_command(words)
        return command if command in FINISHING else None

    def _is_on_the_path(self) -> bool:
        program = self.args[0]
        if os.path.dirname(program):
            program = os.path.join(self.config.get("CWD", ""), program)
        return shutil.which(program, path=self._path()) is not None

    def _path(self) -> str:
        return self.environ().get("PATH", os.defpath)


def load_command(name: str) -> BaseCommand:
    """Load a management command by its name. Raises KeyError for an unknown one."""
    app = get_commands()[name]
    return app if isinstance(app, BaseCommand) else load_command_class(app, name)


def modules_of(command: BaseCommand, packages: Sequence[str]) -> list[ModuleType]:
    """The modules of the command's classes, up to the first that is in one of the packages.

    Empty if the command inherits from no class of these packages.
    """
    found = []
    for cls in type(command).__mro__:
        found.append(sys.modules[cls.__module__])
        if f"{cls.__module__}.".startswith(tuple(f"{package}." for package in packages)):
            return found
    return []


def known_options(name: str, options: Sequence[str], *words: str) -> list[str]:
    """The options, each `--name` or `--name=value`, that the command has.

    `words` may name a subcommand, which has options of its own.
    """
    if not options:
        return []
    known = set(options_of(load_command(name).create_parser("manage.py", name), words))
    return [option for option in options if option.partition("=")[0] in known]


def parse_command(name: str, *args: str) -> Namespace:
    """Let the command's own parser read its arguments. Raises ValueError and PrintsOnly."""
    parser = load_command(name).create_parser("manage.py", name)
    return by_argparse(parser, args, name)


def run_command(command: BaseCommand, *args: str) -> None:
    """Run a command as `manage.py` does, with its system checks; `args` begins with its name."""
    handle = command.handle

    def close_connections_and_handle(*args: Any, **options: Any) -> Any:
        close_connections()  # Checks may have used the database, and the command may fork.
        return handle(*args, **options)

    vars(command)["handle"] = close_connections_and_handle
    command.run_from_argv([sys.argv[0], *args])


# ---- known programs and commands ----


def detaching_word(words: Sequence[str]) -> Optional[str]:
    """The word that makes a known program detach itself: `--daemonize`."""
    options: frozenset[str] = frozenset()
    for word, following in zip(words, [*words[1:], ""]):
        options |= DETACHING.get(os.path.basename(word), frozenset())
        if word.partition("=")[0] in options and following != "no" and not word.endswith("=no"):
            return word
    return None


def django_command(words: Sequence[str]) -> Optional[str]:
    """The management command that these words run: `migrate` of `python manage.py migrate`."""
    for word, following in zip(words, words[1:]):
        if os.path.basename(word) in ("manage.py", "django-admin", "django"):
            return following
    return None


def last_command(line: str) -> list[str]:
    """The words of the last command in a shell line; empty if the line cannot be parsed."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return []
    ends = [number for number, word in enumerate(words) if set(word) <= set("&|;()")]
    return words[ends[-1] + 1 :] if ends else words
