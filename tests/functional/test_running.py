"""`django_prodserver.test.running`, as the tests of a project use it."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import psutil
import pytest

from django_prodserver.test import Line, running
from tests.functional.helpers import FOREVER, STUBBORN, Runs, code
from tests.running import gone

GREETS = code('print("at your service"); forever()')
ONCE = code('print("done")', TYPE="oneshot")


def failing(message: str) -> Any:
    return pytest.raises(AssertionError, match=message)


@pytest.mark.template
def test_everything_is_ready_inside_the_block_and_gone_after_it(start: Runs) -> None:
    with start.running({"web": GREETS, "worker": GREETS}) as site:
        assert any(text.startswith("all 2 ready") for text in site.said("system"))
        processes = [psutil.Process(site.pid), *psutil.Process(site.pid).children()]

    # Its template is one of them.
    assert len(processes) == 4
    assert [process for process in processes if process.is_running()] == []


def test_stop_returns_the_exit_status_and_may_be_called_twice(start: Runs) -> None:
    with start.running({"web": FOREVER}) as site:
        assert site.stop() == 0
        assert site.stop() == 0
        assert site.said("system")[-1].endswith("exit status 0")


def test_a_stop_by_sigint_exits_with_status_130(start: Runs) -> None:
    with start.running({"web": FOREVER}) as site:
        assert site.stop(signal.SIGINT) == 130


def test_only_the_named_processes_run_with_the_requested_replicas(start: Runs) -> None:
    with start.running({"a": FOREVER, "b": FOREVER, "c": FOREVER}, "a=2", "c") as site:
        assert site.said("system")[0].startswith("supervising a.1, a.2, c.1 ")


def test_a_single_named_process_is_supervised_too(start: Runs) -> None:
    with start.running({"a": FOREVER, "b": FOREVER}, "b") as site:
        assert site.said("system")[0].startswith("supervising b.1 ")


def test_a_block_with_only_oneshots_starts_after_they_have_finished(start: Runs) -> None:
    with start.running({"once": ONCE}) as site:
        assert site.said("once.1") == ["done"]
        assert site.wait() == 0


def test_further_options_are_passed_to_the_supervisor(start: Runs) -> None:
    options = ["--stop-timeout=0.1"]
    with start.running({"web": STUBBORN}, options=options) as site:
        site.wait_for("web.1", "deaf")

        assert site.stop() == 1
        assert site.wait_for("system", r"did not stop within ([\d.]+) s")[1] == "0.1"


def test_wait_for_finds_a_line_that_was_already_written(start: Runs) -> None:
    with start.running({"web": GREETS, "worker": GREETS}) as site:
        site.wait_for("worker.1", "at your (service)")
        site.wait_for("web.1", "at your (service)")

        assert site.wait_for("system", r"^all (\d) ready")[1] == "2"


def test_a_second_wait_finds_the_next_line(start: Runs) -> None:
    started = r"^web\.1 started \(pid (\d+)\)"
    with start.running(
        {"web": {**FOREVER, "RESTART": "always", "BACKOFF": {"INITIAL": 0}}}
    ) as site:
        first = int(site.wait_for("system", started)[1])
        os.kill(first, signal.SIGKILL)

        assert int(site.wait_for("system", started)[1]) != first


def test_a_line_that_never_comes_is_an_error_that_shows_all_output(start: Runs) -> None:
    with start.running({"web": GREETS}) as site:
        site.wait_for("web.1", "at your service")

        with failing(r"(?s)web\.1 did not write 'x' within 0.2 s.*web\.1 +\| at your service"):
            site.wait_for("web.1", "x", timeout=0.2)
        assert site.stop() == 0
        with failing(r"web\.1 did not write 'x' before the end"):
            site.wait_for("web.1", "x")


def test_waiting_for_the_end_has_a_time_limit(start: Runs) -> None:
    with (
        start.running({"web": FOREVER}) as site,
        failing("the supervisor did not end within 0.1 s"),
    ):
        site.wait(timeout=0.1)


def test_a_json_line_of_a_process_stays_text_and_stderr_lines_are_marked(start: Runs) -> None:
    talk = code(
        """
        print('{"event": "ready", "id": 1}')
        print("not so well", file=sys.stderr)
        os.write(1, b"\\xff\\n")
        forever()
        """
    )
    with start.running({"web": talk}, supervisor={"STDERR": "separate"}) as site:
        for _ in range(2):  # Between the two streams there is no order.
            site.wait_for("web.1", "not so well|\N{REPLACEMENT CHARACTER}")

        assert Line("web.1", '{"event": "ready", "id": 1}', "stdout") in site.lines
        assert Line("web.1", "not so well", "stderr") in site.lines


def test_wrong_settings_are_an_error_with_the_message_of_the_supervisor(start: Runs) -> None:
    with failing(r"ended with status 1 before everything was ready(.|\n)*'RESTRAT'"):
        start.running({"web": {**FOREVER, "RESTRAT": "never"}}).__enter__()


def test_a_process_that_fails_at_once_is_an_error_with_its_output(start: Runs) -> None:
    broken = {**code('sys.exit("no database")', backend="NotifyingCode")}
    refused = failing(r"ended with status 1 before everything was ready(.|\n)*\| no database")

    with refused, start.running({"web": broken, "worker": FOREVER}):
        pass


def test_a_process_that_is_never_ready_is_an_error_and_is_stopped(start: Runs) -> None:
    never = code('print(f"pid {os.getpid()}"); forever()', backend="NotifyingCode")
    refused = failing(r"not everything was ready within 5 s(.|\n)*supervising web\.1")

    with refused as failure, start.running({"web": never}, ready_within=5):
        pass

    (pid,) = [
        int(line.rpartition(" ")[2])
        for line in str(failure.value).splitlines()
        if line.startswith("web.1 ")
    ]
    assert gone(pid)


def test_a_process_whose_output_the_test_does_not_read_is_not_stalled(start: Runs) -> None:
    flood = code(
        """
        for number in range(50_000):
            print(number, "x" * 100)
        print("written")
        with open("fifo", "w") as fifo:
            fifo.write("not stalled")
        forever()
        """
    )
    os.mkfifo(start.project / "fifo")
    with start.running({"web": flood}) as site:
        assert (start.project / "fifo").read_text() == "not stalled"

        site.wait_for("web.1", "^written$")
    assert site.said("web.1") == [*(f"{n} {'x' * 100}" for n in range(50_000)), "written"]


def test_an_error_in_the_block_stops_everything_and_is_passed_on(start: Runs) -> None:
    with pytest.raises(ZeroDivisionError), start.running({"web": FOREVER}) as site:
        raise ZeroDivisionError

    assert gone(site.pid)
    assert site.said("system")[-1].endswith("exit status 0")


def test_ctrl_c_in_the_block_stops_everything(start: Runs) -> None:
    with pytest.raises(KeyboardInterrupt), start.running({"web": FOREVER}) as site:
        raise KeyboardInterrupt

    assert gone(site.pid)
    assert site.said("system")[-1].endswith("exit status 0")


def test_an_unexpected_exit_fails_the_block(start: Runs) -> None:
    with (
        failing("ended with status 7"),
        start.running({"web": code("held(); sys.exit(7)")}) as site,
    ):
        held = int(site.wait_for("web.1", r"held as (\d+)")[1])
        os.kill(held, signal.SIGALRM)
        site.wait_for("system", "exit status 7")


def test_an_exit_that_the_test_waits_for_does_not_fail_the_block(start: Runs) -> None:
    with start.running({"web": code("held(); sys.exit(7)")}) as site:
        held = int(site.wait_for("web.1", r"held as (\d+)")[1])
        os.kill(held, signal.SIGALRM)

        assert site.wait() == 7


def test_a_supervisor_that_does_not_stop_in_time_is_killed_and_the_test_fails(start: Runs) -> None:
    with (
        failing("did not end within 0.2 s"),
        start.running({"web": STUBBORN}, stop_within=0.2) as site,
    ):
        site.wait_for("web.1", "deaf")
        children = psutil.Process(site.pid).children()

    assert not any(process.is_running() for process in children)


def test_a_supervisor_that_was_killed_leaves_no_process(start: Runs) -> None:
    with start.running({"web": FOREVER, "worker": FOREVER}) as site:
        children = psutil.Process(site.pid).children()
        os.kill(site.pid, signal.SIGKILL)

        assert site.wait() == -signal.SIGKILL
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def test_no_thread_is_left_after_the_block(start: Runs) -> None:
    before = threading.active_count()

    with start.running({"web": FOREVER}):
        assert threading.active_count() == before + 2

    assert threading.active_count() == before


def test_a_project_without_manage_py_is_run_by_its_settings_module(start: Runs) -> None:
    env = start.configure({"web": FOREVER})
    with running("web", settings="settings", cwd=start.project, env=env) as site:
        assert psutil.Process(site.pid).cmdline()[1:4] == ["-m", "django", "prodserver"]
        assert site.stop() == 0
