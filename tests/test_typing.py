"""The types of the settings: real mypy accepts what the loader accepts, and finds mistakes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

import django_prodserver
from django_prodserver import typing
from django_prodserver.settings.schema import (
    ProcessSettings,
    ServerlessSettings,
    SupervisorSettings,
)
from tests import test_docs

SOURCE = Path(django_prodserver.__file__).parent.parent

HEADER = """\
import os
from pathlib import Path

from django_prodserver.typing import Process, ProductionProcesses, ProductionSupervisor

BASE_DIR = Path("/srv")
INSTALLED_APPS: list[str] = []
"""

RIGHT = """\
PRODUCTION_PROCESSES: ProductionProcesses = {
    "web": {
        "BACKEND": "django_prodserver.backends.gunicorn.GunicornServer",
        "ARGS": {"bind": [f"unix:{BASE_DIR}/socket", BASE_DIR], "preload": True, "reload": None},
        "APP": None,
        "ENV": {"PORT": os.environ.get("PORT", "8000"), "HOME": BASE_DIR / "home"},
        "REPLICAS": int(os.environ.get("WEB", "2")),
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 8},
        "TYPE": "service",
        "AFTER": ("migrate",),
        "RESTART": "on-failure",
        "START_LIMIT": {"BURST": 3},
        "BACKOFF": {"INITIAL": 0, "MAX": 1.5},
        "STOP_SIGNAL": "SIGQUIT",
        "STOP_TIMEOUT": 10,
        "READY_TIMEOUT": 0.5,
        "HEALTHCHECK": {"COMMAND": [BASE_DIR / "probe", "-q"], "INTERVAL": 5},
        "WATCHDOG": None,
        "MAX_MEMORY": "512MB",
        "START_METHOD": "spawn",
    },
    "migrate": {"BACKEND": "shop.Migrate", "ARGS": ("migrate", BASE_DIR), "TYPE": "oneshot"},
    "shell": {"BACKEND": "shop.Shell", "ARGS": "echo", "MAX_MEMORY": 10**9},
}


def worker(queue: str) -> Process:
    arguments: dict[str, str] = {"queues": queue}
    names: list[str] = ["migrate"]
    return {"BACKEND": "shop.Worker", "ARGS": arguments, "AFTER": names}


for queue in ("fast", "slow"):
    PRODUCTION_PROCESSES[queue] = worker(queue)
PRODUCTION_PROCESSES["web"]["REPLICAS"] = 3

PRODUCTION_SUPERVISOR: ProductionSupervisor = {
    "RESTART": "always",
    "LOG_FORMAT": "json",
    "TIMESTAMPS": False,
    "BACKOFF": {"MAX": 9},
    "MAX_MEMORY": None,
    "PRELOAD": ["shop.models"],
}
"""

# One wrong line of an entry, and mypy's error code for it.
WRONG = {
    "type": ('"REPLICAS": "2",', "typeddict-item"),
    "literal": ('"RESTART": "sometimes",', "typeddict-item"),
    "signal": ('"STOP_SIGNAL": "TERM",', "typeddict-item"),
    "word": ('"AFTER": "migrate",', "typeddict-item"),
    "names": ('"AFTER": {"migrate"},', "typeddict-item"),
    "item": ('"AFTER": [1],', "list-item"),
    "variable": ('"ENV": {"A": 1},', "dict-item"),
    "time": ('"STOP_TIMEOUT": "25",', "typeddict-item"),
    "size": ('"MAX_MEMORY": 1.5,', "typeddict-item"),
    "probe": ('"HEALTHCHECK": {"HTPP": "/"},', "typeddict-item"),
    "command": ('"HEALTHCHECK": {"COMMAND": "true"},', "typeddict-item"),
    "limit": ('"START_LIMIT": 5,', "typeddict-item"),
}


# For an unknown key mypy reports the line where the mapping begins.
UNKNOWN = {
    "key": '"RESTRAT": "always",',
    "case": '"env": {},',
}


def wrong(line: str) -> str:
    return f"""\
PRODUCTION_PROCESSES: ProductionProcesses = {{
    "web": {{
        "BACKEND": "shop.Web",
        {line}
    }},
}}
"""


OTHERS = {
    "missing": ('X: ProductionProcesses = {"web": {"ARGS": {}}}\n', "typeddict-item"),
    "list": ("X: ProductionProcesses = []\n", "assignment"),
    "format": ('X: ProductionSupervisor = {"LOG_FORMAT": "jsonl"}\n', "typeddict-item"),
    "supervisor": ('X: ProductionSupervisor = {"REPLICAS": 2}\n', "typeddict-unknown-key"),
    "preload": ('X: ProductionSupervisor = {"PRELOAD": "shop"}\n', "typeddict-item"),
}


def examples() -> dict[str, str]:
    """The examples of the docs, with the types that they would have."""
    typed = {}
    for example in test_docs.settings_examples():
        (block,) = example.values
        for setting, kind in (("PROCESSES", "Processes"), ("SUPERVISOR", "Supervisor")):
            block = re.sub(
                rf"^PRODUCTION_{setting} =",
                f"PRODUCTION_{setting}: Production{kind} =",
                block,
                flags=re.MULTILINE,
            )
        typed["docs_" + re.sub(r"\W", "_", str(example.id))] = block
    return typed


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[tuple[int, str]]]:
    """What mypy reports for each file: lines, counted from the end of the header, and codes."""
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    files = {
        "right": RIGHT,
        **examples(),
        **{f"wrong_{name}": wrong(line) for name, (line, _) in WRONG.items()},
        **{f"unknown_{name}": wrong(line) for name, line in UNKNOWN.items()},
        **{f"other_{name}": source for name, (source, _) in OTHERS.items()},
    }
    folder = tmp_path_factory.mktemp("typed")
    for name, source in files.items():
        (folder / f"{name}.py").write_text(HEADER + source)
    environ = {**os.environ, "MYPYPATH": str(SOURCE)}
    if SOURCE.name == "site-packages":  # It is searched anyway; mypy refuses it in MYPYPATH.
        del environ["MYPYPATH"]
    made = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file="),
            *(f"{name}.py" for name in files),
        ],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert (made.returncode, made.stderr) == (1, "")
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in files}
    for name, line, code in re.findall(
        r"^(\w+)\.py:(\d+): error: .* \[([\w-]+)\]$", made.stdout, re.MULTILINE
    ):
        found[name].append((int(line) - HEADER.count("\n"), code))
    assert sum(map(len, found.values())) == made.stdout.count("error:"), made.stdout
    return found


def test_mypy_accepts_valid_settings(said: Any) -> None:
    assert said["right"] == []


@pytest.mark.parametrize("name", examples())
def test_mypy_accepts_every_example_of_the_docs(said: Any, name: str) -> None:
    assert said[name] == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_entry_is_reported_on_its_line(said: Any, name: str) -> None:
    assert said[f"wrong_{name}"] == [(4, WRONG[name][1])]


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_key_is_reported_on_the_line_of_its_entry(said: Any, name: str) -> None:
    assert said[f"unknown_{name}"] == [(2, "typeddict-unknown-key")]


@pytest.mark.parametrize("name", OTHERS)
def test_wrong_settings_are_reported_on_their_line(said: Any, name: str) -> None:
    assert said[f"other_{name}"] == [(1, OTHERS[name][1])]


@pytest.mark.parametrize(
    ("kind", "struct"),
    [
        (typing.Process, ProcessSettings),
        (typing.ProductionSupervisor, SupervisorSettings),
        (typing.ProductionServerless, ServerlessSettings),
    ],
)
def test_the_types_have_the_keys_of_the_schema_at_run_time(kind: Any, struct: Any) -> None:
    fields = msgspec.structs.fields(struct)

    assert list(get_type_hints(kind)) == [field.encode_name for field in fields]
    assert kind.__required_keys__ == {field.encode_name for field in fields if field.required}


def test_importing_the_types_imports_neither_django_nor_msgspec() -> None:
    program = """
import sys
before = set(sys.modules)
from django_prodserver.typing import ProductionProcesses, ProductionSupervisor
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("_")))
"""
    command = [sys.executable, "-W", "error", "-c", program]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()

    packages = {name.partition(".")[0] for name in made}
    assert packages & {"django", "msgspec", "typing_extensions"} == set()
    assert [name for name in made if name.startswith("django_prodserver")] == [
        "django_prodserver",
        "django_prodserver.typing",
    ]


BACKENDS = """\
from django_prodserver.backends.base import BaseServerBackend


class Named(BaseServerBackend):
    def start_server(self, address: str) -> None: ...


class Star(BaseServerBackend):
    def start_server(self, *args: str) -> None: ...


class Wrong(BaseServerBackend):
    def start_server(self, *args: str) -> int:
        return 0
"""


def test_mypy_accepts_a_backend_that_names_its_arguments(tmp_path: Path) -> None:
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    (tmp_path / "backends.py").write_text(BACKENDS)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    environ = {**os.environ, "MYPYPATH": str(SOURCE)}
    if SOURCE.name == "site-packages":
        del environ["MYPYPATH"]

    ran = subprocess.run(
        [*mypy, "backends.py"], cwd=tmp_path, env=environ, capture_output=True, text=True
    )

    errors = [line for line in ran.stdout.splitlines() if " error: " in line]
    assert [line.partition(" error: ")[0] for line in errors] == ["backends.py:13:"], ran.stdout
