"""How `devserver --all` changes the settings of production, and which code it watches."""

from __future__ import annotations

import json
import marshal
import os
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from signal import SIGQUIT, SIGTERM, Signals
from types import ModuleType
from typing import Any, ClassVar, Optional

import django.conf
import django.db.models
import msgspec
import pytest

from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.launch.development import for_developers, for_development, web_servers
from django_prodserver.launch.resolve import import_backend
from django_prodserver.launch.warm import PATCHES, describe_warm_up, warmed
from django_prodserver.launch.watching import Code
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.load import load
from django_prodserver.settings.schema import Backoff, ProcessSettings, SupervisorSettings
from django_prodserver.supervisor.spec import Spec
from tests.inside import GUNICORN, configured, sleeper

# Each entry adds one key; beside it is what the key becomes.
BECOMES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"REPLICAS": 4}, {"replicas": 1}),
    ({"AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 4}}, {"autoscale": None}),
    ({"RESTART": "never"}, {"restart": "always"}),
    ({"START_LIMIT": {"BURST": 2}}, {}),
    ({"BACKOFF": {"MAX": 300}}, {"backoff": Backoff(initial=1.0, max=10.0)}),
    ({"STOP_TIMEOUT": 600}, {"stop_timeout": 3.0}),
    ({"READY": {"TCP": ":9000"}, "READY_TIMEOUT": 5}, {"ready": None, "ready_timeout": None}),
    ({"HEALTHCHECK": {"TCP": ":9000"}}, {"healthcheck": None}),
    ({"WATCHDOG": 10}, {"watchdog": None}),
    ({"MAX_MEMORY": "1GB"}, {"max_memory": None}),
    ({"USER": "www-data", "GROUP": "www-data"}, {"user": None, "group": None}),
    ({"SINGLETON": True}, {"singleton": False}),
    ({"UPDATE_ORDER": "start-first"}, {"update_order": "auto"}),
    # Keys that affect what the process does are kept.
    ({"ENV": {"A": "b"}}, {"env": {"A": "b"}}),
    ({"AFTER": ["other"]}, {"after": ["other"]}),
    ({"CWD": "/tmp", "UMASK": "0027"}, {"cwd": "/tmp", "umask": "0027"}),
    ({"ENABLED": False}, {"enabled": False}),
    ({"STOP_SIGNAL": "SIGINT"}, {"stop_signal": "SIGINT"}),
    ({"START_METHOD": "spawn"}, {"start_method": "spawn"}),
    ({"TYPE": "oneshot", "SCHEDULE": "0 3 * * *"}, {"schedule": "0 3 * * *"}),
    (
        {"TYPE": "oneshot", "RESTART": "on-failure", "LOCK": "database", "STOP_TIMEOUT": 600},
        {"restart": "on-failure", "lock": None, "stop_timeout": None},
    ),
]


def developed(processes: Any, **supervisor: Any) -> Configuration:
    with configured(processes, supervisor):
        configuration = load({})
        return for_development(configuration, web_servers(configuration, processes))


@pytest.mark.parametrize(("entry", "fields"), BECOMES, ids=lambda one: ",".join(one) or "nothing")
def test_each_process_key_is_adapted_or_kept_for_development(
    entry: dict[str, Any], fields: dict[str, Any]
) -> None:
    found = developed({"worker": sleeper(**entry), "other": sleeper()}).processes["worker"]

    assert {key: getattr(found, key) for key in fields} == fields
    assert found.start_limit is not None
    assert found.start_limit.burst > 10**6
    assert (found.backend, found.args) == (sleeper()["BACKEND"], sleeper()["ARGS"])


def test_the_table_here_covers_every_process_key() -> None:
    """For each new key of production a developer has to decide what it means here."""
    known = {key for entry, _ in BECOMES for key in entry}
    others = {"BACKEND", "ARGS", "APP", "SOCKETS", "REFRESH", "EVERY"}

    assert known | others >= {one.encode_name for one in msgspec.structs.fields(ProcessSettings)}


def test_a_process_that_a_variable_disables_stays_disabled() -> None:
    with configured({"worker": sleeper(), "other": sleeper()}):
        configuration = load({"PRODSERVER_REPLICAS_WORKER": "0"})

    assert {*for_development(configuration, {}).disabled} == {"worker"}


def test_the_supervisor_settings_are_adapted_for_development() -> None:
    production = {
        "LOG_FORMAT": "json",
        "TIMESTAMPS": False,
        "MAX_MEMORY": "1GB",
        "USER": "www-data",
        "CONTROL": "/run/mysite/control.sock",
        "CONTROL_GROUP": "staff",
        "MONITOR": "0.0.0.0:9180",
        "ON_EVENT": ["mysite.alerts.on_event"],
        "PRELOAD": ["json"],
    }

    found = developed({"worker": sleeper()}, **production).supervisor

    assert found == SupervisorSettings(timestamps=False, control=True, preload=["json"])
    assert developed({"worker": sleeper()}, CONTROL=False).supervisor.control is False


def test_a_control_socket_path_from_a_variable_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PRODSERVER_CONTROL", "/tmp/mine.sock")
    with configured({"worker": sleeper()}):
        found = for_development(load(os.environ), {})

    assert found.supervisor.control == "/tmp/mine.sock"


# ---- web servers ----


def servers(**args: Any) -> Configuration:
    return developed({name: {"BACKEND": GUNICORN, "ARGS": one} for name, one in args.items()})


def addresses(configuration: Configuration) -> list[Any]:
    return [one.args for one in configuration.processes.values()]


@pytest.mark.parametrize(
    ("binds", "ports"),
    [
        (["0.0.0.0:5000"], [5000]),
        (["[::1]:5000"], [5000]),
        # A port that only root may use, a path, and a file descriptor without a known port.
        (["0.0.0.0:80", "unix:/run/web.sock", "fd://3"], [8000, 8001, 8002]),
        (["127.0.0.1:8001", "unix:/run/web.sock", "unix:/run/api.sock"], [8001, 8000, 8002]),
        # Addresses of two machines, both moved to this one.
        (["10.0.0.1:5000", "10.0.0.2:5000"], [5000, 8000]),
    ],
)
def test_web_servers_move_to_the_loopback_address_and_keep_usable_ports(
    binds: list[str], ports: list[int]
) -> None:
    found = servers(**{f"web{n}": {"bind": bind} for n, bind in enumerate(binds)})

    assert addresses(found) == [[f"127.0.0.1:{port}"] for port in ports]
    assert {one.backend for one in found.processes.values()} == {"runserver"}


def test_a_web_server_starts_by_fork_and_without_an_app_or_sockets() -> None:
    entry = {"BACKEND": GUNICORN, "START_METHOD": "spawn", "SOCKETS": "held", "APP": "mysite.app"}

    web = developed({"web": entry}).processes["web"]

    assert (web.start_method, web.sockets, web.app) == ("fork", None, None)


def test_exactly_the_web_server_backends_are_replaced() -> None:
    processes = {name: {"BACKEND": name} for name in BUILT_IN}
    with configured(processes):
        configuration = load({})
        found = web_servers(configuration, processes)

    assert sorted(found) == [
        *("daphne", "granian", "granian-wsgi", "gunicorn", "gunicorn-asgi"),
        *("hypercorn", "hypercorn-wsgi", "uvicorn", "uvicorn-wsgi", "uwsgi", "waitress"),
    ]


class NotInstalled(import_backend("waitress")):  # type: ignore[misc]
    """A backend whose software is missing on a developer's machine."""

    requires: ClassVar = {"no_such_module": "no-such-package"}

    def parse(self) -> object:
        raise ModuleNotFoundError("no_such_module")


class TakesSockets(BaseServerBackend):
    takes_sockets = True

    def start_server(self, *args: str) -> None: ...


@pytest.mark.parametrize("backend", [NotInstalled, TakesSockets])
def test_a_web_server_whose_address_is_unknown_gets_the_default_address(backend: type) -> None:
    path = f"{__name__}.{backend.__name__}"

    assert addresses(developed({"web": {"BACKEND": path}})) == [["127.0.0.1:8000"]]


def test_a_backend_that_cannot_be_imported_is_not_replaced() -> None:
    found = developed({"web": {"BACKEND": "no_such.Backend"}})

    assert found.processes["web"].backend == "no_such.Backend"


# ---- how they are supervised ----


@pytest.mark.parametrize("escalation_signal", [None, SIGQUIT])
def test_a_process_is_not_waited_for_and_is_stopped_with_a_single_signal(
    escalation_signal: Optional[Signals],
) -> None:
    spec = for_developers(Spec("worker.1", notifies=True, escalation_signal=escalation_signal))

    assert not spec.reports_ready
    assert (spec.stop_signal, spec.escalation_signal) == (escalation_signal or SIGTERM, None)


# ---- what is watched ----


@pytest.fixture
def code(tmp_path: Path) -> Code:
    """The code of two packages and a module; not all of it is imported."""
    shop, module = ModuleType("shop"), ModuleType("helpers")
    shop.__path__ = [str(tmp_path / "src" / "shop")]
    shop.__file__ = str(tmp_path / "src" / "shop" / "__init__.py")
    module.__file__ = str(tmp_path / "helpers.py")
    (tmp_path / "src" / "shop" / "sub").mkdir(parents=True)
    for file in (shop.__file__, module.__file__):
        Path(file).touch()
    return Code([shop, module, sys, os, msgspec])


@pytest.mark.parametrize(
    ("path", "belongs"),
    [
        ("helpers.py", True),
        ("src/shop/__init__.py", True),
        ("src/shop/views.py", True),
        ("src/shop/sub/deep.py", True),
        ("src/shop/locale/de/LC_MESSAGES/django.mo", True),
        ("src/shop/locale/de/LC_MESSAGES/django.po", False),
        ("src/shop/templates/page.html", False),
        ("src/shop/views.pyc", False),
        ("src/shop/tests.py", False),
        ("src/shop/tests/views.py", False),
        ("src/shop/test_views.py", False),
        ("src/shop/views_test.py", False),
        ("src/shop/conftest.py", False),
        ("src/shop/contest.py", True),
        ("script.py", False),
        ("src/shopping/views.py", False),
    ],
)
def test_only_code_and_translations_of_imported_packages_are_watched(
    code: Code, tmp_path: Path, path: str, belongs: bool
) -> None:
    assert code.has(str(tmp_path / path)) is belongs


def test_a_project_inside_a_folder_of_tests_is_watched(tmp_path: Path) -> None:
    package = ModuleType("shop")
    package.__path__ = [str(tmp_path / "tests" / "shop")]

    assert Code([package]).has(str(tmp_path / "tests" / "shop" / "views.py"))


def test_the_folders_of_the_project_are_watched_but_not_installed_packages(
    code: Code, tmp_path: Path
) -> None:
    assert code.folders == [str(tmp_path)]
    assert Code([msgspec, sys, os]).folders == []


def test_files_changed_since_a_moment_are_found(code: Code, tmp_path: Path) -> None:
    now = time.time()
    os.utime(tmp_path / "helpers.py", (now - 10, now - 10))
    os.utime(tmp_path / "src" / "shop" / "__init__.py", (now + 1000, now + 1000))

    assert code.changed_since(now - 20) == [str(tmp_path / "helpers.py")]
    assert code.changed_since(now - 5) == []


def test_a_new_file_is_found_only_if_all_files_are_searched(code: Code, tmp_path: Path) -> None:
    for name in ("src/shop/sub/new.py", "src/shop/tests.py", "script.py"):
        (tmp_path / name).touch()
    moment = time.time() - 5
    for path in tmp_path.rglob("__init__.py"):
        os.utime(path, (moment - 5, moment - 5))
    os.utime(tmp_path / "helpers.py", (moment - 5, moment - 5))

    assert code.changed_since(moment, everywhere=True) == [str(tmp_path / "src/shop/sub/new.py")]
    assert code.changed_since(moment) == []


# ---- what is imported in advance ----


def module(name: str, file: str, **contents: Any) -> ModuleType:
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None, origin=file)
    made.__dict__.update(contents)
    return made


INSTALLED = "/venv/lib/site-packages"


@pytest.mark.parametrize(
    ("found", "ahead"),
    [
        (module("kombu.utils", f"{INSTALLED}/kombu/utils.py"), True),
        (module("django.db", f"{INSTALLED}/django/db/__init__.py"), True),
        # It has models, which need the settings.
        (module("django.contrib.auth", f"{INSTALLED}/django/contrib/auth/__init__.py"), False),
        # A module of the project.
        (module("shop", "/srv/mysite/shop/__init__.py"), False),
        # A module that uses Django may read the settings when it is imported.
        (module("tool", f"{INSTALLED}/tool.py", settings=django.conf.settings), False),
        (module("tool", f"{INSTALLED}/tool.py", Model=django.db.models.Model), False),
        (module("tool", f"{INSTALLED}/tool.py", db=django.db), False),
        (module("tool", f"{INSTALLED}/tool.py", Any=Any, number=1), True),
        # It has another name.
        (module("os.path", f"{INSTALLED}/posixpath.py", __spec__=os.__spec__), False),
        (ModuleType("made"), False),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_installed_modules_are_imported_ahead_unless_they_depend_on_settings(
    found: ModuleType, ahead: bool
) -> None:
    assert list(warmed({found.__name__: found})) == ([found.__name__] if ahead else [])


def test_a_package_is_not_imported_ahead_if_one_module_depends_on_settings() -> None:
    tool = module("tool", f"{INSTALLED}/tool/__init__.py")
    views = module("tool.views", f"{INSTALLED}/tool/views.py", settings=django.conf.settings)

    assert list(warmed({"tool": tool, "tool.views": views, "json": json})) == ["json"]


def test_no_module_is_imported_ahead_if_a_library_patches_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for one in PATCHES:
        monkeypatch.delitem(sys.modules, one, raising=False)
    assert marshal.loads(describe_warm_up(True))[1]

    monkeypatch.setitem(sys.modules, "gevent.monkey", ModuleType("gevent.monkey"))

    assert marshal.loads(describe_warm_up(True)) == ([], [])


def test_third_party_packages_are_not_imported_ahead_if_they_may_read_variables() -> None:
    modules = {"json": json, "django.db": django.db, "msgspec": msgspec}

    assert list(warmed(modules)) == ["json", "django.db", "msgspec"]
    assert list(warmed(modules, everything=False)) == ["json", "django.db"]
