"""ON_EVENT: handlers receive events, and nothing they do harms the supervisor."""

from __future__ import annotations

import json
import re
import socket
import sys
import textwrap
from collections.abc import Iterator
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.functional.test_reload import Settings, settings  # noqa: F401 - a fixture

HANDLERS = """
    import json, os, signal, sys, time

    def keep(event):
        with open("told.jsonl", "a") as file:
            file.write(json.dumps(event) + "\\n")
        print("kept", event["event"])

    def fail(event):
        raise ValueError(f"no {event['event']}\\nat all")

    def leave(event):
        sys.exit(7)

    def be_killed(event):
        os.kill(os.getpid(), signal.SIGKILL)

    def hang(event):
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        print("hangs", flush=True)
        while True:
            time.sleep(1000)

    def flood(event):
        while True:
            os.write(1, b"flood " * 100 + b"\\n")

    def fork(event):
        for number in range(10):
            if not os.fork():
                os.setsid()
                if not os.fork():
                    os.write(1, b"forked\\n")
                while True:
                    time.sleep(1000)
        keep(event)

    def answer(event):
        for fd in range(3, 64):
            try:
                os.write(fd, b"nonsense \\xff\\n 3\\n x y z\\n")
            except OSError:
                pass
"""
FILES = {"handling.py": HANDLERS}


def on_event(*names: str) -> dict[str, Any]:
    return {"ON_EVENT": [f"handling.{name}" for name in names]}


def told(start: Runs) -> list[dict[str, Any]]:
    path = start.project / "told.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def failures(run: Run) -> list[str]:
    return [text for text in run.said("system") if text.startswith("the handler")]


def test_handlers_receive_every_event_once_in_order_until_the_very_end(start: Runs) -> None:
    run = start({"web": FOREVER}, supervisor=on_event("keep"), files=FILES)
    run.wait_for("errand.handlers", r"kept supervisor\.ready")

    assert run.end(SIGTERM) == 0

    found = told(start)
    assert [one["id"] for one in found] == [*range(1, len(found) + 1)]
    assert found[0]["event"] == "supervisor.starting"
    assert found[-1]["event"] == "supervisor.stopped"
    (ready,) = (one for one in found if one["event"] == "instance.started")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ready["time"])
    assert (ready["process"], ready["name"], ready["severity"]) == ("web", "web.1", "INFO")
    assert len({one["run"] for one in found}) == 1
    assert failures(run) == []


def test_handlers_receive_the_exit_that_stops_everything(start: Runs) -> None:
    web = code("print('last words'); sys.exit(3)")
    run = start({"web": web}, supervisor=on_event("keep"), files=FILES)

    assert run.end() == 3

    (ended,) = (one for one in told(start) if one["event"] == "instance.exited")
    assert ended["digest"]["lines"] == ["last words"]


@pytest.mark.parametrize(
    ("name", "error"),
    [("fail", r"ValueError: no [a-z.]+ at all"), ("leave", "SystemExit: 7")],
)
def test_a_failing_handler_does_not_affect_other_handlers(
    start: Runs, name: str, error: str
) -> None:
    run = start({"web": FOREVER}, supervisor=on_event(name, "keep"), files=FILES)
    run.wait_for("errand.handlers", r"kept supervisor\.ready")
    failed = run.wait_for("system", rf"^the handler handling\.{name} failed for (\d+) of (\d+) ")

    assert failed[1] == failed[2]
    assert run.end(SIGTERM) == 0
    assert all(re.search(f"events: {error}$", text) for text in failures(run))
    found = told(start)
    assert [one["id"] for one in found] == [*range(1, len(found) + 1)]
    # A failed handler is not an event; otherwise the events would never end.
    assert not any(one["event"].startswith("handlers.") for one in found)
    tracebacks = [line for line in run.said("errand.handlers") if line.startswith("Traceback")]
    assert len(tracebacks) == len(failures(run))  # Only for the first event in a batch.


def test_a_killed_handler_fails_only_its_own_batch(start: Runs) -> None:
    run = start({"web": FOREVER}, supervisor=on_event("keep", "be_killed"), files=FILES)
    run.wait_for(
        "system",
        r"^the handlers of ON_EVENT failed: it was killed by SIGKILL; \d+ events? ",
    )

    assert run.end(SIGTERM) == 0

    # `keep` came first and received all events, and the next batch is another process.
    assert told(start)[-1]["event"] == "supervisor.stopped"
    assert len(failures(run)) == 2


def test_processes_forked_by_a_handler_are_killed_when_it_ends(start: Runs) -> None:
    """The fixture checks that nothing is left at the end; here it must be gone earlier."""
    run = start({"web": FOREVER}, supervisor=on_event("fork"), files=FILES)
    run.wait_for("errand.handlers", r"kept supervisor\.ready")
    run.wait_for("system", r"^killed what was left behind by errand\.handlers: ")

    assert run.end(SIGTERM) == 0
    assert failures(run) == []
    # This kill is not an event; otherwise the events would never end.
    assert not any(one["event"] == "instance.killed_left_behind" for one in told(start))


@pytest.mark.parametrize("name", ["hang", "flood"])
def test_a_handler_that_never_ends_is_killed_at_shutdown(start: Runs, name: str) -> None:
    run = start({"web": FOREVER}, supervisor=on_event(name), files=FILES)
    run.wait_for("errand.handlers", f"^{name}")

    assert run.end(SIGTERM) == 0

    assert any(text.startswith("web.1 stopped after") for text in run.said("system"))


def test_a_second_signal_does_not_wait_for_a_hanging_handler(start: Runs) -> None:
    run = start({"web": FOREVER}, supervisor=on_event("hang"), files=FILES)
    run.wait_for("errand.handlers", "hangs")
    run.signal(SIGTERM)
    run.wait_for("system", "all stopped after")

    assert run.end(SIGTERM) == 0


def test_garbage_that_a_handler_writes_into_the_answer_pipe_is_ignored(start: Runs) -> None:
    run = start({"web": FOREVER}, supervisor=on_event("answer", "keep"), files=FILES)
    run.wait_for("errand.handlers", r"kept supervisor\.ready")

    assert run.end(SIGTERM) == 0
    assert failures(run) == []


def test_the_supervisor_restarts_processes_while_a_handler_hangs(start: Runs) -> None:
    web = {**FOREVER, "RESTART": "always", "BACKOFF": {"INITIAL": 0.01, "MAX": 0.01}}
    run = start({"web": web}, supervisor=on_event("hang"), files=FILES)
    first = int(run.wait_for("system", r"web\.1 started \(pid (\d+)\)")[1])
    run.wait_for("errand.handlers", "hangs")

    run.kill(first, SIGKILL)
    run.wait_for("system", r"web\.1 was killed by SIGKILL")
    run.wait_for("system", r"web\.1 started")
    run.signal(SIGTERM)
    run.wait_for("system", "all stopped after")
    assert run.end(SIGTERM) == 0


@pytest.fixture(name="silent")
def silent_fixture() -> Iterator[int]:
    """The port of a server that accepts connections but never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_webhook_that_never_answers_does_not_block_the_shutdown(start: Runs, silent: int) -> None:
    run = start(
        {"web": code("sys.exit(3)")},
        supervisor={"ON_EVENT": ["django_prodserver.handlers.webhook"]},
        env={"PRODUCTION_WEBHOOK_URL": f"http://127.0.0.1:{silent}/"},
    )

    assert run.end() == 3

    (failed,) = failures(run)
    assert re.match(r"the handlers of ON_EVENT failed: it took longer than \S+ s; ", failed)


def test_shutdown_does_not_hang_if_no_template_can_fork_the_handlers(start: Runs) -> None:
    """The project can no longer be loaded, and shutdown takes no longer than the last batch may."""
    run = start({"web": FOREVER}, supervisor=on_event("keep"), files=FILES)
    run.wait_for("errand.handlers", r"kept supervisor\.ready")
    (start.project / "settings.py").write_text("broken")
    for pid in run.templates():
        run.kill(pid, SIGKILL)

    assert run.end(SIGTERM) == 0


# ---- reloads ----


def write(start: Runs, name: str) -> None:
    """Write a release with this handler."""
    source = f"""
        def {name}(event):
            print("{name}", event["event"], flush=True)
    """
    (start.project / f"{name}.py").write_text(textwrap.dedent(source))


@pytest.mark.template
@pytest.mark.skipif(sys.platform != "linux", reason="reloads take a template")
def test_a_reload_changes_the_handlers(start: Runs, settings: Settings) -> None:  # noqa: F811
    write(start, "blue")
    write(start, "green")
    run = settings.run({"web": FOREVER}, supervisor={"ON_EVENT": ["blue.blue"]})
    run.wait_for("errand.handlers", r"blue supervisor\.ready")

    settings.set({"web": FOREVER}, ON_EVENT=["green.green"])
    assert settings.reload().status == 0
    run.wait_for("errand.handlers", r"green reload\.finished")
    settings.set({"web": FOREVER})
    assert settings.reload().status == 0

    assert run.end(SIGTERM) == 0
    assert "green supervisor.stopped" not in run.said("errand.handlers")
