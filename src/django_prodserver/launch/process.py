"""A resolved process: its settings are complete, and its backend class is imported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional

from django_prodserver.backends.base import Address, BaseServerBackend
from django_prodserver.posix.context import temporarily_in
from django_prodserver.settings.names import place_of
from django_prodserver.settings.schema import EffectiveSettings, ProbeSettings

SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"
# Variables that are read by Django when it is set up, by Python when an interpreter starts
# (python(1)), and by the C library when a program does (ld.so(8), mallopt(3)).
READ_AT_START = frozenset(
    {
        SETTINGS_MODULE,
        *("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONNOUSERSITE", "PYTHONHASHSEED"),
        *("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONDEVMODE"),
        *("PYTHONFAULTHANDLER", "PYTHONTRACEMALLOC", "PYTHONMALLOC", "PYTHONINTMAXSTRDIGITS"),
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX"),
    }
)


@dataclass(frozen=True)
class ResolvedProcess:
    """One entry of PRODUCTION_PROCESSES. `extra` are arguments from the command line, after `--`.

    `options`, `addresses`, `recycles` and `patched_by` ask its software, once. That may import the
    software: see `importable_here`.
    """

    name: str
    settings: EffectiveSettings
    backend_class: type[BaseServerBackend]
    extra: Sequence[str] = ()

    @property
    def instances(self) -> list[str]:
        """The names of its instances; REPLICAS says how many."""
        return [f"{self.name}.{number + 1}" for number in range(self.settings.replicas)]

    @property
    def place_of_max(self) -> str:
        """The setting that limits the number of instances."""
        if self.settings.autoscale is None:
            return place_of(self.name, "REPLICAS")
        return f"{place_of(self.name, 'AUTOSCALE')}['MAX']"

    @cached_property
    def backend(self) -> BaseServerBackend:
        """A backend for questions and for the preload; it is never started."""
        return self.new_backend()

    @cached_property
    def options(self) -> object:
        """The arguments as parsed by its software. Raises what `BaseServerBackend.parse` raises."""
        # Paths in the arguments, such as that of a configuration file, are relative to CWD.
        with temporarily_in(self.settings.folder):
            return self.backend.parse()

    def option(self, name: str) -> object:
        """One of the `options`, by its name there; None if there is none."""
        options = self.options
        return options.get(name) if isinstance(options, Mapping) else getattr(options, name, None)

    @cached_property
    def addresses(self) -> Sequence[Address]:
        """Where it will listen. Raises what `BaseServerBackend.parse` raises."""
        with temporarily_in(self.settings.folder):
            _ = self.options  # Parse the arguments first, so that their errors come first.
            return [self._as_seen_from_here(one) for one in self.backend.addresses()]

    @cached_property
    def recycles(self) -> bool:
        """Whether its own options make it exit with 0 after some work, to be restarted."""
        with temporarily_in(self.settings.folder):
            try:
                return self.backend.recycles()
            except Exception:
                return False  # Wrong arguments, or a database is down: reported elsewhere.

    @cached_property
    def patched_by(self) -> str:
        """The greenlet library that patches Python for it, or ""."""
        with temporarily_in(self.settings.folder):
            try:
                return self.backend.patched_by(self.options)
            except Exception:
                return ""  # As for `recycles`.

    @property
    def own_context(self) -> Mapping[str, Any]:
        """CWD, USER, GROUP and UMASK as set by its own options. Raises what `parse` raises."""
        with temporarily_in(self.settings.folder):
            return self.backend.own_context(self.options)

    def _as_seen_from_here(self, address: Address) -> Address:
        at = address.at
        return address._replace(at=self.from_here(at)) if isinstance(at, str) else address

    def from_here(self, path: str) -> str:
        """The path of a Unix socket, which may be relative to the folder of the process."""
        folder = self.settings.folder
        return path if folder is None or path[:1] in ("@", "\0") else os.path.join(folder, path)

    def new_backend(self, instance: Optional[str] = None) -> BaseServerBackend:
        """Create a backend to start an instance, or the process alone if `instance` is None."""
        given = self.settings
        config: dict[str, Any] = {
            "ARGS": given.args,
            "ENV": given.env,
            "STOP_TIMEOUT": given.stop_timeout,
            "REPLICAS": given.max_instances,
        }
        for key in ("APP", "CWD", "USER", "GROUP", "UMASK"):
            value = getattr(given, key.lower())
            if value is not None:
                config[key] = value
        backend = self.backend_class(**config)
        backend.instance = instance
        if self.extra:
            backend.args = [*backend.args, *self.extra]
        return backend

    @property
    def becomes_another_program(self) -> bool:
        """Whether the supervisor executes another program for it, without the project."""
        return self.backend.command_line() is not None

    def variables_already_read(self, environ: Mapping[str, str]) -> list[str]:
        """The variables of its ENV that this interpreter has already read with other values.

        `environ` is the environment that this interpreter was started with.
        """
        if self.becomes_another_program:
            return []
        env = self.settings.env
        names = READ_AT_START & set(env)
        if self.backend_class.is_an_app:
            names |= self.backend_class.import_time_variables & set(env)
        return sorted(name for name in names if env[name] != environ.get(name))


def probes_of(settings: EffectiveSettings) -> Iterator[tuple[str, ProbeSettings]]:
    """READY and HEALTHCHECK, if they are set."""
    for key, probe in (("READY", settings.ready), ("HEALTHCHECK", settings.healthcheck)):
        if probe is not None:
            yield key, probe


def importable_here(processes: Iterable[ResolvedProcess]) -> list[ResolvedProcess]:
    """The processes whose software can be imported in this process, before it forks.

    Excludes software that reads a variable when it is imported, if the ENV of any process sets that
    variable: every fork would have this process's value.
    """
    processes = list(processes)
    set_by_env = {name for process in processes for name in process.settings.env}
    return [p for p in processes if not p.backend_class.import_time_variables & set_by_env]
