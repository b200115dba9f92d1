"""Probes against real sockets and real commands, driven by a poll loop in the test."""

from __future__ import annotations

import errno
import os
import selectors
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, Callable, Union

import h11
import psutil
import pytest

from django_prodserver import __version__
from django_prodserver.posix import child, kernel, memory
from django_prodserver.posix.address import socket_addresses
from django_prodserver.posix.probes.probe import NotBegun, Outcome, Probe
from django_prodserver.posix.probes.running import RunningProbes, prepare
from django_prodserver.posix.probes.targets import (
    CommandTarget,
    HttpTarget,
    Target,
    TcpTarget,
    Tls,
)
from django_prodserver.posix.probes.tcp import connected_to_itself
from django_prodserver.posix.signals import SignalPipe
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.spec import Ref
from django_prodserver.supervisor.values import replace
from tests.functional.helpers import FOREVER, Runs, code

WEB, OTHER = Ref("web.1", 0, 1), Ref("other.1", 0, 1)
PYTHON = (sys.executable, "-S", "-c")


class World:
    """A stand-in for the supervisor: only its poll loop, fork and reaper."""

    def __init__(self) -> None:
        self.selector = selectors.PollSelector()
        self.signals = SignalPipe([])
        self.selector.register(self.signals, selectors.EVENT_READ, self._reap)
        self.results: list[tuple[Ref, Outcome]] = []
        self.reaped: list[int] = []
        self.commands: list[int] = []
        self.probes = RunningProbes(
            self.selector, self._execute, lambda ref, outcome: self.results.append((ref, outcome))
        )

    def _execute(self, command: CommandTarget, output: int) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            child.become_command(command, parent, output, self._release)
        self.commands.append(pid)
        return pid

    def _release(self) -> None:
        self.signals.reset_in_child()
        self.probes.release()

    def step(self) -> None:
        """Wait until something happens."""
        for key, _ in self.selector.select():
            key.data()

    def _reap(self) -> None:
        self.signals.drain()
        for pid in list(self.commands):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.commands.remove(pid)
                self.reaped.append(pid)
                code = os.waitstatus_to_exitcode(status)
                ended = ExitStatus(code=code) if code >= 0 else ExitStatus(signal=-code)
                assert self.probes.reaped(pid, ended)

    def until(self, happened: Callable[[], object]) -> None:
        while not happened():
            self.step()

    def ask(self, target: Target) -> Outcome:
        """Probe the target, and return the failure, if any."""
        self.probes.start(WEB, target)
        self.until(lambda: self.results)
        assert len(self.results) == 1
        ref, failure = self.results.pop()
        assert ref == WEB
        return failure

    @property
    def events(self) -> list[int]:
        """The events that the selector waits for on behalf of probes."""
        keys = self.selector.get_map().values()
        return [key.events for key in keys if key.fileobj is not self.signals]

    @property
    def watched(self) -> int:
        return len(self.events)

    def close(self) -> None:
        self.probes.close()
        for pid in self.commands:
            os.waitpid(pid, 0)
        self.signals.close()
        self.selector.close()


@pytest.fixture
def world() -> Iterator[World]:
    before = descriptors()
    world = World()
    yield world
    world.close()
    assert descriptors() == before


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@contextmanager
def server(handle: Callable[[socket.socket], None], family: int = socket.AF_INET) -> Iterator[int]:
    """Accept connections one at a time and pass each to `handle`; yields the port."""
    listener = socket.socket(family)
    listener.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    listener.listen()

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if connection.getsockname() == connection.getpeername() or closing.is_set():
                    return
                handle(connection)

    closing = threading.Event()
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        closing.set()
        with socket.socket(family) as last:
            last.connect(listener.getsockname())
            thread.join()
        listener.close()


def answering(answer: bytes) -> Callable[[socket.socket], None]:
    """Return a handler that reads a request and sends `answer`."""

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        try:
            connection.sendall(answer)
        except OSError:
            return  # The probe did not read all of it.

    return handle


def read_request(connection: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        chunk = connection.recv(65536)
        if not chunk:
            return read
        read += chunk
    return read


def http(port: int, target: str = "/health", host: str = "example.com") -> HttpTarget:
    name = f"127.0.0.1:{port}"
    return HttpTarget(
        name, socket_addresses(("127.0.0.1", port)), f"http://{name}{target}", target, host
    )


CERTIFICATE = Path(__file__).parent.parent / "tls.pem"


def https(port: int, name: str = "localhost", verify: Union[bool, str] = False) -> HttpTarget:
    plain = http(port)
    url = plain.url.replace("http:", "https:")
    return replace(plain, url=url, tls=Tls(name, verify))


def over_tls(
    handle: Callable[[socket.socket], None], **settings: Any
) -> Callable[[socket.socket], None]:
    """Do the TLS handshake before `handle`; a failed handshake ends the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    for name, value in settings.items():
        setattr(context, name, value)

    def shake_hands(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as wrapped:
                handle(wrapped)
        except OSError:
            return

    return shake_hands


def tcp(at: Union[tuple[str, int], str]) -> TcpTarget:
    name = at if isinstance(at, str) else f"{at[0]}:{at[1]}"
    return TcpTarget(name, socket_addresses(at))


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound but not listening, so no other process can listen on it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# ---- TCP ----


def test_a_tcp_probe_succeeds_when_a_connection_succeeds(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert world.ask(tcp(listener.getsockname()[:2])) == ""


def test_a_refused_connection_is_a_failure(world: World, closed_port: int) -> None:
    failure = world.ask(tcp(("127.0.0.1", closed_port)))

    assert failure == f"connection to 127.0.0.1:{closed_port} refused"


def test_a_tcp_probe_tries_the_next_address_after_a_refused_connection(
    world: World, closed_port: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        both = (
            *socket_addresses(("127.0.0.1", closed_port)),
            *socket_addresses(listener.getsockname()[:2]),
        )

        assert world.ask(TcpTarget("both", both)) == ""


def test_an_unsupported_address_family_is_a_failure(world: World) -> None:
    failure = world.ask(TcpTarget("web:80", ((9999, ("127.0.0.1", 80)),)))

    assert failure == f"connection to web:80 failed: {os.strerror(errno.EAFNOSUPPORT)}"


def test_a_target_without_an_address_is_a_failure(world: World) -> None:
    assert world.ask(TcpTarget("web.1", ())) == "web.1 is not an address to connect to"


def test_a_tcp_probe_of_a_unix_socket_succeeds_only_while_it_listens(
    world: World, tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")
    assert world.ask(tcp(path)) == f"connection to {path} failed: {os.strerror(errno.ENOENT)}"

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert world.ask(tcp(path)) == f"connection to {path} refused"
        listener.listen()
        assert world.ask(tcp(path)) == ""


def test_a_socket_connected_to_itself_is_detected(world: World) -> None:
    """If nothing listens on a port, the kernel may choose it as the client's own port."""
    with socket.socket() as selfish:
        selfish.bind(("127.0.0.1", 0))
        port = selfish.getsockname()[1]
        selfish.connect(("127.0.0.1", port))
        assert connected_to_itself(selfish)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1"])
def test_a_server_that_listens_on_all_interfaces_is_probed_at_the_loopback(host: str) -> None:
    assert (socket.AF_INET, ("127.0.0.1", 80)) in socket_addresses((host, 80))


def test_host_names_are_resolved_and_unknown_ones_raise_an_os_error() -> None:
    assert socket_addresses(("::", 80)) == ((socket.AF_INET6, ("::1", 80, 0, 0)),)
    assert socket_addresses(("localhost", 80))
    with pytest.raises(OSError, match=r"."):
        socket_addresses(("nobody.invalid", 80))


# ---- HTTP ----


@pytest.mark.parametrize("status", [200, 204, 301, 302, 399])
def test_http_statuses_2xx_and_3xx_are_healthy(world: World, status: int) -> None:
    with server(answering(f"HTTP/1.1 {status} x\r\nLocation: /\r\n\r\n".encode())) as port:
        assert world.ask(http(port)) == ""


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_http_statuses_4xx_and_5xx_are_failures(world: World, status: int) -> None:
    with server(answering(f"HTTP/1.1 {status} x\r\n\r\n".encode())) as port:
        failure = world.ask(http(port))

    assert failure == f"HTTP {status} from http://127.0.0.1:{port}/health"


def test_an_http_probe_sends_the_target_the_host_and_its_user_agent(world: World) -> None:
    requests = []

    def handle(connection: socket.socket) -> None:
        requests.append(read_request(connection).decode())
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

    with server(handle) as port:
        assert world.ask(http(port, "/health?full=1", "shop.example.com")) == ""

    first, *headers = requests[0].splitlines()
    assert first == "GET /health?full=1 HTTP/1.1"
    assert "Host: shop.example.com" in headers
    assert "Connection: close" in headers
    assert f"User-Agent: django-prodserver/{__version__}" in headers


def test_an_http_probe_works_with_the_server_of_the_standard_library(world: World) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503 if self.path == "/ill" else 200, "x" * 1000)

        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        well = world.ask(http(httpd.server_port))
        ill = world.ask(http(httpd.server_port, "/ill"))
        httpd.shutdown()
        thread.join()

    assert well == ""
    assert ill == f"HTTP 503 from http://127.0.0.1:{httpd.server_port}/ill"


def test_an_http_probe_does_not_read_an_endless_body(world: World) -> None:
    def handle(connection: socket.socket) -> None:
        read_request(connection)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)
        except OSError:
            return

    with server(handle) as port:
        assert world.ask(http(port)) == ""


def test_an_http_response_may_arrive_byte_by_byte(world: World) -> None:
    gate = threading.Semaphore(0)

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n":
            gate.acquire()
            connection.sendall(bytes([byte]))

    with server(handle) as port:
        world.probes.start(WEB, http(port))
        while not world.results:
            gate.release()
            world.step()

    assert world.results == [(WEB, "")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200", "closed the connection without an answer"),
    ],
)
def test_a_response_that_ends_too_early_is_a_failure(
    world: World, answer: bytes, reason: str
) -> None:
    with server(answering(answer)) as port:
        assert world.ask(http(port)) == f"http://127.0.0.1:{port}/health {reason}"


def test_a_connection_reset_instead_of_a_response_is_a_failure(world: World) -> None:
    def handle(connection: socket.socket) -> None:
        # Closing a socket with unread data resets the connection.
        connection.recv(1)

    with server(handle) as port:
        failure = world.ask(http(port))

    assert failure == f"http://127.0.0.1:{port}/health closed the connection without an answer"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        bytes(range(256)) * 10 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        b"x" * 1_000_000,
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"\x1b[31m\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[:12]),
)
def test_a_response_that_is_not_http_is_a_failure(world: World, answer: bytes) -> None:
    with server(answering(answer)) as port:
        failure = world.ask(http(port))

    assert failure.startswith(f"the answer from http://127.0.0.1:{port}/health is not HTTP: ")
    assert failure.isprintable()
    assert len(failure) <= 200


def test_an_http_request_with_an_invalid_host_or_path_is_a_failure(world: World) -> None:
    with server(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        for wrong in (http(port, host="a\nb"), http(port, "/ä"), http(port, "/a b\r\nX: y")):
            assert "cannot request" in world.ask(wrong)


def test_an_http_check_of_a_closed_port_is_refused(world: World, closed_port: int) -> None:
    assert world.ask(http(closed_port)) == f"connection to 127.0.0.1:{closed_port} refused"


def test_an_http_probe_waits_for_a_response_until_the_probe_is_cancelled(
    world: World,
) -> None:
    gate = threading.Event()
    held = threading.Event()

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        held.set()
        gate.wait()

    with server(handle) as port:
        world.probes.start(WEB, http(port))
        world.until(lambda: selectors.EVENT_READ in world.events)  # The request has been sent.
        held.wait()
        assert world.watched == 1

        world.probes.cancel(WEB)

        assert world.watched == 0
        gate.set()
    assert world.results == []


def test_a_new_probe_replaces_the_running_probe_of_the_same_life(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        world.probes.start(WEB, http(hanging.getsockname()[1]))
        world.step()

        assert world.ask(tcp(hanging.getsockname()[:2])) == ""

    assert world.watched == 0


def test_a_probe_cancelled_in_the_poll_round_that_ends_it_reports_nothing(world: World) -> None:
    """Both are ready in the same poll round, and the first to be handled cancels the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = tcp(listener.getsockname()[:2])
        cancelled = []

        def report(ref: Ref, outcome: Outcome) -> None:
            cancelled.append(OTHER if ref == WEB else WEB)
            probes.cancel(cancelled[-1])

        probes = RunningProbes(world.selector, lambda *_: 0, report)
        probes.start(WEB, target)
        probes.start(OTHER, target)
        while world.watched:
            for key, _ in world.selector.select():
                key.data()

    assert len(cancelled) == 1


# ---- commands ----


def command(source: str, **environ: str) -> CommandTarget:
    return CommandTarget((*PYTHON, source), environ)


def test_a_command_that_exits_with_status_0_is_healthy(world: World) -> None:
    assert world.ask(command("print('whatever')")) == ""


def test_a_failing_command_is_reported_with_the_last_line_of_its_output(world: World) -> None:
    source = (
        "import sys; print('first'); print('\\x1b[1mno\\tdatabase', file=sys.stderr); sys.exit(3)"
    )

    assert world.ask(command(source)) == "command exited with status 3: [1mno database"


def test_a_failing_command_without_output_is_reported_with_its_status_only(world: World) -> None:
    assert world.ask(command("raise SystemExit(1)")) == "command exited with status 1"


def test_a_command_killed_by_a_signal_is_a_failure_that_names_the_signal(world: World) -> None:
    source = "import os; os.kill(os.getpid(), 9)"

    assert world.ask(command(source)) == "command was killed by SIGKILL"


def test_a_command_that_cannot_be_executed_is_a_failure(world: World, tmp_path: Path) -> None:
    missing = world.ask(CommandTarget(("prodserver-nothing",)))
    (tmp_path / "plain").write_text("")
    denied = world.ask(CommandTarget((str(tmp_path / "plain"),)))

    assert missing.startswith("command exited with status 127: prodserver-nothing: not found in /")
    assert denied.startswith("command exited with status 126: ")


def test_a_flood_of_output_does_not_block_a_command_or_lengthen_its_failure(world: World) -> None:
    source = "import sys; sys.stdout.write('x' * 10_000_000 + '\\nlast'); sys.exit(1)"

    assert world.ask(command(source)) == "command exited with status 1: last"
    assert len(world.ask(command("import sys; sys.exit('x' * 100_000)"))) == 200


def test_a_command_runs_in_its_own_session_with_a_clean_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS"):
        monkeypatch.setenv(name, "1")
    source = """
import os, signal
env = [name for name in os.environ if name.startswith(("NOTIFY_", "WATCHDOG_", "LISTEN_"))]
leads = os.getsid(0) == os.getpgid(0) == os.getpid()
open_fds = sorted(int(fd) for fd in os.listdir("/dev/fd"))[:4]
blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
raise SystemExit(f"{os.environ['EXTRA']} {env} {leads} {os.read(0, 1)} {open_fds} {blocked}")
"""
    failure = world.ask(command(source, EXTRA="extra"))

    # The fourth descriptor is that of `listdir` itself.
    assert failure == "command exited with status 1: extra [] True b'' [0, 1, 2, 3] set()"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_command_starts_with_no_signal_ignored(world: World) -> None:
    """Python ignores SIGPIPE; a shell that inherits an ignored signal cannot reset it."""
    ignored = world.ask(CommandTarget(("sh", "-c", "grep SigIgn /proc/self/status; exit 1")))

    # 32 and 33 belong to the C library; posix_spawn(3) leaves them ignored in the child.
    assert int(ignored.split()[-1], 16) & 0x7FFFFFFF == 0


def test_a_cancelled_command_is_killed_with_its_child_processes(
    world: World, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    source = f"""
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
with open({str(fifo)!r}, "w") as ready:
    ready.write(".")
    ready.flush()
    signal.pause()
"""
    world.probes.start(WEB, command(source))
    with fifo.open() as ready:
        assert ready.read(1)

        world.probes.cancel(WEB)

        assert set(ready.read()) <= {"."}  # End of file: no process has the FIFO open for writing.
    world.until(lambda: not world.commands)
    assert world.results == []


def test_a_background_process_left_by_a_command_is_killed(world: World, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    source = f"""
import os, signal
writer = os.open({str(fifo)!r}, os.O_WRONLY)
if os.fork() == 0:
    os.write(writer, b".")
    signal.pause()
"""
    world.probes.start(WEB, command(source))
    with fifo.open() as ready:
        world.until(lambda: world.results)

        assert set(ready.read()) <= {"."}
    assert world.results == [(WEB, "")]


def test_a_command_that_closes_its_output_is_waited_for(world: World) -> None:
    assert world.ask(command("import os; os.close(1); os.close(2); os._exit(4)")) == (
        "command exited with status 4"
    )
    assert world.watched == 0


def test_a_cancelled_command_reports_no_result(world: World) -> None:
    world.probes.start(WEB, command("pass"))
    world.probes.cancel(WEB)
    world.probes.cancel(WEB)

    world.until(lambda: not world.commands)

    assert world.results == []


def test_a_command_that_is_cancelled_before_it_runs_is_killed(world: World) -> None:
    """A command that was just forked may not have its own process group yet."""
    for _ in range(20):
        world.probes.start(WEB, command("import signal; signal.pause()"))
    world.probes.cancel(WEB)

    world.until(lambda: not world.commands)
    assert len(world.reaped) == 20


def test_closing_the_probes_kills_running_commands(world: World) -> None:
    world.probes.start(WEB, command("import signal; signal.pause()"))
    world.probes.start(OTHER, command("import signal; signal.pause()"))

    world.probes.close()

    assert world.probes.killed == set(world.commands)
    world.until(lambda: not world.commands)
    world.probes.sweep()
    assert world.probes.killed == set()


def test_a_command_that_cannot_be_forked_is_reported_as_not_started(world: World) -> None:
    results: list[Outcome] = []

    def fail(command: CommandTarget, output: int) -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    probes = RunningProbes(world.selector, fail, lambda _, outcome: results.append(outcome))
    probes.start(WEB, command("pass"))

    assert results == [NotBegun(os.strerror(errno.EAGAIN))]
    assert world.watched == 0


def test_the_exit_of_another_process_is_not_taken_for_a_probe_result(world: World) -> None:
    world.probes.start(WEB, command("raise SystemExit(3)"))

    assert not world.probes.reaped(1, ExitStatus(code=0))
    world.until(lambda: world.results)
    assert world.results == [(WEB, "command exited with status 3")]


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG")
def test_a_command_dies_with_the_supervisor(world: World, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    source = f"import signal; f = open({str(fifo)!r}, 'w'); signal.pause()"
    supervisor = os.fork()
    if supervisor == 0:
        try:
            world.probes.start(WEB, command(source))
            signal.pause()
        finally:
            os._exit(1)
    with fifo.open() as ready:
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)

        assert ready.read() == ""


# ---- OOM kill counters ----


def counters(root: Path, cgroup: str, **files: str) -> Path:
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"


@pytest.mark.parametrize(
    ("cgroup", "file", "text", "kills"),
    [
        ("0::/system.slice/web.service\n", "system.slice/web.service/memory.events", EVENTS, 2),
        ("0::/\n", "memory.events", EVENTS, 2),
        # Docker without a cgroup namespace: the path is that of the host.
        ("0::/docker/abc\n", "memory.events", EVENTS, 2),
        ("0::/../abc\n", "memory.events", EVENTS, 2),
        (
            "5:cpu,memory:/docker/abc\n0::/\n",
            "memory/docker/abc/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
            5,
        ),
        ("5:memory:/docker/abc\n", "memory/memory.oom_control", "oom_kill 5\n", 5),
        # Linux before 4.13 has no `oom_kill` line.
        ("5:memory:/\n", "memory/memory.oom_control", "oom_kill_disable 0\n", 0),
        ("5:memory:/\n", "memory/memory.oom_control", "oom_kill many\n", 0),
        ("4:cpu:/\n1:name=systemd:/\n", "memory.events", EVENTS, 0),
        ("", "memory.events", EVENTS, 0),
    ],
)
def test_the_number_of_oom_kills_is_read_from_cgroup_v1_and_v2(
    tmp_path: Path, cgroup: str, file: str, text: str, kills: int
) -> None:
    root = counters(tmp_path, cgroup, **{f"sys/fs/cgroup/{file}": text})

    assert kernel.out_of_memory_kills(kernel.out_of_memory_counter(root)) == kills


def test_a_system_without_cgroups_reports_no_oom_kills(tmp_path: Path) -> None:
    assert kernel.out_of_memory_counter(tmp_path) is None
    assert kernel.out_of_memory_kills(None) == 0


KILLED, FAILED = ExitStatus(signal=SIGKILL), ExitStatus(code=1)


@pytest.mark.parametrize(
    "ends",
    [
        # (seconds, counter by then, exit status, whether it counts as an OOM kill)
        [(0.0, 1, KILLED, True), (0.0, 1, KILLED, False)],
        [(0.0, 0, KILLED, False), (5.0, 1, KILLED, True)],
        [(0.0, 2, KILLED, True), (0.5, 2, KILLED, True), (0.6, 2, KILLED, False)],
        # Another process is reaped before the victim; after 1 s the count no longer applies.
        [(0.0, 1, FAILED, False), (0.5, 1, KILLED, True)],
        [(0.0, 1, FAILED, False), (1.5, 1, KILLED, False)],
        [(0.0, 1, FAILED, False), (1.5, 2, KILLED, True), (1.5, 2, KILLED, False)],
    ],
)
def test_only_a_sigkill_with_a_recent_rise_of_the_counter_is_an_oom_kill(
    tmp_path: Path, ends: list[tuple[float, int, ExitStatus, bool]]
) -> None:
    counter = "sys/fs/cgroup/memory.events"
    root = counters(tmp_path, "0::/\n", **{counter: "oom_kill 0\n"})
    oom_kills = memory.OomKills(root)

    for now, kills, status, expected in ends:
        (root / counter).write_text(f"oom_kill {kills}\n")
        assert oom_kills.explains(status, now) is expected


# ---- memory ----


def test_memory_is_measured_over_the_whole_process_tree() -> None:
    read, write = os.pipe()
    source = f"""
import os, signal
os.fork()
held = os.urandom(32 << 20)
os.write({write}, b".")
signal.pause()
"""
    leader = psutil.Popen([*PYTHON, source], pass_fds=[write])
    try:
        os.read(read, 1)
        os.read(read, 1)
        measured = memory.of_tree(leader.pid)
        alone = leader.memory_info().rss
    finally:
        for process in [*leader.children(), leader]:
            process.kill()
        leader.wait()
        os.close(read)
        os.close(write)

    assert measured is not None
    assert 64 << 20 < measured < 2 * alone
    assert memory.of_tree(leader.pid) is None


# ---- under a supervisor ----


def test_an_unhealthy_instance_ends_the_run(start: Runs) -> None:
    source = """
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_error(503)
                print("asked by", self.headers["Host"])

            def log_message(self, *args): pass

        server = HTTPServer(("127.0.0.1", int(os.environ["AT"])), Handler)
        server.serve_forever()
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://localhost:{port}/health"
    check = {"HTTP": url, "INTERVAL": 0.1, "RETRIES": 2}
    run = start({"web": code(source, ENV={"AT": str(port)}, HEALTHCHECK=check)})

    assert run.end() == 128 + SIGTERM
    assert f"asked by localhost:{port}" in run.said("web.1")
    assert any(f"HTTP 503 from {url}" in line for line in run.said("system"))


def test_a_health_check_command_running_at_the_stop_leaves_no_process_behind(start: Runs) -> None:
    check = {"COMMAND": ["sh", "-c", "sleep 1000 & wait"], "INTERVAL": 0.1, "TIMEOUT": 60}
    run = start({"web": {**FOREVER, "HEALTHCHECK": check}})
    run.wait_for("system", "all 1 ready")
    while len(run.descendants()) < 3:
        run.handshake()

    assert run.end(SIGTERM) == 0
    assert not any("left behind" in line for line in run.said("system"))


# ---- TLS ----

OK = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_https_probe_without_verification_succeeds_and_sends_its_sni_name(
    world: World, version: ssl.TLSVersion
) -> None:
    names: list[str] = []

    def note(connection: ssl.SSLObject, name: str, context: ssl.SSLContext) -> None:
        names.append(name)

    handle = over_tls(answering(OK), maximum_version=version, sni_callback=note)
    with server(handle) as port:
        assert world.ask(https(port, name="www.example.org")) == ""

    assert names == ["www.example.org"]


def test_an_https_response_with_status_503_is_a_failure(world: World) -> None:
    with server(over_tls(answering(b"HTTP/1.1 503 Busy\r\n\r\n"))) as port:
        assert world.ask(https(port)) == f"HTTP 503 from https://127.0.0.1:{port}/health"


def test_an_https_response_may_arrive_byte_by_byte(world: World) -> None:
    def handle(connection: socket.socket) -> None:
        read_request(connection)
        for byte in b"HTTP/1.1 200 OK\r\nServer: a\r\n\r\n":
            connection.sendall(bytes([byte]))

    with server(over_tls(handle)) as port:
        assert world.ask(https(port)) == ""


def test_a_certificate_is_valid_only_for_its_own_names_and_from_a_trusted_ca(
    world: World,
) -> None:
    with server(over_tls(answering(OK))) as port:
        for name in ("localhost", "127.0.0.1", "example.com"):
            assert world.ask(https(port, name, str(CERTIFICATE))) == ""

        failure = world.ask(https(port, "example.org", str(CERTIFICATE)))
        assert failure.startswith(f"the certificate of https://127.0.0.1:{port}/health is not")
        assert "example.org" in failure

        failure = world.ask(https(port, "localhost", True))
        assert "is not valid: self" in failure


def test_a_server_that_requires_a_client_certificate_is_a_failure(world: World) -> None:
    demanding = over_tls(answering(OK), verify_mode=ssl.CERT_REQUIRED)
    with server(demanding) as port:
        failure = world.ask(https(port))

    assert failure in (
        f"no TLS connection to https://127.0.0.1:{port}/health: tlsv13 alert certificate required",
        # The connection was reset before the alert could be read.
        f"https://127.0.0.1:{port}/health closed the connection without an answer",
    )


def test_an_https_probe_of_a_server_without_tls_is_a_failure(world: World) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with suppress(ConnectionResetError):
            while connection.recv(65536):
                pass

    with server(handle) as port:
        failure = world.ask(https(port))

    assert failure.startswith(f"no TLS connection to https://127.0.0.1:{port}/health: ")
    assert failure.isprintable()


def test_a_server_that_closes_during_the_tls_handshake_is_a_failure(world: World) -> None:
    def handle(connection: socket.socket) -> None:
        # Closing a socket with unread data resets the connection.
        connection.recv(65536)

    with server(handle) as port:
        failure = world.ask(https(port))

    assert failure.startswith(f"no TLS connection to https://127.0.0.1:{port}/health: ")
    assert "eof" in failure.lower()  # Each version of OpenSSL words it differently.


def test_a_probe_in_an_unanswered_tls_handshake_can_be_cancelled(world: World) -> None:
    gate, here = threading.Event(), threading.Event()

    def handle(connection: socket.socket) -> None:
        here.set()
        gate.wait()

    with server(handle) as port:
        world.probes.start(WEB, https(port))
        world.until(lambda: world.events == [selectors.EVENT_READ])
        here.wait()

        world.probes.cancel(WEB)
        gate.set()

    assert world.watched == 0
    assert world.results == []


def test_an_https_probe_cannot_be_prepared_with_a_missing_or_empty_ca_file(tmp_path: Path) -> None:
    prepare(https(1, verify=str(CERTIFICATE)))
    prepare(http(1))
    prepare(tcp(("127.0.0.1", 1)))
    (tmp_path / "empty.pem").touch()

    with pytest.raises(OSError, match="No such file"):
        prepare(https(1, verify=str(tmp_path / "no.pem")))
    with pytest.raises(OSError, match=r"\w"):
        prepare(https(1, verify=str(tmp_path / "empty.pem")))


# ---- Unix sockets ----


@contextmanager
def unix_server(path: Path, answer: bytes) -> Iterator[None]:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener.accept()[0] as connection:
            answering(answer)(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listener.close()


def at_socket(path: Path) -> HttpTarget:
    name = f"unix:{path}"
    return HttpTarget(name, socket_addresses(str(path)), f"{name}:/health", "/health", "localhost")


def test_an_http_probe_can_use_a_unix_socket(world: World, tmp_path: Path) -> None:
    with unix_server(tmp_path / "web.sock", OK):
        assert world.ask(at_socket(tmp_path / "web.sock")) == ""


def test_the_failure_of_an_http_probe_names_its_unix_socket(world: World, tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    missing = f"connection to unix:{path} failed: No such file or directory"
    assert world.ask(at_socket(path)) == missing

    with unix_server(path, b"HTTP/1.1 500 No\r\n\r\n"):
        assert world.ask(at_socket(path)) == f"HTTP 500 from unix:{path}:/health"

    assert world.ask(at_socket(path)) == f"connection to unix:{path} refused"


# ---- unexpected exceptions ----


class Raising(Probe):
    """Raises, in one of its steps, an exception that no parser documents."""

    def __init__(self, selector: selectors.PollSelector, step: str) -> None:
        super().__init__(selector)
        self._step = step
        self._ours, self._theirs = socket.socketpair()

    def _begin(self) -> None:
        self._fail_in("begin")
        self._watch(self._ours.fileno(), selectors.EVENT_WRITE, self._go_on)

    def _go_on(self) -> None:
        self._fail_in("go on")

    def _fail_in(self, step: str) -> None:
        if step == self._step:
            raise RecursionError("maximum recursion\ndepth exceeded")

    def release(self) -> None:
        self._ours.close()
        self._theirs.close()


@pytest.mark.parametrize("step", ["begin", "go on"])
def test_an_unexpected_exception_in_a_probe_is_reported_as_its_failure(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(world.probes, "_create", lambda target: Raising(world.selector, step))

    failure = world.ask(http(1))

    assert failure == "the probe failed: RecursionError: maximum recursion depth exceeded"
    assert world.watched == 0


def test_a_response_that_the_parser_chokes_on_is_a_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """h11 0.14 raised this for a length of thousands of digits."""

    def choke(connection: h11.Connection) -> None:
        raise ValueError("Exceeds the limit (4300 digits) for integer string conversion")

    monkeypatch.setattr(h11.Connection, "next_event", choke)
    with server(answering(OK)) as port:
        failure = world.ask(http(port))

    assert failure.startswith("the probe failed: ValueError: Exceeds the limit (4300 digits)")


def test_an_invalid_address_is_a_failure(world: World) -> None:
    for address in (("127.0.0.1", 70000), ("127.0.0.1", "http"), "127.0.0.1"):
        target = TcpTarget("web:80", ((socket.AF_INET, address),))
        assert world.ask(target).startswith("the probe failed: ")


def test_a_content_length_of_thousands_of_digits_is_a_failure(world: World) -> None:
    length = b"9" * 5000
    with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n")) as port:
        failure = world.ask(http(port))

    assert failure.startswith(f"the answer from http://127.0.0.1:{port}/health is not HTTP: ")
