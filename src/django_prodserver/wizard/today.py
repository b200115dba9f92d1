"""Convert the commands that run a project today into processes here. No I/O.

Each command runs one program. Tables say what each known program becomes; anything else is left
out, with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional, Union

from django_prodserver.settings.names import in_variables
from django_prodserver.settings.schema import FOR_SERVICES

from .code import LeftOut, expanded
from .files import port_of
from .files import words as split
from .keys import left_out as lost
from .keys import variables
from .project import Project, Run


@dataclass(frozen=True)
class Program:
    """A server: the package that its backends are named after, and its options."""

    package: str
    # Options for the addresses it listens on, and for the number of its processes or threads.
    address: frozenset[str]
    workers: frozenset[str] = frozenset()
    # Options that the backend sets itself, or that would detach the process from its supervisor.
    left_out: frozenset[str] = frozenset()
    # Short options, and other names, of the long options.
    long: Mapping[str, str] = field(default_factory=dict)
    interface: str = ""
    # For a program with hundreds of options: those that are kept, and those that its backend sets
    # itself or knows from the project.
    taken: frozenset[str] = frozenset()
    implied: frozenset[str] = frozenset()


_HOST_AND_PORT = frozenset({"host", "port"})
# uWSGI's boolean options; a configuration file may write them as "1".
UWSGI_FLAGS = frozenset(
    {"lazy-apps", "enable-threads", "single-interpreter", "thunder-lock", "vacuum", "reuse-port"}
    | {"disable-logging", "log-4xx", "log-5xx", "log-x-forwarded-for", "ignore-sigpipe"}
    | {"ignore-write-errors", "disable-write-exception", "auto-procname", "harakiri-verbose"}
)
PROGRAMS: Mapping[str, Program] = {
    "gunicorn": Program(
        "gunicorn",
        frozenset({"bind"}),
        frozenset({"workers"}),
        frozenset({"daemon", "pid", "reload"}),
        {"b": "bind", "w": "workers", "c": "config", "k": "worker-class", "t": "timeout"}
        | {"D": "daemon", "p": "pid", "n": "name"},
    ),
    "uvicorn": Program(
        "uvicorn",
        _HOST_AND_PORT,
        frozenset({"workers"}),
        frozenset({"reload", "interface", "app-dir", "factory"}),
    ),
    "granian": Program(
        "granian",
        _HOST_AND_PORT,
        frozenset({"workers"}),
        frozenset({"interface", "reload", "pid-file"}),
    ),
    "hypercorn": Program(
        "hypercorn",
        frozenset({"bind"}),
        frozenset({"workers"}),
        frozenset({"reload", "pid", "daemon"}),
        {"b": "bind", "w": "workers", "c": "config", "k": "worker-class", "p": "pid"}
        | {"D": "daemon"},
    ),
    "daphne": Program(
        "daphne",
        frozenset({"bind", "port"}),
        long={"b": "bind", "p": "port", "v": "verbosity", "t": "http-timeout"},
        interface="ASGI",
    ),
    "waitress-serve": Program(
        "waitress", frozenset({"host", "port", "listen"}), frozenset({"threads"})
    ),
    "uwsgi": Program(
        "pyuwsgi",
        frozenset({"http", "http-socket", "socket", "http11-socket", "uwsgi-socket"}),
        frozenset({"workers"}),
        frozenset({"daemonize", "daemonize2", "pidfile", "pidfile2", "safe-pidfile"}),
        {"p": "workers", "processes": "workers", "M": "master", "w": "module", "l": "listen"}
        | {"b": "buffer-size", "R": "max-requests", "t": "harakiri", "H": "home", "d": "daemonize"},
        "WSGI",
        UWSGI_FLAGS.union(
            {"workers", "threads", "harakiri", "max-requests", "buffer-size", "listen", "cheaper"},
            {"static-map", "static-expires", "offload-threads", "post-buffering", "add-header"},
            {
                "max-worker-lifetime",
                "reload-on-rss",
                "evil-reload-on-rss",
                "gevent",
                "cheaper-step",
            },
        ),
        frozenset({"master", "die-on-term", "need-app", "no-orphans", "strict", "ini"}).union(
            {
                "module",
                "wsgi",
                "wsgi-file",
                "callable",
                "env",
                "chdir",
                "home",
                "virtualenv",
                "venv",
            }
        ),
    ),
}
# Management command -> the name of its worker, its backend, its package.
COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "rqworker": ("rqworker", "rq", "django-rq"),
    "rqscheduler": ("rqscheduler", "rq-scheduler", "rq-scheduler"),
    "run_huey": ("huey", "huey", "huey"),
    "qcluster": ("qcluster", "django-q2", "django-q2"),
    "rundramatiq": ("dramatiq", "dramatiq", "django-dramatiq"),
    "db_worker": ("tasks", "django-tasks", "django-tasks-db"),
}
CELERY: Mapping[str, tuple[str, str]] = {
    "worker": ("celery", "celery"),
    "beat": ("celery-beat", "celery"),
    "flower": ("celery-flower", "flower"),
}
_CELERY_LEFT_OUT = {"detach": False, "D": False, "pidfile": True, "daemon": False}
# Commands for developers.
_NOT_FOR_PRODUCTION = {"runserver", "runserver_plus", "runserver_uwsgi", "test", "shell", "dbshell"}
_OURS = {"prodserver", "devserver"}
# Keys that a oneshot cannot have.
_ONLY_FOR_SERVICES = frozenset({*FOR_SERVICES, "REPLICAS", "MAX_MEMORY", "ENABLED"})
# Keys that apply to every command of a shell command line, such as `a && b`.
_OF_ALL_PARTS = ("ENV", "CWD", "USER", "GROUP", "UMASK")
# Programs that run another program, and how many arguments come before that program.
_WRAPPERS: Mapping[str, int] = {"exec": 0, "nohup": 0, "dumb-init": 0, "gosu": 1, "su-exec": 1}
_RUNNERS = ("poetry", "uv", "pipenv", "pdm")
_SHELLS = ("sh", "bash", "dash", "ash")


@dataclass(frozen=True)
class Worker:
    """A worker as it runs today."""

    name: str
    backend: str
    package: str
    # "APP", "ARGS", and what else the file says.
    settings: Mapping[str, Any]
    file: str
    why: tuple[str, ...] = ()
    # Its name in the file, and the names there that it starts after.
    called: str = ""
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Serving:
    """The server as it runs today."""

    program: str
    package: str
    # "WSGI", "ASGI", or "" if unknown.
    interface: str
    options: Mapping[str, Any]
    port: Optional[int]
    file: str
    # Options that are left out, besides the address: those that would detach the server from its
    # supervisor, and those that are not known here.
    dropped: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    # Settings other than BACKEND and ARGS.
    settings: Mapping[str, Any] = field(default_factory=dict)
    called: str = ""
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Today:
    """What runs today and can be converted; `left_out` has a sentence for what cannot."""

    serving: Optional[Serving] = None
    workers: tuple[Worker, ...] = ()
    # Management commands that run before the services, as words.
    first: tuple[tuple[str, ...], ...] = ()
    # Further settings of these commands, by command; and the commands by their names in the files.
    first_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    first_called: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def today(project: Project) -> Today:
    serving: Optional[Serving] = None
    workers: list[Worker] = []
    first: list[tuple[str, ...]] = []
    left_out: list[str] = []
    first_settings: dict[str, Mapping[str, Any]] = {}
    first_called: dict[str, str] = {}
    # Per server or worker, the first file that runs it. If a second file runs the same thing, it
    # describes another deployment and is ignored.
    told: dict[object, str] = {}
    for run, words in _single(project.runs):
        run, losses = _with_variables(run)
        left_out += losses
        try:
            found = _taken(run, words, project)
        except LeftOut as error:
            if error.reason:
                left_out.append(f"{run.file} runs `{_shown(words)}`, left out: {error.reason}.")
            continue
        if isinstance(found, tuple):
            if found not in first:
                first.append(found)
                first_settings.setdefault(found[0], _of_oneshot(run.settings))
            first_called[run.name] = found[0]
            continue
        key = "server" if isinstance(found, Serving) else _kind(found)
        if told.setdefault(key, run.file) != run.file:
            continue
        if isinstance(found, Worker):
            if not any((found.backend, found.settings) == (w.backend, w.settings) for w in workers):
                workers.append(found)
        elif serving is None:
            serving = found
        else:
            left_out.append(
                f"{run.file} runs a second server, `{_shown(words)}`, left out: add it with an "
                "address of its own."
            )
    return Today(
        serving,
        _with_names(workers, [words[0] for words in first]),
        tuple(first),
        first_settings,
        first_called,
        tuple(dict.fromkeys(left_out)),
    )


def _with_variables(run: Run) -> tuple[Run, list[str]]:
    """Move the variables before the command into ENV; also return sentences on those left out."""
    env, losses = variables(run.env)
    together = {**run.settings.get("ENV", {}), **env}
    settings = {**run.settings, **({"ENV": together} if together else {})}
    place = f"{run.file}, {run.name}" if run.name else run.file
    sentences = [f"{place}: {lost([f'`{name}`'], losses[name])}" for name in losses]
    return replace(run, settings=settings), sentences


def _of_oneshot(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of the settings that a oneshot can have."""
    found = {key: value for key, value in settings.items() if key not in _ONLY_FOR_SERVICES}
    if found.get("RESTART") == "always":
        found["RESTART"] = "on-failure"
    return {key: value for key, value in found.items() if (key, value) != ("RESTART", "never")}


def celery_apps(runs: Sequence[Run]) -> Iterator[str]:
    """The values of `celery -A`."""
    for _, words in _single(runs):
        if words[0] == "celery":
            app = _celery_app(words)
            if app:
                yield app


def gunicorn_config(runs: Sequence[Run]) -> str:
    """The value of the first `gunicorn -c`."""
    for _, words in _single(runs):
        if words[0] == "gunicorn":
            name = options(words[1:], PROGRAMS["gunicorn"].long).get("config", "")
            return name if isinstance(name, str) else ""
    return ""


def options(words: Sequence[str], long: Mapping[str, str]) -> dict[str, Any]:
    """The options of a command line, by long name. Positional arguments are ignored."""
    found: dict[str, Any] = {}
    words = [word for word in words if not _is_application(word)]
    for number, word in enumerate(words):
        if not word.startswith("-") or word in ("-", "--"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        following = words[number + 1 : number + 2]
        given: Union[str, bool] = value
        if not word.startswith("--") and len(name) > 1:  # -w4
            name, given = name[0], name[1:] + equals + value
        elif not equals:
            given = following[0] if following and not following[0].startswith("-") else True
        found[long.get(name, name)] = given
    return found


# ---- one command ----


def _taken(
    run: Run, words: Sequence[str], project: Project
) -> Union[Serving, Worker, tuple[str, ...]]:
    """Convert one command. Raises LeftOut, without a reason if it is not worth a note."""
    program, *args = words
    if program in PROGRAMS:
        return _server(run, PROGRAMS[program], words)
    if program == "celery":
        return _celery(run, words)
    if program == "manage.py":
        return _command(run, args, project)
    if program == "rq" and args[:1] == ["worker"]:
        raise LeftOut("the backend `rq` runs `manage.py rqworker`, which needs django-rq")
    if run.file.endswith("Dockerfile") or (run.first and not args):
        raise LeftOut("it may start others; look into it")
    raise LeftOut("the program is not known here; BACKEND `shell` runs any")


def _server(run: Run, program: Program, words: Sequence[str]) -> Serving:
    given = options(words[1:], program.long)
    applications = " ".join(word for word in words[1:] if _is_application(word))
    wsgi = "wsgi" in applications or given.get("interface") == "wsgi"
    asgi = "asgi" in applications or "uvicorn" in str(given.get("worker-class"))
    address = [port_of(str(given[name])) for name in given if name in program.address]
    set_aside = program.address | program.left_out | program.implied
    unknown = [name for name in given if program.taken and name not in program.taken | set_aside]
    kept = {
        name: True if name in UWSGI_FLAGS and value == "1" else value
        for name, value in given.items()
        if name not in set_aside.union(unknown)
    }
    return Serving(
        words[0],
        program.package,
        program.interface or ("ASGI" if asgi else "WSGI" if wsgi else ""),
        {name: _number(expanded(value)) for name, value in kept.items()},
        next((port for port in address if port), None),
        run.file,
        tuple(name for name in given if name in program.left_out),
        tuple(unknown),
        run.settings,
        run.name,
        run.after,
    )


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _celery(run: Run, words: Sequence[str]) -> Worker:
    command = next((word for word in words[1:] if word in CELERY), "")
    if not command:
        raise LeftOut("it is neither a worker, nor beat, nor flower")
    backend, package = CELERY[command]
    after = list(words[words.index(command) + 1 :])
    kept, dropped = _without(after, {**_CELERY_LEFT_OUT, "A": True, "app": True})
    dropped = [word for word in dropped if word.lstrip("-").partition("=")[0] not in ("A", "app")]
    settings: dict[str, Any] = {"APP": _celery_app(words)}
    if kept:
        settings["ARGS"] = [expanded(word) for word in kept]
    settings.update(run.settings)
    why = (f"As in {run.file}.",)
    if dropped:
        why = (f"As in {run.file}, without {' '.join(dropped)}: it is supervised.",)
    name = run.name if run.name and run.name != "web" else command
    return Worker(name, backend, package, settings, run.file, why, run.name, run.after)


def _celery_app(words: Sequence[str]) -> str:
    app = options(words[1:], {"A": "app"}).get("app", "")
    # `options` ignores words that look like an application, such as `shop.celery:app`.
    for before, word in zip(words, words[1:]):
        if before in ("-A", "--app"):
            app = word
    return app.replace(":", ".") if isinstance(app, str) else ""


def _command(run: Run, args: Sequence[str], project: Project) -> Union[Worker, tuple[str, ...]]:
    if not args or args[0] in _OURS or args[0].startswith("-"):
        raise LeftOut
    name = args[0]
    if name in _NOT_FOR_PRODUCTION:
        raise LeftOut("it is for development")
    words = [expanded(word) for word in args]
    if run.first:
        return tuple(words)
    why = (f"As in {run.file}.",)
    label = run.name if run.name and run.name != "web" else ""
    if name in COMMANDS or list(args[:2]) == ["procrastinate", "worker"]:
        worker, backend, package = COMMANDS.get(
            name, ("procrastinate", "procrastinate", "procrastinate[django]")
        )
        rest = words[1:] if name in COMMANDS else words[2:]
        settings = {**({"ARGS": rest} if rest else {}), **run.settings}
        known = (label or worker, backend, package, settings)
    else:
        known = (label or name, "command", "", {"ARGS": words, **run.settings})
    return Worker(*known, run.file, why, run.name, run.after)


def _kind(worker: Worker) -> object:
    """What identifies a worker: its backend, and for the backend `command` also the command."""
    return (
        (worker.backend, worker.settings["ARGS"][0])
        if worker.backend == "command"
        else (worker.backend)
    )


def _without(words: Sequence[str], names: Mapping[str, bool]) -> tuple[list[str], list[str]]:
    """Split the words into those to keep and these options; `names` tells which take a value."""
    kept: list[str] = []
    dropped: list[str] = []
    value_follows = False
    for word in words:
        name, equals, _ = word.lstrip("-").partition("=")
        is_one = word.startswith("-") and name in names
        (dropped if is_one or value_follows else kept).append(word)
        value_follows = is_one and names[name] and not equals
    return kept, dropped


def _is_application(word: str) -> bool:
    """Whether the word names an application: `shop.wsgi`, `shop.asgi:application`."""
    return bool(re.fullmatch(r"[A-Za-z_][\w.]*(:[\w.]+(\(\))?|[._]?[wa]sgi(\.application)?)", word))


# ---- split a command line into its commands ----


def _single(runs: Sequence[Run]) -> Iterator[tuple[Run, list[str]]]:
    """Each command of a command line separately. All but the last run first, to completion."""
    for run in runs:
        parts = list(_split(run.words))
        for number, (env, words) in enumerate(parts):
            if number == len(parts) - 1:
                yield replace(run, env=env), words
            else:
                settings = {key: run.settings[key] for key in _OF_ALL_PARTS if key in run.settings}
                before = Run(run.file, "", run.words, True, settings, env=env)
                yield before, words


# The variable assignments before a command, and its words.
_Part = tuple[Mapping[str, str], list[str]]


def _split(words: Sequence[str]) -> Iterator[_Part]:
    part: list[str] = []
    for word in [*words, "&&"]:
        if word and not word.strip(";&|"):
            yield from _unwrapped(part)
            part = []
        else:
            part.append(word)


def _unwrapped(words: list[str]) -> Iterator[_Part]:
    """Strip wrappers: the program's base name and its arguments; `manage.py` for Django's."""
    env: dict[str, str] = {}
    while words:
        name = words[0].rpartition("/")[2]
        variable = re.fullmatch(r"(\w+)=(.*)", words[0], re.DOTALL)
        if variable:
            env[variable[1]] = variable[2]
            words = words[1:]
        elif name == "env":
            words = words[1:]
        elif name in _WRAPPERS:
            words = words[1 + _WRAPPERS[name] :]
        elif name == "tini":
            words = words[words.index("--") + 1 :] if "--" in words else words[1:]
        elif name in _RUNNERS and words[1:2] == ["run"]:
            words = words[2:]
        elif name in _SHELLS and len(words) > 2 and re.fullmatch(r"-\w*c", words[1]):
            try:
                parts = list(_split(split(words[2])))
            except ValueError:  # Unbalanced quotation marks.
                parts = [({}, [name, *words[1:]])]
            yield from (({**env, **own}, part) for own, part in parts)
            return
        elif re.fullmatch(r"python[\d.]*", name):
            words = words[1:]
            while words and words[0].startswith("-"):
                if words[0] == "-m":
                    words = words[1:]
                    break
                words = words[1:]
        elif name in ("django-admin", "manage.py", "django"):
            yield env, ["manage.py", *words[1:]]
            return
        elif name == "django_prodserver":
            yield env, ["manage.py", "prodserver", *words[1:]]
            return
        elif name in ("cd", "echo", "set", "export", "sleep", "true"):
            return
        else:
            yield env, [name, *words[1:]]
            return


def _with_names(workers: Sequence[Worker], oneshots: Sequence[str]) -> tuple[Worker, ...]:
    """Give each worker a valid, unique name that neither the server nor a oneshot uses."""
    taken = set(map(in_variables, ("web", "migrate", "collectstatic", *oneshots)))
    named = []
    for worker in workers:
        base = name = process_name(worker.name)
        for number in range(2, len(workers) + 3):
            if in_variables(name) not in taken:
                break
            name = f"{base}-{number}"
        taken.add(in_variables(name))
        named.append(replace(worker, name=name))
    return tuple(named)


def process_name(text: str) -> str:
    """The text as a valid process name."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", text).lstrip("-")[:60] or "process"


def _shown(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= 60 else f"{text[:57]}..."
