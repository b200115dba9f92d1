"""READY: how to tell that a process is ready, if it cannot report it itself."""

from __future__ import annotations

import re
import time
from pathlib import Path
from signal import SIGALRM, SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code, shell
from tests.inside import free_port

HTTP_SERVER = """
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if os.path.exists("warm") else 503)
            self.end_headers()

        def log_message(self, *args):
            if not os.path.exists("asked"):
                open("asked", "w").close()
                print("asked", flush=True)

    HTTPServer(("127.0.0.1", int(args[0])), Handler).serve_forever()
"""
LISTENS_LATE = """
    held()
    with socket.create_server(("127.0.0.1", int(args[0]))):
        forever()
"""
SAYS_SO_LATE = "print('listening to nobody'); held(); print('listening on port 8000'); forever()"
LOG = {"LOG": r"listening on port [0-9]+$"}


def listening(source: str, port: int, **entry: Any) -> dict[str, Any]:
    made = code(source, **entry)
    return {**made, "ARGS": [*made["ARGS"], str(port)]}


def about(run: Run, name: str) -> list[str]:
    """What the supervisor logged about an instance, without times and pids."""
    lines = [text for text in run.said("system") if text.startswith(f"{name} ")]
    return [re.sub(r"after [\d.]+ s", "after T", re.sub(r" \(pid \d+\)", "", one)) for one in lines]


# ---- without it ----


def test_a_dependent_does_not_wait_for_a_process_that_cannot_report_readiness(start: Runs) -> None:
    run = start({"web": shell(["sleep", "1000"]), "worker": {**FOREVER, "AFTER": ["web"]}})
    run.wait_for("system", r"^web\.1 started \(pid \d+\)$")
    run.wait_for("system", r"^worker\.1 started \(pid \d+\)$")

    run.wait_for("system", r"^all 2 ready after ")

    assert run.end(SIGTERM) == 0
    assert about(run, "web.1") == ["web.1 started", "web.1 stopped after T"]


# ---- each condition ----


def test_a_process_is_ready_once_a_connection_succeeds(start: Runs) -> None:
    port = free_port()
    web = listening(LISTENS_LATE, port, READY={"TCP": f"127.0.0.1:{port}"})
    run = start({"worker": {**FOREVER, "AFTER": ["web"]}, "web": web})
    pid = run.held("web.1")
    run.handshake()
    assert run.descendants() == [pid]

    run.release("web.1")
    run.wait_for("system", "all 2 ready")

    assert about(run, "web.1") == ["web.1 ready after T"]
    assert about(run, "worker.1") == ["worker.1 started"]
    assert run.end(SIGTERM) == 0


def test_a_process_is_ready_without_waiting_for_its_health_check_interval(start: Runs) -> None:
    port = free_port()
    ready = {"TCP": f"127.0.0.1:{port}"}
    web = listening(
        LISTENS_LATE.replace("held()", ""),
        port,
        READY=ready,
        HEALTHCHECK={**ready, "INTERVAL": 3600},
    )
    run = start({"web": web})

    run.wait_for("system", "all 1 ready")

    assert run.end(SIGTERM) == 0


def test_a_process_is_ready_once_an_http_request_succeeds(start: Runs) -> None:
    port = free_port()
    web = listening(HTTP_SERVER, port, READY={"HTTP": f"http://127.0.0.1:{port}/"})
    run = start({"web": web})
    run.wait_for("web.1", "asked")
    run.handshake()
    assert about(run, "web.1") == []

    (start.project / "warm").touch()
    run.wait_for("system", "all 1 ready")

    assert about(run, "web.1") == ["web.1 ready after T"]
    assert run.end(SIGTERM) == 0


def test_a_process_is_ready_once_a_command_succeeds(start: Runs) -> None:
    script = 'test "$WHO of $PRODSERVER_INSTANCE" = "me of web.1" && test -e warm'
    ready = {"COMMAND": ["sh", "-c", f"touch asked; {script}"]}
    run = start({"web": shell("sleep 1000", READY=ready, ENV={"WHO": "me"})})
    run.wait_for("system", "supervising")
    while not (start.project / "asked").exists():
        run.handshake()
    run.handshake()
    assert about(run, "web.1") == []

    (start.project / "warm").touch()
    run.wait_for("system", "all 1 ready")

    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize("stderr", ["merge", "separate"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_process_is_ready_once_a_line_of_its_output_matches(
    start: Runs, stream: str, stderr: str
) -> None:
    source = SAYS_SO_LATE.replace(
        "print('listening on port 8000')", (f"print('listening on port 8000', file=sys.{stream})")
    )
    run = start({"web": code(source, READY=LOG)}, supervisor={"STDERR": stderr})
    run.held("web.1")
    run.handshake()
    assert about(run, "web.1") == []

    run.release("web.1")
    run.wait_for("system", "all 1 ready")

    assert about(run, "web.1") == ["web.1 ready after T"]
    assert run.end(SIGTERM) == 0


def test_the_ready_pattern_matches_the_original_line_whatever_the_log_format(start: Runs) -> None:
    print_it = r"""printf 'listening on \n port 1\nlistening on port 8000\r\n'; exec sleep 1000"""
    run = start(
        {"web": shell(print_it, READY={"LOG": "^listening on port 8000$"}, READY_TIMEOUT=30)},
        "--all",
        "--log-format=json",
    )

    while (line := run.read()) is not None and "all 1 ready" not in line.text:
        pass

    assert line is not None
    assert run.end(SIGTERM) == 0


def test_the_ready_pattern_does_not_match_an_incomplete_line(start: Runs) -> None:
    source = """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        os.write(1, b"listening on port 8000")
        open("half", "w").close()
        signal.sigwait({signal.SIGALRM})
        os.write(1, bytes([10]))
        forever()
    """
    run = start({"web": code(source, READY=LOG)})
    run.wait_for("system", "supervising")
    while not (start.project / "half").exists():
        run.handshake()
    (pid,) = run.descendants()
    run.handshake()
    assert about(run, "web.1") == []

    run.kill(pid, SIGALRM)

    run.wait_for("system", "all 1 ready")
    assert run.end(SIGTERM) == 0


def test_a_process_is_ready_by_its_last_line_before_its_exit_is_reported(start: Runs) -> None:
    run = start({"web": shell("echo listening on port 1; exit 3", READY=LOG)})

    assert run.end() == 3
    assert about(run, "web.1") == [
        "web.1 ready after T",
        "web.1 exited with status 3 after T; stopping everything",
    ]


# ---- a condition that fails ----


def test_a_process_that_is_not_ready_in_time_is_stopped_with_the_reason(start: Runs) -> None:
    port = free_port()
    ready = {"TCP": f"127.0.0.1:{port}"}
    run = start({"web": shell("sleep 1000", READY=ready, READY_TIMEOUT=0.5), "worker": FOREVER})

    assert run.end() == 128 + SIGTERM
    late, _ = about(run, "web.1")
    refused = f"(connection to 127.0.0.1:{port} refused); stopping it"
    assert re.fullmatch(rf"web\.1 was not ready within 0\.5\d* s {re.escape(refused)}", late), late


def test_each_life_must_match_the_ready_pattern_again(start: Runs) -> None:
    policy = {"RESTART": "on-failure", "BACKOFF": {"INITIAL": 0}}
    run = start({"web": code(SAYS_SO_LATE, READY=LOG, **policy)})
    first = run.held("web.1")
    run.release("web.1")
    run.wait_for("system", "all 1 ready")

    run.kill(first, SIGKILL)
    run.held("web.1")
    run.handshake()
    assert about(run, "web.1")[-1].endswith("; restarting")

    run.release("web.1")
    run.wait_for("system", r"web\.1 ready")
    assert run.end(SIGTERM) == 0


def test_a_slow_ready_pattern_does_not_block_the_supervisor(start: Runs) -> None:
    source = f"print('{'a' * 60}b'); forever()"
    web = code(source, READY={"LOG": "(a+)+$"}, READY_TIMEOUT=30)
    run = start({"web": web, "worker": FOREVER})
    began = time.monotonic()

    run.wait_for("system", r"^web\.1: the LOG of its READY takes too long to match")
    run.handshake()

    # The search would never finish; the limit leaves room for a busy machine.
    assert time.monotonic() - began < 20
    assert about(run, "web.1") == []
    assert run.end(SIGTERM) == 0


def test_the_ready_setting_replaces_the_connection_check_of_the_backend(start: Runs) -> None:
    port = free_port()
    entry = code("print('up'); forever()", "ServingCode", READY={"LOG": "^up$"})
    run = start({"web": {**entry, "ARGS": [*entry["ARGS"], str(port)]}})

    run.wait_for("system", "all 1 ready")

    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_is_ready_once_its_unix_socket_accepts_connections(
    start: Runs, tmp_path: Path, method: str
) -> None:
    source = """
        server = socket.socket(socket.AF_UNIX)
        held()
        server.bind("web.sock")
        server.listen()
        forever()
    """
    web = code(source, READY={"TCP": "unix:web.sock"}, START_METHOD=method)
    run = start({"web": web})
    run.held("web.1")
    run.handshake()
    assert about(run, "web.1") == []

    run.release("web.1")
    run.wait_for("system", "all 1 ready")

    assert run.end(SIGTERM) == 0
