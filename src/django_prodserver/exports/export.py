"""`--export`: turns settings into the files of a platform, and reports what is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from django.core.management.base import CommandError

from django_prodserver.launch.health import allowed_host
from django_prodserver.launch.process import ResolvedProcess
from django_prodserver.settings.schema import SupervisorSettings
from django_prodserver.settings.texts import host_and_port

from . import options as settable
from .formats import FORMATS, Export, File, Format
from .losses import losses
from .render import rendered
from .workload import all_in_one, per_process

# The port that Kubernetes probes, unless MONITOR is set.
MONITOR_PORT = 9180
# RFC 1123, section 2.1.
LONGEST_LABEL = 63


@dataclass(frozen=True)
class Surroundings:
    """The environment of the exported project."""

    name: str
    # The folder of manage.py, and the interpreter.
    directory: str
    python: str
    # One of ALLOWED_HOSTS, and the port of MONITOR.
    host: str
    monitor_port: int
    # Whether supervisors have a control socket: CONTROL is not False.
    control: bool


class Text(NamedTuple):
    path: str
    content: str
    file: File


@dataclass(frozen=True)
class Exported:
    texts: Sequence[Text]
    # A sentence for each setting that they do not carry over.
    losses: Sequence[str]

    @property
    def printed(self) -> str:
        """The text for stdout; several files have their names above them, as comments."""
        shown = [one for one in self.texts if one.file.printed]
        if len(shown) == 1:
            return shown[0].content
        return "\n".join(f"# ---- {one.path} ----\n\n{one.content}" for one in shown)


def surroundings(settings_module: str, supervisor: SupervisorSettings) -> Surroundings:
    """Return the surroundings of this process."""
    folder = os.path.dirname(os.path.abspath(sys.argv[0]))
    return Surroundings(
        settable.default_name(settings_module, os.path.basename(folder)),
        folder,
        sys.executable,
        allowed_host(),
        MONITOR_PORT if supervisor.monitor is None else host_and_port(supervisor.monitor)[1],
        supervisor.control is not False,
    )


def export(
    name: str,
    processes: Sequence[ResolvedProcess],
    selected: Sequence[str],
    words: Iterable[str],
    surroundings: Surroundings,
) -> Exported:
    """Render `processes`, which are in starting order, in a format.

    `selected` are the arguments of `prodserver` that select them, and `words` those of `--set`.
    Raises CommandError for invalid words, and if two processes would get the same name.
    """
    to, words = FORMATS[name], list(words)
    given = _options(to, words, surroundings)
    prodserver = [word.format_map(given) for word in to.prodserver]
    if to.per_process:
        names = _names(to, processes, given["name"])
        workloads = per_process(processes, names, prodserver, to.carries, supervise=to.supervises)
    else:
        workloads = all_in_one(processes, given["name"], [*prodserver, *selected])
    exported = Export(given, workloads, prodserver, surroundings.monitor_port, surroundings.control)
    values = {"format": to, "options": given, "workloads": workloads, "export": exported}
    texts = [
        Text(file.path.format_map(own), rendered(file.template, {**values, **own}), file)
        for file in to.files
        for own in file.each(exported)
    ]
    unused = [key for key in dict.fromkeys(map(_key, words)) if key not in to.options]
    lost = [f"{key}: set, but not used by {name}" for key in unused]
    return Exported(texts, [*lost, *losses(exported, to)])


def _key(word: str) -> str:
    return word.partition("=")[0]


def _options(to: Format, words: Iterable[str], here: Surroundings) -> settable.Options:
    defaults = {
        "name": here.name,
        "directory": here.directory,
        "python": here.python,
        "host": here.host,
        "uid": "1000",
        "hooks": "none",
        "region": "",
    }
    given = settable.given(words, defaults)
    return {"environment": to.environment.format_map(given), **given}


def _names(to: Format, processes: Sequence[ResolvedProcess], site: str) -> Mapping[str, str]:
    """Return the platform's name for each process."""
    names = {one.name: _label(one.name) if to.in_container else one.name for one in processes}
    for label in names.values():
        twins = [name for name, other in names.items() if other == label]
        if len(twins) > 1:
            raise CommandError(f"{' and '.join(twins)} would both be called {label} there.")
        if len(f"{site}-{label}") > LONGEST_LABEL:
            too_long = f"{site}-{label} has more than {LONGEST_LABEL} characters"
            raise CommandError(f"{too_long}. Set a shorter one: --set name=...")
    return names


def _label(name: str) -> str:
    """Turn a process name into a host or container name (RFC 1123): web_1 becomes web-1."""
    return name.lower().replace("_", "-").strip("-") or "process"


# ---- files ----

# Every exported file contains MARK, except for a Procfile, in which every line contains OURS.
MARK = "manage.py prodserver --export"
OURS = "prodserver "


def write(texts: Iterable[Text], folder: Path) -> list[Path]:
    """Write files into a folder; return the paths of those written.

    Raises CommandError, and writes nothing, if a file that was not exported is in the way.
    """
    found = {folder / one.path: one for one in texts}
    wanted = {path: one for path, one in found.items() if not (one.file.to_edit and path.exists())}
    for path, one in wanted.items():
        _may_be_written(path, one.content)
    try:
        for path, one in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(one.content, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be written: {error.strerror}.") from None
    return list(wanted)


def left_over(name: str, texts: Iterable[Text], folder: Path) -> list[Path]:
    """Return files of an earlier export in this format that are not part of this one."""
    written = {folder / one.path for one in texts}
    beside = sorted({path for one in written for path in one.parent.glob("*") if path.is_file()})
    line = f"{MARK} {name}\n"
    return [one for one in beside if one not in written and line in _read(one)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _may_be_written(path: Path, text: str) -> None:
    try:
        there = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
    if there != text and not _was_exported(there):
        raise CommandError(
            f"{path} exists, and is not from an export. Remove it, or choose another folder."
        )


def _was_exported(text: str) -> bool:
    return MARK in text or all(OURS in line for line in text.splitlines())
