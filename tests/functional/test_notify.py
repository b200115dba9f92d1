"""What instances may say of themselves, who may say it, and what we say of ourselves."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from signal import SIGALRM, SIGTERM
from typing import Any

import pytest

from django_prodserver.posix.notify import (
    AT_ONCE,
    LONGEST,
    NotifySocket,
    notify,
    parse,
    watchdog_interval,
)
from django_prodserver.supervisor.events import Notified, WatchdogMessage
from django_prodserver.supervisor.spec import Ref
from tests.functional.helpers import FOREVER, Run, Runs, code

NOTIFY = "from django_prodserver.posix.notify import notify\n"


def notifying(source: str) -> dict[str, Any]:
    entry = code(source, "NotifyingCode")
    return {**entry, "ARGS": [NOTIFY + entry["ARGS"][0]]}


# Prints its address, and says that it is ready when it gets a SIGALRM.
WHEN_ASKED = notifying(
    """
    signal.signal(signal.SIGALRM, lambda *_: notify())
    print("pid", os.getpid(), "address", os.environ["NOTIFY_SOCKET"])
    forever()
    """
)


def is_ready(run: Run) -> bool:
    return any(text.startswith("web.1 ready") for text in run.said("system"))


def test_ready_counts_from_the_leader(start: Runs) -> None:
    run = start({"web": notifying("print('first'); notify(); forever()"), "worker": FOREVER})
    run.wait_for("system", r"web\.1 ready after")

    assert "first" in run.said("web.1")
    run.wait_for("system", "all 2 ready")
    assert run.end(SIGTERM) == 0


def test_ready_counts_from_a_grandchild_of_the_session(start: Runs) -> None:
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


def test_it_is_not_ready_before_it_says_so(start: Runs) -> None:
    run = start({"web": WHEN_ASKED})
    pid = int(run.wait_for("web.1", r"pid (\d+)")[1])
    run.handshake()
    assert not is_ready(run)

    run.kill(pid, SIGALRM)

    run.wait_for("system", r"web\.1 ready after")
    assert run.end(SIGTERM) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="senders are known on Linux")
def test_ready_from_outside_the_session_does_not_count(start: Runs) -> None:
    run = start({"web": WHEN_ASKED})
    pid, address = run.wait_for("web.1", r"pid (\d+) address @(.*)").groups()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as foreign:
        foreign.sendto(b"READY=1", f"\0{address}")
    run.handshake()

    assert not is_ready(run)
    run.kill(int(pid), SIGALRM)
    run.wait_for("system", r"web\.1 ready after")
    assert run.end(SIGTERM) == 0


def test_ready_from_a_sibling_does_not_count(start: Runs) -> None:
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


def test_what_is_no_notification_is_ignored(start: Runs) -> None:
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


def test_a_flood_of_notifications_makes_nobody_deaf(start: Runs) -> None:
    source = """
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.setblocking(False)
        sender.connect("\\0" + os.environ["NOTIFY_SOCKET"][1:])

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
def test_what_a_message_says(message: bytes, said: Notified) -> None:
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
def test_what_is_malformed(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(message, WEB)


def test_a_status_is_one_printable_line_of_bounded_length() -> None:
    status = parse("STATUS=a\x1b[31mb\r\u2028\x07c\t d".encode(), WEB).status
    long = parse(b"STATUS=" + b"x" * 1000, WEB).status

    assert status == "a [31mb c d"
    assert long == "x" * 197 + "..."


# ---- the socket ----


@pytest.fixture
def listener() -> Iterator[NotifySocket]:
    socket = NotifySocket()
    yield socket
    socket.close()


def heard(listener: NotifySocket) -> list[Notified]:
    """What it hears from this process, whose session stands for that of the instance."""
    return listener.receive(WEB, os.getsid(0))


def said(**what: Any) -> Notified:
    return Notified(WEB, **what)


def send(listener: NotifySocket, *messages: bytes) -> None:
    for message in messages:
        notify(message, listener.address)


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_messages_are_heard_in_order(listener: NotifySocket) -> None:
    send(listener, b"STOPPING=1", b"READY=1", b"X=1", b"STATUS=last")

    assert heard(listener) == [said(stopping=True), said(ready=True), said(status="last")]
    assert heard(listener) == []
    assert listener.ignored == 0


def test_what_is_no_message_is_counted(listener: NotifySocket) -> None:
    send(listener, b"X" * 65536, b"A=" + b"x" * LONGEST, b"\xff\0" * 100, b"READY=1")

    assert heard(listener) == [said(ready=True)]
    assert listener.ignored == 3


def test_the_longest_message_is_one(listener: NotifySocket) -> None:
    send(listener, b"READY=1\nX=".ljust(LONGEST, b"x"))

    assert heard(listener) == [said(ready=True)]


@pytest.mark.skipif(sys.platform != "linux", reason="senders are known on Linux")
def test_a_foreign_message_is_counted(listener: NotifySocket) -> None:
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


@pytest.mark.skipif(sys.platform != "linux", reason="senders are known on Linux")
def test_a_sender_that_is_gone_is_not_believed(listener: NotifySocket) -> None:
    source = "from django_prodserver.posix.notify import notify; notify()"
    environ = {**os.environ, "NOTIFY_SOCKET": listener.address}
    subprocess.run([sys.executable, "-c", source], env=environ, check=True)

    assert heard(listener) == []
    assert listener.ignored == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/fd differs")
def test_descriptors_that_are_sent_along_are_closed(listener: NotifySocket) -> None:
    read, write = os.pipe()
    address = "\0" + listener.address[1:]
    before = open_descriptors()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for count in (1, 2, 3, 50, 250):
            rights = b"".join(write.to_bytes(4, sys.byteorder) for _ in range(count))
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            sender.sendmsg([b"FDSTORE=1\nREADY=1"], ancillary, 0, address)

            assert heard(listener) == [said(ready=True)]
    os.close(write)

    assert open_descriptors() == before - 1
    assert os.read(read, 1) == b""  # Nobody holds the other end.
    os.close(read)


def test_few_are_read_at_once(listener: NotifySocket) -> None:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    address = listener.address.replace("@", "\0", 1)
    # How many can wait is the system's choice (net.unix.max_dgram_qlen): a flood of its own goes on
    # while they are read.
    read = 0

    class Flood:
        """Sends one more for every one that is received."""

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


# ---- what is told of us ----


def test_who_listens_to_nobody_waits_for_nobody(listener: NotifySocket) -> None:
    for _ in range(2000):  # More than any queue holds.
        notify(b"STATUS=x", listener.address, wait=False)

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
def test_whether_somebody_waits_for_our_watchdog(
    environ: dict[str, str], seconds: float | None
) -> None:
    if environ.get("WATCHDOG_PID") == "self":
        environ = {**environ, "WATCHDOG_PID": str(os.getpid())}

    assert watchdog_interval(environ) == seconds


# ---- in a whole run ----


def test_ignored_messages_are_told_at_the_end(start: Runs) -> None:
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


def test_last_words_of_a_leader_are_heard(start: Runs) -> None:
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


def test_the_watchdog_interval_is_told_to_who_has_one(start: Runs) -> None:
    source = """
        print("every", os.environ["WATCHDOG_USEC"], "pid", os.environ.get("WATCHDOG_PID"))
        forever()
    """
    # It has no readiness of its own, and a socket all the same.
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
def test_the_supervisor_tells_who_supervises_it(start: Runs) -> None:
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
