"""Health checks and the watchdog: an unhealthy instance is stopped, and treated as failed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from signal import SIGALRM, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import Run, Runs, code
from tests.inside import free_port

# Answers as the file `answer` says in its first life, and with 200 in later ones.
HTTP = """
from http.server import BaseHTTPRequestHandler, HTTPServer

first = life() == 1

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with open("answer") as file:
            answer = file.read() if first else "200"
        say(f"{answer} for {self.path} of {self.headers['Host']}")
        if answer == "hang":
            forever()
        if answer == "close":
            return
        self.send_response(int(answer))
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args): pass

server = HTTPServer(("127.0.0.1", int(args[0])), Handler)
print("serving")
server.serve_forever()
"""
# Named as in Docker. Often enough for a test, with a timeout that suits a busy machine.
OFTEN = {"INTERVAL": 0.1, "TIMEOUT": 30}


def unhealthy(run: Run) -> list[str]:
    """What the supervisor logged about the health of `web.1`."""
    return [
        text
        for text in run.said("system")
        if text.startswith(("web.1 failed a health check", "web.1 is unhealthy"))
    ]


class CheckedServer:
    """A server that answers health checks as the test tells it."""

    def __init__(self, start: Runs) -> None:
        self.start = start
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/health"
        self.tell("200")

    def tell(self, answer: str) -> None:
        """Set its answer, from the next request on."""
        new = self.start.project / "new"
        new.write_text(answer)
        os.replace(new, self.start.project / "answer")

    def run(self, source: str = HTTP, check: Mapping[str, Any] = {}, **entry: Any) -> Run:
        made = code(source, "ServingCode", **entry)
        made["ARGS"].append(str(self.port))
        check = {**OFTEN, "HTTP": self.url, **check}
        return self.start({"web": {**made, "HEALTHCHECK": check}})


@pytest.fixture
def server(start: Runs) -> CheckedServer:
    return CheckedServer(start)


# ---- HTTP ----


@pytest.mark.parametrize("answer", ["200", "302"])
def test_health_checks_of_a_healthy_process_log_nothing(server: CheckedServer, answer: str) -> None:
    server.tell(answer)
    run = server.run(check={"RETRIES": 1})
    for _ in range(5):
        run.wait_for("web.1", f"{answer} for /health of 127.0.0.1:{server.port}")
    run.handshake()

    assert run.end(SIGTERM) == 0
    assert unhealthy(run) == []


def test_an_unhealthy_process_is_replaced(server: CheckedServer) -> None:
    run = server.run(RESTART="always", BACKOFF={"INITIAL": 0})
    run.wait_for("web.1", "200 for /health")
    run.handshake()

    server.tell("500")
    run.wait_for("system", r"web\.1 stopped after .*; restarting$")
    run.wait_for("web.1", "serving")
    run.wait_for("web.1", "200 for /health")

    assert unhealthy(run) == [
        f"web.1 failed a health check (1 of 3): HTTP 500 from {server.url}",
        f"web.1 failed a health check (2 of 3): HTTP 500 from {server.url}",
        f"web.1 is unhealthy: HTTP 500 from {server.url}, 3 times in a row; stopping it",
    ]
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize(
    ("answer", "timeout", "failure"),
    [
        ("hang", 1.5, "no answer within 1.5 s"),
        ("close", 30, "{url} closed the connection without an answer"),
        ("404", 30, "HTTP 404 from {url}"),
    ],
)
def test_each_kind_of_bad_answer_makes_a_process_unhealthy(
    server: CheckedServer, answer: str, timeout: float, failure: str
) -> None:
    server.tell(answer)
    check = {"RETRIES": 1, "TIMEOUT": timeout}
    run = server.run(check=check, RESTART="on-failure", BACKOFF={"INITIAL": 0})
    run.wait_for("web.1", "serving")
    run.wait_for("web.1", "serving")

    assert unhealthy(run) == [f"web.1 is unhealthy: {failure.format(url=server.url)}; stopping it"]
    assert run.end(SIGTERM) == 0


def test_one_success_resets_the_count_of_failures(server: CheckedServer) -> None:
    server.tell("500")
    run = server.run(check={"RETRIES": 1000})
    run.wait_for("system", r"\(2 of 1000\)")

    server.tell("200")
    run.wait_for("web.1", "200 for")
    run.wait_for("web.1", "200 for")
    server.tell("500")

    run.wait_for("system", r"\(1 of 1000\)")
    assert run.end(SIGTERM) == 0


def test_failures_in_the_start_period_count_only_after_a_first_success(
    server: CheckedServer,
) -> None:
    server.tell("500")
    run = server.run(check={"RETRIES": 1, "START_PERIOD": 3600})
    for _ in range(3):
        run.wait_for("web.1", "500 for")
    run.handshake()
    assert unhealthy(run) == []

    server.tell("200")
    run.wait_for("web.1", "200 for")
    run.wait_for("web.1", "200 for")
    server.tell("500")

    assert run.end() == 128 + SIGTERM
    assert unhealthy(run) == [f"web.1 is unhealthy: HTTP 500 from {server.url}; stopping it"]


@pytest.mark.parametrize(
    ("allowed", "host"),
    [([], "localhost"), (["*"], "localhost"), ([".example.com", "x.org"], "example.com")],
)
def test_a_health_check_of_a_path_sends_a_host_that_the_project_allows(
    server: CheckedServer, allowed: list[str], host: str
) -> None:
    with_hosts = f"from settings import *\nALLOWED_HOSTS = {allowed}\n"
    (server.start.project / "hosts.py").write_text(with_hosts)
    made = code(HTTP, "ServingCode", HEALTHCHECK={**OFTEN, "HTTP": "/health?full=1"})
    made["ARGS"].append(str(server.port))
    run = server.start({"web": made}, env={"DJANGO_SETTINGS_MODULE": "hosts"})

    run.wait_for("web.1", rf"200 for /health\?full=1 of {re.escape(host)}$")

    assert run.end(SIGTERM) == 0


# ---- policies ----


@pytest.mark.parametrize(
    ("status", "ours", "end"),
    [(0, 1, "stopped after "), (9, 9, "exited with status 9 while stopping, after ")],
)
def test_an_unhealthy_process_stops_everything_if_restart_is_never(
    server: CheckedServer, status: int, ours: int, end: str
) -> None:
    server.tell("500")
    leaves = f"signal.signal(signal.SIGTERM, lambda *_: os._exit({status}))\n"
    run = server.run(leaves + HTTP, check={"RETRIES": 2})

    assert run.end() == ours
    assert len(unhealthy(run)) == 2
    ended = [text for text in run.said("system") if text.startswith("web.1 ")][-1]
    assert ended.startswith(f"web.1 {end}")
    assert ended.endswith("; stopping everything")


def test_the_supervisor_gives_up_on_a_process_that_is_unhealthy_too_often(
    server: CheckedServer,
) -> None:
    server.tell("500")
    source = HTTP.replace("life() == 1", "True")
    run = server.run(
        source,
        check={"RETRIES": 1},
        RESTART="always",
        BACKOFF={"INITIAL": 0},
        START_LIMIT={"BURST": 2},
    )

    assert run.end() == 128 + SIGTERM
    assert len(unhealthy(run)) == 2
    assert "giving up on web.1: 2 starts in 60 s (START_LIMIT); stopping everything" in run.said(
        "system"
    )


def test_an_unhealthy_process_that_ignores_sigterm_is_killed_and_replaced(
    server: CheckedServer,
) -> None:
    server.tell("500")
    deaf = "if not os.path.exists('deaf'):\n    open('deaf', 'w')\n"
    deaf += "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    run = server.run(
        deaf + HTTP,
        check={"RETRIES": 1},
        RESTART="on-failure",
        BACKOFF={"INITIAL": 0},
        STOP_TIMEOUT=2,
    )
    run.wait_for("system", r"web\.1 did not stop within 2 s; killing it and its process group")
    run.wait_for("system", r"web\.1 killed; restarting$")
    run.wait_for("web.1", "200 for")

    # A life that had to be killed does not affect the exit status once it has been replaced.
    assert run.end(SIGTERM) == 0


def test_a_stop_is_not_disturbed_by_health_checks(server: CheckedServer) -> None:
    server.tell("500")
    source = """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        server = socket.create_server(("127.0.0.1", int(args[0])))
        print("serving")
        signal.sigwait({signal.SIGTERM})
        server.close()
        held()
    """
    tcp = {"TCP": f"127.0.0.1:{server.port}", "INTERVAL": 0.1, "RETRIES": 1}
    made = code(source, "ServingCode", HEALTHCHECK=tcp)
    made["ARGS"].append(str(server.port))
    run = server.start({"web": made})
    run.wait_for("system", "all 1 ready")

    run.signal(SIGTERM)
    run.wait_for("system", r"waiting for web\.1; SIGKILL in 2\d\.\d s")
    run.release("web.1")

    assert run.end() == 0
    assert unhealthy(run) == []


# ---- TCP and COMMAND ----


def test_a_tcp_check_fails_once_nothing_listens(start: Runs) -> None:
    port = free_port()
    source = f"""
        server = socket.create_server(("127.0.0.1", {port}))
        if life() == 1:
            held()
            server.close()
        forever()
    """
    check = {"TCP": f"localhost:{port}", "RETRIES": 2, "INTERVAL": 0.1}
    policy = {"RESTART": "on-failure", "BACKOFF": {"INITIAL": 0}}
    entry = code(source, "ServingCode", HEALTHCHECK=check, **policy)
    run = start({"web": {**entry, "ARGS": [*entry["ARGS"], str(port)]}})
    run.wait_for("system", "all 1 ready")
    run.handshake()
    assert unhealthy(run) == []

    run.release("web.1")
    run.wait_for("system", r"web\.1 ready")

    refused = f"connection to localhost:{port} refused"
    assert unhealthy(run) == [
        f"web.1 failed a health check (1 of 2): {refused}",
        f"web.1 is unhealthy: {refused}, 2 times in a row; stopping it",
    ]
    assert run.end(SIGTERM) == 0


def test_a_process_is_unhealthy_if_its_check_command_fails(start: Runs) -> None:
    script = 'test -e well || { echo "first line"; echo "$WHO of $PRODSERVER_INSTANCE"; exit 3; }'
    (start.project / "well").touch()
    check = {"COMMAND": ["sh", "-c", script], "RETRIES": 2, **OFTEN}
    entry = code("held(); forever()", HEALTHCHECK=check, ENV={"WHO": "sick"})
    run = start({"web": {**entry, "RESTART": "on-failure", "BACKOFF": {"INITIAL": 0}}})
    run.release("web.1")
    run.handshake()
    assert unhealthy(run) == []

    (start.project / "well").unlink()
    run.wait_for("system", r"web\.1 is unhealthy")
    (start.project / "well").touch()
    run.held("web.1")

    failure = "command exited with status 3: sick of web.1"
    assert unhealthy(run)[:2] == [
        f"web.1 failed a health check (1 of 2): {failure}",
        f"web.1 is unhealthy: {failure}, 2 times in a row; stopping it",
    ]
    assert run.end(SIGTERM) == 0


def test_a_process_is_unhealthy_if_its_check_command_hangs(start: Runs) -> None:
    check = {"COMMAND": ["sleep", "1000"], "RETRIES": 1, "INTERVAL": 0.1, "TIMEOUT": 0.5}
    source = "signal.signal(signal.SIGTERM, lambda *_: os._exit(7)); notify(); forever()"
    run = start({"web": code(source, "NotifyingCode", HEALTHCHECK=check)})

    assert run.end() == 7
    assert unhealthy(run) == ["web.1 is unhealthy: no answer within 0.5 s; stopping it"]
    assert not any("left behind" in text for text in run.said("system"))


# ---- the watchdog ----

# Sends watchdog pings until it is released.
PINGS = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
say(f"held as {os.getpid()}")
pings = 0
while not signal.sigtimedwait({signal.SIGALRM}, 0.1):
    notify(b"WATCHDOG=1")
    pings += 1
    if pings == 40:
        say("pinged for long")
forever()
"""


@pytest.mark.parametrize("backend", ["NotifyingCode", "Code"])
def test_a_process_that_stops_its_watchdog_pings_is_unhealthy(start: Runs, backend: str) -> None:
    policy = {"RESTART": "on-failure", "BACKOFF": {"INITIAL": 0}}
    run = start({"web": code("notify()\n" + PINGS, backend, WATCHDOG=2.5, **policy)})
    run.wait_for("web.1", "pinged for long")
    run.handshake()
    assert unhealthy(run) == []

    run.release("web.1")
    run.wait_for("system", r"web\.1 stopped after .*; restarting$")
    run.held("web.1")

    assert unhealthy(run) == ["web.1 is unhealthy: no WATCHDOG=1 for 2.5 s; stopping it"]
    assert run.end(SIGTERM) == 0


def test_a_watchdog_that_may_receive_no_pings_only_causes_a_warning(start: Runs) -> None:
    run = start({"web": code("forever()", WATCHDOG=60)})
    run.wait_for("system", "all 1 ready")

    where = "PRODUCTION_PROCESSES['web']['WATCHDOG']"
    assert f"(prodserver.W003) {where} is set, but it is unknown" in run.stderr
    assert run.end(SIGTERM) == 0


def test_a_process_needs_no_watchdog_pings_before_it_is_ready(start: Runs) -> None:
    run = start({"web": code("held()\nnotify()\n" + PINGS, "NotifyingCode", WATCHDOG=2)})
    run.held("web.1")
    beside = {"PRODSERVER_CONTROL": "off"}
    clock = start({"web": code("forever()", WATCHDOG=3)}, env=beside)
    # By now, `web` has been silent for 3 s, longer than its own WATCHDOG.
    assert clock.end() == 128 + SIGTERM

    run.release("web.1")
    run.wait_for("system", "all 1 ready")

    assert unhealthy(run) == []
    assert run.end(SIGTERM) == 0


def test_a_process_that_sends_watchdog_trigger_is_unhealthy(start: Runs) -> None:
    source = """
        print("usec", os.environ["WATCHDOG_USEC"])
        notify()
        if life() == 1:
            held()
            notify(b"WATCHDOG=trigger")
        forever()
    """
    policy = {"RESTART": "on-failure", "BACKOFF": {"INITIAL": 0}}
    run = start({"web": code(source, "NotifyingCode", WATCHDOG=3600, **policy)})
    run.wait_for("system", "all 1 ready")
    run.handshake()
    assert unhealthy(run) == []

    run.release("web.1")
    run.wait_for("system", r"web\.1 ready")

    assert unhealthy(run) == ["web.1 is unhealthy: it sent WATCHDOG=trigger; stopping it"]
    assert run.end(SIGTERM) == 0
    assert run.said("web.1").count("usec 3600000000") == 2


def test_the_errno_that_a_process_reported_is_logged_with_its_exit(start: Runs) -> None:
    source = """
        notify()
        held()
        notify(b"STOPPING=1\\nERRNO=28")
        sys.exit(3)
    """
    run = start({"web": code(source, "NotifyingCode")})
    run.wait_for("system", "all 1 ready")

    run.kill(run.held("web.1"), SIGALRM)

    assert run.end() == 3
    (ended,) = [text for text in run.said("system") if text.startswith("web.1 exited")]
    assert ended.endswith(f", reported: {os.strerror(28)}; stopping everything")
