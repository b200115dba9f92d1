"""uWSGI, serving the project's WSGI application: https://uwsgi-docs.readthedocs.io/"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any, ClassVar, Optional, Union

from django_prodserver.posix.asking import Answer, ask
from django_prodserver.posix.interpreter import options_of_python, replace_program, start_words

from .application import ApplicationServer
from .base import Address, PlainAddress, Problem
from .parsers import DETACHES, PID_FILE, RELOADS, Misfit, PrintsOnly, refusal

LAUNCHER = os.path.join(os.path.dirname(__file__), "hooks", "uwsgi.py")
HOOKS = "django_prodserver.backends.hooks"
DEFAULT_ADDRESS = "127.0.0.1:8000"

# Options that name an application, or something else to serve.
APPLICATIONS = frozenset(
    {"module", "wsgi", "wsgi-file", "file", "mount", "eval", "paste", "ini-paste", "pecan"}
    | {"ini-paste-logged", "python-raw", "web3", "pump", "wsgi-lite", "emperor", "http-to"}
)
# Options that say where it listens, first those that speak HTTP.
HTTP_SOCKETS = ("http", "httprouter", "http-socket", "http11-socket")
HTTPS_SOCKETS = ("https", "https2", "https-socket")
SOCKETS = ("socket", "uwsgi-socket", "fastcgi-socket", "scgi-socket", "raw-socket")
STATS = ("stats", "stats-server")
# Other options that give it a socket, whose address is unknown.
INHERITED = frozenset(
    {"suwsgi-socket", "ssl-socket", "shared-socket", "zerg", "emperor", "fastrouter", "rawrouter"}
)
# With one of these options the workers load the application themselves.
LAZY = frozenset({"lazy", "lazy-apps"})
# Options that name a virtual environment.
PYTHONS = ("home", "pyhome", "venv", "virtualenv")
# The values that mean "no" in a configuration file of uWSGI.
FALSE = frozenset({"false", "off", "no", "0"})

# SIGTERM has to mean: finish the requests in progress. By default uWSGI reloads at SIGTERM, and
# with `die-on-term` it drops requests. Platforms may signal each of its processes as well.
STOPS = (
    "--hook-master-start=unix_signal:15 gracefully_kill_them_all",
    "--hook-accepting=unix_signal:15 gracefully_kill",
    # The master waits without a limit. The escalation signal ends it at once, and its workers with
    # it.
    "--hook-master-start=unix_signal:3 _exit",
    # Routers pass on requests until the master kills them, last of all: `worker_wakeup` does
    # nothing there.
    "--hook-as-gateway=unix_signal:15 worker_wakeup",
    # By default uWSGI ignores SIGTERM while it loads the application.
    "--hook-pre-app=unix_signal:15 end_me",
)
# The hook that sends READY=1. `master-start`: once the master can stop gracefully; its workers may
# accept requests earlier. `accepting1`, if workers load the application themselves: once the first
# one has done so.
READY, LAZY_READY = "master-start", "accepting1"
# The master asks a worker to stop by SIGHUP, also while the worker loads the application.
LAZY_STOPS = ("--hook-pre-app=unix_signal:1 end_me",)
ALWAYS = ("--master", "--die-on-term", "--need-app", "--no-orphans")
# Called before uWSGI forks its workers, while it holds Python's lock.
CLOSES = (
    f"--hook-post-app=call:PyRun_SimpleString from {HOOKS}.connections import close_connections;"
    " close_connections()"
)
# Called before all other hooks: uWSGI shows the options as it has read them, and exits.
SHOWS = ("--hook-asap=call:show_config", "--hook-asap=exit:0")
BEGIN, END = ";uWSGI instance configuration", ";end of configuration"


class UwsgiServer(ApplicationServer):
    """ARGS are the arguments of `uwsgi`; an `ini` file and the variables UWSGI_* work as usual."""

    comes_with = "pyuwsgi, or the program uwsgi on the PATH"
    # 3 is the number of the escalation signal, which it passes to `_exit`. 30 comes from uWSGI's
    # own `end_me`.
    success_exit_statuses = frozenset({3, 30})
    exit_meanings: ClassVar[Mapping[int, str]] = {22: "the application could not be loaded"}
    escalation_signal = "SIGQUIT"
    notifies = True
    pings = False
    interface = "wsgi"
    shares_port_with = "'reuse-port': True"
    misfits: ClassVar[Mapping[str, Misfit]] = {
        "daemonize": DETACHES,
        "daemonize2": DETACHES,
        "pidfile": PID_FILE,
        "pidfile2": PID_FILE,
        "safe-pidfile": PID_FILE,
        "safe-pidfile2": PID_FILE,
        **dict.fromkeys(
            ("py-auto-reload", "py-autoreload", "python-auto-reload", "python-autoreload"), RELOADS
        ),
    }

    def prep_server_args(self) -> Sequence[str]:
        try:
            options = self.parse()
        except (PrintsOnly, ValueError):
            return self.args  # uWSGI itself reports what is wrong.
        found = [*self.args, *self._own_python(options)]
        if not INHERITED & set(options) and not _listening(options):
            found.append(f"--http-socket={DEFAULT_ADDRESS}")
        if not APPLICATIONS & set(options):
            found.append(f"--module={self.application}")
        if LAZY & set(options):
            found += LAZY_STOPS
        elif "py-call-uwsgi-fork-hooks" not in options:
            found.append(CLOSES)
        return [*found, f"--shared-import={HOOKS}.uwsgi_master", *ALWAYS, *STOPS]

    def start_server(self, *args: str) -> None:
        replace_program(self._command(args, start_words()))

    def command_line(self) -> Optional[Sequence[str]]:
        if type(self).start_server is not UwsgiServer.start_server:
            return None
        return self._command(self.prep_server_args())

    def preload(self) -> None:
        """Do nothing: uWSGI is a separate program, which loads the application itself."""

    def problems(self) -> Iterator[Problem]:
        if self._program is None:
            message = "needs uWSGI, not installed here."
            hint = "Run: pip install pyuwsgi. Or put the program uwsgi on the PATH."
            yield Problem("BACKEND", message, hint, "W002", warning=True, fatal=True)
        else:
            yield from super().problems()

    def parse(self) -> Mapping[str, Sequence[str]]:
        """The values of each option as uWSGI has read them, without values that mean "no"."""
        return self._options

    @cached_property
    def _options(self) -> dict[str, list[str]]:
        shown = self._ask(*SHOWS, *self.args)
        lines = shown.errors.splitlines()
        if shown.status != 0:
            raise refusal(f"uwsgi: {_complaint(lines)}", self._known_options())
        if BEGIN not in lines:
            raise PrintsOnly("uwsgi")
        options: dict[str, list[str]] = {}
        for line in lines[lines.index(BEGIN) + 2 : lines.index(END)]:
            name, _, value = line.partition(" = ")
            if value.lower() not in FALSE:
                options.setdefault(name, []).append(value)
        addresses_of(options)  # Check them: wrong addresses are wrong arguments.
        return options

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        if not _listening(options) and not INHERITED & set(options):
            options = {**options, "http-socket": [DEFAULT_ADDRESS]}
        return addresses_of(options)

    def own_context(self, options: Any) -> Mapping[str, Any]:
        names = {"CWD": "chdir", "USER": "uid", "GROUP": "gid", "UMASK": "umask"}
        return {key: options[name][-1] for key, name in names.items() if name in options}

    @cached_property
    def _program(self) -> Optional[str]:
        """The path of `uwsgi`; "" for the extension module, None if neither is installed."""
        if find_spec("pyuwsgi") is not None:
            return ""
        return shutil.which("uwsgi", path=self.environ()["PATH"])

    def _own_python(self, options: Container[str]) -> Iterator[str]:
        """The options by which the program finds this virtual environment and the project."""
        if not self._program:
            return
        if sys.prefix != sys.base_prefix and not any(name in options for name in PYTHONS):
            yield f"--virtualenv={sys.prefix}"
        standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
        standard |= {os.path.join(folder, "lib-dynload") for folder in standard}
        for folder in map(os.path.abspath, sys.path):
            if os.path.isdir(folder) and folder not in standard:
                yield f"--pythonpath={folder}"

    def _command(self, args: Sequence[str], title: Sequence[str] = ()) -> list[str]:
        python = [sys.executable, *options_of_python()]
        told = {
            "python": python,
            "prefix": sys.prefix,
            "path": [os.path.abspath(folder) for folder in sys.path],
            "program": self._program,
            "args": list(args),
            "ready": LAZY_READY if {*LAZY_STOPS} <= {*args} else READY,
            "title": list(title),
        }
        return [*python, LAUNCHER, json.dumps(told)]

    def _ask(self, *args: str) -> Answer:
        environ = {key: value for key, value in self.environ().items() if key != "NOTIFY_SOCKET"}
        try:
            return ask(self._command(args), environ, self.config.get("CWD"))
        except ValueError as error:
            raise ValueError(f"cannot get the options of uwsgi: {error}") from None

    def _known_options(self) -> Iterable[str]:
        return re.findall(r"--[\w-]+", self._ask("--help").output)


# ---- uWSGI's output ----


def _complaint(lines: Sequence[str]) -> str:
    """The error that uWSGI reports before it exits, without what getopt(3) adds."""
    said = [line for line in lines if line.strip() and not line.startswith("getopt_long()")]
    words = said[-1] if said else "it exits without a message"
    words = re.sub(r"(--[\w-]+)=[^']*'", r"\1'", words)
    # Messages of getopt(3) begin with the name of the program.
    return words.partition(": ")[2] if words.startswith(("/", "uwsgi: ")) else words


def _listening(options: Mapping[str, Sequence[str]]) -> bool:
    return any(name in options for name in (*HTTP_SOCKETS, *HTTPS_SOCKETS, *SOCKETS))


def addresses_of(options: Mapping[str, Sequence[str]]) -> list[Address]:
    """Where it listens with these options. Raises ValueError."""
    found: list[Address] = []
    for name in (*HTTP_SOCKETS, *HTTPS_SOCKETS, *SOCKETS, *STATS):
        for value in options.get(name, ()):
            # After the first comma: a certificate, its key, its ciphers, and the certificate of an
            # authority. An exclamation mark before the last one: each client needs a certificate of
            # that authority.
            text, *more = value.split(",")
            if text.startswith("="):
                continue  # It refers to a `shared-socket`.
            tls = name in HTTPS_SOCKETS
            requires_client_certificate = tls and len(more) > 3 and more[3].startswith("!")
            shared = "reuse-port" in options
            found.append(PlainAddress(_at(name, text), shared, tls, requires_client_certificate))
    return found


def _at(name: str, text: str) -> Union[tuple[str, int], str]:
    host, colon, port = text.rpartition(":")
    if host == "unix":
        raise ValueError(f"uwsgi: write a Unix socket as its path, {name!r} = {port!r}")
    if not colon and text.isdecimal():
        message = f"uwsgi: {name!r} is {text!r}, which it would treat as the path of a Unix socket"
        raise ValueError(f"{message}. Write ':{text}'")
    if not colon:
        return text
    if not port.isdecimal():
        raise ValueError(f"uwsgi: {name!r} is {text!r}, which has no port. Write '{host}:8000'")
    return ("" if host == "*" else host.strip("[]")), int(port)
