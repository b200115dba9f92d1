"""Notifications: what instances may send, which senders count, and what we send ourselves."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGALRM, SIGKILL, SIGTERM
from typing import Any, Union

import pytest

from django_prodserver.posix.notify import (
    _CREDENTIALS,
    AT_ONCE,
    FLOOD,
    LONGEST,
    NotifySocket,
    _is_from,
    notify,
    parse,
    watchdog_interval,
)
from django_prodserver.posix.socket_folder import SocketFolder
from django_prodserver.supervisor.events import Notified, NotifyFlooded, WatchdogMessage
from django_prodserver.supervisor.spec import Ref
from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.running import gone

linux = pytest.mark.skipif(sys.platform != "linux", reason="senders are known on Linux")
superuser = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
# A user id without files and processes.
STRANGER = 54321
NOTIFY = "from django_prodserver.posix.notify import notify\n"


def notifying(source: str) -> dict[str, Any]:
    entry = code(source, "NotifyingCode")
    return {**entry, "ARGS": [NOTIFY + entry["ARGS"][0]]}


# Prints its address, and reports ready on SIGALRM.
WHEN_ASKED = notifying(
    """
    signal.signal(signal.SIGALRM, lambda *_: notify())
    print("pid", os.getpid(), "address", os.environ["NOTIFY_SOCKET"])
    forever()
    """
)


def is_ready(run: Run) -> bool:
    return any(text.startswith("web.1 ready") for text in run.said("system"))


def test_a_ready_message_from_the_leader_is_accepted(start: Runs) -> None:
    run = start({"web": notifying("print('first'); notify(); forever()"), "worker": FOREVER})
    run.wait_for("system", r"web\.1 ready after")

    assert "first" in run.said("web.1")
    run.wait_for("system", "all 2 ready")
    assert run.end(SIGTERM) == 0


def test_a_ready_message_from_a_grandchild_in_the_session_is_accepted(start: Runs) -> None:
    source = """
        def worker():
            notify()
            forever()

        beget(worker)
        forever()
    """
    run = start({"web": notifying(source)})

    run.wait_for("system", r"web\.1 ready after")

    assert run.end(SIGTERM) == 0


def test_a_process_is_not_ready_before_it_sends_ready(start: Runs) -> None:
    run = start({"web": WHEN_ASKED})
    pid = int(run.wait_for("web.1", r"pid (\d+)")[1])
    run.handshake()
    assert not is_ready(run)

    run.kill(pid, SIGALRM)

    run.wait_for("system", r"web\.1 ready after")
    assert run.end(SIGTERM) == 0


@linux
def test_a_ready_message_from_outside_the_session_is_ignored(start: Runs) -> None:
    run = start({"web": WHEN_ASKED})
    pid, address = run.wait_for("web.1", r"pid (\d+) address (.*)").groups()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as foreign:
        foreign.sendto(b"READY=1", address.replace("@", "\0", 1))
    run.handshake()

    assert not is_ready(run)
    run.kill(int(pid), SIGALRM)
    run.wait_for("system", r"web\.1 ready after")
    assert run.end(SIGTERM) == 0


def test_a_ready_message_from_a_sibling_is_ignored(start: Runs) -> None:
    foreign = notifying(
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        print("pid", os.getpid())
        signal.sigwait({signal.SIGALRM})
        notify(address=open("address").read())
        notify()
        forever()
        """
    )
    run = start({"web": WHEN_ASKED, "other": foreign})
    run.wait_for_each({"web.1": "pid", "other.1": "pid"})
    (start.project / "address").write_text(run.said("web.1")[0].split()[-1])
    sibling = int(run.said("other.1")[0].split()[-1])

    run.kill(sibling, SIGALRM)
    run.wait_for("system", r"other\.1 ready after")

    assert not is_ready(run)
    assert run.end(SIGTERM) == 0


def test_malformed_notifications_do_not_make_a_process_ready(start: Runs) -> None:
    source = """
        notify(b"\\xff\\x00" * 1000)
        notify(b"READY=1 ")
        notify(b"STATUS=READY=1")
        notify(b"X" * 5000 + b"\\nREADY=1")
        notify(b"")
        print("sent")
        signal.signal(signal.SIGALRM, lambda *_: notify(b"STATUS=fine\\nREADY=1\\n"))
        print("pid", os.getpid())
        forever()
    """
    run = start({"web": notifying(source)})
    pid = int(run.wait_for("web.1", r"pid (\d+)")[1])
    run.handshake()

    assert not is_ready(run)
    run.kill(pid, SIGALRM)
    run.wait_for("system", r"web\.1 ready after")
    assert run.end(SIGTERM) == 0


def test_a_flood_of_notifications_does_not_block_signals(start: Runs) -> None:
    source = """
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.setblocking(False)
        sender.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))

        def flood():
            while True:
                try:
                    sender.send(b"STATUS=still here")
                except BlockingIOError:
                    pass

        for _ in range(3):
            beget(flood)
        print("flooding")
        flood()
    """
    entry = notifying(source)
    run = start({"web": {**entry, "ARGS": ["import socket\n" + entry["ARGS"][0]]}})
    run.wait_for("web.1", "flooding")

    assert run.end(SIGTERM) == 0


# ---- the protocol ----

WEB = Ref("web.1", 0, 1)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"READY=1", Notified(WEB, ready=True)),
        (b"READY=1\n", Notified(WEB, ready=True)),
        (b"STOPPING=1", Notified(WEB, stopping=True)),
        (b"STATUS=half way", Notified(WEB, status="half way")),
        (b"STATUS=", Notified(WEB, status="")),
        (b"STATUS=a=b", Notified(WEB, status="a=b")),
        ("STATUS=größer".encode(), Notified(WEB, status="größer")),
        (b"EXTEND_TIMEOUT_USEC=2500000", Notified(WEB, extend_timeout=2.5)),
        (b"EXTEND_TIMEOUT_USEC=0", Notified(WEB, extend_timeout=0)),
        (b"EXTEND_TIMEOUT_USEC=604800000000", Notified(WEB, extend_timeout=604800)),
        (b"WATCHDOG=1", Notified(WEB, watchdog=WatchdogMessage.PING)),
        (b"WATCHDOG=trigger", Notified(WEB, watchdog=WatchdogMessage.TRIGGER)),
        (b"ERRNO=2", Notified(WEB, error=os.strerror(errno.ENOENT))),
        (b"ERRNO=0", Notified(WEB)),
        (b"STATUS=a\nREADY=1\nSTATUS=b", Notified(WEB, ready=True, status="b")),
        (b"READY=0\nWATCHDOG=2\nSTOPPING=", Notified(WEB)),
        (b"MAINPID=1\nRELOADING=1\nX_NEW=1\nFDSTORE=1\nBARRIER=1", Notified(WEB)),
    ],
)
def test_a_message_is_parsed_into_its_fields(message: bytes, said: Notified) -> None:
    assert parse(message, WEB) == said


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\n",
        b"READY",
        b"READY=1\nnonsense",
        b"=1",
        b"READY=1\0",
        b"\xff\xfe=1",
        b"STATUS=\xe4",
        bytes(range(256)),
        b"EXTEND_TIMEOUT_USEC=-1",
        b"EXTEND_TIMEOUT_USEC=1.5",
        b"EXTEND_TIMEOUT_USEC=",
        b"EXTEND_TIMEOUT_USEC=604800000001",
        b"EXTEND_TIMEOUT_USEC=" + b"9" * 4000,
        "EXTEND_TIMEOUT_USEC=\u0663".encode(),
        b"ERRNO=ENOENT",
        b"ERRNO=-2",
        b"ERRNO=99999",
    ],
)
def test_malformed_messages_are_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(message, WEB)


def test_a_status_is_one_printable_line_of_bounded_length() -> None:
    status = parse("STATUS=a\x1b[31mb\r\u2028\x07c\t d".encode(), WEB).status
    long = parse(b"STATUS=" + b"x" * 1000, WEB).status

    assert status == "a [31mb c d"
    assert long == "x" * 197 + "..."


# ---- the socket ----


@pytest.fixture
def folder() -> Iterator[SocketFolder]:
    folder = SocketFolder()
    yield folder
    folder.close()
    assert not os.path.exists(folder.path)


@pytest.fixture(params=["in a folder", pytest.param("abstract", marks=linux)])
def listener(request: pytest.FixtureRequest, folder: SocketFolder) -> Iterator[NotifySocket]:
    socket = NotifySocket(folder if request.param == "in a folder" else None)
    assert socket.address.startswith("/" if request.param == "in a folder" else "@")
    yield socket
    socket.close()


def heard(listener: NotifySocket) -> list[Union[Notified, NotifyFlooded]]:
    """Receive, with the session of this process as that of the instance."""
    return listener.receive(WEB, os.getsid(0))


def name_of(listener: NotifySocket) -> str:
    return listener.address.replace("@", "\0", 1)


def said(**what: Any) -> Notified:
    return Notified(WEB, **what)


def send(listener: NotifySocket, *messages: bytes) -> None:
    for message in messages:
        notify(message, listener.address)


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_messages_are_received_in_order(listener: NotifySocket) -> None:
    send(listener, b"STOPPING=1", b"READY=1", b"X=1", b"STATUS=last")

    assert heard(listener) == [said(stopping=True), said(ready=True), said(status="last")]
    assert heard(listener) == []
    assert listener.ignored == 0


def test_malformed_messages_are_counted_as_ignored(listener: NotifySocket) -> None:
    send(listener, b"X" * 65536, b"A=" + b"x" * LONGEST, b"\xff\0" * 100, b"READY=1")

    assert heard(listener) == [said(ready=True)]
    assert listener.ignored == 3


def test_a_message_of_the_maximum_length_is_received(listener: NotifySocket) -> None:
    send(listener, b"READY=1\nX=".ljust(LONGEST, b"x"))

    assert heard(listener) == [said(ready=True)]


@linux
def test_a_message_from_another_session_is_counted_as_ignored(listener: NotifySocket) -> None:
    source = "from django_prodserver.posix.notify import notify; import sys; notify(); input()"
    environ = {**os.environ, "NOTIFY_SOCKET": listener.address}
    with subprocess.Popen(
        [sys.executable, "-c", source], env=environ, stdin=subprocess.PIPE, start_new_session=True
    ) as stranger:
        while not listener.ignored:
            assert heard(listener) == []
            assert stranger.poll() is None
        stranger.communicate(b"\n")

    assert listener.ignored == 1


def in_child(do: Callable[[], None]) -> None:
    """Call `do` in a child process, and wait until it has exited."""
    pid = os.fork()
    if pid == 0:
        try:
            do()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)


def send_from_child(listener: NotifySocket, *messages: bytes, user: int = os.geteuid()) -> None:
    """Send from a child in its own session, and wait until it has exited."""

    def send() -> None:
        os.setsid()
        if user != os.geteuid():
            os.setuid(user)
        for message in messages:
            notify(message, listener.address, wait=False)

    in_child(send)


def test_a_message_from_an_exited_sender_of_the_same_user_is_trusted(
    listener: NotifySocket,
) -> None:
    """Short-lived helpers exit before their session can be looked up."""
    send_from_child(listener, b"READY=1")

    assert heard(listener) == [said(ready=True)]
    assert listener.ignored == 0


@linux
@superuser
def test_a_message_from_an_exited_sender_of_another_user_is_ignored(listener: NotifySocket) -> None:
    send_from_child(listener, b"READY=1", user=STRANGER)

    assert heard(listener) == []
    assert listener.ignored == 1


@linux
@superuser
def test_a_message_from_an_exited_sender_of_the_user_of_the_life_is_trusted(
    listener: NotifySocket,
) -> None:
    command = ["setpriv", f"--reuid={STRANGER}", "--clear-groups", "sh", "-c", "echo; read line"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as life:
        assert life.stdout is not None
        life.stdout.readline()
        send_from_child(listener, b"READY=1", user=STRANGER)

        assert listener.receive(WEB, life.pid) == [said(ready=True)]
        life.communicate(b"\n")


@linux
def test_a_reused_pid_does_not_make_another_user_trusted() -> None:
    """Another user's process sends and exits, and a process of the life gets its pid."""
    for user, believed in ((os.getuid(), True), (STRANGER, False)):
        credentials = _CREDENTIALS.pack(os.getpid(), user, user)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)]

        assert _is_from(os.getsid(0), ancillary) is believed


# ---- floods ----


@linux
def test_a_flood_from_another_session_is_reported(listener: NotifySocket) -> None:
    source = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.setblocking(False)
    while True:
        try:
            sender.sendto(b"WATCHDOG=1", sys.argv[1].replace("@", "\\0", 1))
        except BlockingIOError:
            print("full", flush=True)
            sys.stdin.readline()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-S", "-c", source, listener.address],
        stdin=pipe,
        stdout=pipe,
        start_new_session=True,
    ) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdin is not None
        assert stranger.stdout.readline() == b"full\n"

        assert heard(listener) == [NotifyFlooded(WEB)]
        assert listener.ignored >= FLOOD
        stranger.kill()


@linux
@superuser
@pytest.mark.parametrize("named", ["in a folder", "abstract"])
def test_a_flood_by_another_user_does_not_make_a_process_unhealthy(
    place: Path, named: str, start: Runs
) -> None:
    deep = place / ("x" * 100)
    deep.mkdir()
    source = """
        print("at", os.environ["NOTIFY_SOCKET"])
        notify()
        for number in range(1000):
            notify(b"WATCHDOG=1", wait=False)
            time.sleep(0.1)
            print("ping", number)
    """
    run = start(
        {"web": {**notifying(source), "WATCHDOG": 1}},
        env={"TMPDIR": str(place if named == "in a folder" else deep)},
    )
    address = run.wait_for("web.1", "at (.*)")[1]
    assert address.startswith("/" if named == "in a folder" else "@")
    run.wait_for("system", "all 1 ready")

    with flooding(address, place):
        run.wait_for("web.1", "ping 50$")

    assert run.end(SIGTERM) == 0
    system = run.said("system")
    assert not [line for line in system if "unhealthy" in line]
    assert len([line for line in system if "flood its notify socket" in line]) <= 1


@contextmanager
def flooding(address: str, place: Path) -> Iterator[None]:
    """Processes of another user that send to every address they can find."""

    def flood() -> None:
        os.setuid(STRANGER)
        found = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()]
        names = [name for name in found if name.startswith(str(place))]
        names += [address] if address.startswith("@") else []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            while True:
                for name in names:
                    with suppress(OSError):
                        sender.sendto(b"X=1", name.replace("@", "\0", 1))

    flooders = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                flood()
            finally:
                os._exit(1)
        flooders.append(pid)
    try:
        yield
    finally:
        for pid in flooders:
            os.kill(pid, SIGKILL)
            os.waitpid(pid, 0)


def test_many_messages_from_the_process_itself_are_not_a_flood(listener: NotifySocket) -> None:
    for _ in range(2000):  # More than any queue holds.
        notify(b"STATUS=x", listener.address, wait=False)

    assert set(heard(listener)) == {said(status="x")}


# ---- the folder ----


def test_other_users_cannot_list_the_socket_folder(folder: SocketFolder) -> None:
    listener = NotifySocket(folder)
    with listener._socket:
        mode = stat.S_IMODE(os.stat(folder.path).st_mode)
        assert mode == (0o711 if os.geteuid() == 0 else 0o700)
        assert stat.S_IMODE(os.stat(os.path.join(folder.path, "new")).st_mode) == 0o700
        if sys.platform == "linux":
            names = Path("/proc/net/unix").read_text()
            assert folder.path in names
            assert listener.address not in names
    listener.close()
    assert os.listdir(folder.path) == ["new"]


@linux
@superuser
@pytest.mark.parametrize("told", [True, False])
def test_another_user_reaches_a_notify_socket_only_if_given_its_address(
    folder: SocketFolder, told: bool
) -> None:
    """Without being told, it finds the address neither in the folder nor in /proc/net/unix."""
    listener = NotifySocket(folder)

    def names() -> list[str]:
        if told:
            return [listener.address]
        bound = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()]
        found = [name for name in bound if name.startswith(folder.path)]
        with suppress(PermissionError):
            found += [os.path.join(folder.path, name) for name in os.listdir(folder.path)]
        return found

    def send() -> None:
        os.setuid(STRANGER)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for name in names():
                with suppress(PermissionError, FileNotFoundError):
                    sender.sendto(b"READY=1", name)

    in_child(send)

    assert heard(listener) == []
    assert listener.ignored == told
    listener.close()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder that every user can pass through."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o711)
        monkeypatch.setattr(tempfile, "tempdir", place)
        monkeypatch.setenv("TMPDIR", place)
        yield Path(place)


def test_an_abandoned_socket_folder_is_removed_when_the_next_is_created(place: Path) -> None:
    in_use, abandoned = SocketFolder(), SocketFolder()
    left = NotifySocket(abandoned)
    left.release()
    abandoned.release()  # As if its process had been killed.
    (place / "prodserver-notify-file").touch()

    third = SocketFolder()

    found = {path.name for path in place.iterdir()}
    assert found == {os.path.basename(one.path) for one in (in_use, third)} | {
        "prodserver-notify-file"
    }
    in_use.close()
    third.close()


def test_a_socket_folder_is_removed_with_its_contents_and_nothing_else(place: Path) -> None:
    (place / "kept").mkdir()
    (place / "kept" / "file").touch()
    folder = SocketFolder()
    inside = Path(folder.path)
    (inside / "new" / "deep").mkdir()
    (inside / "new" / "deep" / "s").touch()
    (inside / "link").symlink_to(place / "kept")

    folder.close()

    assert [path.name for path in place.iterdir()] == ["kept"]
    assert (place / "kept" / "file").exists()


@pytest.mark.parametrize("first", ["missing", "file", ""])
def test_the_socket_folder_is_created_in_a_usable_temporary_folder(
    place: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").touch()
    monkeypatch.setenv("TMPDIR", str(place / first) if first else "")
    monkeypatch.setenv("TEMP", str(place))

    folder = SocketFolder()

    assert os.path.dirname(folder.path) == str(place)
    folder.close()


@linux
@pytest.mark.parametrize("name", ["x" * 100, pytest.param("private", marks=superuser)])
def test_the_notify_socket_is_abstract_if_lives_could_not_reach_a_folder(
    place: Path, name: str, start: Runs
) -> None:
    """Its path is too long, or lives that change user could not pass through it."""
    deep = place / name
    deep.mkdir(mode=0o700 if name == "private" else 0o755)
    source = "print('at', os.environ['NOTIFY_SOCKET']); notify(); forever()"
    run = start({"web": notifying(source)}, env={"TMPDIR": str(deep)})

    run.wait_for("web.1", "at @")
    run.wait_for("system", "all 1 ready")
    assert run.end(SIGTERM) == 0
    assert list(deep.iterdir()) == []


def test_the_socket_folder_is_removed_at_shutdown(place: Path, start: Runs) -> None:
    source = "print('at', os.environ['NOTIFY_SOCKET']); notify(); forever()"
    run = start({"web": notifying(source)})
    address = Path(run.wait_for("web.1", "at (.*)")[1])
    run.wait_for("system", "all 1 ready")
    assert address.parent.parent == place

    assert run.end(SIGTERM) == 0
    assert not address.parent.exists()


def test_the_socket_folder_of_a_killed_supervisor_is_removed_by_the_next(
    place: Path, start: Runs
) -> None:
    source = "print('at', os.environ['NOTIFY_SOCKET']); notify(); forever()"
    addresses = []
    for _ in range(2):
        # No template: it would remove the folder at once.
        run = start({"web": notifying(source)}, env={"PRODSERVER_LOCAL_FORK": "1"})
        addresses.append(Path(run.wait_for("web.1", "at (.*)")[1]))
        pid = int(run.wait_for("system", r"web\.1 ready .*\(pid (\d+)\)")[1])
        run.end(SIGKILL)
        while not gone(pid):
            os.sched_yield()
        assert addresses[-1].parent.exists()

    assert not addresses[0].parent.exists()


@linux
@superuser
def test_a_life_that_changes_its_user_reaches_its_socket(place: Path, start: Runs) -> None:
    source = f"os.setuid({STRANGER}); notify(); forever()"
    run = start({"web": notifying(source)})

    run.wait_for("system", "all 1 ready")
    assert run.end(SIGTERM) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/fd differs")
def test_descriptors_sent_with_a_message_are_closed(listener: NotifySocket) -> None:
    read, write = os.pipe()
    address = name_of(listener)
    before = open_descriptors()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for count in (1, 2, 3, 50, 250):
            rights = b"".join(write.to_bytes(4, sys.byteorder) for _ in range(count))
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            sender.sendmsg([b"FDSTORE=1\nREADY=1"], ancillary, 0, address)

            assert heard(listener) == [said(ready=True)]
    os.close(write)

    assert open_descriptors() == before - 1
    assert os.read(read, 1) == b""  # No process has the other end open.
    os.close(read)


def test_a_flood_of_messages_is_read_in_small_batches(listener: NotifySocket) -> None:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    address = name_of(listener)
    # The system's limit for the queue (net.unix.max_dgram_qlen) may be too low for a flood, so this
    # one goes on while it is read.
    read = 0

    class Flood:
        """Sends another message for each one that is received."""

        def recvmsg(self, *args: int) -> Any:
            nonlocal read
            read += 1
            sender.sendto(b"WATCHDOG=1", address)
            return real.recvmsg(*args)

    real = listener._socket
    listener._socket = Flood()  # type: ignore[assignment]
    try:
        assert len(heard(listener)) == AT_ONCE == read
    finally:
        listener._socket = real
        sender.close()


# ---- notifications of our own ----


def test_a_notification_that_nothing_reads_does_not_block(listener: NotifySocket) -> None:
    for _ in range(2000):  # More than any queue holds.
        notify(b"STATUS=x", listener.address, wait=False)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with pytest.raises(OSError, match=r"unavailable|buffer space"):  # The queue is full.
            sender.sendto(b"STATUS=x", name_of(listener))


def test_a_notification_to_an_address_where_nothing_listens_is_ignored() -> None:
    notify(b"READY=1", "/nowhere/notify", wait=False)
    notify(b"READY=1", "relative", wait=False)
    notify(b"READY=1", "@" + "x" * 500, wait=False)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, None),
        ({"WATCHDOG_USEC": "3000000", "NOTIFY_SOCKET": "@x"}, 3.0),
        ({"WATCHDOG_USEC": "1500000", "NOTIFY_SOCKET": "@x", "WATCHDOG_PID": "self"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "NOTIFY_SOCKET": "@x", "WATCHDOG_PID": "1000000"}, None),
        ({"WATCHDOG_USEC": "0", "NOTIFY_SOCKET": "@x"}, None),
        ({"WATCHDOG_USEC": "soon", "NOTIFY_SOCKET": "@x"}, None),
        ({"NOTIFY_SOCKET": "@x"}, None),
    ],
)
def test_the_watchdog_interval_is_read_from_the_environment(
    environ: dict[str, str], seconds: float | None
) -> None:
    if environ.get("WATCHDOG_PID") == "self":
        environ = {**environ, "WATCHDOG_PID": str(os.getpid())}

    assert watchdog_interval(environ) == seconds


# ---- under a supervisor ----


def test_ignored_messages_are_logged_at_shutdown(start: Runs) -> None:
    source = """
        for message in (b"nonsense", b"X" * 65536, b"\\xff\\0"):
            notify(message)
        notify()
        forever()
    """
    run = start({"web": notifying(source)})
    run.wait_for("system", r"web\.1 ready after")

    assert run.end(SIGTERM) == 0
    assert "web.1: 3 messages to its notify socket were ignored" in run.said("system")


def test_messages_sent_just_before_a_leader_exits_are_received(start: Runs) -> None:
    source = """
        def leave(*_):
            notify(b"STATUS=last words")
            notify(b"nonsense")
            os._exit(0)

        signal.signal(signal.SIGTERM, leave)
        notify()
        forever()
    """
    run = start({"web": notifying(source)})
    run.wait_for("system", r"web\.1 ready after")

    assert run.end(SIGTERM) == 0
    assert "web.1: 1 message to its notify socket was ignored" in run.said("system")


def test_a_process_with_a_watchdog_receives_its_interval(start: Runs) -> None:
    source = """
        print("every", os.environ["WATCHDOG_USEC"], "pid", os.environ.get("WATCHDOG_PID"))
        forever()
    """
    # `web` does not report readiness, but gets a socket for its watchdog all the same.
    run = start(
        {
            "web": code(source, WATCHDOG=60.5),
            "other": code("print('WATCHDOG_USEC' in os.environ); forever()"),
        },
        env={"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"},
    )

    run.wait_for_each({"web.1": "^every 60500000 pid None$", "other.1": "^False$"})
    assert run.end(SIGTERM) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_the_supervisor_notifies_systemd_of_ready_and_stopping(start: Runs) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("")
        systemd.settimeout(60)
        address = "@" + systemd.getsockname()[1:].decode()
        run = start({"web": FOREVER}, env={"NOTIFY_SOCKET": address})
        told: list[str] = []
        while "READY=1" not in told:
            told += systemd.recv(4096).decode().splitlines()

        assert run.end(SIGTERM) == 0

        while "STOPPING=1" not in told:
            told += systemd.recv(4096).decode().splitlines()
