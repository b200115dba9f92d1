"""From what a project has, and what its user has answered, to the processes that it needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from .project import Project, TaskBackend

PORT = 8000
# In a container 127.0.0.1 is reached by nobody outside of it.
EVERYWHERE = "0.0.0.0"


class Code(str):
    """A value that is an expression in the settings, not a string."""

    __slots__ = ()


def host_and_port(port: Code) -> dict[str, str]:
    return {"host": EVERYWHERE, "port": port}


def bind(port: Code) -> dict[str, str]:
    return {"bind": Code(f'"{EVERYWHERE}:" + {port}')}


def bind_and_port(port: Code) -> dict[str, str]:
    return {"bind": EVERYWHERE, "port": port}


@dataclass(frozen=True)
class Server:
    """A backend that serves an application. Its package and its module have one name."""

    name: str
    interface: str
    package: str
    # Its own options for the address.
    address: Callable[[Code], Mapping[str, str]] = host_and_port
    workers: Optional[int] = None
    # The first release that will do, if not all of them do.
    since: Optional[tuple[int, int]] = None

    @property
    def requirement(self) -> str:
        return self.package if self.since is None else "{}>={}.{}".format(self.package, *self.since)

    def installed(self, project: Project) -> bool:
        version = project.packages.get(self.package)
        return version is not None and (self.since is None or _release(version) >= self.since)

    def args(self, port: int) -> dict[str, Any]:
        args: dict[str, Any] = {**self.address(Code(f'os.environ.get("PORT", "{port}")'))}
        return args if self.workers is None else {**args, "workers": self.workers}


# In the order in which they are proposed. Two workers where one would serve one request at a time;
# of those that serve many at once, how many processes is for the user to say.
SERVERS = (
    Server("gunicorn", "WSGI", "gunicorn", bind, workers=2),
    Server("granian-wsgi", "WSGI", "granian", workers=2),
    Server("waitress", "WSGI", "waitress"),
    Server("uvicorn-wsgi", "WSGI", "uvicorn"),
    Server("hypercorn-wsgi", "WSGI", "hypercorn", bind),
    Server("uvicorn", "ASGI", "uvicorn"),
    Server("granian", "ASGI", "granian"),
    Server("hypercorn", "ASGI", "hypercorn", bind),
    Server("daphne", "ASGI", "daphne", bind_and_port),
    # Before, its worker for ASGI was a beta.
    Server("gunicorn-asgi", "ASGI", "gunicorn", bind, workers=2, since=(25, 1)),
)

# App in INSTALLED_APPS -> what its worker is called, its backend, its package: those that need no
# more than that.
QUEUE_APPS = {
    "django_dramatiq": ("dramatiq", "dramatiq", "django-dramatiq"),
    "huey.contrib.djhuey": ("huey", "huey", "huey"),
    "django_q": ("qcluster", "django-q2", "django-q2"),
    "procrastinate.contrib.django": ("procrastinate", "procrastinate", "procrastinate[django]"),
}
# The backends of TASKS that a worker serves, by the end of their path; the others need none, or
# one that we do not know.
TASKS_IN_DATABASE = "DatabaseBackend"
TASKS_IN_RQ = "RQBackend"
TASKS_AT_ONCE = ("ImmediateBackend", "DummyBackend")
DATABASE_TASKS_APPS = frozenset({"django_tasks_db", "django_tasks.backends.database"})

WHY_RESTART = (
    "Workers have a RESTART: one that dies does not take the site with it. One",
    "that dies again and again does (START_LIMIT), so that it is noticed.",
)

# What looking at a project has to look for.
PACKAGES = frozenset(server.package for server in SERVERS).union(
    {"celery", "rq_scheduler", "django_tasks", "django_tasks_db"}
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


@dataclass(frozen=True)
class Answers:
    """What the user has chosen, by names; no server where there is nothing to serve."""

    server: Optional[str] = None
    port: int = PORT
    before: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """The processes, in the order of PRODUCTION_PROCESSES, and what goes with them."""

    processes: tuple[ProposedProcess, ...]
    port: Optional[int] = None
    notes: tuple[str, ...] = ()

    @property
    def packages(self) -> list[str]:
        """What has to be installed for it."""
        return list(dict.fromkeys(p.package for p in self.processes if p.package))

    @property
    def missing(self) -> list[str]:
        """What of that is not."""
        return list(dict.fromkeys(p.package for p in self.processes if not p.installed))

    @property
    def services(self) -> list[str]:
        return [p.name for p in self.processes if p.settings.get("TYPE") != "oneshot"]

    @property
    def oneshots(self) -> list[str]:
        return [p.name for p in self.processes if p.settings.get("TYPE") == "oneshot"]


def default_answers(project: Project) -> Answers:
    """What is taken where nobody is asked, and where the user only presses Enter."""
    server = _default_server(project)
    return Answers(
        server=server.name if server else None,
        before=tuple(process.name for process in oneshots(project)),
        workers=tuple(process.name for process in workers(project)),
    )


def propose(project: Project, answers: Answers) -> Proposal:
    before = [process for process in oneshots(project) if process.name in answers.before]
    found = [process for process in workers(project) if process.name in answers.workers]
    if found:
        found[0] = replace(found[0], why=(*WHY_RESTART, *found[0].why))
    web = [
        _web(project, server, answers.port) for server in SERVERS if server.name == answers.server
    ]
    names = [process.name for process in before]
    processes = (
        *before,
        *(_after(process, names) for process in web),
        # They use the database; static files are the site's.
        *(_after(process, [name for name in names if name == "migrate"]) for process in found),
    )
    return Proposal(
        processes,
        port=answers.port if web else None,
        notes=(*project.notes, *_notes(project)),
    )


def servers(project: Project) -> list[Server]:
    """Those that have something to serve."""
    there = {"WSGI": project.wsgi, "ASGI": project.asgi}
    return [server for server in SERVERS if there[server.interface]]


def oneshots(project: Project) -> list[ProposedProcess]:
    """What can be done before the site starts."""
    found = []
    if project.has_database:
        found.append(_oneshot("migrate"))
    if project.collects_static:
        why = "Leave this one out if the files are collected when the image is built."
        found.append(_oneshot("collectstatic", why))
    return found


def workers(project: Project) -> list[ProposedProcess]:
    """Who executes the project's tasks, and who sends them by a clock."""
    return [*_celery(project), *_rq(project), *_queue_apps(project), *_tasks(project)]


def needs_worker(task: TaskBackend) -> bool:
    return not _is(task.backend, *TASKS_AT_ONCE)


def _default_server(project: Project) -> Optional[Server]:
    """The first that is installed, or the first of all; of ASGI alone if that is asked for."""
    possible = servers(project)
    if project.wants_asgi and project.asgi:
        possible = [server for server in possible if server.interface == "ASGI"]
    installed = [server for server in possible if server.installed(project)]
    return next(iter([*installed, *possible]), None)


def _oneshot(command: str, *why: str) -> ProposedProcess:
    settings = {"BACKEND": "command", "ARGS": [command, "--noinput"], "TYPE": "oneshot"}
    return ProposedProcess(command, settings, why)


def _web(project: Project, server: Server, port: int) -> ProposedProcess:
    settings: dict[str, Any] = {"BACKEND": server.name, "ARGS": server.args(port)}
    if project.health:
        settings["HEALTHCHECK"] = {"HTTP": project.health, "START_PERIOD": 30}
    why = ["No RESTART: if it ends, everything stops, and the platform starts all anew."]
    if not project.health:
        why.append("No HEALTHCHECK: there is no view at /healthz, or where else it is usual.")
    return ProposedProcess(
        "web", settings, tuple(why), server.requirement, server.installed(project)
    )


def _worker(name: str, backend: str, package: str, *why: str, **settings: Any) -> ProposedProcess:
    settings = {"BACKEND": backend, **settings, "RESTART": "on-failure"}
    return ProposedProcess(name, settings, why, package)


def _celery(project: Project) -> Iterator[ProposedProcess]:
    app = project.celery
    if app is None:
        return
    installed = "celery" in project.packages
    why = "Two tasks at once; Celery's own default is one for each processor."
    args: dict[str, Any] = {"concurrency": 2}
    worker = _worker("worker", "celery", "celery", why, APP=app.path, ARGS=args)
    yield replace(worker, installed=installed)
    in_database = "django_celery_beat" in project.apps
    if app.scheduled or in_database:
        settings: dict[str, Any] = {"APP": app.path}
        if in_database and not project.chooses_scheduler:
            scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
            settings["ARGS"] = {"scheduler": scheduler}
        yield replace(_worker("beat", "celery-beat", "celery", **settings), installed=installed)


def _rq(project: Project) -> Iterator[ProposedProcess]:
    if "django_rq" not in project.apps:
        return
    args = list(project.rq_queues or ("default",))
    # Tasks of TASKS are jobs of a class of their own, which lives beside the backend.
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
        # Up to django-tasks 0.11 it brings its worker itself.
        old = task.backend.startswith("django_tasks.")
        package = "django-tasks" if old else "django-tasks-db"
        worker = _worker(name, "django-tasks", package, **settings)
        yield replace(worker, installed=package.replace("-", "_") in project.packages)


def _after(process: ProposedProcess, names: Sequence[str]) -> ProposedProcess:
    if not names:
        return process
    return replace(process, settings={**process.settings, "AFTER": list(names)})


def _notes(project: Project) -> Iterator[str]:
    if not servers(project):
        yield "Neither a WSGI nor an ASGI application was found, so nothing here serves requests."
    in_database = [t.backend for t in project.tasks if _is(t.backend, TASKS_IN_DATABASE)]
    if in_database and not DATABASE_TASKS_APPS & project.apps:
        app = in_database[0].rpartition(".")[0]
        yield f"TASKS needs {app!r} in INSTALLED_APPS, where it is not yet."
    for task in filter(needs_worker, project.tasks):
        if not _is(task.backend, TASKS_IN_DATABASE, TASKS_IN_RQ):
            yield f"TASKS[{task.alias!r}] is {task.backend}, whose worker is not known: add it."


def _is(backend: str, *names: str) -> bool:
    return backend.rpartition(".")[2] in names


def _word(text: str) -> str:
    """As a name in a Procfile."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
