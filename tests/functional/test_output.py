"""Every line arrives whole, and a stdout that others share is left as it is."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Callable

import pytest

from tests.functional.helpers import FOREVER, Runs, code
from tests.functional.project import flood
from tests.running import Reader, without_access_to_all

WRITERS = (0, 1, 2, 3)
LINES = 250_000


def _writer(number: int) -> dict[str, object]:
    # No writer stops before it has written everything; the first to exit stops the others.
    source = f"""
        import flood

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for block in flood.blocks({number}, 0, {LINES - 1}):
            while block:
                block = block[os.write(1, block):]
        sys.stdout.write(flood.line({number}, {LINES - 1}).decode())
        os._exit(3) if {number} % 2 else os.kill(os.getpid(), signal.SIGKILL)
    """
    return code(source, STOP_TIMEOUT=100)


def _lines(number: int) -> Iterator[bytes]:
    return (flood.line(number, n) for n in range(LINES))


def test_a_million_lines_arrive_whole_and_in_order(start: Runs) -> None:
    run = start({f"w{number}": _writer(number) for number in WRITERS})
    assert run.output is not None
    expected = {f"w{number}.1   | ".encode(): _lines(number) for number in WRITERS}
    seen = wrong = 0
    rest = b""
    while True:
        chunk = run.output.chunk()
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            lines_of = expected.get(line[:9])
            if lines_of is not None:
                seen += 1
                wrong += line[9:] + b"\n" != next(lines_of, None)

    assert (seen, wrong, rest) == (len(WRITERS) * LINES, 0, b"")
    assert run.end() in (3, 128 + SIGKILL)


def test_the_last_output_comes_before_the_line_about_the_exit(start: Runs) -> None:
    source = """
        os.write(1, b"x" * 60_000 + b"\\n")
        os.write(1, b"last words")
        os._exit(3)
    """
    run = start({"web": code(source)})

    assert run.end() == 3
    texts = [line.text for line in run.lines]
    assert texts.index("last words") < texts.index(
        next(text for text in texts if text.startswith("web.1 exited with status 3"))
    )


def test_stdout_and_stderr_of_a_child_keep_their_order(start: Runs) -> None:
    source = """
        for number in range(500):
            print(number, file=(sys.stdout, sys.stderr)[number % 2])
        sys.exit(3)
    """
    run = start({"web": code(source)})

    assert run.end() == 3
    assert run.said("web.1") == [str(number) for number in range(500)]


def test_a_line_longer_than_max_line_is_split(start: Runs) -> None:
    run = start(
        {"web": code("print('a' * 1000 + 'b' * 1000 + 'c' * 500); sys.exit(3)")},
        supervisor={"MAX_LINE": 1000},
    )

    assert run.end() == 3
    assert run.said("web.1") == ["a" * 1000, "b" * 1000, "c" * 500]


def test_bytes_that_are_not_text_pass_through_unchanged(start: Runs) -> None:
    run = start({"web": code(r"os.write(1, b'\xff\x00\r progress\r\n'); os._exit(3)")})
    assert run.output is not None
    said = b"".join(iter(run.output.chunk, b""))

    assert b"web.1  | \xff\x00\r progress\r\n" in said
    assert run.end() == 3


def test_process_names_are_padded_to_one_width_in_the_log(start: Runs) -> None:
    processes = {name: code("print('here'); forever()") for name in ("web", "a_much_longer_name")}
    run = start(processes)
    run.wait_for_each({"web.1": "here", "a_much_longer_name.1": "here"})

    assert run.end(SIGTERM) == 0
    assert {raw.index("|") for raw in run.raw} == {len("a_much_longer_name.1 ")}


def test_log_lines_have_timestamps_unless_they_are_switched_off(start: Runs) -> None:
    for options, supervisor, timed in [
        (["--all"], {}, True),
        (["--all", "--no-timestamps"], {}, False),
        (["--all"], {"TIMESTAMPS": False}, False),
        (["--all", "--timestamps"], {"TIMESTAMPS": False}, True),
    ]:
        run = start({"web": code("sys.exit(3)")}, *options, supervisor=supervisor)

        assert run.end() == 3
        assert [bool(re.match(r"\d\d:\d\d:\d\d \S", raw)) for raw in run.raw] == [timed] * len(
            run.raw
        )


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="there is no /proc here")
@pytest.mark.parametrize("log_format", ["text", "raw", "json"])
def test_a_process_name_with_a_newline_cannot_forge_a_log_line(
    start: Runs, log_format: str
) -> None:
    source = r"""
        def outlive():
            os.setsid()
            with open("/proc/self/comm", "w") as name:
                name.write("x\nsystem | y\x1b")
            tell("here")
            forever()

        beget(outlive)
        forever()
    """
    run = start({"web": code(source)}, supervisor={"LOG_FORMAT": log_format}, channel=True)
    assert run.hear() == "here"

    assert run.end(SIGTERM) == 0
    (said,) = [raw for raw in run.raw if "left behind" in raw]
    assert "killed what was left behind by web.1: x system | y" in said
    assert "x1b (pid " in said
    assert not [raw for raw in run.raw if "\x1b" in raw or raw.startswith("system | y")]


# ---- the kinds of stdout ----


@pytest.fixture(params=["pipe", "socket", "terminal", "file"])
def shared(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[int, Callable[[], bytes]]]:
    """A descriptor to use as stdout, and a function that reads what was written to it."""
    if request.param == "pipe":
        theirs, ours = os.pipe()
    elif request.param == "socket":
        theirs, ours = (end.detach() for end in socket.socketpair())
    elif request.param == "terminal":
        theirs, ours = pty.openpty()
    else:
        ours = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
        theirs = os.open(tmp_path / "log", os.O_RDONLY)
    yield ours, lambda: os.read(theirs, 1 << 16)
    os.close(ours)
    os.close(theirs)


def test_the_flags_of_a_shared_stdout_are_left_alone(
    start: Runs, shared: tuple[int, Callable[[], bytes]]
) -> None:
    ours, read = shared
    before = fcntl.fcntl(ours, fcntl.F_GETFL)

    run = start({"web": code("print('hello'); tell('up'); forever()")}, stdout=ours, channel=True)
    assert run.hear() == "up"
    during = fcntl.fcntl(ours, fcntl.F_GETFL)
    status = run.end(SIGTERM)

    assert status == 0
    assert (during, fcntl.fcntl(ours, fcntl.F_GETFL)) == (before, before)
    assert re.search(rb"web\.1  \|(\x1b\[0m)? hello", read())
    assert not before & os.O_NONBLOCK


def test_output_to_a_file_starts_at_the_current_file_offset(start: Runs, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"before\n" + b"\0" * 100)
    fd = os.open(log, os.O_WRONLY)
    os.lseek(fd, len(b"before\n"), os.SEEK_SET)

    run = start({"web": code("print('x' * 200); sys.exit(3)")}, stdout=fd)
    status = run.end()
    os.write(fd, b"after\n")
    os.close(fd)

    assert status == 3
    lines = log.read_text().splitlines()
    assert lines[0] == "before"
    assert "web.1  | " + "x" * 200 in lines
    assert lines[-2].startswith("system | all stopped after")
    assert lines[-1] == "after"


def test_a_pipe_that_cannot_be_reopened_gets_every_line(start: Runs) -> None:
    read, write = os.pipe()
    os.fchmod(write, 0)
    source = "for n in range(20_000): print(n)\nsys.exit(3)"
    run = start({"web": code(source)}, stdout=write, prefix=without_access_to_all())
    os.close(write)
    run.output = Reader(read)

    assert run.end() == 3
    assert run.said("web.1") == [str(number) for number in range(20_000)]


def test_stdout_can_be_dev_null(start: Runs) -> None:
    fd = os.open(os.devnull, os.O_WRONLY)
    source = "for _ in range(10_000): print('x' * 100)\ntell('written'); forever()"
    run = start({"web": code(source)}, stdout=fd, channel=True)
    os.close(fd)
    assert run.hear() == "written"

    assert run.end(SIGTERM) == 0
    assert run.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_loses_lines_and_stops_no_process(start: Runs) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    run = start({"web": code("print('hello'); tell('up'); forever()")}, stdout=fd, channel=True)
    os.close(fd)
    assert run.hear() == "up"

    assert run.end(SIGTERM) == 0
    assert "bytes of output were lost" in run.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_the_supervisor_runs_with_closed_standard_descriptors(start: Runs, closed: str) -> None:
    source = """
        tell(json.dumps([os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in (0, 1, 2)]))
        print("hello")
        forever()
    """
    prefix = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    run = start({"web": code(source), "worker": FOREVER}, prefix=prefix, channel=True)
    assert run.hear() == '["/dev/null", "pipe", "pipe"]'
    if ">&-" not in closed.split():
        run.wait_for("web.1", "hello")

    assert run.end(SIGTERM) == 0
    assert run.hear() is None
    assert run.stderr == ""


def test_a_traceback_reaches_the_log_even_if_stderr_was_closed_at_the_start(start: Runs) -> None:
    run = start({"web": code("1 / 0")}, prefix=["sh", "-c", 'exec "$@" 2>&-', "sh"])

    assert run.end() == 1
    assert run.said("web.1")[-1].startswith("ZeroDivisionError")
