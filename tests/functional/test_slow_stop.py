"""A slow stop: what is still running, what is done about it, and what is killed."""

from __future__ import annotations

import re
from signal import SIGTERM
from textwrap import dedent

from tests.functional.helpers import FOREVER, STUBBORN, Runs, code

# Survives SIGTERM, and exits on SIGQUIT.
TWO_STEPS = """
    signal.signal(signal.SIGTERM, lambda *_: say("SIGTERM"))
    signal.signal(signal.SIGQUIT, lambda *_: say("SIGQUIT") or os._exit(0))
    print("here")
    forever()
"""


def test_a_slow_stop_reports_running_processes_at_the_start_and_halfway(start: Runs) -> None:
    processes = {
        "web": {**STUBBORN, "REPLICAS": 2, "STOP_TIMEOUT": 4},
        "worker": FOREVER,
    }
    run = start(processes)
    run.wait_for_each({"web.1": "deaf", "web.2": "deaf", "system": "^worker.1 started"})
    run.signal(SIGTERM)

    run.wait_for("system", r"waiting for web\.1, web\.2; SIGKILL in [23]\.\d\d s$")
    run.wait_for("system", r"waiting for web\.1, web\.2; SIGKILL in [12]\.\d\d s$")

    assert run.end() == 1
    system = run.said("system")
    assert len([text for text in system if text.startswith("waiting for")]) == 2
    for name in ("web.1", "web.2"):
        assert f"{name} did not stop within 4 s; killing it and its process group" in system
        assert f"{name} killed" in system
    assert not any(text.startswith("worker.1 killed") for text in system)
    assert any(text.startswith("worker.1 stopped after ") for text in system)


def test_a_stop_with_a_short_timeout_does_not_report_running_processes(start: Runs) -> None:
    run = start({"web": {**STUBBORN, "STOP_TIMEOUT": 1}})
    run.wait_for("web.1", "deaf")

    assert run.end(SIGTERM) == 1
    assert not any("SIGKILL in" in text for text in run.said("system"))


def test_a_process_reported_as_running_may_still_stop_by_itself(start: Runs) -> None:
    source = """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        print("here")
        signal.sigwait({signal.SIGTERM})
        held()
    """
    run = start({"web": code(source)})
    run.wait_for("web.1", "here")
    run.signal(SIGTERM)
    run.wait_for("system", r"waiting for web\.1; SIGKILL in 2\d\.\d s$")

    run.release("web.1")

    assert run.end() == 0
    assert any(re.match(r"web\.1 stopped after [1-9]", text) for text in run.said("system"))


def test_the_escalation_signal_stops_a_process_that_survives_sigterm(start: Runs) -> None:
    run = start({"web": code(TWO_STEPS, "CodeWithEscalationSignal", STOP_TIMEOUT=3)})
    run.wait_for("web.1", "here")

    assert run.end(SIGTERM) == 0
    assert run.said("web.1") == ["here", "SIGTERM", "SIGQUIT"]
    *_, asked, stopped, _ = run.said("system")
    assert asked == "web.1 is still running; sending it SIGQUIT"
    assert stopped.startswith("web.1 stopped after ")


def test_no_escalation_signal_is_sent_if_the_stop_signal_is_enough(start: Runs) -> None:
    run = start({"web": code("print('here'); forever()", "CodeWithEscalationSignal")})
    run.wait_for("web.1", "here")

    assert run.end(SIGTERM) == 0
    assert not any("SIGQUIT" in text for text in run.said("system"))


def test_the_escalation_signal_goes_to_the_leader_alone(start: Runs) -> None:
    source = """
        def grandchild():
            for number in (signal.SIGTERM, signal.SIGQUIT):
                signal.signal(number, lambda *_: say("not for me"))
            say("grandchild here")
            while os.getppid() == leader:
                select.select([alive], [], [])

        leader = os.getpid()
        alive, held_open = os.pipe()
        beget(lambda: os.close(held_open) or grandchild())
    """
    run = start(
        {
            "web": code(
                dedent(source) + dedent(TWO_STEPS), "CodeWithEscalationSignal", STOP_TIMEOUT=2
            )
        }
    )
    while not {"here", "grandchild here"} <= set(run.said("web.1")):
        assert run.read() is not None

    assert run.end(SIGTERM) == 0
    assert "SIGQUIT" in run.said("web.1")
    assert "not for me" not in run.said("web.1")


def test_sigkill_comes_after_the_escalation_signal(start: Runs) -> None:
    source = TWO_STEPS.replace(" or os._exit(0)", "")
    run = start({"web": code(source, "CodeWithEscalationSignal", STOP_TIMEOUT=2)})
    run.wait_for("web.1", "here")

    assert run.end(SIGTERM) == 1
    assert run.said("web.1") == ["here", "SIGTERM", "SIGQUIT"]
    assert run.said("system")[-4:-1] == [
        "web.1 is still running; sending it SIGQUIT",
        "web.1 did not stop within 2 s; killing it and its process group",
        "web.1 killed",
    ]


def test_each_process_in_a_chain_of_dependents_has_its_own_stop_timeout(start: Runs) -> None:
    source = """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        print("here")
        signal.sigwait({signal.SIGTERM})
        print("asked")
    """
    processes = {"web": code(source), "worker": {**STUBBORN, "AFTER": ["web"], "STOP_TIMEOUT": 0.5}}
    run = start(processes)
    run.wait_for_each({"web.1": "here", "worker.1": "deaf"})

    assert run.end(SIGTERM) == 1
    said = [line.text.split(" after ")[0] for line in run.lines]
    assert said.index("worker.1 killed") < said.index("asked") < said.index("web.1 stopped")
