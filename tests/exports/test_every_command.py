"""Every command in the exports of a project starts the processes that it names, and stops."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from django_prodserver.exports.formats import FORMATS
from tests.backends.test_stopped_twice import settings
from tests.exports.projects import CHAIN, CHAT
from tests.inside import free_ports
from tests.peers import systemd
from tests.running import QUICKSTART, ROOT, Run, Site, skip_without

EXPORT = str(Path(__file__).with_name("export_everything.py"))
# As a list of YAML or TOML, as a shell line, or in a unit.
COMMAND = re.compile(
    r"^[^#\n]*(?:-m,? django_prodserver|manage\.py prodserver),? ([^\]\"'\n]+)", re.M
)


class Project(NamedTuple):
    folder: Path
    module: str
    env: Mapping[str, str]
    oneshots: Sequence[str] = ()
    # Alone, these execute another program, which does not notify systemd and dies of its signal.
    shells: Sequence[str] = ()
    # The stop signals that are not SIGTERM.
    signals: Mapping[str, Signals] = MappingProxyType({})


def on_ports(processes: Mapping[str, Any]) -> dict[str, Any]:
    """Use free local ports, and drop what needs root or a whole machine."""
    text = json.dumps(processes).replace("0.0.0.0", "127.0.0.1").replace("[::1]", "127.0.0.1")
    for number, port in zip((8000, 8001, 8002), free_ports(3)):
        text = text.replace(str(number), str(port)).replace(f'"{port}"', str(port))
    text = text.replace('"/health"', '"/healthy"')
    found: dict[str, Any] = json.loads(text)
    for entry in found.values():
        entry.pop("USER", None)
    return found


def chat(site: Site, redis: str) -> Project:
    skip_without("daphne")
    skip_without("uvicorn")
    return Project(
        site.project, "settings", site.configure(on_ports(CHAT)), signals={"static": SIGINT}
    )


def chain(site: Site, redis: str) -> Project:
    env = site.configure(on_ports(CHAIN))
    return Project(site.project, "settings", env, ["migrate", "collect"], ["queue"])


def queues(site: Site, redis: str) -> Project:
    skip_without("django_rq")
    skip_without("huey")
    own = settings(
        *("django_rq", "huey.contrib.djhuey"),
        RQ_QUEUES={"default": {"URL": redis}},
        HUEY={"huey_class": "huey.RedisHuey", "url": redis, "immediate": False},
    )
    web = f"unix:{site.project}/web.sock"
    processes = {
        "web": {"BACKEND": "gunicorn", "ARGS": {"bind": web}},
        "rq": {"BACKEND": "rq", "ARGS": ["default"], "REPLICAS": 3},
        "Huey_1": {"BACKEND": "huey", "RESTART": "always"},
        "echo": {"BACKEND": "shell", "ARGS": "exec sleep 1000", "STOP_SIGNAL": "SIGINT"},
    }
    env = site.configure(processes, own["supervisor"])
    return Project(
        *(site.project, "settings", env),
        shells=["echo"],
        signals={"Huey_1": SIGINT, "echo": SIGINT},
    )


def quickstart(site: Site, redis: str) -> Project:
    (port,) = free_ports(1)
    env = {"QUICKSTART_VAR": str(site.project), "QUICKSTART_BIND": f"127.0.0.1:{port}"}
    return Project(QUICKSTART, "quickstart.settings", env, ["migrate"])


def benchmark(site: Site, redis: str) -> Project:
    ports = zip(("GUNICORN", "UVICORN", "WAITRESS"), free_ports(3))
    env = {f"BENCH_{name}_PORT": str(port) for name, port in ports}
    env["BENCH_FOLDER"] = str(site.project)
    # For Celery's messages.
    (site.project / "queue").mkdir()
    folder = ROOT / "benchmarks" / "project"
    return Project(folder, "project.settings_prodserver", env, signals={"waitress": SIGINT})


PROJECTS = {one.__name__: one for one in (chat, chain, queues, quickstart, benchmark)}


# The words of a command after `prodserver`.
Words = tuple[str, ...]


def turn(words: Words) -> str:
    """Commands with the same key run side by side, so that no address is used twice at once."""
    return words[0].partition("=")[2] if words[0] != "--all" else "all"


@pytest.mark.parametrize("name", PROJECTS)
def test_every_exported_command_starts_and_stops(
    name: str, site: Site, redis: str, tmp_path: Path
) -> None:
    project = PROJECTS[name](site, redis)
    environ = {
        **project.env,
        "DJANGO_SETTINGS_MODULE": project.module,
        "PYTHONPATH": str(project.folder),
        "PYTHONWARNINGS": "ignore",
    }

    def run(*words: str, **more: str) -> Run:
        command = [sys.executable, *words]
        return site.command(command, cwd=project.folder, env={**environ, **more})

    exported = run(EXPORT, str(tmp_path / "files"), *FORMATS)
    assert exported.end() == 0, exported.stderr
    texts = [path.read_text() for path in (tmp_path / "files").rglob("*") if path.is_file()]
    commands = (one.strip() for text in texts for one in COMMAND.findall(text))
    # Each file also quotes the `--export` command that made it.
    found = {tuple(re.split(", |[, ]", one)) for one in commands if not one.startswith("--export")}
    listed = run("-m", "django_prodserver", "--list", "--json")
    assert listed.end() == 0
    names = {one["name"] for one in json.loads("".join(listed.raw))}
    named = {word.partition("=")[0] for words in found for word in words}
    assert named >= {"--all", *names}
    assert run("-m", "django", "migrate", "--noinput").end() == 0

    once = {words for words in found if set(words) <= {*project.oneshots}}
    for words in once:
        assert run("-m", "django_prodserver", *words).end() == 0
    for index, (_, side_by_side) in enumerate(groupby(sorted(found - once, key=turn), turn)):
        with ExitStack() as stack:
            runs = []
            for number, words in enumerate(side_by_side):
                folder = tmp_path / f"{index}-{number}"
                folder.mkdir()
                manager = stack.enter_context(systemd(folder))
                # As if each had its own container, dyno or unit.
                own = {"PRODSERVER_CONTROL": str(folder / "control.sock")}
                started = run("-m", "django_prodserver", *words, **manager.environ, **own)
                runs.append((words[0], started, manager))
            for process, _, manager in runs:
                if process not in project.shells:
                    manager.wait_for_ready()
            for process, started, _ in runs:
                number = project.signals.get(process, SIGTERM)
                # Alone, some die of the signal, as they do under their own command.
                assert started.end(number) in (0, -number, 128 + number), started.stderr
