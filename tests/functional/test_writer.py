"""If stdout cannot be reopened, as another user's cannot, a writer process writes to it."""

from __future__ import annotations

import os
import pty
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from signal import SIGINT, SIGKILL, SIGPIPE, SIGTERM, SIGUSR2
from typing import Any

import psutil
import pytest

from django_prodserver.posix.output import Output
from django_prodserver.posix.signals import SignalPipe
from django_prodserver.posix.writer import Writer
from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.functional.test_stall import FLOOD_AND_STAY, LOST, stalled_at
from tests.running import Processes, Reader, Terminal, skip_unless_it_works, without_access_to_all

pytestmark = pytest.mark.timeout(60)

KINDS = pytest.mark.parametrize("kind", ["pipe", "terminal"])
MANY = 100 << 20


def start_foreign(
    start: Runs, processes: Processes, kind: str = "pipe", **kwargs: Any
) -> tuple[Run, int]:
    """Start a run whose stdout it can write to, but not open; also return the other end."""
    read, write = os.pipe() if kind == "pipe" else pty.openpty()
    os.fchmod(write, 0)
    prefix = without_access_to_all()
    run = start(processes, stdout=write, prefix=prefix, channel=True, **kwargs)
    os.close(write)
    return run, read


def writers(run: Run, lives: int) -> list[psutil.Process]:
    """The children that the supervisor started before its lives, except its template."""
    before = psutil.Process(run.pid).children()[:-lives]
    return [process for process in before if process.name() != "template"]


@KINDS
def test_a_ready_timeout_is_enforced_while_stdout_is_stalled(start: Runs, kind: str) -> None:
    """A signal would interrupt the write; here only time passes."""
    web = code(FLOOD_AND_STAY, "NotifyingCode", READY_TIMEOUT=2.0)
    run, read = start_foreign(start, {"web": web}, kind)
    stalled_at(run)

    assert run.popen.wait() == 128 + SIGTERM
    assert run.stderr.endswith(LOST)
    os.close(read)


def test_sigterm_stops_everything_while_other_processes_fill_the_same_pipe(start: Runs) -> None:
    read, write = os.pipe()
    os.fchmod(write, 0)
    flood = code(FLOOD_AND_STAY)
    prefix = without_access_to_all()
    run = start({"web": flood, "worker": flood}, stdout=write, prefix=prefix, channel=True)
    others = [subprocess.Popen(["yes", "y" * 60], stdout=write) for _ in range(12)]
    os.close(write)
    amount = 0
    while amount < MANY:
        amount += len(os.read(read, 1 << 16))
    stalled_at(run), stalled_at(run)

    run.signal(SIGTERM)

    assert run.popen.wait() == 0
    assert run.stderr.endswith(LOST)
    os.close(read)
    for other in others:
        other.wait()


@KINDS
def test_output_that_is_read_late_arrives_complete(start: Runs, kind: str) -> None:
    source = "for number in range(30_000): print(number)\ntell('written'); sys.exit(3)"
    run, read = start_foreign(start, {"web": code(source)}, kind, env={"NO_COLOR": "1"})
    run.output = Reader(read)
    assert run.hear() == "written"

    assert run.end() == 3
    assert run.said("web.1") == [str(number) for number in range(30_000)]
    assert run.said("system")[-1].startswith("all stopped")
    assert run.stderr == ""


def test_everything_stops_when_a_stalled_reader_closes_stdout(start: Runs) -> None:
    run, read = start_foreign(start, {"web": code(FLOOD_AND_STAY)})
    stalled_at(run)

    os.close(read)

    assert run.popen.wait() == 128 + SIGPIPE


def test_everything_stops_when_a_log_line_is_written_and_stdout_has_no_reader(start: Runs) -> None:
    run, read = start_foreign(start, {"web": code("print('here'); forever()")})
    run.output = Reader(read)
    run.wait_for("web.1", "here")
    run.output.close()
    run.output = None

    run.signal(SIGUSR2)

    assert run.popen.wait() == 128 + SIGPIPE
    assert run.stderr == ""


def test_the_writer_dies_with_a_supervisor_that_is_killed(start: Runs) -> None:
    run, read = start_foreign(start, {"web": code(FLOOD_AND_STAY)})
    stalled_at(run)
    (writer,) = writers(run, lives=1)

    run.signal(SIGKILL)

    assert run.popen.wait() == -SIGKILL
    writer.wait()
    # No process is left that could write, so the pipe ends here.
    while os.read(read, 1 << 20):
        pass
    os.close(read)


def test_the_writer_ignores_signals_that_are_sent_to_every_process(start: Runs) -> None:
    run, read = start_foreign(start, {"web": code("print('here'); forever()")})
    run.output = Reader(read)
    run.wait_for("web.1", "here")
    (writer,) = writers(run, lives=1)

    for number in (SIGTERM, SIGINT):
        writer.send_signal(number)

    assert run.end(SIGTERM) == 0
    assert run.said("system")[-1].startswith("all stopped")


def test_ctrl_c_stops_everything_in_a_terminal_that_cannot_be_reopened(start: Runs) -> None:
    terminal = Terminal()
    os.fchmod(terminal.slave, 0)
    web, env = code("print('here'); forever()"), {"NO_COLOR": "1"}
    run = terminal.start(start, {"web": web}, env=env, prefix=without_access_to_all())
    run.wait_for("web.1", "here")
    assert len(writers(run, lives=1)) == 1

    terminal.type(b"\x03")

    assert run.end() == 128 + SIGINT
    assert run.said("system")[-1].startswith("all stopped")


def test_killing_the_writer_stops_everything_like_a_closed_stdout(start: Runs) -> None:
    run, read = start_foreign(start, {"web": code("print('here'); forever()")})
    run.output = Reader(read)
    run.wait_for("web.1", "here")
    (writer,) = writers(run, lives=1)

    writer.kill()

    assert run.end() == 128 + SIGPIPE


def test_a_stalled_stderr_does_not_delay_the_stop(start: Runs) -> None:
    read, write = os.pipe()
    os.fchmod(write, 0)
    run = start(
        {"web": code(FLOOD_AND_STAY)},
        stdout=write,
        stderr=write,
        prefix=without_access_to_all(),
        channel=True,
    )
    os.close(write)
    stalled_at(run)

    run.signal(SIGTERM)

    assert run.popen.wait() == 0
    os.close(read)


def test_stdout_and_stderr_have_a_writer_each(start: Runs) -> None:
    read, write = os.pipe()
    os.fchmod(write, 0)
    source = "print('for stderr', file=sys.stderr); print('here'); forever()"
    settings = {"STDERR": "separate"}
    run, stdout = start_foreign(start, {"web": code(source)}, stderr=write, supervisor=settings)
    os.close(write)
    run.output = Reader(stdout)
    run.wait_for("web.1", "here")
    assert len(writers(run, lives=1)) == 2

    assert run.end(SIGTERM) == 0
    assert b"web.1  | for stderr\n" in os.read(read, 1 << 16)
    # Neither writer holds the descriptor that the other one writes to.
    assert os.read(read, 1 << 16) == b""
    os.close(read)


def test_no_writer_is_started_if_stdout_can_be_reopened(start: Runs) -> None:
    run = start({"web": FOREVER})
    run.wait_for("system", "ready")

    assert writers(run, lives=1) == []
    assert run.end(SIGTERM) == 0


WITHOUT_PROC = ["unshare", "--pid", "--fork", "--mount", "sh", "-c"]
WITHOUT_PROC += ['umount -l /proc && exec "$@"', "sh"]
HIDDEN = "some processes are left behind: /proc does not show them"


@pytest.mark.parametrize("strays", [0, 1])
def test_without_proc_the_writer_is_not_mistaken_for_a_stray(start: Runs, strays: int) -> None:
    """The writer is not mistaken for a process that was left behind."""
    skip_unless_it_works(*WITHOUT_PROC)
    source = f"""
        def daemon():
            os.setsid()
            forever()

        for _ in range({strays}):
            beget(daemon)
        print("here")
        forever()
    """
    run = start({"web": code(source)}, prefix=WITHOUT_PROC)
    run.wait_for("web.1", "here")
    run.enter()

    assert run.end(SIGTERM) == 0
    assert run.said("system")[-1].startswith(HIDDEN if strays else "all stopped")
    assert run.stderr == ""


# ---- the writer by itself ----


@contextmanager
def writer_to(fd: int, *not_passed_on: int) -> Iterator[Writer]:
    def release() -> None:
        for other in not_passed_on:
            os.close(other)

    signals = SignalPipe([])
    made = Writer(fd, signals, release)
    try:
        yield made
    finally:
        signals.close()


def fill(writer: Writer) -> int:
    """Write until it takes no more; return the number of bytes."""
    filled = 0
    while True:
        try:
            filled += writer.write([b"x" * 1000])
        except BlockingIOError:
            return filled


@KINDS
@pytest.mark.parametrize("size", [1, 10_001, 200_000])
def test_the_writer_counts_unwritten_bytes_exactly(kind: str, size: int) -> None:
    read, write = os.pipe() if kind == "pipe" else pty.openpty()
    if kind == "terminal":
        tty.setraw(write)
    with writer_to(write) as writer:
        filled = sum(fill(writer) for _ in range(100))
        taken = 0
        while taken < size:
            taken += len(os.read(read, min(1 << 16, size - taken)))
            filled += fill(writer)

        os.close(writer.fd)
        lost, gone = writer.close()

    os.set_blocking(read, False)
    with suppress(BlockingIOError):
        while chunk := os.read(read, 1 << 16):
            taken += len(chunk)
    os.close(read)
    os.close(write)
    assert (lost, gone) == (filled - taken, False)
    assert lost > 0


def read_to_the_end(fd: int) -> int:
    """Return the number of bytes."""
    taken = 0
    while chunk := os.read(fd, 1 << 16):
        taken += len(chunk)
    return taken


def test_the_writer_writes_its_remaining_bytes_after_its_pipe_is_closed() -> None:
    read, write = os.pipe()
    with writer_to(write) as writer:
        os.close(write)
        filled = fill(writer)
        os.close(writer.fd)
        taken = read_to_the_end(read)

        assert writer.close() == (0, False)
    assert taken == filled
    os.close(read)


def test_the_writer_reports_that_stdout_has_no_reader() -> None:
    read, write = os.pipe()
    with writer_to(write, read) as writer:
        os.close(read)
        writer.write([b"a line\n"])
        os.waitpid(writer.pid, 0)
        os.close(writer.fd)

        assert writer.close() == (7, True)
    os.close(write)


def test_a_stdout_that_was_switched_to_non_blocking_gets_every_byte() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with writer_to(write) as writer:
        filled = sum(fill(writer) for _ in range(100))
        os.close(write)
        os.close(writer.fd)
        taken = read_to_the_end(read)

        assert writer.close() == (0, False)
    assert taken == filled
    os.close(read)


def test_an_output_that_can_be_reopened_needs_no_writer() -> None:
    read, write = os.pipe()
    output = Output(write)
    output.write([b"a line\n"])

    assert output.writer is None
    assert output.finished()
    assert os.read(read, 100) == b"a line\n"
    os.close(read)
    os.close(write)
