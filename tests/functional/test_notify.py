"""Who may say READY=1."""

from __future__ import annotations

import socket
import sys
from signal import SIGALRM, SIGTERM
from typing import Any

import pytest

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
