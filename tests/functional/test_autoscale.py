"""AUTOSCALE: instances are added and removed as the load changes."""

from __future__ import annotations

from signal import SIGKILL, SIGTERM
from typing import Any

import psutil
import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code, shell
from tests.operating import socket_of

LOAD = """
    import os, sys, time

    def waiting():
        with open("load") as file:
            said = file.read().strip()
        if said == "hang":
            time.sleep(1000)
        if said == "be killed":
            os.kill(os.getpid(), 9)
        if said == "leave":
            sys.exit(3)
        if said == "print":
            print("value 1000000")
            said = "10"
        return eval(said)
"""
RULE = {"METRIC": "load.waiting", "TARGET": 10, "MAX": 4, "INTERVAL": 0.2, "STABILIZATION": 0.5}


class Scaled:
    """A project whose process `worker` is scaled by the load in a file."""

    def __init__(self, start: Runs, load: object, **rule: Any) -> None:
        self.start = start
        self.load = load
        processes = {"worker": {**FOREVER, "AUTOSCALE": {**RULE, **rule}}, "other": FOREVER}
        self.run = start(processes, files={"load.py": LOAD})

    @property
    def load(self) -> object:
        return (self.start.project / "load").read_text()

    @load.setter
    def load(self, load: object) -> None:
        new = self.start.project / "load.new"
        new.write_text(str(load))
        new.replace(self.start.project / "load")

    def scaled(self, old: int, new: int, load: str) -> None:
        told = f"^worker scaled from {old} to {new}: load.waiting is {load}, TARGET is 10$"
        self.run.wait_for("system", told)


@pytest.mark.template
def test_instances_are_added_and_removed_as_the_load_changes(start: Runs) -> None:
    here = Scaled(start, 35)
    here.scaled(1, 4, "35")
    here.run.wait_for_each_of("worker.2 started", "worker.3 started", "worker.4 started")

    here.load = 12
    here.scaled(4, 2, "12")
    here.run.wait_for_each_of("worker.3 stopped", "worker.4 stopped")

    here.load = 0
    here.scaled(2, 1, "0")
    assert here.run.end(SIGTERM) == 0


def test_a_process_scales_to_zero_without_load_and_back_to_one_instance(start: Runs) -> None:
    here = Scaled(start, 0, MIN=0)
    here.scaled(1, 0, "0")
    here.run.wait_for("system", "worker.1 stopped")

    here.load = 1
    here.scaled(0, 1, "1")
    here.run.wait_for("system", "worker.1 started")
    assert here.run.end(SIGTERM) == 0


UNKNOWN = {
    "no number": ("'many'", "load.waiting returned 'many', which is not a number"),
    "a bool": ("True", "load.waiting returned True, which is not a number"),
    "negative": ("-1", "load.waiting returned -1, which is not a finite number, 0 or more"),
    "no finite number": ("float('inf')", "load.waiting returned inf, which is not a finite number"),
    "an error": ("1/0", "division by zero"),
    "an end": ("leave", "it exited with status 3"),
    "a signal": ("be killed", "it was killed by SIGKILL"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_load_that_cannot_be_measured_changes_nothing_and_is_logged_once(
    start: Runs, case: str
) -> None:
    load, why = UNKNOWN[case]
    here = Scaled(start, 25)
    here.scaled(1, 3, "25")

    here.load = load
    here.run.wait_for("system", f"^worker is not scaled: load.waiting cannot be measured: {why}")

    here.load = 35
    here.scaled(3, 4, "35")
    told = [line for line in here.run.said("system") if "cannot be measured" in line]
    assert len(told) == 1
    traces = [line for line in here.run.said("errand.load") if line.startswith("Traceback")]
    assert len(traces) == (case not in ("an end", "a signal"))
    assert here.run.end(SIGTERM) == 0


def test_output_that_a_load_function_prints_is_not_taken_for_the_load(start: Runs) -> None:
    here = Scaled(start, "print")
    here.run.wait_for("errand.load", "value 1000000")

    here.load = 20
    here.scaled(1, 2, "20")
    assert here.run.end(SIGTERM) == 0


def test_a_load_function_that_hangs_times_out(start: Runs) -> None:
    here = Scaled(start, "hang")

    why = "it took longer than 10 s"
    here.run.wait_for("system", f"^worker is not scaled: load.waiting cannot be measured: {why}")
    here.load = 20
    here.scaled(1, 2, "20")
    assert here.run.end(SIGTERM) == 0


def test_a_scaled_process_starts_with_min_instances(start: Runs) -> None:
    here = Scaled(start, 0, MIN=2)

    here.run.wait_for("system", "^supervising worker.1, worker.2, other.1")
    assert here.run.end(SIGTERM) == 0


def test_status_and_metrics_show_the_load_the_target_and_the_limits(start: Runs) -> None:
    here = Scaled(start, 35)
    here.scaled(1, 4, "35")
    here.run.wait_for_each_of("worker.2 started", "worker.3 started", "worker.4 started")

    socket = socket_of(start)
    worker, other = socket.status["processes"]
    assert other["autoscale"] is None
    assert worker["autoscale"].pop("measured_at")
    assert worker["autoscale"] == {
        "metric": "load.waiting",
        "value": 35.0,
        "target": 10.0,
        "min": 1,
        "max": 4,
        "reason": None,
    }
    metrics = socket.get("/metrics").body.decode()
    for line in (
        'process_autoscale_load{process="worker"} 35.0',
        'process_autoscale_target{process="worker"} 10.0',
        'process_autoscale_max_replicas{process="worker"} 4',
        'process_autoscale_changes_total{process="worker",direction="up"} 1',
        'process_replicas{process="worker"} 4',
    ):
        assert f"\nprodserver_{line}\n" in metrics
    assert here.run.end(SIGTERM) == 0


# ---- loads measured in the instances ----

BUSY = "trap 'exit 0' TERM; while :; do :; done"


@pytest.mark.skipif("not __import__('os').path.isdir('/proc/self')")
def test_high_cpu_usage_adds_an_instance(start: Runs) -> None:
    rule = {**RULE, "METRIC": "cpu", "TARGET": 0.2, "MAX": 2}
    run = start({"burn": shell(["sh", "-c", BUSY], AUTOSCALE=rule), "other": FOREVER})

    run.wait_for("system", r"^burn scaled from 1 to 2: cpu is \d\.\d\d cores, TARGET is 0.20 cores")
    assert run.end(SIGTERM) == 0


@pytest.mark.skipif("not __import__('os').path.isdir('/proc/self')")
def test_high_memory_usage_adds_an_instance(start: Runs) -> None:
    rule = {**RULE, "METRIC": "memory", "TARGET": "20MB", "MAX": 2}
    big = code("big = bytearray(os.urandom(40_000_000)); print('big'); forever()", AUTOSCALE=rule)
    run = start({"big": big, "other": FOREVER})

    run.wait_for("system", r"^big scaled from 1 to 2: memory is \d\d MB, TARGET is 20 MB")
    assert run.end(SIGTERM) == 0


# ---- in adverse circumstances ----


def kill_the_template(run: Run) -> None:
    """Kill the oldest: a life that was just forked still has the template's name for a moment."""
    run.kill(min(run.templates(), key=lambda pid: psutil.Process(pid).create_time()), SIGKILL)


@pytest.mark.template
def test_scaling_continues_after_the_template_is_killed(start: Runs) -> None:
    here = Scaled(start, 15)
    here.scaled(1, 2, "15")

    kill_the_template(here.run)
    here.load = 35
    here.scaled(2, 4, "35")
    assert here.run.end(SIGTERM) == 0


@pytest.mark.template
def test_a_killed_instance_is_restarted_without_any_scaling(start: Runs) -> None:
    start_again = {**FOREVER, "RESTART": "on-failure", "BACKOFF": {"INITIAL": 0, "MAX": 0}}
    here_rule = {**RULE, "STABILIZATION": 60}
    (start.project / "load").write_text("20")
    run = start({"worker": {**start_again, "AUTOSCALE": here_rule}}, files={"load.py": LOAD})
    run.wait_for("system", "^worker scaled from 1 to 2")
    pid = int(run.wait_for("system", r"^worker\.2 started \(pid (\d+)\)")[1])

    run.kill(pid, SIGKILL)
    run.wait_for("system", r"^worker\.2 was killed by SIGKILL")
    run.wait_for("system", r"^worker\.2 started")
    assert [line for line in run.said("system") if "scaled" in line] == [
        "worker scaled from 1 to 2: load.waiting is 20, TARGET is 10"
    ]
    assert run.end(SIGTERM) == 0
