"""The blocks of the docs: commands are run in a project, and files belong to one.

A comment above a block of commands says where it runs, and what happens meanwhile:

    <!-- run: tutorial -->
    <!-- run: tutorial; kill janitor.1 -->
    <!-- not run: needs a PostgreSQL that starts later -->

A comment above a file, or a part of one, names its project:

    <!-- file: mysite/tasks.py in add-celery -->
    <!-- not a file: there is no wheel at example.org -->
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.running import ROOT

PAGES = (
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
)

# Programs that cannot run in a test, on any page.
NOT_HERE = {
    "docker": "there is no Docker daemon",
    "docker-compose": "there is no Docker daemon",
    "podman": "there is no container runtime",
    "kubectl": "there is no cluster",
    "heroku": "there is no account",
    "sudo": "it changes the machine",
    "systemctl": "systemd does not run here",
    "journalctl": "systemd does not run here",
    "make": "targets of the repository, run by CI",
    "git": "it needs the network",
    "pip": "it needs the network; CI installs the wheel",
    "npm": "it needs the network",
    "apt-get": "it changes the machine",
    "brew": "it changes the machine",
    "ps": "its columns and processes depend on the machine",
    "py-spy": "it is not installed here",
    "kill": "it needs a pid from an earlier command",
}

_BLOCK = re.compile(r"^(?P<indent> *)```console\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_MARK = re.compile(r"<!-- (?P<verb>run|not run): (?P<what>[^\n]+?) -->\s*\Z")
_VARIABLES = re.compile(r"(?:[A-Z_]+=\S* )+")


@dataclass(frozen=True)
class Step:
    """A command, and the output that the page shows below it."""

    command: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """The steps of one block. `project` is where they run; "" if they do not, for this `reason`."""

    page: str
    line: int
    steps: tuple[Step, ...]
    project: str = ""
    action: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        return f"{Path(self.page).stem}-{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        yield from blocks_of(page)


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        above = text[: found.start()]
        mark = _MARK.search(above)
        place = page.relative_to(ROOT).as_posix(), above.count("\n") + 1
        lines = [line[len(found["indent"]) :] for line in found["text"].splitlines()]
        block = Block(*place, tuple(_steps(lines)))
        if mark is None:
            yield Block(*place, block.steps, reason=_why_not(block))
        elif mark["verb"] == "run":
            project, _, action = mark["what"].partition("; ")
            yield Block(*place, block.steps, project, action)
        else:
            yield Block(*place, block.steps, reason=mark["what"])


def _steps(lines: list[str]) -> Iterator[Step]:
    """Output above the first command belongs to a command of an earlier block."""
    command, shown = "", list[str]()
    for line in lines:
        if line.startswith("$ "):
            if command or shown:
                yield Step(command, tuple(shown))
            command, shown = line[2:], []
        elif command.endswith("\\"):
            command = f"{command[:-1]}{line.strip()}"
        else:
            shown.append(line)
    yield Step(command, tuple(shown))


def _why_not(block: Block) -> str:
    """The reasons for all programs of a block, or "" if one of them could run."""
    reasons = [NOT_HERE.get(program(step.command), "") for step in block.steps]
    return "; ".join(dict.fromkeys(reasons)) if all(reasons) else ""


def program(command: str) -> str:
    words = _VARIABLES.sub("", command).split()
    if words[:2] == ["python", "-m"]:
        return words[2]
    return words[0] if words else ""


# ---- files ----

# A path in the sentences above a block, except manage.py, which Django writes; or a comment in the
# first line of the block.
_ENDINGS = "py|toml|json|ya?ml|ini|cfg|conf|service|txt"
_PATH = rf"[\w./-]+\.(?:{_ENDINGS})|[\w./-]*(?:Dockerfile|Procfile|Caddyfile)"
_NAMED_ABOVE = re.compile(rf"`(?!manage\.py`)(?:{_PATH})`")
_NAMED_INSIDE = re.compile(rf"\A# (?:{_PATH})(?:,.*)?\n")
_FENCED = re.compile(r"^(?P<indent> *)```(?P<kind>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_FILE_MARK = re.compile(r"<!-- (?P<verb>file|not a file): (?P<what>[^\n]+?) -->\s*\Z")


@dataclass(frozen=True)
class File:
    """A block that may show a file. `name` and `project` are "" if it does not, or has no mark."""

    page: str
    line: int
    text: str
    name: str = ""
    project: str = ""
    reason: str = ""

    @property
    def id(self) -> str:
        return f"{Path(self.page).stem}-{self.line}"

    @property
    def parts(self) -> list[str]:
        """What the file must contain, in order; a comment with `...` stands for any lines."""
        return [
            part for part in re.split(r"^ *# \.\.\..*\n", self.text, flags=re.M) if part.strip()
        ]


def files() -> Iterator[File]:
    """Every block that is marked as a file, or has a file name."""
    for page in PAGES:
        yield from files_of(page)


def files_of(page: Path) -> Iterator[File]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCED.finditer(text):
        above = text[: found.start()]
        mark = _FILE_MARK.search(above)
        inside = textwrap.dedent(found["text"])
        file = File(
            page.relative_to(ROOT).as_posix(),
            above.count("\n") + 1,
            _NAMED_INSIDE.sub("", inside),
        )
        if mark is not None and mark["verb"] == "file":
            name, _, project = mark["what"].partition(" in ")
            yield replace(file, name=name, project=project)
        elif mark is not None:
            yield replace(file, reason=mark["what"])
        elif found["kind"] != "console" and (
            _NAMED_ABOVE.search(_paragraph(above)) or _NAMED_INSIDE.search(inside)
        ):
            yield file


def _paragraph(above: str) -> str:
    """The sentences directly above a block; "" for a table or a heading."""
    last = above.rstrip().rpartition("\n\n")[2].lstrip()
    return "" if last.startswith(("|", "#", "```")) else last


# ---- what differs from run to run ----

_DIFFERS = (
    # A row of `prodctl status`: pid, uptime, CPU and memory, and the width of the columns.
    (r"^(\S+) +([A-Z]+) +- +- +(\d+) +- +-", r"\1 \2 - \3"),
    (r"^(\S+) +([A-Z]+) +\d+ +\d[\ds mhd]*[smhd] +(\d+) +(?:\S+%|-) +\S+", r"\1 \2 PID \3"),
    (r"^NAME +STATE +PID .*", "NAME STATE PID"),
    (r"^\^C", ""),
    (r"^\d\d:\d\d:\d\d ", ""),
    (r"^([\w.-]+) +\|", r"\1 |"),
    (r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\]|\[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d\]", "[TIME]"),
    (r"\bpid[=:]? ?\d+|\[\d+\]|\(\d+\)", "PID"),
    (r"\b(python|django|gunicorn|celery|django-prodserver|Django) v?\d+(\.\w+)+", r"\1 VERSION"),
    (r"\b\d+(\.\d+)? s\b|\bin \d+\.\d+s\b", "N s"),
    (r":\d{4,5}\b", ":PORT"),
    (r"\b\d+ (static files|unmodified)", r"N \1"),
    (r'" 200 \d+', '" 200 SIZE'),
    (r", \d+ MB\)", ", N MB)"),
    # mypy with Python 3.9.
    (r"Optional\[(\w+)\]", r"\1 | None"),
)


def same_each_time(line: str, folder: str = "") -> str:
    if folder:
        line = line.replace(folder, "/srv/mysite")
    for pattern, instead in _DIFFERS:
        line = re.sub(pattern, instead, line)
    return line.rstrip()


def missing(shown: tuple[str, ...], written: list[str], folder: str) -> list[str]:
    """The lines that a page shows and a run has not written, in the order of each process.

    Lines of several processes interleave differently each time, and `...` stands for any lines. The
    address to click appears only at a terminal. A line that each of several workers writes is
    required once: a worker that has just been forked writes nothing when it is stopped.
    """
    left: dict[str, list[str]] = {}
    for line in written:
        line = same_each_time(line, folder)
        left.setdefault(_writer(line), []).append(line)
    absent = []
    before: dict[str, str] = {}
    for line in map(same_each_time, shown):
        if line in ("...", "") or re.match(r"system \| \S+ https?://", line):
            continue
        lines = left.get(_writer(line), [])
        again = before.get(_writer(line)) == line
        before[_writer(line)] = line
        if line not in lines:
            if not again:
                absent.append(line)
        elif _writer(line) == "system":
            lines.remove(line)  # Its lines are about all processes, so they interleave, too.
        else:
            del lines[: lines.index(line) + 1]
    return absent


def _writer(line: str) -> str:
    name, bar, _ = line.partition(" |")
    return name if bar and " " not in name else ""
