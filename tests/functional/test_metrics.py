"""Metrics of a real run, checked against psutil, counted lines and counted restarts."""

from __future__ import annotations

import json
import os
import socket as sockets
import urllib.request
from signal import SIGKILL, SIGTERM
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.inside import free_port
from tests.operating import Socket, answer_of, prodctl, socket_of
from tests.running import PRODUCTION

WRITES = code("for n in range(1000): print('x' * 50)\nprint('y' * 200_000); forever()")
WITH_A_CHILD = code("child = subprocess.Popen(['sleep', '1000']); say('up'); forever()")
# Writes a line, and runs until SIGTERM.
SAYS = code("say('hello'); forever()")
BUSY = code(
    """
    import time
    while time.process_time() < 0.3:
        pass
    say('done')
    forever()
    """
)

Metrics = dict[str, dict[frozenset[tuple[str, str]], float]]


def read(text: str) -> Metrics:
    found: Metrics = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name, {})[frozenset(one.labels.items())] = one.value
    return found


def metrics(socket: Socket) -> Metrics:
    answer = socket.get("/metrics")
    assert answer.status == 200
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in answer.head
    return read(answer.body.decode())


def of(found: Metrics, metric: str, instance: str, **labels: str) -> float:
    process = instance.partition(".")[0]
    wanted = frozenset({"process": process, "name": instance, **labels}.items())
    return found[f"prodserver_{metric}"][wanted]


def test_process_metrics_match_psutil(start: Runs) -> None:
    run = start({"web": WITH_A_CHILD, "worker": BUSY})
    run.wait_for_each_of("^up$", "^done$", "^all 2 ")

    found = metrics(socket_of(start))

    pids = {name: one["pid"] for name, one in socket_of(start).instances().items()}
    for name, pid in pids.items():
        leader = psutil.Process(pid)
        tree = [leader, *leader.children(recursive=True)]
        assert of(found, "instance_processes", name) == len(tree)
        assert of(found, "instance_threads", name) == sum(one.num_threads() for one in tree)
        assert of(found, "instance_open_fds", name) == sum(one.num_fds() for one in tree)
        memory = [one.memory_full_info() for one in tree]
        for metric, field in (("resident", "rss"), ("proportional", "pss"), ("unique", "uss")):
            expected = sum(getattr(one, field) for one in memory)
            told = of(found, f"instance_{metric}_memory_bytes", name)
            assert told == pytest.approx(expected, rel=0.1), (name, field)
    # The kernel counts in hundredths of a second.
    assert 0.28 <= of(found, "instance_cpu_seconds_total", "worker.1") < 3
    (itself,) = found["prodserver_supervisor_resident_memory_bytes"].values()
    assert itself == pytest.approx(psutil.Process(run.pid).memory_info().rss, rel=0.1)
    assert run.end(SIGTERM) == 0


def test_log_lines_cuts_and_bytes_are_counted(start: Runs) -> None:
    run = start({"web": WRITES})
    run.wait_for("web.1", "y{10000}")
    run.handshake()
    socket = socket_of(start)

    found = metrics(socket)
    while of(found, "log_lines_total", "web.1", stream="stdout") < 1004:
        found = metrics(socket)

    # A line of 200,000 bytes is cut three times.
    assert of(found, "log_lines_total", "web.1", stream="stdout") == 1004
    assert of(found, "log_lines_cut_total", "web.1", stream="stdout") == 3
    assert of(found, "log_bytes_total", "web.1", stream="stdout") == 51_000 + 200_001 + 3
    assert run.end(SIGTERM) == 0


def test_restarts_exits_and_processor_time_are_counted_over_lives(start: Runs) -> None:
    entry = {**BUSY, "RESTART": "always", "BACKOFF": {"INITIAL": 0.01, "MAX": 0.01}}
    run = start({"worker": entry})
    for _ in range(3):
        run.wait_for("worker.1", "done")
        socket = socket_of(start)
        run.handshake()
        os.kill(socket.instances()["worker.1"]["pid"], SIGKILL)
    run.wait_for("worker.1", "done")

    found = metrics(socket)

    assert of(found, "instance_restarts_total", "worker.1", reason="exit") == 3
    assert of(found, "instance_exits_total", "worker.1", status="SIGKILL") == 3
    assert of(found, "instance_last_exit_status", "worker.1") == 137
    assert of(found, "instance_cpu_seconds_total", "worker.1") >= 4 * 0.28
    assert run.end(SIGTERM) == 0


@pytest.mark.template
def test_counters_never_decrease_over_reloads(start: Runs) -> None:
    file = start.project.parent / "production-that-changes.json"
    processes: dict[str, Any] = {"web": {**SAYS, "REPLICAS": 2}, "worker": SAYS}
    file.write_text(json.dumps({"processes": processes, "supervisor": {}}))
    run = start({}, env={PRODUCTION: str(file)})
    run.wait_for("system", "all 3 ")
    socket = socket_of(start)
    before = metrics(socket)
    counters = [name for name in before if name.endswith("_total")]
    assert counters

    for replicas in (1, 3, 2):
        processes["web"]["REPLICAS"] = replicas
        file.write_text(json.dumps({"processes": processes, "supervisor": {}}))
        assert prodctl(start, "reload").status == 0
        now = metrics(socket)
        for name in counters:
            for labels, value in before[name].items():
                # Instances that are gone are missing; those that come back go on where they were.
                assert now[name].get(labels, value) >= value, (name, labels)
            before[name].update(now[name])

    assert of(before, "instance_replacements_total", "worker.1", reason="reload") == 3
    assert before["prodserver_reloads_total"][frozenset({("outcome", "finished")})] == 3
    assert before["prodserver_generation"] != now["prodserver_generation"]
    assert run.end(SIGTERM) == 0


def test_health_checks_are_counted(start: Runs) -> None:
    check = {"COMMAND": ["sh", "-c", "test -e well"], "INTERVAL": 0.05, "RETRIES": 1000}
    run = start({"web": {**FOREVER, "HEALTHCHECK": check}})
    run.wait_for("system", "health check")
    socket = socket_of(start)
    while of(metrics(socket), "check_failures_total", "web.1") < 3:
        pass
    (start.project / "well").touch()
    while of(metrics(socket), "checks_total", "web.1", result="succeeded") < 3:
        pass
    found = metrics(socket)

    failed = of(found, "checks_total", "web.1", result="failed")
    assert failed == of(found, "check_failures_total", "web.1")
    assert 0 < of(found, "check_duration_seconds", "web.1") < 60
    assert run.end(SIGTERM) == 0


def test_concurrent_scrapes_are_all_answered_and_leak_no_descriptors(start: Runs) -> None:
    run = start({"web": {**FOREVER, "REPLICAS": 10}})
    run.wait_for("system", "all 10 ")
    socket = socket_of(start)
    metrics(socket)
    before = psutil.Process(run.pid).num_fds()
    connections = [socket.connect() for _ in range(20)]
    for connection in connections:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    # One client leaves before it is answered.
    connections.pop().close()
    for connection in connections:
        with connection:
            text = answer_of(connection).body.decode()
        assert len(read(text)["prodserver_instance_up"]) == 10
    run.handshake()

    assert psutil.Process(run.pid).num_fds() == before
    assert run.end(SIGTERM) == 0
    assert run.stderr == ""


# ---- MONITOR ----


def get(port: int, target: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{target}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def monitored(start: Runs, port: int) -> Run:
    run = start({"web": FOREVER}, supervisor={"MONITOR": f"127.0.0.1:{port}"})
    run.wait_for("system", f"MONITOR answers /healthz, /readyz and /metrics at 127.0.0.1:{port}$")
    run.wait_for("system", "all 1 ")
    return run


def test_the_monitor_answers_healthz_readyz_and_metrics(monitored: Run, port: int) -> None:
    assert get(port, "/healthz") == (200, "ok\n")
    assert get(port, "/readyz") == (200, "ok\n")
    assert get(port, "/readyz?process=web") == (200, "ok\n")
    assert get(port, "/readyz?process=nope") == (404, "no process is named nope\n")
    status, text = get(port, "/metrics")
    assert status == 200
    assert of(read(text), "instance_up", "web.1") == 1
    assert get(port, "/metrics", "HEAD") == (200, "")
    assert monitored.end(SIGTERM) == 0


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v1/status", 404),
        ("GET", "/v1/logs", 404),
        ("POST", "/v1/stop", 404),
        ("POST", "/v1/shutdown", 404),
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/../v1/status", 404),
    ],
)
def test_the_monitor_refuses_all_other_requests(
    monitored: Run, port: int, method: str, target: str, status: int
) -> None:
    assert get(port, target, method)[0] == status
    assert monitored.end(SIGTERM) == 0


def test_a_monitor_that_other_machines_can_reach_is_logged(start: Runs, port: int) -> None:
    run = start({"web": FOREVER}, supervisor={"MONITOR": f"0.0.0.0:{port}"})

    run.wait_for("system", f"at 0.0.0.0:{port}, also to other machines$")
    assert run.end(SIGTERM) == 0


def test_nothing_starts_if_the_port_of_the_monitor_is_in_use(start: Runs, port: int) -> None:
    with sockets.create_server(("127.0.0.1", port)):
        run = start({"web": SAYS}, supervisor={"MONITOR": f"127.0.0.1:{port}"})

        assert run.end() == 1
    expected = f"prodserver: MONITOR cannot listen at 127.0.0.1:{port}: Address already in use\n"
    assert run.stderr == expected
    assert run.said("web.1") == []
    assert [*(start.runtime / "prodserver").iterdir()] == []


@pytest.mark.template
def test_a_reload_moves_the_monitor(start: Runs, port: int) -> None:
    file = start.project.parent / "production-that-changes.json"

    def configure(**supervisor: Any) -> None:
        file.write_text(json.dumps({"processes": {"web": FOREVER}, "supervisor": supervisor}))

    configure()
    run = start({}, env={PRODUCTION: str(file)})
    run.wait_for("system", "all 1 ")
    configure(MONITOR=f"127.0.0.1:{port}")
    assert prodctl(start, "reload").status == 0
    assert get(port, "/healthz") == (200, "ok\n")

    other = free_port()
    configure(MONITOR=f"127.0.0.1:{other}")
    assert prodctl(start, "reload").status == 0

    assert get(other, "/healthz") == (200, "ok\n")
    with pytest.raises(OSError, match="refused"):
        get(port, "/healthz")
    configure()
    assert prodctl(start, "reload").status == 0
    with pytest.raises(OSError, match="refused"):
        get(other, "/healthz")
    assert run.end(SIGTERM) == 0


@pytest.mark.template
def test_failures_of_event_handlers_are_counted(start: Runs) -> None:
    files = {"handling.py": "def fail(event):\n    raise ValueError('no')\n"}
    run = start({"web": FOREVER}, supervisor={"ON_EVENT": ["handling.fail"]}, files=files)
    run.wait_for("system", "handling.fail failed")

    found = metrics(socket_of(start))

    (failures,) = found["prodserver_handler_failures_total"].values()
    assert failures >= 1
    assert found["prodserver_events_dropped_total"] == {frozenset(): 0}
    assert run.end(SIGTERM) == 0
