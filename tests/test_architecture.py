"""The floors of the design and the rules of its core, checked in the source.

A rule takes the modules of the package and yields what breaks it. Below the rules is code that
breaks each of them: a rule that cannot fail proves nothing.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import cache
from pathlib import Path

import pytest

import django_prodserver

PACKAGE = Path(django_prodserver.__file__).parent

# Path in the package -> its syntax tree.
Modules = Mapping[str, ast.Module]
Rule = Callable[[Modules], Iterable[str]]

# The lowest first. Places on the same floor do not import each other. A folder stands for those of
# its modules that are not listed themselves; these may import each other.
FLOORS = [
    ["__init__.py", "typing.py", "supervisor/hints.py"],
    [
        *("supervisor/__init__.py", "supervisor/values.py", "supervisor/deadlines.py"),
        "supervisor/agenda.py",
        *("supervisor/amounts.py", "supervisor/signals.py", "supervisor/text.py"),
    ],
    ["supervisor/spec.py"],
    ["supervisor/events.py", "supervisor/commands.py", "logs/"],
    ["supervisor/facts.py", "supervisor/system.py"],
    ["supervisor/record.py"],
    [
        *("supervisor/health.py", "supervisor/restarts.py", "supervisor/report.py"),
        *("supervisor/lock.py", "supervisor/runs.py", "supervisor/autoscale.py"),
    ],
    ["supervisor/digest.py"],
    ["supervisor/life.py"],
    ["supervisor/instance.py"],
    ["supervisor/snapshot.py", "supervisor/roster.py"],
    ["supervisor/reload.py"],
    ["supervisor/group.py"],
    ["supervisor/pump.py"],
    ["control/"],
    ["posix/", "completion/"],
    ["prodctl/"],
    ["settings/__init__.py", "settings/errors.py", "settings/names.py", "settings/texts.py"],
    ["settings/findings.py"],
    ["settings/schema.py", "settings/wording.py", "settings/lookalikes.py"],
    ["settings/rules.py"],
    ["settings/convert.py"],
    ["settings/variables.py", "settings/configuration.py"],
    ["settings/load.py", "settings/origins.py", "settings/json_schema.py"],
    ["backends/hooks/"],
    ["backends/"],
    ["serverless/"],
    [
        *("launch/__init__.py", "launch/process.py", "launch/project.py", "launch/selection.py"),
        *("launch/log_settings.py", "launch/words.py", "launch/leftovers.py"),
        "launch/metrics.py",
    ],
    ["launch/holding.py"],
    ["launch/autoscale.py", "launch/locks.py"],
    ["launch/addresses.py", "launch/context.py", "launch/preload.py", "launch/start_method.py"],
    [
        *("launch/health.py", "launch/resolve.py", "launch/urls.py", "launch/control.py"),
        *("launch/handlers.py", "launch/warm.py", "launch/watching.py"),
    ],
    ["launch/examine.py", "launch/load.py", "launch/development.py"],
    ["launch/errands.py"],
    ["launch/alone.py"],
    ["launch/launch.py"],
    ["launch/stages.py", "launch/early_format.py", "launch/early_metrics.py"],
    ["launch/supervise.py"],
    ["exports/"],
    ["wizard/"],
    ["checks.py", "test.py", "__main__.py", "models.py", "handlers.py"],
    ["apps.py", "admin/"],
    ["management/"],
]

# Everything that decisions may use of Python: nothing in it blocks, fails or reads a clock.
PURE = {
    "__future__.annotations",
    # These are pure, too; the floors say which module may import which.
    *("django_prodserver.supervisor", "django_prodserver.logs"),
    "collections",
    "dataclasses",
    "enum",
    "heapq",
    "itertools",
    "msgspec",  # encodes and decodes JSON, in memory
    "signal.Signals",  # only the names; it neither sends nor handles signals
    "types",
    "typing",
    "typing_extensions.dataclass_transform",  # for mypy
}

# What only some places may use: whole modules, and single functions of others.
OPERATING_SYSTEM = {
    *("ctypes", "fcntl", "pty", "select", "selectors", "socket", "subprocess", "termios"),
    *(f"os.exec{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    *("os.fork", "os.forkpty", "os.posix_spawn", "os.posix_spawnp", "os.system", "os.popen"),
    *("os.kill", "os.killpg", "os.abort", "os._exit", "os.setsid", "os.setpgid"),
    *("os.wait", "os.wait3", "os.wait4", "os.waitid", "os.waitpid", "os.pidfd_open"),
    *("os.open", "os.read", "os.write", "os.close", "os.pipe", "os.pipe2", "os.dup", "os.dup2"),
    *("os.set_blocking", "os.register_at_fork", "os.umask", "os.chdir", "os.fchdir"),
    *("os.setuid", "os.setgid", "os.setgroups", "os.initgroups", "os.fchown", "pwd", "grp"),
    *("time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.sleep"),
    *("signal.signal", "signal.set_wakeup_fd", "signal.siginterrupt", "signal.default_int_handler"),
    *("signal.pthread_sigmask", "signal.pthread_kill", "signal.raise_signal", "signal.alarm"),
    *("signal.setitimer", "signal.pause", "signal.sigwait", "signal.sigwaitinfo"),
    *("signal.sigtimedwait", "signal.pidfd_send_signal"),
}
# Hooks run in the process of the software, so they may wait and handle signals there. They may
# neither start nor end a process.
OF_HOOKS = {
    *("socket", "time.monotonic", "time.sleep", "signal.signal", "signal.default_int_handler"),
    *("signal.pthread_sigmask", "signal.set_wakeup_fd"),
    *("os.pipe", "os.read", "os.dup2", "os.set_blocking"),
}
# The software that backends start, and its parts. `import_module` would hide an import.
SOFTWARE = {
    *("gunicorn", "uvicorn", "granian", "hypercorn", "daphne", "twisted", "waitress"),
    "pyuwsgi",
    *("celery", "billiard", "kombu", "flower", "tornado", "rq", "django_rq", "rq_scheduler"),
    *("dramatiq", "django_dramatiq", "huey", "django_q", "procrastinate", "django_tasks"),
    *("django_tasks_db", "importlib.import_module", "importlib.__import__"),
}
# Everything that hooks may use of this package.
FOR_HOOKS = (
    *("backends/hooks/", "posix/__init__.py", "posix/kernel.py", "posix/notify.py"),
    *(
        "posix/stop_signals.py",
        "posix/board.py",
        "posix/ticking.py",
        "posix/randomness.py",
        "posix/titles.py",
    ),
    *("posix/held.py", "posix/doors.py", "posix/trials.py"),
)
CONCURRENCY = {"_thread", "asyncio", "concurrent", "multiprocessing", "queue", "sched", "threading"}
SHARED_WITH_CHILDREN = {"select.epoll", "selectors.EpollSelector", "selectors.DefaultSelector"}

# The reason for each is in the code.
EXCEPTIONS = {
    # A program that replaces Python must not inherit the signals that Python ignores.
    ("backends/command.py", "signal.signal"),
    # `rundramatiq --use-gevent` execs a program that patches Python before anything else.
    ("backends/hooks/dramatiq.py", "os.execvp"),
    # uWSGI is a separate program.
    ("backends/hooks/uwsgi.py", "os.execv"),
    # The application belongs to the project, and its module is known only by name.
    ("backends/application.py", "importlib.import_module"),
    ("backends/own_program.py", "importlib.import_module"),
    ("launch/urls.py", "importlib.import_module"),
    # Signals are blocked from the first moment, and a single process is started by exec.
    ("__main__.py", "signal.pthread_sigmask"),
    ("__main__.py", "os.execv"),
    # It runs in a process forked to call handlers, and Django's mail has no timeout.
    *(("launch/handlers.py", name) for name in ("socket", "socket.setdefaulttimeout")),
    # The log says which threads the preload left running.
    ("launch/leftovers.py", "threading"),
    ("launch/leftovers.py", "threading.enumerate"),
    ("launch/leftovers.py", "threading.main_thread"),
    # A separate program: it may sleep between two requests.
    ("prodctl/verbs.py", "time.monotonic"),
    ("prodctl/verbs.py", "time.sleep"),
    # The keys of `prodctl top` work while its threads wait for answers.
    ("prodctl/top/queries.py", "time.monotonic"),
    ("prodctl/top/app.py", "asyncio.get_running_loop"),
    *(("prodctl/top/app.py", f"threading.{name}") for name in ("Lock", "Thread")),
    *(("prodctl/top/log.py", f"threading.{name}") for name in ("Event", "Thread")),
    *(("prodctl/top/log.py", f"queue.{name}") for name in ("Empty", "Queue")),
    # It runs in the tests of a project, and starts a supervisor as a user does.
    ("test.py", "subprocess"),
    *(("test.py", f"subprocess.{name}") for name in ("DEVNULL", "PIPE", "Popen")),
    ("test.py", "threading.Condition"),
    ("test.py", "threading.Thread"),
}


# ---- reading ----
# Cached, so that each module is read once and not for every rule.


@cache
def read(folder: Path) -> Modules:
    return {
        path.relative_to(folder).as_posix(): ast.parse(path.read_bytes(), str(path))
        for path in sorted(folder.rglob("*.py"))
    }


@cache
def nodes(module: ast.Module) -> list[ast.AST]:
    return [*ast.walk(module)]


@cache
def used(module: ast.Module) -> Set[str]:
    """The dotted names of other packages that a module imports, or reaches through an import."""
    names, local = set(), {}
    for node in nodes(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.name)
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                local[alias.asname or bound] = bound
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                local[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                names.add(f"{node.module}.{alias.name}")
    for node in nodes(module):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if parts and isinstance(inner, ast.Name) and inner.id in local:
            names.add(".".join([local[inner.id], *reversed(parts)]))
    return names


def imported(path: str, modules: Modules) -> set[str]:
    """The paths of the modules of this package that a module imports anywhere."""
    folder = path.split("/")[:-1]
    found = set()
    for node in nodes(modules[path]):
        if isinstance(node, ast.Import):
            wanted = [(alias.name.split("."), "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                base = [PACKAGE.name, *folder[: len(folder) - node.level + 1], *base]
            wanted = [(base, alias.name) for alias in node.names]
        else:
            continue
        for parts, name in wanted:
            if parts[0] == PACKAGE.name:
                found.add(_path([*parts[1:], name] if name else parts[1:], modules))
    return found


def _path(parts: list[str], modules: Modules) -> str:
    """The path of the module with that name, or of the module that has it as an attribute."""
    for known in (parts, parts[:-1]):
        for path in ("/".join(known) + ".py", "/".join([*known, "__init__.py"])):
            if path in modules:
                return path
    return "/".join(parts) + ".py"


@cache
def place_of(path: str) -> str | None:
    """The place in FLOORS that a module belongs to."""
    fitting = [place for floor in FLOORS for place in floor if path.startswith(place)]
    return max(fitting, key=len, default=None)


@cache
def height(path: str) -> int | None:
    return next((n for n, floor in enumerate(FLOORS) if place_of(path) in floor), None)


def within(names: Iterable[str], places: Iterable[str]) -> list[str]:
    """Those of the names that are, or are inside of, one of the places."""
    return [name for name in sorted(names) if any(f"{name}.".startswith(f"{p}.") for p in places)]


# ---- the rules ----


def every_module_has_a_floor(modules: Modules) -> Iterator[str]:
    for path in modules:
        if place_of(path) is None:
            yield f"{path} has no floor yet"


def a_floor_imports_only_floors_below_it(modules: Modules) -> Iterator[str]:
    for path in modules:
        for other in sorted(imported(path, modules)):
            if place_of(path) == place_of(other):
                continue
            own, its = height(path), height(other)
            if own is None or its is None or own <= its:
                yield f"{path} (floor {own}) imports {other} (floor {its})"


def decisions_are_pure(modules: Modules) -> Iterator[str]:
    for path, module in modules.items():
        if path.startswith(("supervisor/", "logs/", "control/")):
            names = used(module)
            for name in sorted(names - set(within(names, PURE))):
                yield f"{path} uses {name}"


def only_posix_touches_the_operating_system(modules: Modules) -> Iterator[str]:
    for path, module in modules.items():
        if not path.startswith("posix/"):
            hooks = path.startswith("backends/hooks/")
            allowed = {*within(used(module), OF_HOOKS)} if hooks else set()
            for name in within(used(module), OPERATING_SYSTEM):
                if name not in allowed and (path, name) not in EXCEPTIONS:
                    yield f"{path} uses {name}"


def only_backends_may_start_threads(modules: Modules) -> Iterator[str]:
    for path, module in modules.items():
        if not path.startswith("backends/"):
            for name in within(used(module), CONCURRENCY):
                if (path, name) not in EXCEPTIONS:
                    yield f"{path} uses {name}"


def only_hooks_import_the_software(modules: Modules) -> Iterator[str]:
    for path, module in modules.items():
        if path.startswith("backends/") and not path.startswith("backends/hooks/"):
            for name in within(used(module), SOFTWARE):
                if (path, name) not in EXCEPTIONS:
                    yield f"{path} uses {name}"


def hooks_know_only_the_software(modules: Modules) -> Iterator[str]:
    for path in modules:
        if path.startswith("backends/hooks/"):
            for other in sorted(imported(path, modules)):
                if not other.startswith(FOR_HOOKS):
                    yield f"{path} imports {other}"


def nothing_that_polls_is_shared_with_children(modules: Modules) -> Iterator[str]:
    for path, module in modules.items():
        for name in within(used(module), SHARED_WITH_CHILDREN):
            yield f"{path} uses {name}"


def annotations_are_never_evaluated(modules: Modules) -> Iterator[str]:
    for path, module in modules.items():
        code = [node for node in module.body if not _is_text(node)]
        if code and "__future__.annotations" not in used(module):
            yield f"{path} lacks `from __future__ import annotations`"


def python_3_9_can_read_it(modules: Modules) -> Iterator[str]:
    for path, module in modules.items():
        for node in nodes(module):
            if type(node).__name__ == "Match":
                yield f"{path}:{node.lineno} has `match`"  # type: ignore[attr-defined]
            elif isinstance(node, ast.Call) and "dataclass" in ast.dump(node.func):
                for keyword in node.keywords:
                    if keyword.arg in ("slots", "kw_only"):
                        yield f"{path}:{node.lineno} has `dataclass({keyword.arg}=...)`"


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


RULES: list[Rule] = [
    every_module_has_a_floor,
    a_floor_imports_only_floors_below_it,
    decisions_are_pure,
    only_posix_touches_the_operating_system,
    only_backends_may_start_threads,
    only_hooks_import_the_software,
    hooks_know_only_the_software,
    nothing_that_polls_is_shared_with_children,
    annotations_are_never_evaluated,
    python_3_9_can_read_it,
]


def named(rule: object) -> str:
    return getattr(rule, "__name__", "")


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(read(PACKAGE))) == []


def test_every_path_listed_in_the_floors_exists() -> None:
    assert [p for floor in FLOORS for p in floor if not (PACKAGE / p).exists()] == []


def test_every_exception_to_the_rules_is_needed() -> None:
    modules = read(PACKAGE)

    assert [e for e in sorted(EXCEPTIONS) if e[1] not in used(modules[e[0]])] == []


# ---- code that breaks them ----

FUTURE = "from __future__ import annotations\n"


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (every_module_has_a_floor, "novelty.py", ""),
        (a_floor_imports_only_floors_below_it, "supervisor/values.py", "from . import life"),
        (
            a_floor_imports_only_floors_below_it,
            "supervisor/values.py",
            "from .life import TABLE",
        ),
        (
            a_floor_imports_only_floors_below_it,
            "logs/lines.py",
            "from ..supervisor.pump import run",
        ),
        (a_floor_imports_only_floors_below_it, "supervisor/pump.py", "from ..posix import system"),
        (a_floor_imports_only_floors_below_it, "posix/system.py", "from ..settings import load"),
        (
            a_floor_imports_only_floors_below_it,
            "posix/a.py",
            "def f():\n from ..settings.load import load",
        ),
        (
            a_floor_imports_only_floors_below_it,
            "posix/a.py",
            "import django_prodserver.settings.load",
        ),
        (
            a_floor_imports_only_floors_below_it,
            "posix/a.py",
            "from django_prodserver import settings",
        ),
        (
            a_floor_imports_only_floors_below_it,
            "settings/load.py",
            "from ..launch import supervise",
        ),
        (a_floor_imports_only_floors_below_it, "settings/rules.py", "from .convert import plain"),
        (
            a_floor_imports_only_floors_below_it,
            "backends/a.py",
            "from ..launch.preload import preload",
        ),
        (a_floor_imports_only_floors_below_it, "posix/a.py", "from ..novelty import x"),
        (decisions_are_pure, "supervisor/instance.py", "import os"),
        (decisions_are_pure, "supervisor/instance.py", "def f():\n import time"),
        (decisions_are_pure, "supervisor/pump.py", "from logging import getLogger"),
        (decisions_are_pure, "logs/lines.py", "from django.conf import settings"),
        (decisions_are_pure, "logs/lines.py", "import random"),
        (decisions_are_pure, "supervisor/group.py", "import signal"),
        (decisions_are_pure, "supervisor/group.py", "from signal import Signals, signal"),
        (only_posix_touches_the_operating_system, "settings/load.py", "import os\nos.fork()"),
        (
            only_posix_touches_the_operating_system,
            "settings/load.py",
            "import os as o\no.killpg(1, 9)",
        ),
        (only_posix_touches_the_operating_system, "settings/load.py", "from os import waitpid"),
        (
            only_posix_touches_the_operating_system,
            "launch/supervise.py",
            "import time\ntime.monotonic()",
        ),
        (only_posix_touches_the_operating_system, "backends/a.py", "from time import monotonic"),
        (only_posix_touches_the_operating_system, "backends/a.py", "import selectors"),
        (only_posix_touches_the_operating_system, "backends/a.py", "from select import poll"),
        (only_posix_touches_the_operating_system, "backends/a.py", "import signal\nsignal.signal"),
        (
            only_posix_touches_the_operating_system,
            "backends/command.py",
            "import signal\nsignal.set_wakeup_fd(-1)",
        ),
        (only_backends_may_start_threads, "posix/system.py", "import threading"),
        (only_backends_may_start_threads, "posix/system.py", "from asyncio import run"),
        (
            only_backends_may_start_threads,
            "launch/leftovers.py",
            "import threading\nthreading.Thread()",
        ),
        (only_backends_may_start_threads, "posix/child.py", "from threading import Thread"),
        (only_backends_may_start_threads, "supervisor/pump.py", "import concurrent.futures"),
        (only_hooks_import_the_software, "backends/a.py", "def f():\n import gunicorn.config"),
        (only_hooks_import_the_software, "backends/a.py", "from django_rq.queues import get_queue"),
        (
            only_hooks_import_the_software,
            "backends/a.py",
            "import importlib\nimportlib.import_module('gunicorn')",
        ),
        (
            hooks_know_only_the_software,
            "backends/hooks/a.py",
            "from django_prodserver.settings.load import load",
        ),
        (hooks_know_only_the_software, "backends/hooks/a.py", "from ...posix import system"),
        (nothing_that_polls_is_shared_with_children, "posix/a.py", "import select\nselect.epoll()"),
        (
            nothing_that_polls_is_shared_with_children,
            "posix/a.py",
            "import selectors\nselectors.DefaultSelector()",
        ),
        (annotations_are_never_evaluated, "settings/load.py", '"""Text."""\nimport os'),
        (
            python_3_9_can_read_it,
            "settings/load.py",
            "@dataclass(frozen=True, slots=True)\nclass A: ...",
        ),
        (
            python_3_9_can_read_it,
            "settings/load.py",
            "@dataclasses.dataclass(kw_only=True)\nclass A: ...",
        ),
        pytest.param(
            python_3_9_can_read_it,
            "settings/load.py",
            "match 1:\n case 1: pass",
            marks=pytest.mark.skipif(sys.version_info < (3, 10), reason="no `match` to read"),
        ),
    ],
    ids=lambda value: value.replace("\n", "; ") if isinstance(value, str) else named(value),
)
def test_code_that_breaks_the_rule_is_found(rule: Rule, path: str, source: str) -> None:
    broken = {**read(PACKAGE), path: ast.parse(source)}

    assert [line.startswith(path) for line in rule(broken)] == [True]


# ---- what is imported, and when ----


def test_no_backend_imports_its_software_before_it_is_needed() -> None:
    public = [p.stem for p in (PACKAGE / "backends").glob("*.py")]

    assert len(public) > 5
    assert software_loaded_by(public) == []


def test_a_backend_that_imports_its_software_is_found() -> None:
    assert software_loaded_by(["gunicorn", "hooks.gunicorn"]) == ["gunicorn"]


def software_loaded_by(backends: Iterable[str]) -> list[str]:
    """Import these backends in a fresh interpreter; return the packages they declare and load."""
    program = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(f"django_prodserver.backends.{name}")
from django_prodserver.backends.base import BaseServerBackend

def below(cls):
    return {cls}.union(*map(below, cls.__subclasses__()))

software = {"django_tasks", "django_tasks_db"}  # declared by INSTALLED_APPS
for cls in below(BaseServerBackend):
    software |= {module.partition(".")[0] for module in cls.requires}
print(*sorted(software & set(sys.modules)))
"""
    command = [sys.executable, "-W", "error", "-c", program, *backends]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
