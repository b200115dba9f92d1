"""A real Prometheus scrapes a supervisor, and answers the queries of dashboard and alerts."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.functional.test_metrics import get
from tests.inside import free_port
from tests.running import ROOT
from tests.services import found, running

FILES = ROOT / "examples" / "monitoring"
DASHBOARD = json.loads((FILES / "dashboard.json").read_text())
QUESTIONS = sorted({one["expr"] for panel in DASHBOARD["panels"] for one in panel["targets"]})


class Prometheus:
    """A server that scrapes one supervisor ten times a second."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        self._folder = folder
        for name in ("prometheus.yml", "alerts.yml"):
            text = (FILES / name).read_text()
            text = text.replace("127.0.0.1:9180", f"127.0.0.1:{target}").replace("15s\n", "100ms\n")
            (folder / name).write_text(text)

    @property
    def command(self) -> list[str]:
        return [
            found("prometheus"),
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def api(self, path: str, **query: str) -> Any:
        words = urllib.parse.urlencode(query)
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/api/v1/{path}?{words}"
        ) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]

    def ask(self, question: str) -> list[Any]:
        """The current result of a query, with the dashboard's variables replaced."""
        meant = question.replace("$job", "mysite").replace("$__rate_interval", "1m")
        found = self.api("query", query=meant)["result"]
        assert isinstance(found, list)
        return found


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def prometheus(tmp_path: Path, port: int) -> Iterator[Prometheus]:
    made = Prometheus(tmp_path, port)
    with running(made.command, "Server is ready to receive web requests", SIGKILL):
        yield made


@pytest.mark.parametrize("name", ["config prometheus.yml", "rules alerts.yml"])
def test_promtool_accepts_the_example_files(name: str) -> None:
    kind, file = name.split()
    subprocess.run(
        [found("promtool"), "check", kind, str(FILES / file)], check=True, capture_output=True
    )


def watched(start: Runs, port: int) -> Run:
    check = {"COMMAND": ["true"], "INTERVAL": 0.1}
    writes = code("while True: say('x'); time.sleep(0.1)")
    processes = {"web": {**FOREVER, "REPLICAS": 2, "HEALTHCHECK": check}, "worker": writes}
    run = start(processes, supervisor={"MONITOR": f"127.0.0.1:{port}"})
    run.wait_for("system", "all 3 ")
    return run


def test_promtool_finds_nothing_wrong_with_the_metrics(start: Runs, port: int) -> None:
    run = watched(start, port)
    text = get(port, "/metrics")[1]

    done = subprocess.run(
        [found("promtool"), "check", "metrics"], input=text, capture_output=True, encoding="utf-8"
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert run.end(SIGTERM) == 0


def test_each_query_of_the_dashboard_returns_a_result(
    start: Runs, prometheus: Prometheus, port: int
) -> None:
    run = watched(start, port)
    for question in QUESTIONS:
        while not prometheus.ask(question):
            """It has not scraped often enough yet."""

    (ready,) = prometheus.ask('prodserver_process_ready_replicas{process="web"}')
    assert ready["value"][1] == "2"
    assert prometheus.ask('up{job="mysite"}')[0]["value"][1] == "1"
    assert run.end(SIGTERM) == 0


def test_each_alert_uses_only_existing_metrics(
    start: Runs, prometheus: Prometheus, port: int
) -> None:
    run = watched(start, port)
    while not prometheus.ask("prodserver_build_info"):
        """It has not scraped yet."""
    known = set(prometheus.api("label/__name__/values"))
    rules = [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"]]

    assert len(rules) == 7
    for rule in rules:
        names = {word for word in _words(rule["query"]) if word.startswith("prodserver_")}
        assert names <= known, rule["name"]
    assert run.end(SIGTERM) == 0


def _words(query: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in query).split()
