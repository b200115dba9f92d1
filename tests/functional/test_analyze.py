"""How long a real project takes to start, and what `prodctl analyze` says about it."""

from __future__ import annotations

import json
import re
from signal import SIGTERM
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.operating import Done, prodctl, socket_of

# On a busy machine, this many other modules may be as slow as one that sleeps.
OTHERS = 4
# The module that sleeps, and one that imports it.
SLEEPS = 0.3
FILES = {"slow.py": f"import time\ntime.sleep({SLEEPS})\n", "outer.py": "import slow\n"}
MIGRATE = code("pass", TYPE="oneshot")


def started(start: Runs, processes: dict[str, Any], count: int) -> Run:
    """Start these in a project that is slow to import, and wait until all are ready."""
    run = start(processes, supervisor={"PRELOAD": ["outer"]}, files=FILES)
    run.wait_for("system", f"all {count} (ready|running)")
    return run


def modules(analysis: Any, preload: str) -> dict[str, Any]:
    (found,) = [one for one in analysis["preloads"] if one["name"] == preload]
    return {one["module"]: one for one in found["slowest"]}


def links(analysis: Any) -> list[str]:
    return [link["name"] or link["kind"] for link in analysis["chain"]]


def test_the_slowest_module_of_a_preload_is_named(start: Runs) -> None:
    run = started(start, {"web": FOREVER}, 1)

    analysis = socket_of(start).get("/v1/analyze").document

    found = modules(analysis, "preload")
    assert "slow" in [*found][: OTHERS + 1]
    assert found["slow"]["own"] == found["slow"]["seconds"] >= SLEEPS
    assert found["outer"]["own"] < SLEEPS <= found["outer"]["seconds"]
    (preload,) = analysis["preloads"]
    assert preload["done"] - preload["began"] >= preload["importing"] >= SLEEPS
    assert links(analysis) == ["web.1", "preload", "program"]
    assert 0 < preload["began"] < preload["done"] < analysis["ready"]
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_after_a_oneshot_has_waited_for_the_oneshot(start: Runs, method: str) -> None:
    processes = {
        "migrate": MIGRATE,
        "web": {**FOREVER, "AFTER": ["migrate"], "START_METHOD": method},
        "early": FOREVER,
    }
    run = started(start, processes, 3)

    analysis = socket_of(start).get("/v1/analyze").document

    instances = {one["name"]: one for one in analysis["instances"]}
    web, migrate = instances["web.1"]["first"], instances["migrate.1"]["first"]
    assert instances["web.1"]["after"] == ["migrate"]
    assert instances["web.1"]["waited_for"][0] == "migrate.1"
    assert web["waiting"] <= migrate["started"] <= migrate["ready"] <= web["asked"]
    assert web["asked"] <= web["started"] <= web["ready"] <= analysis["ready"]
    stages = {one["name"] for one in analysis["preloads"]}
    assert stages == {"preload for oneshots", "preload", "preload after migrate"}
    assert "slow" in modules(analysis, "preload")
    assert run.end(SIGTERM) == 0


def rows(done: Done) -> dict[str, list[str]]:
    """The table of the instances: the words of each row, by the first one."""
    (table,) = [part for part in done.stdout.split("\n\n") if part.startswith("INSTANCE")]
    return {line.split()[0]: line.split()[1:] for line in table.splitlines()[1:]}


def test_analyze_prints_the_total_the_chain_and_the_slowest_modules(start: Runs) -> None:
    run = started(start, {"migrate": MIGRATE, "web": {**FOREVER, "AFTER": ["migrate"]}}, 2)

    shown = prodctl(start, "analyze")

    assert (shown.status, shown.stderr) == (0, "")
    total, chain, _, slowest, whole = shown.stdout.split("\n\n")
    number = r"\d+\.\d\d s"
    assert re.fullmatch(
        rf"started in {number}: {number} Python, Django and the settings \+ "
        rf"{number} preload for oneshots \+ {number} until all were ready",
        total,
    )
    parts = [re.sub(r" *[@+][\d.]+s", "", line).strip(" └─") for line in chain.splitlines()[1:]]
    assert parts == [
        "all ready",
        "web.1",
        "preload after migrate",
        "migrate.1",
        "preload for oneshots",
        "Python, Django and the settings",
    ]
    assert rows(shown)["web.1"][-4:] == ["migrate.1,", "preload", "after", "migrate"]
    table = [line.split() for line in slowest.splitlines()[2:]]
    assert len(table) == 20
    assert "slow" in [name for *_, name in table[: OTHERS + 1]]
    assert sorted(table, key=lambda row: -float(row[0])) == table
    table = [line.split() for line in whole.splitlines()[2:]]
    assert len(table) == 10
    assert sorted(table, key=lambda row: -float(row[2])) == table
    assert run.end(SIGTERM) == 0


def test_analyze_json_prints_the_document_of_the_socket(start: Runs) -> None:
    run = started(start, {"web": FOREVER}, 1)

    printed = json.loads(prodctl(start, "analyze", "--json").stdout)

    answered = socket_of(start).get("/v1/analyze").document
    assert {**printed, "began_at": ""} == {**answered, "began_at": ""}
    assert run.end(SIGTERM) == 0


def test_the_svg_chart_labels_instances_preloads_and_modules(start: Runs) -> None:
    run = started(start, {"web": FOREVER, "worker": FOREVER}, 2)

    shown = prodctl(start, "analyze", "--svg")

    root = ElementTree.fromstring(shown.stdout)
    space = "{http://www.w3.org/2000/svg}"
    labels = {text.text for text in root.iter(f"{space}text")}
    assert {"web.1", "worker.1", "preload", "slow"} <= labels
    hints = [hint.text for hint in root.iter(f"{space}title")]
    assert any(re.fullmatch(r"slow: 0\.[3-9]\d\d s|slow: [1-9].*", hint or "") for hint in hints)
    assert run.end(SIGTERM) == 0


def test_analyze_lists_the_processes_that_are_not_ready_yet(start: Runs) -> None:
    waits = {"web": code("say('there')\nforever()", "NotifyingCode")}
    run = start({**waits, "other": {**FOREVER, "AFTER": ["web"]}})
    run.wait_for("web.1", "there")

    shown = prodctl(start, "analyze")

    assert shown.status == 3
    assert shown.stdout.startswith("not everything is ready yet: ")
    assert "\nweb.1 is STARTING: not ready\nother.1 is WAITING: waits for web\n" in shown.stdout
    assert rows(shown)["web.1"] == ["-", "-", "-"]
    assert rows(shown)["other.1"] == ["-", "-", "-", "web"]
    assert run.end(SIGTERM) == 0


def test_a_restart_is_shown_below_the_first_start(start: Runs) -> None:
    run = started(start, {"web": FOREVER}, 1)
    before = rows(prodctl(start, "analyze"))
    assert prodctl(start, "restart", "web").status == 0

    shown = prodctl(start, "analyze")

    assert rows(shown)["web.1"] == before["web.1"]
    assert rows(shown)["last"][0] == "start"
    assert run.end(SIGTERM) == 0


@pytest.mark.template
def test_after_a_reload_analyze_describes_the_reload(start: Runs) -> None:
    run = started(start, {"web": FOREVER, "worker": FOREVER}, 2)
    assert prodctl(start, "reload").status == 0

    analysis = socket_of(start).get("/v1/analyze").document

    assert analysis["generation"] == 1
    assert modules(analysis, "preload")["slow"]["own"] >= SLEEPS
    assert links(analysis) == ["worker.1", "web.1", "preload", "program"]
    assert 0 < analysis["preloads"][0]["began"] < analysis["ready"]
    assert prodctl(start, "analyze").stdout.startswith("reloaded (generation 1) in ")
    assert run.end(SIGTERM) == 0


def test_without_a_supervisor_analyze_exits_with_4(start: Runs) -> None:
    assert prodctl(start, "analyze").status == 4
