"""Events, through the control socket and through `prodctl events`."""

from __future__ import annotations

import json
import re
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs
from tests.operating import PRODCTL, Socket, prodctl, socket_of

AGAIN = {"RESTART": "always", "BACKOFF": {"INITIAL": 0.05, "MAX": 0.05}}


@pytest.fixture
def run(start: Runs) -> Run:
    run = start({"web": {**FOREVER, **AGAIN}, "worker": FOREVER})
    run.wait_for("system", "all 2 ")
    return run


@pytest.fixture
def socket(start: Runs, run: Run) -> Socket:
    return socket_of(start)


def events(socket: Socket, query: str = "") -> list[dict[str, Any]]:
    answer = socket.get(f"/v1/events{query}")
    assert (answer.status, "application/x-ndjson" in answer.head) == (200, True)
    return [json.loads(line) for line in answer.body.splitlines()]


def happened(found: list[dict[str, Any]]) -> list[str]:
    return [one["event"] for one in found]


def test_a_crash_a_restart_and_a_stop_appear_as_events(run: Run, socket: Socket) -> None:
    pid = socket.instances()["web.1"]["pid"]
    run.kill(pid, SIGKILL)
    run.wait_for("system", r"web\.1 started")
    assert socket.change("/v1/stop", {"names": ["web"]})["state"] == "done"

    found = events(socket, "?names=web")

    assert happened(found) == [
        "instance.starting",
        "instance.started",
        "instance.exited",
        "instance.backoff",
        "instance.starting",
        "instance.started",
        "instance.stopping",
        "instance.stopped",
    ]
    started, exited = found[1], found[2]
    assert started["pid"] == exited["pid"] == pid
    assert exited["message"].startswith("web.1 was killed by SIGKILL (not sent by prodserver)")
    assert {
        key: exited[key]
        for key in ("process", "name", "severity", "signal", "expected", "consequence", "run")
    } == {
        "process": "web",
        "name": "web.1",
        "severity": "WARNING",
        "signal": "SIGKILL",
        "expected": False,
        "consequence": "restart",
        "run": socket.status["run"],
    }
    ids = [one["id"] for one in events(socket)]
    assert ids == [*range(1, len(ids) + 1)]
    assert [one["time"] for one in events(socket)] == sorted(one["time"] for one in events(socket))
    assert run.end(SIGTERM) == 0


def test_a_request_with_since_returns_only_new_events(run: Run, socket: Socket) -> None:
    known = events(socket)[-1]
    assert events(socket, f"?since={known['id']}&run={known['run']}") == []
    assert socket.change("/v1/restart", {"names": ["worker"]})["state"] == "done"

    new = events(socket, f"?since={known['id']}&run={known['run']}")

    assert [one["id"] for one in new] == [*range(known["id"] + 1, known["id"] + 1 + len(new))]
    assert happened(new)[0] == "operator.request"
    assert "instance.replaced" in happened(new)
    # The number means nothing in another run.
    assert events(socket, f"?since={known['id']}&run=another")[0]["id"] == 1
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ("?names=wbe", 404, ("no_such_name", "no process or instance is named 'wbe'")),
        ("?since=last", 400, ("bad_request", "'since' must be the id of an event")),
    ],
)
def test_an_invalid_query_is_refused(
    run: Run, socket: Socket, query: str, status: int, error: tuple[str, str]
) -> None:
    answer = socket.get(f"/v1/events{query}")

    assert (answer.status, answer.error) == (status, error)
    assert run.end(SIGTERM) == 0


def test_a_head_request_is_answered_without_a_body(run: Run, socket: Socket) -> None:
    answer = socket.send(b"HEAD /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (answer.status, answer.body) == (200, b"")
    assert run.end(SIGTERM) == 0


def test_a_follower_receives_every_event_until_the_supervisor_stops(
    run: Run, socket: Socket
) -> None:
    with socket.connect() as follower:
        follower.sendall(b"GET /v1/events?follow=1 HTTP/1.0\r\n\r\n")
        assert follower.recv(12) == b"HTTP/1.1 200"
        assert run.end(SIGTERM) == 0
        data = b""
        while chunk := follower.recv(1 << 16):
            data += chunk

    found = [json.loads(line) for line in data.partition(b"\r\n\r\n")[2].splitlines()]
    assert [one["id"] for one in found] == [*range(1, len(found) + 1)]
    assert happened(found)[0] == "supervisor.starting"
    assert happened(found)[-1] == "supervisor.stopped"
    assert found[-1]["exit_status"] == 0


def test_a_slow_follower_receives_the_number_of_lost_events(run: Run, socket: Socket) -> None:
    with socket.connect() as slow:
        slow.sendall(b"GET /v1/events?follow=1 HTTP/1.0\r\n\r\n")
        assert slow.recv(12) == b"HTTP/1.1 200"
        # The follower reads none of these. Each refused request is an event.
        for number in range(2500):
            assert socket.post("/v1/start", {"names": [f"n{number}"]}).status == 404
        data = b""
        while b"n2499" not in data:
            data += slow.recv(1 << 16)

    found = [json.loads(line) for line in data.partition(b"\r\n\r\n")[2].splitlines()]
    expected = 1
    for one in found:
        assert "lost" in one or one["id"] == expected
        expected += one.get("lost", 1)
    assert any("lost" in one for one in found)
    assert run.end(SIGTERM) == 0


def test_prodctl_shows_and_follows_events(start: Runs, run: Run) -> None:
    follower = start.command([*PRODCTL, "events", "-f", "web"], env={"PWD": str(start.project)})
    follower.wait_for("", r"instance\.started +web\.1 started \(pid \d+\)")

    shown = prodctl(start, "events", "worker").stdout.splitlines()
    documents = prodctl(start, "events", "--json", "system").stdout.splitlines()

    assert [line.split()[1] for line in shown] == ["instance.starting", "instance.started"]
    assert re.fullmatch(r"\d\d:\d\d:\d\d instance\.starting    worker\.1 starting", shown[0])
    assert {json.loads(line)["name"] for line in documents} == {None}
    assert run.end(SIGTERM) == 0
    follower.wait_for("", r"instance\.stopped +web\.1 stopped after ")
    assert follower.end() == 0
