"""The limits of the control server: no client can block or end a supervisor."""

from __future__ import annotations

import json
import os
import resource
import socket as sockets
from contextlib import ExitStack, suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_prodserver.posix.control.clients import MOST_CLIENTS
from django_prodserver.posix.control.connection import LONGEST
from django_prodserver.posix.control.server import MOST_FOLLOWERS
from tests.functional.helpers import FOREVER, STUBBORN, Run, Runs, code
from tests.operating import Socket, answer_of, post, socket_of

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def run(start: Runs) -> Run:
    run = start({"web": FOREVER, "worker": FOREVER})
    run.wait_for("system", "all 2 ")
    return run


@pytest.fixture
def socket(start: Runs, run: Run) -> Socket:
    return socket_of(start)


def descriptors(run: Run) -> int:
    return psutil.Process(run.pid).num_fds()


def ends(run: Run, socket: Socket) -> None:
    """The supervisor still answers, logs nothing about its socket, and exits cleanly."""
    assert socket.get("/healthz").body == b"ok\n"
    assert run.end(SIGTERM) == 0
    assert [text for text in run.said("system") if text.startswith("the control socket")] == []
    assert run.stderr == ""


# ---- requests ----


@pytest.mark.parametrize(
    ("data", "status", "code_", "message"),
    [
        (b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found", "/nope does not exist"),
        (
            b"POST /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
            405,
            "wrong_method",
            "/v1/status takes GET or HEAD, not POST",
        ),
        (
            b"GET /v1/stop HTTP/1.1\r\nHost: x\r\n\r\n",
            405,
            "wrong_method",
            "/v1/stop takes POST, not GET",
        ),
        (post("/v1/stop", b"{"), 400, "bad_request", "the body is not JSON"),
        (post("/v1/stop", b"[" * 10_000), 400, "bad_request", "the body is not JSON"),
        (post("/v1/stop", b"[]"), 400, "bad_request", "the body must be a JSON object"),
        (post("/v1/stop", b"{}"), 400, "bad_request", "stop takes 'names' in a JSON object"),
        (
            post("/v1/stop", b'{"names": ["web"]}', kind="text/plain"),
            415,
            "wrong_type",
            "the body must be application/json",
        ),
        (
            post("/v1/stop", b'{"names": ["nope"]}'),
            404,
            "no_such_name",
            "no process or instance is named 'nope'",
        ),
        (post("/v1/stop", b"x" * (LONGEST + 1)), 413, "too_long", "must not exceed 16384 bytes"),
        (
            b"POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999999999\r\n\r\n",
            413,
            "too_long",
            "must not exceed 16384 bytes",
        ),
        (
            b"GET /" + b"x" * 2 * LONGEST + b" HTTP/1.1\r\n\r\n",
            431,
            "bad_request",
            "that is not HTTP",
        ),
        (b"hello\r\n\r\n", 400, "bad_request", "that is not HTTP"),
        (b"\x16\x03\x01\x02\x00" * 20 + b"\r\n\r\n", 400, "bad_request", "that is not HTTP"),
        (b"GET /v1/changes/99 HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no_such_change", "no change 99"),
        (
            b"GET /v1/changes/1?wait=x HTTP/1.1\r\nHost: x\r\n\r\n",
            404,
            "no_such_change",
            "no change 1",
        ),
        (b"GET /v1/logs?lines=x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request", "'lines'"),
        (b"GET /v1/logs?names=no HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no_such_name", "'no'"),
    ],
)
def test_an_invalid_request_is_refused_with_a_readable_error(
    run: Run, socket: Socket, data: bytes, status: int, code_: str, message: str
) -> None:
    answer = socket.send(data)

    assert answer.status == status
    code, said = answer.error
    assert code == code_
    assert message in said
    assert "Connection: close" in answer.head
    ends(run, socket)


def test_a_refused_request_starts_no_change(run: Run, socket: Socket) -> None:
    assert socket.post("/v1/stop", {"names": ["nope"]}).status == 404

    assert socket.get("/v1/changes/1").error[0] == "no_such_change"
    assert socket.post("/v1/restart", {"names": ["web"]}).document["change"] == 1
    ends(run, socket)


def test_a_head_request_is_answered_without_a_body(run: Run, socket: Socket) -> None:
    answer = socket.send(b"HEAD /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (answer.status, answer.body) == (200, b"")
    ends(run, socket)


def test_http_1_0_is_answered_and_pipelined_requests_are_ignored(run: Run, socket: Socket) -> None:
    assert socket.send(b"GET /healthz HTTP/1.0\r\n\r\n").body == b"ok\n"
    assert socket.send(GET * 3).body == b"ok\n"  # One request per connection.
    ends(run, socket)


def test_a_client_that_has_shut_down_its_write_side_is_answered(run: Run, socket: Socket) -> None:
    """The client has shut down its write side, as `socat` does, but not `curl`."""
    with socket.connect() as connection:
        connection.sendall(GET)
        connection.shutdown(sockets.SHUT_WR)
        assert answer_of(connection).body == b"ok\n"
    ends(run, socket)


def test_a_request_sent_byte_by_byte_is_answered(run: Run, socket: Socket) -> None:
    with socket.connect() as connection:
        for byte in post("/v1/restart", b'{"names": ["web"]}'):
            connection.send(bytes([byte]))
        assert answer_of(connection).status == 202
    ends(run, socket)


# ---- slow clients, and many ----


def test_a_client_that_sends_no_complete_request_is_disconnected(run: Run, socket: Socket) -> None:
    before = descriptors(run)
    with socket.connect() as silent, socket.connect() as half:
        half.sendall(b"GET /v1/sta")
        assert socket.get("/healthz").status == 200
        assert silent.recv(1) == half.recv(1) == b""
    assert descriptors(run) == before
    ends(run, socket)


def test_clients_that_do_not_read_are_disconnected(start: Runs) -> None:
    # As JSON these lines are longer than what the kernel takes from the server.
    run = start({"web": code("os.write(1, b'123456789\\n' * 6000)\nsay('last')\nforever()")})
    run.wait_for("web.1", "last")
    socket = socket_of(start)
    assert socket.get("/healthz").status == 200
    before = descriptors(run)
    connections = []
    with ExitStack() as stack:
        for _ in range(MOST_CLIENTS):
            connection = stack.enter_context(socket.connect())
            connection.sendall(b"GET /v1/logs HTTP/1.1\r\nHost: x\r\n\r\n")
            # Served, but nothing is taken from it.
            assert connection.recv(12, sockets.MSG_PEEK) == b"HTTP/1.1 200"
            connections.append(connection)
        # There is room for another one as soon as one of these is disconnected.
        assert socket.get("/healthz").status == 200
        while descriptors(run) != before:
            assert socket.get("/healthz").status == 200
        assert not any(b"last" in answer_of(connection).body for connection in connections)
    assert b"last" in socket.get("/v1/logs").body
    ends(run, socket)


def test_a_thousand_connections_do_not_block_the_server_or_leak_descriptors(
    run: Run, socket: Socket
) -> None:
    """Connections in the backlog are served in turn; the kernel refuses the others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 1100
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1100), hard))
    assert socket.get("/healthz").status == 200
    before = descriptors(run)
    connections = []
    try:
        for _ in range(1000):
            connection = sockets.socket(sockets.AF_UNIX)
            connection.setblocking(False)
            connections.append(connection)
            here = os.open(socket.path.parent, os.O_RDONLY)
            with suppress(BlockingIOError):
                connection.connect(f"/proc/self/fd/{here}/{socket.path.name}")
            os.close(here)
        assert descriptors(run) <= before + MOST_CLIENTS
        run.handshake()
    finally:
        for connection in connections:
            connection.close()
    assert socket.get("/healthz").status == 200
    assert descriptors(run) == before
    ends(run, socket)


def test_clients_that_leave_during_a_request_leak_no_descriptors(run: Run, socket: Socket) -> None:
    assert socket.get("/healthz").status == 200
    before = descriptors(run)
    for number in range(300):
        with socket.connect() as connection:
            connection.sendall(GET[: number % len(GET)])
    assert socket.get("/healthz").status == 200
    assert descriptors(run) == before
    ends(run, socket)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_followers_that_leave_while_nothing_is_logged_leak_no_descriptors(
    run: Run, socket: Socket, method: str
) -> None:
    assert socket.get("/healthz").status == 200
    before = descriptors(run)
    with ExitStack() as stack:
        for number in range(10):
            connection = stack.enter_context(socket.connect())
            target = "/v1/logs?lines=0&follow=1&names=web"
            connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
            if number % 2:
                connection.shutdown(sockets.SHUT_WR)
    assert socket.get("/healthz").status == 200
    assert descriptors(run) == before
    ends(run, socket)


def test_a_follower_above_the_limit_is_refused_but_other_requests_are_served(
    run: Run, socket: Socket
) -> None:
    follow = b"GET /v1/logs?lines=0&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(MOST_FOLLOWERS):
            connection = stack.enter_context(socket.connect())
            connection.sendall(follow)
            assert connection.recv(12) == b"HTTP/1.1 200"
        refused = socket.send(follow)
        assert (refused.status, refused.error[0]) == (503, "busy")
        assert socket.change("/v1/restart", {"names": ["web"]})["state"] == "done"
    ends(run, socket)


# ---- logs ----

FLOOD = """
    signal.signal(signal.SIGUSR1, lambda *_: say('flood ends'))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    number = 0
    while not signal.sigpending():
        os.write(1, b''.join(b'%d\\n' % n for n in range(number, number + 1000)))
        number += 1000
    print('last', number, flush=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    forever()
"""


def test_a_slow_follower_delays_nothing_and_every_lost_line_is_reported(start: Runs) -> None:
    run = start({"web": code(FLOOD)})
    run.wait_for("web.1", "^99999$")
    socket = socket_of(start)
    with socket.connect() as slow:
        slow.sendall(b"GET /v1/logs?lines=0&follow=1&names=web HTTP/1.0\r\n\r\n")
        run.wait_for("web.1", "^299999$")  # The follower has read none of these lines.
        run.kill(socket.instances()["web.1"]["pid"], 10)
        last = int(run.wait_for("web.1", r"last (\d+)")[1])
        run.wait_for("web.1", "flood ends")
        data = b""
        while b"flood ends" not in data:
            data += slow.recv(1 << 16)
    entries = [json.loads(line) for line in data.partition(b"\r\n\r\n")[2].splitlines()]
    entries = [entry for entry in entries if "last" not in entry.get("message", "")]
    expected = None
    for entry in entries:
        number = entry.get("message", "")
        if expected is not None:
            # Every gap has been reported.
            assert "lost" in entry or number in (str(expected), "flood ends")
            expected += entry.get("lost", 1)
        elif number:
            expected = int(number) + 1
    assert expected == last + 1
    assert any("lost" in entry for entry in entries)
    assert run.end(SIGTERM) == 0
    shown = [int(text) for text in run.said("web.1") if text.isdecimal()]
    assert shown == list(range(last))


# ---- while everything stops, and without descriptors ----


def test_the_control_server_answers_while_everything_stops(start: Runs) -> None:
    run = start({"web": STUBBORN, "worker": FOREVER}, supervisor={"STOP_TIMEOUT": 60})
    run.wait_for("web.1", "deaf")
    socket = socket_of(start)
    pid = socket.instances()["web.1"]["pid"]
    run.signal(SIGTERM)
    run.wait_for("system", "SIGTERM received")

    for verb in ("start", "stop", "restart"):
        refused = socket.post(f"/v1/{verb}", {"names": ["worker"]})
        assert (refused.status, refused.error[0]) == (409, "stopping")
    assert socket.status["phase"] == "stopping"
    assert socket.get("/readyz").status == 503
    # A client that waits for the shutdown is answered at its end.
    change = socket.post("/v1/shutdown", {}).document["change"]
    with socket.connect() as waits:
        waits.sendall(f"GET /v1/changes/{change}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        run.kill(pid, SIGKILL)
        assert answer_of(waits).document["state"] == "done"
    run.end()


def test_a_client_is_served_once_the_supervisor_has_free_descriptors_again(start: Runs) -> None:
    """New connections wait until there are free descriptors again."""
    run = start({"web": FOREVER})
    run.wait_for("system", "all 1 ")
    socket = socket_of(start)
    assert socket.get("/healthz").status == 200
    process = psutil.Process(run.pid)
    soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir(f"/proc/{run.pid}/fd"))
    process.rlimit(psutil.RLIMIT_NOFILE, (highest + 1, hard))
    free = highest + 1 - process.num_fds()
    with ExitStack() as stack:
        for _ in range(free):
            stack.enter_context(socket.connect())
        waits = stack.enter_context(socket.connect())
        waits.sendall(GET)
        run.handshake()
        process.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
        assert answer_of(waits).body == b"ok\n"
    ends(run, socket)


# ---- random requests ----

NAMES = st.sampled_from(["web", "worker", "web.1", "web.2", "worker.1", "all", "nope", "", "\0"])
BODIES = st.one_of(
    st.fixed_dictionaries({"names": st.lists(NAMES, max_size=3)}),
    st.fixed_dictionaries({"counts": st.dictionaries(NAMES, st.integers(-1, 3), max_size=2)}),
    st.fixed_dictionaries(
        {
            "names": st.lists(NAMES, min_size=1, max_size=2),
            "signal": st.sampled_from(["USR2", "CONT", "WINCH", 0, 99, None, "nope"]),
        }
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    ),
)
VERBS = st.sampled_from(["start", "stop", "restart", "signal", "scale", "nope"])
TARGETS = st.sampled_from(
    [
        "/v1/status",
        "/v1/logs",
        "/v1/logs?lines=3",
        "/v1/logs?lines=3&follow=1",
        "/v1/logs?names=web,nope",
        "/v1/events",
        "/v1/events?since=3&follow=1&names=web,system",
        "/v1/events?since=-1",
        "/v1/changes/1",
        "/v1/changes/1?wait=nan",
        "/v1/changes/1?wait=0.01",
        "/readyz",
        "/readyz?process=web.1",
        "/healthz",
        "/",
        "*",
        "/%00",
    ]
)
REQUESTS = st.one_of(
    st.builds(lambda verb, body: post(f"/v1/{verb}", json.dumps(body).encode()), VERBS, BODIES),
    st.builds(
        lambda method, target: f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT", "OPTIONS"]),
        TARGETS,
    ),
    st.binary(max_size=300),
    st.builds(
        lambda head, rest: head + rest,
        st.sampled_from([b"GET / HTTP/1.1\r\n", GET[:-2]]),
        st.binary(max_size=80),
    ),
)
# How a client leaves: after reading, without reading, or with its write side shut down.
LEAVES = st.sampled_from(["reads", "goes", "half"])


def send(socket: Socket, data: bytes, leaves: str) -> None:
    """Send `data`; unless the client just goes, read the answer, or the start of an endless one."""
    with socket.connect() as connection, suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(data)
        if leaves == "half":
            connection.shutdown(sockets.SHUT_WR)
        connection.settimeout(0.02)
        with suppress(sockets.timeout):  # No TimeoutError before Python 3.10.
            for _ in range(10 if leaves != "goes" else 0):
                if not connection.recv(1 << 16):
                    break


BESIDE = {
    "web": code("notify()\nforever()", "NotifyingCode", RESTART="always"),
    "worker": {**FOREVER, "RESTART": "always"},
    "crashing": code(
        "time.sleep(0.05); os.kill(os.getpid(), signal.SIGKILL)",
        RESTART="always",
        BACKOFF={"INITIAL": 0.05, "MAX": 0.05},
        START_LIMIT={"BURST": 10**6, "INTERVAL": 60},
    ),
    "flood": code(
        """
        number = 0
        while True:
            os.write(1, b''.join(b'%d\\n' % n for n in range(number, number + 20)))
            number += 20
            time.sleep(0.002)
        """
    ),
}


def connected(process: psutil.Process, socket: Socket) -> int:
    """The number of client connections that the supervisor has open."""
    listed = getattr(process, "net_connections", None) or process.connections  # Before psutil 6.
    found = listed("unix")
    return sum(str(one.laddr).endswith(socket.path.name) for one in found) - 1


def test_random_requests_beside_crashes_and_floods_break_and_leak_nothing(
    start: Runs, tmp_path: Path
) -> None:
    """Nothing fails, no line is lost, and neither descriptors nor memory leak."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        run = start(BESIDE, stdout=output.fileno())
    while b"flood.1" not in log.read_bytes():
        pass
    socket = socket_of(start)
    process = psutil.Process(run.pid)
    asked = 0

    @settings(suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(REQUESTS, LEAVES), min_size=4, max_size=4))
    def ask(requests: list[tuple[bytes, str]]) -> None:
        nonlocal asked
        for data, leaves in requests:
            send(socket, data, leaves)
            asked += 1
        assert socket.get("/healthz").body == b"ok\n"

    def quiet() -> tuple[int, int]:
        """Descriptors and RSS in bytes, once the wanted processes run and all clients are gone."""
        socket.change("/v1/scale", {"counts": {"web": 1, "worker": 1, "flood": 1}})
        socket.change("/v1/start", {"names": ["web", "worker", "flood"]})
        socket.change("/v1/stop", {"names": ["crashing"]})
        while connected(process, socket):
            assert socket.get("/healthz").status == 200
        found = process.num_fds(), process.memory_info().rss
        socket.change("/v1/start", {"names": ["crashing"]})
        return found

    ask()
    fds, memory = quiet()
    ask()
    fds_after, memory_after = quiet()

    assert asked >= 400
    assert fds_after == fds
    assert memory_after < memory + (4 << 20)
    assert run.end(SIGTERM) == 0
    assert run.stderr == ""
    lines = log.read_text(errors="replace").splitlines()
    assert [line for line in lines if "the control socket" in line] == []
    flood = [int(line.split("| ")[1]) for line in lines if line.startswith("flood.1")]
    assert flood == list(range(len(flood)))
