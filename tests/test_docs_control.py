"""The pages about the control socket and prodctl say what the code says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from django_prodserver.control import events
from django_prodserver.control.changes import REMEMBERED, Changes, Progress, Target
from django_prodserver.control.documents import API
from django_prodserver.control.events import RecentEvents
from django_prodserver.control.requests import MOST_INSTANCES, VERBS, Accepted, understand
from django_prodserver.control.routes import CHANGE, READ, WRITE
from django_prodserver.control.startup import MOST_MODULES, Imported
from django_prodserver.logs.recent import KEPT
from django_prodserver.posix.control.clients import CLIENT_TIMEOUT, MOST_CLIENTS
from django_prodserver.posix.control.connection import LONGEST
from django_prodserver.posix.control.place import BACKLOG, folders, name_of
from django_prodserver.posix.control.server import LONGEST_WAIT, MOST_FOLLOWERS
from django_prodserver.prodctl.main import INTERRUPTED
from django_prodserver.prodctl.parser import STATUSES, parser
from django_prodserver.prodctl.table import COLUMNS
from django_prodserver.supervisor.events import Exited, ExitStatus, GroupGone, Spawned
from django_prodserver.supervisor.facts import Phase
from django_prodserver.supervisor.record import INFO, Record
from django_prodserver.supervisor.spec import CheckSchedule, Ref, RestartPolicy, Spec
from tests.control.test_documents import WEB, document, running
from tests.control.test_startup import MIGRATE, Site
from tests.test_docs import SOURCE, code, read, table, tables

PAGE = "reference/control.md"


def test_every_endpoint_is_documented() -> None:
    documented = {(code(path)[0], method) for method, path, _ in table(PAGE, "method", "path")}

    assert documented == {
        *((path, "GET") for path in READ),
        (f"{CHANGE}ID", "GET"),
        *((path, "POST") for path in WRITE),
    }


def test_every_verb_has_the_body_that_is_documented() -> None:
    shown = {code(verb)[0]: json.loads(code(body)[0]) for verb, body, _ in table(PAGE, "verb")}

    assert {verb: {*body} for verb, body in shown.items()} == {
        verb: {*keys} for verb, (keys, _) in VERBS.items()
    }
    group = running()
    for verb, body in shown.items():
        of_web = {**body, **({"names": ["web"]} if "names" in body else {})}
        assert isinstance(understand(verb, of_web, group.snapshot(9.0), {}), Accepted)


def test_every_error_is_documented_with_its_status() -> None:
    sources = [*(SOURCE / "control").glob("*.py"), *(SOURCE / "posix" / "control").glob("*.py")]
    used = {
        found
        for source in sources
        for found in re.findall(r'Refused\(\s*(\d+|status), "(\w+)"', source.read_text())
    }

    documented = [(status, code(word)[0]) for word, status, _ in table(PAGE, "code", "HTTP status")]

    # h11 proposes the status for input that is not HTTP.
    assert sorted(documented) == sorted(used - {("status", "bad_request")})


def keys_of(rows: list[list[str]]) -> dict[str, str]:
    return {code(key)[0]: kind for key, kind, _ in rows[1:]}


def documented_rows(heading: str) -> list[list[str]]:
    """The rows of the first table of keys below this heading, whatever its level."""
    (text,) = re.findall(rf"^##+ {heading}$(.*?)(?=^##|\Z)", read(PAGE), re.MULTILINE | re.DOTALL)
    return next(rows for rows in tables(text) if rows[0][0] == "key")


def documented_keys(heading: str) -> dict[str, str]:
    """The keys and their types."""
    return keys_of(documented_rows(heading))


def documented_meaning(heading: str) -> dict[str, str]:
    return {code(key)[0]: meaning for key, _, meaning in documented_rows(heading)[1:]}


def real_documents() -> Iterator[dict[str, Any]]:
    """Status documents: running with a check, failed, and just restarted."""
    yield document(running(check=CheckSchedule()), 10.0)
    group = running(restart=RestartPolicy.ON_FAILURE, backoff_initial=4.0)
    group.take(10.0, Exited(WEB, ExitStatus(code=3)))
    group.take(10.0, GroupGone(WEB))
    yield document(group, 11.0)
    group.tick(14.0)
    group.take(14.0, Spawned(Ref("web.1", 0, 2)))
    yield document(group, 14.5)


TYPES = {bool: "bool", int: "integer", float: "number", str: "text", list: "list", dict: "object"}


def assert_documented(heading: str, part: dict[str, Any]) -> None:
    documented = documented_keys(heading)
    assert [*documented] == [*part], heading
    for key, value in part.items():
        kind = documented[key]
        if value is None:
            assert "null" in kind, key
        elif kind.startswith("`"):
            assert value in code(kind), key
        elif not ("moment" in kind or "states.md" in kind):
            assert kind.startswith(TYPES[type(value)]), key


@pytest.mark.parametrize("found", [*real_documents()], ids=["runs", "failed", "starts"])
def test_every_key_of_a_status_is_documented_with_its_type(found: dict[str, Any]) -> None:
    process = found["processes"][0]
    instance = process["instances"][0]
    parts = {
        "The status document": found,
        "A process": process,
        "An instance": instance,
        "The check": instance["check"],
        "The last exit": instance["last_exit"],
    }

    for heading, part in parts.items():
        if part is not None:
            assert_documented(heading, part)


def test_all_phases_are_documented() -> None:
    kind = documented_keys("The status document")["phase"]

    assert code(kind) == [phase.name.lower() for phase in Phase]
    assert f"The version of the protocol is {API}, " in read(PAGE)


def real_analyses() -> Iterator[dict[str, Any]]:
    """Analyses of an instance that waits, and of one that has become ready."""
    site = Site(MIGRATE, Spec("web.1", after=frozenset({"migrate.1"}), notifies=True))
    yield site.document
    site.finish(104.5, "migrate.1", 106.0)
    site.load(("migrate",), 106.5, 108.0, Imported("app", 1.0, 1.5))
    site.ready(108.5, "web.1", 109.0)
    yield site.document


@pytest.mark.parametrize("found", [*real_analyses()], ids=["waits", "ready"])
def test_every_key_of_an_analysis_is_documented_with_its_type(found: dict[str, Any]) -> None:
    instance = found["instances"][-1]
    parts = {
        "The analysis of the start": found,
        "The critical chain": next(iter(found["chain"]), None),
        "A preload": found["preloads"][-1],
        "An instance of the analysis": instance,
        "A start": instance["first"],
    }

    for heading, part in parts.items():
        if part is not None:
            assert_documented(heading, part)
    for module in found["preloads"][-1]["slowest"]:
        meaning = documented_meaning("A preload")["slowest"]
        assert {*module} <= {*code(meaning)}
        assert f"at most {2 * MOST_MODULES} modules: the {MOST_MODULES} " in meaning


def test_the_keys_and_states_of_a_change_are_documented() -> None:
    group = running()
    change = Changes().begin("restart", ("web",), {"web.1": Target.REPLACED}, group.snapshot(9.0))

    documented = documented_keys("Changes")

    assert [*documented] == [*change.document()]
    assert code(documented["state"]) == [progress.name.lower() for progress in Progress]


def test_the_limits_are_documented() -> None:
    assert [limit for _, limit in table(PAGE, "what", "limit")] == [
        f"{MOST_CLIENTS}",
        f"{MOST_FOLLOWERS}",
        f"{BACKLOG}",
        f"{LONGEST} bytes",
        f"{CLIENT_TIMEOUT:g} s",
        f"{LONGEST_WAIT:g} s",
        f"{MOST_INSTANCES}",
        f"{REMEMBERED}",
        f"{KEPT} bytes",
        f"{events.MOST}",
        f"{events.KEPT} bytes",
    ]


def test_the_keys_of_an_event_are_documented() -> None:
    happened = RecentEvents(lambda: 0.0)
    happened.add(Record("instance.ready", INFO, "web.1 ready", {"instance": "web.1", "pid": 12}))
    (event,) = happened.read().take()[1]

    documented = documented_keys("Events")

    assert [*documented] == [*event.document("run", "time"), "lost"]


def test_the_folders_and_the_name_of_the_control_socket_are_documented() -> None:
    page = read(PAGE)
    shown = re.findall(r"^\d\. `(.*?)`", page, re.MULTILINE)

    assert [one.replace("UID", "7").replace("$XDG_RUNTIME_DIR", "/run/mine") for one in shown] == (
        folders({"XDG_RUNTIME_DIR": "/run/mine"}, 7)
    )
    assert f"`{name_of('/srv/mysite')}` for `/srv/mysite`" in page


# ---- prodctl ----


def test_the_exit_statuses_of_prodctl_are_documented() -> None:
    listed = re.findall(r"^  (\d+) ", STATUSES, re.MULTILINE)

    documented = [status for status, _ in table("reference/prodctl.md", "exit status")]

    assert documented == [*listed, str(INTERRUPTED)]


def test_every_column_of_the_status_table_is_explained() -> None:
    explained = [name for cell, _ in table("operate/control.md", "column") for name in code(cell)]

    assert sorted(explained) == sorted(COLUMNS)


def test_the_prodctl_commands_in_the_how_to_have_valid_arguments() -> None:
    page = read("operate/control.md")
    commands = re.findall(r"^\$ prodctl(.*?)(?: \|.*)?$", page, re.MULTILINE)

    for words in commands:
        parser("prodctl").parse_args(words.split())

    assert len(commands) > 20
