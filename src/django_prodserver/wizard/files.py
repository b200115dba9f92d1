"""Read the files around manage.py: dependencies, and what runs today. No project code is imported.

Each format is read by a parser from the standard library. YAML has none, so YAML files are read
only if PyYAML is installed; otherwise they are just mentioned.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from configparser import ConfigParser, Error
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Union

from django_prodserver.settings.names import NAMES_HINT, PROCESS_NAME

from . import keys
from .project import DEPENDENCIES, GunicornFile, Run

# Folders without production code of the project.
_FOREIGN = {"node_modules", "site-packages", "static", "media", "__pycache__", "migrations"}
_FOREIGN |= {"test", "tests", "docs", "examples"}
# Folders that are never part of a project.
_NEVER = {Path("/"), Path.home()}
# A scan stops after this many folders and files, so that it stays fast.
_MOST = 3000
# Files with such a name are not for production.
_OTHER_PURPOSE = re.compile(r"(^|[-_.])(dev|develop\w*|local|override|tests?|ci|debug)([-_.]|$)")


def folders(root: Path) -> list[Path]:
    """The folder of manage.py, and its parent folders that belong to the same project.

    That is up to the root of the repository. Without a repository, the parent folder belongs to
    the project if it lists dependencies and the folder of manage.py does not.
    """
    above = [folder for folder in (root, *[*root.parents][:2]) if folder not in _NEVER]
    for end, folder in enumerate(above):
        if (folder / ".git").exists():
            return above[: end + 1]
    listed = [_has_dependencies(folder) for folder in above[:2]]
    return above[:2] if listed == [False, True] else [root]


def _has_dependencies(folder: Path) -> bool:
    return any(_lists_packages(folder / name) for name in DEPENDENCIES)


def dependencies(places: Iterable[Path]) -> tuple[str, Optional[Path]]:
    """The first of DEPENDENCIES in the nearest folder that has one, and that folder, or None."""
    for folder in places:
        for name in DEPENDENCIES:
            if _lists_packages(folder / name):
                return name, folder
    return "", None


def _lists_packages(file: Path) -> bool:
    """Whether packages can be installed from it: a pyproject.toml may only configure tools."""
    if not file.is_file():
        return False
    return file.name != "pyproject.toml" or bool(re.search(r"^\[project\]", read(file), re.M))


def read(file: Path) -> str:
    """Return its text, or "" if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def sources(root: Path) -> Iterator[Path]:
    """The project's own Python files; those of a folder come before those of its subfolders."""
    count = 0
    for folder, inner, names in os.walk(root):
        count += 1
        inner[:] = sorted(
            name
            for name in inner
            if not name.startswith(".")
            and name not in _FOREIGN
            and not _is_another(Path(folder, name))
            # manage.py may be in the root folder of a container, next to /proc.
            and not os.path.ismount(Path(folder, name))
        )
        for name in sorted(names):
            if name.endswith(".py") and not name.startswith("test"):
                count += 1
                if count > _MOST:
                    return
                yield Path(folder, name)


def gunicorn_file(path: Path, name: str) -> GunicornFile:
    """The names that a gunicorn configuration file sets. It is parsed, not run."""
    try:
        tree = ast.parse(read(path))
    except (SyntaxError, ValueError) as error:
        note = f"{name} is kept as it is, but is not Python: {' '.join(str(error).split())}."
        return GunicornFile(name, frozenset(), notes=(note,))
    sets: set[str] = set()
    hooks = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    port = None
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            sets.update(alias.asname or alias.name for alias in node.names)
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets += [node.target] if isinstance(node, ast.AnnAssign) else []
        for target in targets:
            if isinstance(target, ast.Name):
                sets.add(target.id)
                value = getattr(node, "value", None)
                if target.id == "bind" and isinstance(value, ast.Constant):
                    port = port_of(str(value.value))
    # A star import may set anything, so assume that it sets these.
    return GunicornFile(
        name,
        frozenset(sets | ({"bind", "workers"} if "*" in sets else set())),
        port,
        tuple(_notes_on_gunicorn(name, sets, hooks)),
    )


def _notes_on_gunicorn(name: str, sets: set[str], hooks: list[str]) -> Iterator[str]:
    for key, reason in keys.GUNICORN.items():
        if key in sets:
            yield f"{name}: remove `{key}`: {reason}."
    if hooks:
        reason = "settings cannot hold functions, so gunicorn still reads this file"
        yield f"{name}: {keys.left_out([f'`{hook}`' for hook in hooks], reason)}"


def port_of(address: str) -> Optional[int]:
    found = re.search(r"(?:^|:)(\d{1,5})$", address)
    return int(found.group(1)) if found and 0 < int(found.group(1)) < 65536 else None


# ---- what runs today ----


def runs(root: Path, places: Iterable[Path], notes: list[str]) -> tuple[Run, ...]:
    """The commands in all known files, in the order of READERS."""
    found: list[Run] = []
    seen: set[Path] = set()
    places = [place for folder in places for place in (folder, *_inner(folder, root))]
    for patterns, reader in READERS:
        for file in (f for folder in places for p in patterns for f in sorted(folder.glob(p))):
            # Skip pipes and devices: reading one might never end.
            if not (file.is_file() or file.is_dir()):
                continue
            if file in seen or _OTHER_PURPOSE.search(file.name.lower()):
                continue
            seen.add(file)
            name = os.path.relpath(file, root)
            try:
                for said in reader(file.read_text(encoding="utf-8")):
                    if isinstance(said, Command):
                        found += _run(name, said, notes)
                    else:
                        notes.append(" ".join(f"{name}{said}".split()))
            except (OSError, Error, ValueError, _Unreadable) as error:
                notes.append(f"{name} may say what runs today, but was not read: {_why(error)}.")
    return tuple(found)


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).rstrip(".")


def _run(file: str, said: Command, notes: list[str]) -> Iterator[Run]:
    """Split a command into words. If that fails, add a note, so that the others are still used."""
    place = f"{file}, {said.name}" if said.name else file
    try:
        split = tuple(words(said.command))
    except ValueError as error:
        notes.append(f"{place} is left out, its command cannot be read: {_why(error)}.")
        return
    if split:
        notes += [f"{place}: {loss}" for loss in said.losses]
        yield Run(file, said.name, split, said.first, said.settings, said.after)


def _inner(folder: Path, root: Path) -> list[Path]:
    """Subfolders that may hold such files, whatever their name: `docker`, `deploy`, `contrib`."""
    with suppress(OSError):
        return sorted(
            inner
            for inner in folder.iterdir()
            if not inner.name.startswith(".")
            and inner.name not in _FOREIGN
            and (inner == root or not _is_another(inner))
            and inner.is_dir()
        )
    return []


def _is_another(folder: Path) -> bool:
    """Whether it is another project, a virtual environment, or not readable by this user."""
    try:
        return any((folder / name).exists() for name in ("manage.py", ".git", "pyvenv.cfg"))
    except OSError:
        return True


class _Unreadable(Exception):
    pass


class Command(NamedTuple):
    """A command as text or as words, and what else its file says about it; see Run."""

    name: str
    command: Any
    first: bool = False
    settings: Mapping[str, Any] = {}
    after: tuple[str, ...] = ()
    # Sentences on what cannot be converted.
    losses: Sequence[str] = ()


# A reader also yields notes; each is appended to the name of the file.
_Said = Union[Command, str]


def words(command: Any) -> list[str]:
    """Split a command into words; shell operators such as `&&` become separate words."""
    if isinstance(command, (list, tuple)):
        return [str(word) for word in command]
    lexer = shlex.shlex(str(command).replace("\\\n", " "), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


def procfile(text: str) -> Iterator[_Said]:
    """https://devcenter.heroku.com/articles/procfile: a name, a colon, a command."""
    for line in text.splitlines():
        name, colon, command = line.partition(":")
        if not colon or not command.strip() or line.lstrip().startswith("#"):
            continue
        if PROCESS_NAME.fullmatch(name):
            yield Command(name, command.strip(), name == "release")
        else:
            yield f": {name!r} is left out, it is not the name of a process. {NAMES_HINT}"


def _supervisord(text: str) -> Iterator[_Said]:
    """http://supervisord.org/configuration.html"""
    headings = re.findall(r"^\[(program:[^\]]+)\]", text, re.MULTILINE)
    for name in sorted({name for name in headings if headings.count(name) > 1}):
        yield f" has [{name}] several times: the last of each key counts, as for supervisord."
    for name, section in _sections(text, inline_comments=(";",), repeating=False):
        kind, _, program = name.partition(":")
        if kind == "program":
            yield from _program(program.strip(), section)
        elif name == "supervisord":
            for key in keys.SUPERVISORD_SHARED.keys() & section.keys():
                loss = keys.left_out([f"`{key}`"], keys.SUPERVISORD_SHARED[key])
                yield f", [supervisord]: {loss}"
        for start, reason in keys.SUPERVISORD_SECTIONS.items():
            if name.startswith(start):
                yield f": {keys.left_out([f'[{name}]'], reason)}"


def _program(name: str, section: dict[str, str]) -> Iterator[_Said]:
    if not section.get("command"):
        yield f", {name} is left out: it has no command."
        return
    # The program's name is known now; the process number, %(process_num)d, is not.
    given = {key: value.replace("%(program_name)s", name) for key, value in section.items()}
    settings, losses = keys.carried(given, keys.SUPERVISORD)
    first = keys.ends_by_itself(section)
    # A literal `%` is written as `%%`.
    command = given["command"].replace("%%", "%")
    yield Command(name, command, first, settings, losses=losses)


def _uwsgi(text: str) -> Iterator[_Said]:
    """https://uwsgi-docs.readthedocs.io/en/latest/Options.html"""
    for name, section in _sections(text):
        if name != "uwsgi":
            continue
        options = [_uwsgi_option(key, value) for key, value in section.items()]
        yield Command("web", ["uwsgi", *filter(None, options)])
        for key, value in section.items():
            for command in value.split("\n"):
                if "attach-daemon" in key or key == "legion-attach-daemon":
                    yield Command("", re.sub(r"^cmd=|,.*$", "", command) if "2" in key else command)
                elif key.startswith(("hook-", "exec-")) and "pre" in key:
                    yield Command("", re.sub(r"^exec:", "", command), True)


def _uwsgi_option(key: str, value: str) -> str:
    if key in ("if-env", "endif") or key.startswith(("attach-daemon", "hook-", "exec-", "legion-")):
        return ""  # Conditions, or yielded as separate commands.
    if "\n" in value or value.lower() in ("false", "off", "no"):
        return ""
    return f"--{key}" if value.lower() in ("", "true", "on", "yes") else f"--{key}={value}"


def _systemd(text: str) -> Iterator[_Said]:
    """systemd.service(5)"""
    for name, section in _sections(text.replace("\\\n", " ")):
        if name == "Service":
            for key, first in (("execstartpre", True), ("execstart", False)):
                for command in section.get(key, "").split("\n"):
                    # Special prefixes, about failures and privileges.
                    yield Command("", command.lstrip("@-:+!"), first)


def _sections(
    text: str, inline_comments: tuple[str, ...] = (), repeating: bool = True
) -> Iterator[tuple[str, dict[str, str]]]:
    """The sections of an INI file; if `repeating`, the values of a repeated key become lines."""
    parser = ConfigParser(
        dict_type=_Repeating if repeating else dict,
        interpolation=None,
        strict=False,
        allow_no_value=True,
        inline_comment_prefixes=inline_comments,
        default_section="",
    )
    parser.read_string(text)
    for name in parser.sections():
        yield name, {key: value or "" for key, value in parser.items(name)}


class _Repeating(dict):  # type: ignore[type-arg]
    """ConfigParser's `dict_type`: collects all lines of a repeated key in a list."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, list) and isinstance(self.get(key), list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def _compose(text: str) -> Iterator[_Said]:
    """https://docs.docker.com/reference/compose-file/services/"""
    try:
        yaml: Any = import_module("yaml")
    except ImportError:
        raise _Unreadable("PyYAML is not installed here, run: pip install PyYAML") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _Unreadable(str(error)) from None
    services = content.get("services") if isinstance(content, dict) else None
    if not isinstance(services, dict):
        raise _Unreadable("it has no `services`")
    services = {str(name): service for name, service in services.items()}
    own = {name for name, service in services.items() if _is_the_projects(service)}
    awaited = {
        other
        for name in own
        for other, condition in _dependencies(services[name]).items()
        if condition == "service_completed_successfully"
    }
    for name, service in services.items():
        if name in own:
            yield from _service(name, service, own, name in awaited)
        elif isinstance(service, dict):
            image = service.get("image", "an image of its own")
            yield f", {name} is not converted: {image} is not the project's, so keep it elsewhere."
        else:
            yield f", {name} is left out: it is not a mapping."


def _is_the_projects(service: Any) -> bool:
    """Whether it runs project code: one with only an image is a database, a proxy and the like."""
    if not isinstance(service, dict):
        return False
    started = (service.get("entrypoint"), service.get("command"))
    return "build" in service or "image" not in service or _is_ours(started)


def _service(name: str, service: dict[str, Any], own: set[str], first: bool) -> Iterator[_Said]:
    command, entrypoint = service.get("command"), service.get("entrypoint")
    settings, losses = keys.carried(service, keys.COMPOSE)
    losses += keys.deploy_losses(service.get("deploy"))
    if _is_ours(entrypoint):
        command = " ".join(filter(None, map(_as_text, (entrypoint, command))))
    elif entrypoint:
        losses.append(keys.left_out(["`entrypoint`"], "look into what it does first"))
    if not command:
        yield f", {name} is left out: it has no command of its own, only that of its image."
        return
    others = [other for other in _dependencies(service) if other not in own]
    if others:
        names = [f"`depends_on` {other}" for other in others]
        losses.append(keys.left_out(names, "it is not a process of the project"))
    after = tuple(other for other in _dependencies(service) if other in own)
    yield Command(name, command, first, settings, after, losses)


def _as_text(command: Any) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command or "")


def _dependencies(service: dict[str, Any]) -> dict[str, str]:
    """The names in `depends_on`, and the condition of each."""
    given = service.get("depends_on")
    if isinstance(given, list):
        return {str(name): "service_started" for name in given}
    if not isinstance(given, dict):
        return {}
    return {
        str(name): str(how.get("condition", "")) if isinstance(how, dict) else ""
        for name, how in given.items()
    }


def _is_ours(command: Any) -> bool:
    return bool(re.search(r"manage\.py|django_prodserver|celery|[wa]sgi", str(command)))


def _dockerfile(text: str) -> Iterator[_Said]:
    """https://docs.docker.com/reference/dockerfile/#cmd: the last one counts."""
    found = re.findall(r"^CMD\s+(.*(?:\\\n.*)*)$", text, re.MULTILINE | re.IGNORECASE)
    if found:
        command = found[-1].strip()
        yield Command("", json.loads(command) if command.startswith("[") else command)


# File name patterns of each format, and their reader. Earlier formats take precedence.
READERS: tuple[tuple[tuple[str, ...], Callable[[str], Iterator[_Said]]], ...] = (
    (("Procfile",), procfile),
    (("supervisor*.conf",), _supervisord),
    (("*uwsgi*.ini",), _uwsgi),
    (("*.service",), _systemd),
    (("*compose*prod*.y*ml", "compose*.y*ml", "docker-compose*.y*ml"), _compose),
    (("Dockerfile",), _dockerfile),
)
