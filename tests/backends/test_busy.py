"""METRIC "busy": servers report their in-flight requests without a message for each."""

from __future__ import annotations

import signal
from array import array
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.hooks import in_flight
from django_prodserver.posix import board, ticking
from tests.backends.test_in_flight import SEVERAL, server
from tests.inside import free_port
from tests.peers import Request
from tests.running import Site, skip_without

RULE = {"METRIC": "busy", "TARGET": 0.6, "MAX": 2, "INTERVAL": 0.5, "STABILIZATION": 0.5}
SERVERS = {
    "uvicorn, one process": (server("uvicorn"), ""),
    **{name: SEVERAL[name] for name in SEVERAL if name.startswith(("gunicorn", "uvicorn", "gran"))},
}


@pytest.mark.parametrize("name", SERVERS)
def test_an_in_flight_request_scales_a_server_up_and_its_end_scales_it_down(
    site: Site, name: str
) -> None:
    entry, needs = SERVERS[name]
    if needs:
        skip_without(needs)
    port = free_port()
    backend = import_string(BUILT_IN[entry(port)["BACKEND"]])
    if not backend(STOP_TIMEOUT=1, REPLICAS=1).measures:
        pytest.skip("this version of the software does not tell it")
    site.hold("task")
    run = site({"web": {**entry(port), "AUTOSCALE": RULE}})
    run.wait_for("system", "all 1 ready")
    slow = Request(port, "/hold/task")
    run.wait_for("web.1", "task in progress")

    run.wait_for("system", r"^web scaled from 1 to 2: busy is [01]\.\d requests, TARGET is 0\.6")
    run.wait_for("system", r"^web\.2 ready")
    site.release("task")
    assert slow.answer() == "task held"
    run.wait_for("system", r"^web scaled from 2 to 1: busy is 0\.\d requests")
    run.wait_for("system", r"^web\.2 stopped")
    assert run.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_forked_or_spawned_server_scales_up_while_a_request_is_in_flight(
    site: Site, method: str
) -> None:
    entry, port = SERVERS["gunicorn gthread"][0], free_port()
    site.hold("task")
    run = site({"web": {**entry(port), "START_METHOD": method, "AUTOSCALE": RULE}})
    run.wait_for("system", "all 1 ready")
    slow = Request(port, "/hold/task")

    run.wait_for("system", "^web scaled from 1 to 2")
    site.release("task")
    assert slow.answer() == "task held"
    assert run.end(signal.SIGTERM) == 0


# ---- the board ----


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(ticking, "now", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = str(tmp_path / "board")
    board.create(path)
    monkeypatch.setenv(board.VARIABLE, path)
    return path


def test_busy_seconds_sum_up_the_time_of_all_in_flight_requests(path: str, clock: Clock) -> None:
    running = in_flight.Running(in_flight.Board())
    assert board.busy_seconds(path) == 0.0
    with running.one():
        clock.now += 2.0
        with running.one():
            clock.now += 3.0
            assert board.busy_seconds(path) == 2.0 + 2 * 3.0
    clock.now += 10.0
    assert board.busy_seconds(path) == 8.0
    with running.one():
        clock.now += 1.0
    assert board.busy_seconds(path) == 9.0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"\xff" * board.SIZE,  # NaN in every cell.
        array("d", [1e300] * board.CELLS).tobytes(),
        array("d", [-1.0] * board.CELLS).tobytes(),
        array("d", [float("inf")] * board.CELLS).tobytes(),
    ],
    ids=["empty", "short", "nan", "huge", "negative", "infinite"],
)
def test_invalid_content_of_a_board_counts_as_zero_busy_seconds(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)

    assert board.busy_seconds(path) == 0.0


def test_a_second_board_of_a_process_is_separate_from_the_first(path: str) -> None:
    first, second = in_flight.Board(), in_flight.Board()
    second.write(3, 1.0)

    assert first.count().number == 0
    assert second.count().number == 3


def test_a_board_still_counts_requests_if_its_file_cannot_be_opened(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(board.VARIABLE, f"{path}.gone")
    one = in_flight.Board()
    one.write(2, 1.0)

    assert one.count().number == 2


def test_requests_of_a_process_that_has_exited_no_longer_count_as_busy(
    path: str, clock: Clock
) -> None:
    import multiprocessing

    one = in_flight.Board()

    def work() -> None:
        one.write(1, clock.now)
        clock.now += 3.0
        one.write(1, clock.now)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    clock.now += 50.0

    assert board.busy_seconds(path) == 3.0
