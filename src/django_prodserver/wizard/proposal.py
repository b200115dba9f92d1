"""Propose processes from what was found in the project and from the user's answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from django_prodserver.settings.rules import of_cycles
from django_prodserver.settings.schema import OF_BACKENDS

from .code import Code
from .project import OwnCommand, Project, TaskBackend
from .today import COMMANDS, Worker, process_name, today

PORT = 8000
# The configuration file that gunicorn reads by default.
GUNICORN_FILE = "gunicorn.conf.py"
MOST_LISTED = 12
# Nothing outside a container can reach 127.0.0.1 inside it.
EVERYWHERE = "0.0.0.0"


def host_and_port(port: str) -> dict[str, str]:
    return {"host": EVERYWHERE, "port": port}


def bind(port: str) -> dict[str, str]:
    if isinstance(port, Code):
        return {"bind": Code(f'"{EVERYWHERE}:" + {port}')}
    return {"bind": f"{EVERYWHERE}:{port}"}


def bind_and_port(port: str) -> dict[str, str]:
    return {"bind": EVERYWHERE, "port": port}


def http_socket(port: str) -> dict[str, str]:
    return {"http-socket": bind(port)["bind"]}


@dataclass(frozen=True)
class Server:
    """A backend that serves an application. Its package and its module have the same name."""

    name: str
    interface: str
    package: str
    # Returns the server's own options for the address.
    address: Callable[[str], Mapping[str, str]] = host_and_port
    workers: Optional[int] = None
    # The first release that works; None if all do.
    since: Optional[tuple[int, int]] = None
    # Another package that provides the same server.
    other: str = ""

    @property
    def requirement(self) -> str:
        return self.package if self.since is None else "{}>={}.{}".format(self.package, *self.since)

    def installed(self, project: Project) -> bool:
        version = project.packages.get(self.package) or project.packages.get(self.other)
        return version is not None and (self.since is None or _release(version) >= self.since)

    def args(self, port: str) -> dict[str, Any]:
        args: dict[str, Any] = {**self.address(port)}
        return args if self.workers is None else {**args, "workers": self.workers}


# In the order in which they are proposed. Servers whose worker handles one request at a time get
# two workers; for those that handle many, the number of processes is left to the user.
SERVERS = (
    Server("gunicorn", "WSGI", "gunicorn", bind, workers=2),
    Server("granian-wsgi", "WSGI", "granian", workers=2),
    Server("waitress", "WSGI", "waitress"),
    Server("uvicorn-wsgi", "WSGI", "uvicorn"),
    Server("hypercorn-wsgi", "WSGI", "hypercorn", bind),
    Server("uwsgi", "WSGI", "pyuwsgi", http_socket, workers=2, other="uwsgi"),
    Server("uvicorn", "ASGI", "uvicorn"),
    Server("granian", "ASGI", "granian"),
    Server("hypercorn", "ASGI", "hypercorn", bind),
    Server("daphne", "ASGI", "daphne", bind_and_port),
    # In earlier releases its ASGI worker was a beta.
    Server("gunicorn-asgi", "ASGI", "gunicorn", bind, workers=2, since=(25, 1)),
)

# App in INSTALLED_APPS -> the name of its worker, its backend, its package. These need no further
# settings.
QUEUE_APPS = {
    "django_dramatiq": ("dramatiq", "dramatiq", "django-dramatiq"),
    "huey.contrib.djhuey": ("huey", "huey", "huey"),
    "django_q": ("qcluster", "django-q2", "django-q2"),
    "procrastinate.contrib.django": ("procrastinate", "procrastinate", "procrastinate[django]"),
}
# Backends of TASKS by the last part of their path: two whose worker we know, and those that need
# none.
TASKS_IN_DATABASE = "DatabaseBackend"
TASKS_IN_RQ = "RQBackend"
TASKS_AT_ONCE = ("ImmediateBackend", "DummyBackend")
DATABASE_TASKS_APPS = frozenset({"django_tasks_db", "django_tasks.backends.database"})

# Commands that build static files, besides collectstatic: the app, a setting that has to be true,
# the command, and whether it has to run after collectstatic.
BUILDS: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("tailwind", "", ("tailwind", "build"), False),
    ("django_tailwind_cli", "", ("tailwind", "build"), False),
    ("sass_processor", "", ("compilescss",), False),
    ("statici18n", "", ("compilejsi18n",), False),
    ("compressor", "COMPRESS_OFFLINE", ("compress",), True),
)
MIGRATE = ("migrate", "--noinput")
COLLECT = ("collectstatic", "--noinput")

WHY_RESTART = (
    "Workers have a RESTART: one that dies does not take the site with it. One",
    "that dies again and again does (START_LIMIT), so that it is noticed.",
)

# The packages and apps that `look` searches for.
PACKAGES = frozenset(server.package for server in SERVERS).union(
    {"uwsgi", "celery", "flower", "rq_scheduler", "django_tasks", "django_tasks_db"}
)
APPS = DATABASE_TASKS_APPS.union(QUEUE_APPS, {"django_celery_beat", "django_rq"})


@dataclass(frozen=True)
class ProposedProcess:
    """An entry of PRODUCTION_PROCESSES, its reasons, and the package it needs, if any."""

    name: str
    settings: Mapping[str, Any]
    why: tuple[str, ...] = ()
    package: str = ""
    installed: bool = True

    @property
    def oneshot(self) -> bool:
        default = OF_BACKENDS.get(self.settings["BACKEND"], {}).get("type")
        return bool(self.settings.get("TYPE", default) == "oneshot")


@dataclass(frozen=True)
class Answers:
    """What the user has chosen, by name; `server` is None if there is no application to serve."""

    server: Optional[str] = None
    port: int = PORT
    before: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """The processes, in the order of PRODUCTION_PROCESSES, and what goes with them."""

    processes: tuple[ProposedProcess, ...]
    port: Optional[int] = None
    # Commands to run when an image is built.
    builds: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def packages(self) -> list[str]:
        """The packages that the processes need."""
        return list(dict.fromkeys(p.package for p in self.processes if p.package))

    @property
    def missing(self) -> list[str]:
        """Those of the packages that are not installed."""
        return list(dict.fromkeys(p.package for p in self.processes if not p.installed))

    @property
    def services(self) -> list[str]:
        return [process.name for process in self.processes if not process.oneshot]

    @property
    def oneshots(self) -> list[str]:
        return [process.name for process in self.processes if process.oneshot]


def default_answers(project: Project) -> Answers:
    """The answers if no questions are asked, or if the user only presses Enter."""
    server = _default_server(project)
    serving = today(project).serving
    port = (project.gunicorn and project.gunicorn.port) or (serving and serving.port) or PORT
    return Answers(
        server=server.name if server else None,
        port=port,
        before=tuple(process.name for process in oneshots(project)),
        workers=tuple(process.name for process in workers(project)),
    )


def propose(project: Project, answers: Answers) -> Proposal:
    before = [process for process in oneshots(project) if process.name in answers.before]
    possible = [*workers(project), *further_workers(project)]
    found = [process for process in possible if process.name in answers.workers]
    if found:
        found[0] = replace(found[0], why=(*WHY_RESTART, *found[0].why))
    web = [
        _web(project, server, answers.port) for server in SERVERS if server.name == answers.server
    ]
    names = [process.name for process in before]
    static = {_name(words) for words in _static(project)}
    processes = (
        *_in_order(before, static),
        *(_after(process, names) for process in web),
        # Workers use the database, but not the static files.
        *(_after(process, [name for name in names if name not in static]) for process in found),
    )
    processes, cycles = _as_ordered_today(project, processes)
    return Proposal(
        processes,
        port=_port_of(project, answers) if web else None,
        builds=tuple(_static(project)) if project.whitenoise else (),
        notes=(*project.notes, *_notes(project, processes), *cycles),
    )


def _as_ordered_today(
    project: Project, processes: tuple[ProposedProcess, ...]
) -> tuple[tuple[ProposedProcess, ...], list[str]]:
    """Add the start order that the files define; if it has a cycle, ignore it and add a note."""
    known = today(project)
    serving = known.serving
    after = {worker.name: worker.after for worker in known.workers}
    names = {name: _word(command) for name, command in known.first_called.items()}
    names.update({worker.called: worker.name for worker in known.workers})
    if serving is not None:
        after["web"], names[serving.called] = serving.after, "web"
    proposed = {process.name for process in processes}
    found = []
    for process in processes:
        wanted = [names.get(other, "") for other in after.get(process.name, ())]
        others = {name: None for name in wanted if name in proposed and name != process.name}
        found.append(
            _after(process, [*{**dict.fromkeys(process.settings.get("AFTER", ())), **others}])
        )
    cycles = list(of_cycles({one.name: one.settings.get("AFTER", ()) for one in found}))
    if cycles:
        return processes, ["The dependencies in the files form a cycle, so they are left out."]
    return tuple(found), []


def servers(project: Project) -> list[Server]:
    """The servers for which the project has an application."""
    there = {"WSGI": project.wsgi, "ASGI": project.asgi}
    return [server for server in SERVERS if there[server.interface]]


def oneshots(project: Project) -> list[ProposedProcess]:
    """What may run before the site starts, in this order."""
    found: dict[str, ProposedProcess] = {}
    static = _static(project)
    first = today(project).first
    if project.has_database and "migrate" not in map(_name, first):
        first = (MIGRATE, *first)
    for words in first:
        given = today(project).first_settings.get(words[0], {})
        if _name(words) == "migrate":
            locked = ProposedProcess("migrate", {"BACKEND": "migrate", **given})
            found["migrate"] = locked if project.has_locks else _oneshot(MIGRATE, **given)
        elif words[0] not in {words[0] for words in (COLLECT, *static)}:
            found.setdefault(_name(words), _oneshot(words, "As it is done today.", **given))
    if not project.whitenoise:
        why = "Leave this one out if the files are collected when the image is built."
        for words in static:
            found[_name(words)] = _oneshot(words, *([why] if words == COLLECT else []))
    return list(found.values())


def workers(project: Project) -> list[ProposedProcess]:
    """The processes that run the project's tasks, and those that schedule them.

    Files that say what runs today take precedence over guesses.
    """
    known = today(project)
    found = [_as_today(project, worker) for worker in known.workers]
    kinds = {process.settings["BACKEND"] for process in found}
    if any({"-B", "--beat"} & set(p.settings.get("ARGS", ())) for p in found):
        kinds.add("celery-beat")
    names = {process.name for process in found}
    for process in (*_celery(project), *_rq(project), *_queue_apps(project), *_tasks(project)):
        if process.settings["BACKEND"] not in kinds and process.name not in names:
            found.append(process)
    return found


def further_workers(project: Project) -> list[ProposedProcess]:
    """The project's commands that seem to run until stopped, but that no known file runs."""
    proposed = workers(project)
    run = {p.settings["ARGS"][0] for p in proposed if p.settings["BACKEND"] == "command"}
    names = {process.name for process in proposed}
    return [
        _worker(command.name, "command", "", ARGS=[command.name])
        for command in project.own_commands
        if command.endless and command.name not in run | names and command.name not in COMMANDS
    ]


def asks_for_port(project: Project, server: str) -> bool:
    return not (_configured(project, server) and "bind" in _sets(project))


def needs_worker(task: TaskBackend) -> bool:
    return not _is(task.backend, *TASKS_AT_ONCE)


def _default_server(project: Project) -> Optional[Server]:
    """Today's server, if it is known; else the first installed one, else the first of all.

    If the project's interface is known, only servers of that interface are considered.
    """
    possible = servers(project)
    serving = today(project).serving
    wanted = (serving and serving.interface) or ("ASGI" if project.wants_asgi else "")
    if any(server.interface == wanted for server in possible):
        possible = [server for server in possible if server.interface == wanted]
    package = (serving and serving.package) or ("gunicorn" if project.gunicorn else "")
    as_today = [server for server in possible if server.package == package]
    installed = [server for server in possible if server.installed(project)]
    return next(iter([*as_today, *installed, *possible]), None)


def _oneshot(words: Sequence[str], *why: str, **given: Any) -> ProposedProcess:
    settings = {"BACKEND": "command", "ARGS": list(words), "TYPE": "oneshot", **given}
    return ProposedProcess(_name(words), settings, why)


def _name(words: Sequence[str]) -> str:
    return _word(words[0])


def _static(project: Project) -> list[tuple[str, ...]]:
    """The commands that build static files, in the order in which they have to run."""
    last = {words for _, _, words, is_last in BUILDS if is_last}
    return [
        *(words for words in project.builds if words not in last),
        *([COLLECT] if project.collects_static else []),
        *(words for words in project.builds if words in last),
    ]


def _in_order(before: Sequence[ProposedProcess], static: Collection[str]) -> list[ProposedProcess]:
    """Chain the commands for static files, and separately all the others, by AFTER."""
    found: list[ProposedProcess] = []
    for process in before:
        same = [one.name for one in found if (one.name in static) == (process.name in static)]
        found.append(_after(process, same[-1:]))
    return found


def _web(project: Project, server: Server, port: int) -> ProposedProcess:
    args = server.args(_port(project, port))
    why = []
    if _configured(project, server.name) and project.gunicorn is not None:
        file = project.gunicorn
        kept = [name for name in args if name in file.sets]
        args = {name: value for name, value in args.items() if name not in kept}
        if file.path != GUNICORN_FILE:
            args["config"] = file.path
        if kept:
            why.append(f"Its {' and '.join(kept)} are those of {file.path}.")
    serving = today(project).serving
    if serving is not None and serving.package == server.package:
        given = {k: v for k, v in serving.options.items() if k != "config"}
        args.update(given)
        if given:
            why.append(f"Its {' and '.join(given)} as in {serving.file}.")
        if serving.dropped:
            why.append(f"Without {' and '.join(serving.dropped)}: it is supervised.")
        if serving.unknown:
            why.append(f"Without its {', '.join(serving.unknown)}: look into {serving.file}.")
    settings: dict[str, Any] = {"BACKEND": server.name}
    settings.update({"ARGS": args} if args else {})
    settings.update(serving.settings if serving is not None else {})
    if project.health:
        settings.setdefault("HEALTHCHECK", {"HTTP": project.health, "START_PERIOD": 30})
    if "RESTART" not in settings:
        why.insert(
            0, "No RESTART: if it exits, everything stops, and the platform restarts it all."
        )
    if "HEALTHCHECK" not in settings:
        why.append("No HEALTHCHECK: no view was found at /healthz or at another usual path.")
    return ProposedProcess(
        "web", settings, tuple(why), server.requirement, server.installed(project)
    )


def _port(project: Project, port: int) -> str:
    return str(port) if project.uses_port else Code(f'os.environ.get("PORT", "{port}")')


def _port_of(project: Project, answers: Answers) -> Optional[int]:
    """The port to expose; None if gunicorn's configuration file sets one that cannot be read."""
    if answers.server is None or asks_for_port(project, answers.server):
        return answers.port
    return project.gunicorn.port if project.gunicorn is not None else None


def _configured(project: Project, server: str) -> bool:
    """Whether this server reads the project's gunicorn configuration file."""
    return project.gunicorn is not None and server in ("gunicorn", "gunicorn-asgi")


def _sets(project: Project) -> Collection[str]:
    return project.gunicorn.sets if project.gunicorn is not None else ()


def _as_today(project: Project, worker: Worker) -> ProposedProcess:
    settings = dict(worker.settings)
    if project.celery is not None and "APP" in settings:
        settings["APP"] = project.celery.path
    process = _worker(worker.name, worker.backend, worker.package, *worker.why, **settings)
    modules = {"celery": "celery", "flower": "flower"}
    module = modules.get(worker.package, "")
    return replace(process, installed=not module or module in project.packages)


def _worker(name: str, backend: str, package: str, *why: str, **settings: Any) -> ProposedProcess:
    settings = {"BACKEND": backend, **settings}
    settings.setdefault("RESTART", "on-failure")
    return ProposedProcess(name, settings, why, package)


def _celery(project: Project) -> Iterator[ProposedProcess]:
    app = project.celery
    if app is None:
        return
    installed = "celery" in project.packages
    settings: dict[str, Any] = {"APP": app.path}
    why = "As many tasks at once as its own configuration says."
    if not app.concurrency:
        why = "Two tasks at once; Celery's own default is one for each processor."
        settings["ARGS"] = {"concurrency": 2}
    yield replace(_worker("worker", "celery", "celery", why, **settings), installed=installed)
    in_database = "django_celery_beat" in project.apps
    if app.scheduled or in_database:
        settings = {"APP": app.path}
        if in_database and not project.chooses_scheduler:
            scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
            settings["ARGS"] = {"scheduler": scheduler}
        yield replace(_worker("beat", "celery-beat", "celery", **settings), installed=installed)


def _rq(project: Project) -> Iterator[ProposedProcess]:
    if "django_rq" not in project.apps:
        return
    args = list(project.rq_queues or ("default",))
    # Tasks of TASKS need a job class of their own, which is in the same package as the backend.
    packages = [t.backend.rpartition(".")[0] for t in project.tasks if _is(t.backend, TASKS_IN_RQ)]
    args += [f"--job-class={packages[0]}.Job"] if packages else []
    why = "The queues, the most urgent first. One of another Redis needs a worker of its own."
    yield _worker("rqworker", "rq", "django-rq", why, ARGS=args)
    if "rq_scheduler" in project.packages:
        yield _worker("rqscheduler", "rq-scheduler", "rq-scheduler")


def _queue_apps(project: Project) -> Iterator[ProposedProcess]:
    for app, (name, backend, package) in QUEUE_APPS.items():
        if app in project.apps:
            yield _worker(name, backend, package)


def _tasks(project: Project) -> Iterator[ProposedProcess]:
    found = [task for task in project.tasks if _is(task.backend, TASKS_IN_DATABASE)]
    for task in found:
        args = {} if task.alias == "default" else {"backend": task.alias}
        if task.queues != ("default",):
            args["queue-name"] = "*"
        settings: dict[str, Any] = {"ARGS": args} if args else {}
        name = "tasks" if len(found) == 1 else f"tasks-{_word(task.alias)}"
        # Up to 0.11, django-tasks includes the worker.
        old = task.backend.startswith("django_tasks.")
        package = "django-tasks" if old else "django-tasks-db"
        worker = _worker(name, "django-tasks", package, **settings)
        yield replace(worker, installed=package.replace("-", "_") in project.packages)


def _after(process: ProposedProcess, names: Sequence[str]) -> ProposedProcess:
    if not names:
        return process
    return replace(process, settings={**process.settings, "AFTER": list(names)})


def _notes(project: Project, processes: Sequence[ProposedProcess]) -> Iterator[str]:
    if not servers(project):
        yield "Neither a WSGI nor an ASGI application was found, so nothing here serves requests."
    in_database = [t.backend for t in project.tasks if _is(t.backend, TASKS_IN_DATABASE)]
    if in_database and not DATABASE_TASKS_APPS & project.apps:
        app = in_database[0].rpartition(".")[0]
        yield f"TASKS needs {app!r} in INSTALLED_APPS, but it is not there yet."
    for task in filter(needs_worker, project.tasks):
        if not _is(task.backend, TASKS_IN_DATABASE, TASKS_IN_RQ):
            yield f"TASKS[{task.alias!r}] is {task.backend}, whose worker is not known: add it."
    backends = {process.settings["BACKEND"] for process in processes}
    if "django_celery_beat" in project.apps and not project.celery and "celery" not in backends:
        yield (
            "django_celery_beat is in INSTALLED_APPS, but no Celery app was found, so there is "
            "neither worker nor beat here. Add them with the 'APP' that `celery -A` takes."
        )
    if project.whitenoise and _static(project):
        commands = " && ".join(f"python manage.py {' '.join(w)}" for w in _static(project))
        yield (
            "WhiteNoise serves static files from the image, so that no start has to wait for them. "
            f"They are collected when the image is built, or before each start: {commands}"
        )
    if project.uses_port:
        yield (
            f"PORT has a meaning of its own in {project.uses_port}, so the server does not take "
            "its port from there."
        )
    yield from today(project).left_out
    if project.gunicorn is not None:
        yield from project.gunicorn.notes
    yield from _notes_of_commands(project, processes)


def _notes_of_commands(project: Project, processes: Sequence[ProposedProcess]) -> Iterator[str]:
    used = {p.settings["ARGS"][0] for p in processes if p.settings["BACKEND"] == "command"}
    used |= {words[0] for words in _static(project)} | set(COMMANDS)
    left = [command for command in project.own_commands if command.name not in used]
    endless = [command for command in left if command.endless]
    if endless:
        first = endless[0].name
        yield (
            f"Commands of the project that seem to run for ever, left out because nothing says "
            f"that they run today: {_listed(endless)}. To add one: "
            f'"{_word(first)}": {{"BACKEND": "command", "ARGS": ["{first}"], '
            '"RESTART": "on-failure"}'
        )
    others = [command for command in left if not command.endless]
    if others:
        yield (
            f"Other commands of the project, left out: {_listed(others)}. One that has to be run "
            "before each start is a oneshot, as migrate is."
        )


def _listed(commands: Sequence[OwnCommand]) -> str:
    names = [command.name for command in commands]
    if len(names) > MOST_LISTED:
        names = [*names[:MOST_LISTED], f"and {len(names) - MOST_LISTED} more"]
    return ", ".join(names)


def _is(backend: str, *names: str) -> bool:
    return backend.rpartition(".")[2] in names


def _word(text: str) -> str:
    """The text as a valid process name."""
    return process_name(text)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
