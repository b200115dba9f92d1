"""Projects of several kinds, as settings, and their exports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.inside import prodserver

CHAT: dict[str, Any] = {
    "web": {
        "BACKEND": "daphne",
        "ARGS": {"bind": "0.0.0.0", "port": 8000},
        "HEALTHCHECK": {"HTTP": "/health", "INTERVAL": 15},
        "REPLICAS": 2,
    },
    "api": {
        "BACKEND": "uvicorn",
        "ARGS": {"host": "0.0.0.0", "port": 8001},
        "HEALTHCHECK": {"TCP": "127.0.0.1:8001"},
        "MAX_MEMORY": "512MiB",
        "AFTER": ["web"],
    },
    "static": {"BACKEND": "waitress", "ARGS": {"listen": "0.0.0.0:8002"}, "STOP_TIMEOUT": 8},
}
CHAIN: dict[str, Any] = {
    "migrate": {"BACKEND": "command", "ARGS": ["migrate", "--noinput"], "TYPE": "oneshot"},
    "collect": {
        "BACKEND": "command",
        "ARGS": ["createcachetable"],
        "TYPE": "oneshot",
        "AFTER": ["migrate"],
        "RESTART": "on-failure",
        "START_LIMIT": {"BURST": 3},
    },
    "queue": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AFTER": ["@oneshots"],
        "HEALTHCHECK": {"COMMAND": ["true"]},
    },
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {"bind": ["0.0.0.0:8000", "[::1]:8001"]},
        "AFTER": ["queue"],
        "USER": "www-data",
        "UMASK": "0027",
        "MAX_MEMORY": "1GiB",
    },
}
PROJECTS: Mapping[str, dict[str, Any]] = {"chat": CHAT, "chain": CHAIN}

# Fixed values, so that the files of a machine are the same wherever they are written.
MACHINE = ("--set", "directory=/srv/site", "--set", "python=/usr/bin/python3")


def exported(processes: Any, to: str, folder: Path, *args: str, **others: Any) -> dict[str, str]:
    """The files of an export, by their paths."""
    prodserver(processes, "--export", to, "--output", str(folder), *args, **others)
    return written(folder)


def written(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}
