"""The wrong settings of tests/bad_settings, and the messages about each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from django.core.management import get_commands
from django.test import override_settings

from django_prodserver.backends.registry import registered
from django_prodserver.settings.convert import fields_of
from django_prodserver.settings.schema import (
    HealthCheckSettings,
    ProcessSettings,
    ReadySettings,
    ServerlessSettings,
    SupervisorSettings,
)
from tests import settings as defaults
from tests.inside import NOT_SET

FOLDER = Path(__file__).parent / "bad_settings"
NAMES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))

LISTS = {
    "<keys of a process>": fields_of(ProcessSettings),
    "<keys of PRODUCTION_SUPERVISOR>": fields_of(SupervisorSettings),
    "<keys of PRODUCTION_SERVERLESS>": fields_of(ServerlessSettings),
    "<keys of HEALTHCHECK>": fields_of(HealthCheckSettings),
    "<keys of READY>": fields_of(ReadySettings),
    "<backends>": registered(),
}
ANYTHING = "[...]"


@dataclass(frozen=True)
class Wrong:
    """One of the files."""

    name: str
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    lines: list[str]

    @property
    def processes(self) -> Any:
        return self.settings.get("PRODUCTION_PROCESSES", NOT_SET)

    @property
    def supervisor(self) -> Any:
        return self.settings.get("PRODUCTION_SUPERVISOR", NOT_SET)

    def expects(self, said: list[str]) -> bool:
        """Whether these lines are exactly the expected messages, in order."""
        return len(said) == len(self.lines) and all(
            re.fullmatch(re.escape(line).replace(re.escape(ANYTHING), ".*"), one)
            for line, one in zip(self.lines, said)
        )

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Apply these settings and variables in this process."""
        # Django caches the commands of INSTALLED_APPS; its types hide the cache.
        cached: Any = get_commands
        cached.cache_clear()
        with mock.patch.dict(os.environ, self.environment), override_settings(**self.settings):
            yield
        cached.cache_clear()


def wrong(name: str) -> Wrong:
    names = vars(import_module(f"tests.bad_settings.{name}"))
    common = vars(defaults)
    settings = {
        key: value
        for key, value in names.items()
        if key.isupper() and not (key in common and common[key] is value)
    }
    lines = re.sub(r"\n +", " ", settings.pop("MESSAGE").strip()).splitlines()
    for placeholder, words in LISTS.items():
        lines = [line.replace(placeholder, ", ".join(words)) for line in lines]
    return Wrong(name, settings, settings.pop("ENVIRONMENT", {}), lines)
