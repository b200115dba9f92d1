"""The errands of tests, including hostile ones."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any, Callable, NoReturn

from django_prodserver.posix import kernel, marks


def wait_for_ever() -> NoReturn:
    while True:
        signal.pause()


def opened(pid: int | str = "self") -> dict[int, str]:
    """What a process has open, by descriptor."""
    found = {}
    for fd in map(int, os.listdir(f"/proc/{pid}/fd")):
        with suppress(FileNotFoundError):  # The descriptor of the listing itself.
            found[fd] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def echo(request: Any) -> bytes:
    return repr(request).encode()


def describe(request: Any) -> bytes:
    """Facts about the process of the errand, as JSON."""
    return json.dumps(
        {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "leads": os.getsid(0) == os.getpgid(0) == os.getpid(),
            "open": opened(),
            "kept": [fd for fd in opened() if os.get_inheritable(fd)],
            "mark": os.environ[marks.VARIABLE],
            "shown": marks.carries(
                Path("/proc/self/environ").read_bytes(), os.environ[marks.VARIABLE]
            ),
            "title": Path("/proc/self/cmdline").read_bytes().rstrip(b"\0").decode(),
            "ends_with_parent": kernel.parent_death_signal(),
            "handlers": [str(signal.getsignal(one)) for one in (signal.SIGTERM, signal.SIGHUP)],
            "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        }
    ).encode()


def talk(request: Any) -> bytes:
    sys.stdout.write("out, unfinished")
    sys.stderr.write("err\n")
    return b""


def fail(request: Any) -> bytes:
    raise ValueError("on purpose")


def leave(request: Any) -> bytes:
    sys.exit(7)


def be_killed(request: Any) -> bytes:
    os.kill(os.getpid(), SIGKILL)
    return b"never"


def hang(request: Any) -> bytes:
    """Ignore all signals and hang; or write the pid to the given FIFO and answer what it reads."""
    for number in signal.valid_signals() - {SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    if request is not None:
        Path(request).write_text(str(os.getpid()))
        return Path(request).read_bytes()
    wait_for_ever()


def wait_for(request: Any) -> bytes:
    """Answer with what is written to the given FIFO."""
    return Path(request).read_bytes()


def leave_others(request: Any) -> bytes:
    """Leave processes behind: in its group, in their own session, and replaced by another program.

    All of them keep the pipe of the answer open, and some keep writing to it. Their pids are
    written to the file `request`.
    """
    answer = max(fd for fd, what in opened().items() if what.startswith("pipe:"))
    pids = []
    for become in (idle, daemon, sleep, flood):
        here, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(told, b"%d" % os.getpid())
                become(answer)
            finally:
                os._exit(1)
        os.close(told)
        os.read(here, 9)
        pids.append(pid)
    Path(request).write_text(json.dumps(pids))
    return b""


def idle(answer: int) -> NoReturn:
    wait_for_ever()


def daemon(answer: int) -> None:
    os.setsid()
    if os.fork():
        wait_for_ever()
    flood(answer)


def sleep(answer: int) -> None:
    os.setsid()
    os.set_inheritable(answer, True)
    os.execvp("sleep", ["sleep", "1000"])


def flood(answer: int) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    while True:
        with suppress(BrokenPipeError):
            os.write(answer, b"x" * 5000)


def flood_the_log(request: Any) -> bytes:
    while True:
        os.write(1, b"flood " * 100 + b"\n")


def answer_at_length(request: Any) -> bytes:
    return b"x" * int(request)


TASKS: Mapping[str, Callable[[Any], bytes]] = {
    one.__name__: one
    for one in (
        *(echo, describe, talk, fail, leave, be_killed, hang, wait_for, leave_others),
        *(flood_the_log, answer_at_length),
    )
}
