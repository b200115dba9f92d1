"""`prodctl top` with real supervisors: driven by textual's pilot, and in real terminals."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any, Callable, Union

import pytest

from django_prodserver.posix.control.client import Client
from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.operating import PRODCTL, prodctl, socket_of, sockets
from tests.running import PYTHON, Reader

pytest.importorskip("textual", reason="there is no textual here")

from textual.pilot import Pilot

from django_prodserver.prodctl.top.app import Top

SIZES = [(80, 24), (40, 10)]
# Hostile output: it sets the title of the window, and looks like textual's markup.
HOSTILE = "\x1b]0;taken\x07\x1b[2J[red]bad[/red] [/] [@click=app.quit]"
SAY_HOSTILE = code(f"print({HOSTILE!r} + 'said'); forever()")
CHATTY = code("print('the first line'); signal.pause()")

Steps = Callable[["Screen"], Awaitable[None]]


def ready(start: Runs, processes: dict[str, Any]) -> Run:
    run = start(processes)
    run.wait_for("system", "^all .*ready|^[a-z.0-9]+ ready")
    return run


class Screen:
    """The text on the screen, and the keyboard."""

    def __init__(self, app: Top, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    @property
    def text(self) -> str:
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def resize(self, width: int, height: int) -> None:
        await self._pilot.resize_terminal(width, height)

    async def until(self, condition: Callable[[str], object]) -> None:
        """Wait until the text on the screen satisfies the condition."""
        while not condition(self.text):
            await self._pilot.pause(0.02)

    async def shows(self, *texts: str) -> None:
        await self.until(lambda screen: all(text in screen for text in texts))


def run_top(start: Runs, steps: Steps, size: tuple[int, int] = (80, 24)) -> None:
    path = str(socket_of(start).path)

    async def run() -> None:
        app = Top(lambda timeout: Client(path, timeout))
        async with app.run_test(size=size) as pilot:
            await steps(Screen(app, pilot))

    asyncio.run(run())


# ---- the table and the keys ----


@pytest.mark.parametrize("size", SIZES)
def test_the_table_has_a_row_for_each_instance(start: Runs, size: tuple[int, int]) -> None:
    run = ready(start, {"web": FOREVER, "worker": {**FOREVER, "REPLICAS": 2}})

    async def steps(screen: Screen) -> None:
        await screen.shows("NAME", "STATE", "web.1", "worker.1", "worker.2", "RUNNING")
        await screen.shows("3 of 3 as wanted", "q Quit")

    run_top(start, steps, size)

    assert run.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("size", [*SIZES, (20, 4), (1, 1)])
def test_no_key_crashes_top_in_a_small_terminal(start: Runs, size: tuple[int, int]) -> None:
    run = ready(start, {"web": FOREVER})

    async def steps(screen: Screen) -> None:
        if size in SIZES:
            await screen.shows("web.1")
        await screen.press("r", "s", "y", "a", "plus", "minus", "down", "right", "tab")
        await screen.press("l", "end", "home", "pageup", "escape", "question_mark", "down", "q")
        await screen.resize(30, 6)
        await screen.press("enter", "q", "s", "n", "x", "f1", "delete", "r")
        await screen.resize(200, 60)
        await screen.press("s", "escape", "question_mark", "escape")

    run_top(start, steps, size)

    assert run.end(signal.SIGTERM) == 0


def test_r_restarts_the_selected_instance(start: Runs) -> None:
    run = ready(start, {"web": FOREVER, "worker": FOREVER})
    before = socket_of(start).instances()

    async def steps(screen: Screen) -> None:
        await screen.shows("worker.1")
        await screen.press("down", "r")
        await screen.shows("restart worker.1: worker.1 RUNNING (pid ")
        await screen.shows(f" {socket_of(start).instances()['worker.1']['pid']} ")

    run_top(start, steps)

    after = socket_of(start).instances()
    assert after["worker.1"]["pid"] != before["worker.1"]["pid"]
    assert after["web.1"]["pid"] == before["web.1"]["pid"]
    assert run.end(signal.SIGTERM) == 0


def test_key_s_stops_an_instance_after_confirmation_and_key_a_starts_it(start: Runs) -> None:
    run = ready(start, {"web": FOREVER})

    async def steps(screen: Screen) -> None:
        await screen.shows("web.1")
        await screen.press("s")
        await screen.shows("Stop web.1?", "y  yes", "n  no")
        await screen.press("n")
        await screen.until(lambda text: "Stop web.1?" not in text)
        assert socket_of(start).instances()["web.1"]["goal"] == "up"
        await screen.press("s", "y")
        await screen.shows("stop web.1: web.1 STOPPED", "web.1 STOPPED: stopped on request")
        await screen.press("a")
        await screen.shows("start web.1: web.1 RUNNING (pid ")
        await screen.press("a")
        await screen.shows("start web.1: nothing to do, web.1 RUNNING (pid ")

    run_top(start, steps)

    assert run.end(signal.SIGTERM) == 0


def test_plus_and_minus_scale_the_process(start: Runs) -> None:
    run = ready(start, {"worker": FOREVER})

    async def steps(screen: Screen) -> None:
        await screen.shows("worker.1")
        await screen.press("plus", "plus")
        await screen.shows("worker.3", "scale worker=3: worker.1 RUNNING (pid ")
        await screen.press("minus", "minus")
        await screen.until(lambda text: "worker.2" not in text and "scale worker=1:" in text)
        await screen.press("minus")
        await screen.shows("Stop the only instance of worker?")
        await screen.press("y")
        await screen.shows("scale worker=0: worker.1 STOPPED")

    run_top(start, steps)

    assert run.end(signal.SIGTERM) == 0


def test_a_refused_request_shows_the_same_message_as_prodctl(start: Runs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    serving = code(
        "listener = socket.create_server(('127.0.0.1', int(args[0]))); forever()", "ServingCode"
    )
    serving["ARGS"].append(str(port))
    run = ready(start, {"web": serving})
    said = prodctl(start, "scale", "web=2")

    async def steps(screen: Screen) -> None:
        await screen.shows("web.1")
        await screen.press("plus")
        await screen.shows("scale web=2 failed: there can be only one instance of web:")

    run_top(start, steps)

    assert "there can be only one instance of web:" in said.stderr
    assert run.end(signal.SIGTERM) == 0


def test_the_selection_stays_on_its_instance_when_rows_are_added(start: Runs) -> None:
    run = ready(start, {"a": FOREVER, "b": FOREVER})

    async def steps(screen: Screen) -> None:
        await screen.shows("a.1", "b.1")
        await screen.press("down")
        assert prodctl(start, "scale", "a=3").status == 0
        await screen.shows("a.3")
        await screen.press("s")
        await screen.shows("Stop b.1?")

    run_top(start, steps)

    assert run.end(signal.SIGTERM) == 0


# ---- the log ----


def test_l_follows_the_log_of_the_selected_instance(start: Runs) -> None:
    ticking = code(
        """
        signal.signal(signal.SIGUSR1, lambda *_: print("another line"))
        print("the first line")
        while True:
            signal.pause()
        """
    )
    other = code("print('of another'); forever()")
    run = start({"other": other, "web": ticking})
    run.wait_for_each({"web.1": "the first line", "other.1": "of another"})

    async def steps(screen: Screen) -> None:
        await screen.shows("web.1")
        await screen.press("down", "l")
        await screen.shows("Log of web.1", "the first line")
        assert "of another" not in screen.text
        os.kill(socket_of(start).instances()["web.1"]["pid"], signal.SIGUSR1)
        await screen.shows("another line")
        await screen.press("escape")
        await screen.shows("NAME", "other.1")
        await screen.press("up", "enter")
        await screen.shows("Log of other.1", "of another")
        await screen.press("q")
        await screen.shows("NAME")

    run_top(start, steps)

    assert run.end(signal.SIGTERM) == 0


def test_keys_still_work_during_a_flood_of_log_lines(start: Runs) -> None:
    flood = code("while True: print('a line of a flood')")
    run = start({"web": flood}, stdout=subprocess.DEVNULL)

    async def steps(screen: Screen) -> None:
        await screen.shows("web.1")
        await screen.press("l")
        await screen.shows("a line of a flood")
        await screen.press("escape")
        await screen.shows("NAME")

    while not sockets(start):
        os.sched_yield()
    run_top(start, steps)

    run.signal(signal.SIGTERM)
    assert run.popen.wait() == 0


# ---- a supervisor that exits, or does not answer ----


def test_top_reports_that_the_supervisor_exited_and_connects_to_the_next(start: Runs) -> None:
    run = ready(start, {"web": CHATTY})

    async def steps(screen: Screen) -> None:
        await screen.shows("1 of 1 as wanted")
        assert run.end(signal.SIGTERM) == 0
        await screen.shows("no supervisor answers at", "trying again every second", "web.1")
        await screen.press("r")
        await screen.shows("there is no supervisor to ask")
        second = ready(start, {"web": CHATTY})
        await screen.shows(f"(pid {second.pid})", "the supervisor was replaced by another one")
        await screen.press("l")
        await screen.shows("the first line")
        assert second.end(signal.SIGTERM) == 0
        await screen.shows("... the supervisor has ended ...")
        third = ready(start, {"web": CHATTY})
        await screen.until(lambda text: text.count("the first line") == 2)
        await screen.press("q")
        await screen.shows(f"(pid {third.pid})")
        assert third.end(signal.SIGTERM) == 0

    run_top(start, steps, (200, 24))


def test_keys_still_work_while_the_supervisor_does_not_answer(start: Runs) -> None:
    run = ready(start, {"web": FOREVER})

    async def steps(screen: Screen) -> None:
        await screen.shows("1 of 1 as wanted")
        run.signal(signal.SIGSTOP)
        await screen.press("r", "question_mark")
        await screen.shows("follow its log")
        await screen.press("escape", "l")
        await screen.shows("Log of web.1")
        await screen.press("escape")
        await screen.shows("does not answer; trying again every second", "restart web.1 failed: ")
        run.signal(signal.SIGCONT)
        await screen.shows("1 of 1 as wanted")
        run.signal(signal.SIGSTOP)
        await screen.press("r", "l")

    run_top(start, steps, (200, 24))

    run.signal(signal.SIGCONT)
    assert run.end(signal.SIGTERM) == 0


# ---- in a terminal ----


def command_of(path: Path) -> list[str]:
    return [*PRODCTL, "--socket", str(path), "top"]


class Window:
    """A terminal of 80 columns and 24 lines, and everything that a program writes to it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.written = b""

    @property
    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )

    def read_until(self, text: bytes) -> None:
        """Read until new output contains the text."""
        seen = b""
        while text not in seen:
            chunk = os.read(self.master, 1 << 16)
            seen += chunk
            self.written += chunk

    def read_rest(self) -> None:
        os.close(self.slave)
        reader = Reader(self.master)
        while chunk := reader.chunk():
            self.written += chunk

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)


@pytest.fixture
def window() -> Iterator[Window]:
    made = Window()
    yield made
    os.close(made.master)


# Show the cursor again, and leave the alternate screen.
RESTORED = (b"\x1b[?25h", b"\x1b[?1049l")


@pytest.mark.parametrize(
    ("how", "status"),
    [(b"q", 0), (b"\x03", 0), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
    ids=["q", "ctrl-c", "SIGINT", "SIGTERM"],
)
def test_top_restores_the_terminal_when_it_exits(
    start: Runs, window: Window, how: Union[bytes, signal.Signals], status: int
) -> None:
    run = ready(start, {"web": FOREVER})
    before = window.settings

    top = window.start(*command_of(socket_of(start).path))
    window.read_until(b"web.1")
    assert window.settings != before
    if isinstance(how, bytes):
        window.type(how)
    else:
        top.send_signal(how)
    assert top.wait() == status
    assert window.settings == before
    window.read_rest()

    assert all(window.written.rfind(one) > window.written.rfind(b"web.1") for one in RESTORED)
    assert socket_of(start).instances()["web.1"]["ready"]
    assert run.end(signal.SIGTERM) == 0


def test_quitting_does_not_wait_for_a_supervisor_that_does_not_answer(
    start: Runs, window: Window
) -> None:
    run = ready(start, {"web": FOREVER})

    top = window.start(*command_of(socket_of(start).path))
    window.read_until(b"web.1")
    window.type(b"l")
    window.read_until(b"Log of")
    run.signal(signal.SIGSTOP)
    window.type(b"\x03")
    assert top.wait() == 0
    window.read_rest()

    assert b"Traceback" not in window.written
    run.signal(signal.SIGCONT)
    assert run.end(signal.SIGTERM) == 0


def test_escape_sequences_in_log_lines_do_not_reach_the_terminal(
    start: Runs, window: Window
) -> None:
    run = start({"web": SAY_HOSTILE})
    run.wait_for("web.1", "said")

    top = window.start(*command_of(socket_of(start).path))
    window.read_until(b"web.1")
    window.type(b"l")
    window.read_until(b"]said")
    window.type(b"\x03")
    assert top.wait() == 0
    window.read_rest()

    assert b"\x1b]0;taken" not in window.written
    assert b"[red]bad[/red]" in window.written
    assert run.end(signal.SIGTERM) == 0


def test_escape_sequences_in_the_status_do_not_reach_the_terminal(
    tmp_path: Path, window: Window
) -> None:
    path = tmp_path / "c.sock"
    instance: dict[str, Any] = dict.fromkeys(
        ("pid", "started_at", "cpu_seconds", "memory_bytes", "next_start_at", "changed")
    )
    texts = {key: f"{HOSTILE} {key}" for key in ("name", "state", "reason", "message")}
    instance.update(texts, restarts=0, updating=False, as_wanted=False)
    process = {"name": f"{HOSTILE}4", "replicas": 1, "instances": [instance]}
    about = {"api": 1, "run": "r", "pid": -1, "project": f"{HOSTILE}5", "phase": f"{HOSTILE}6"}

    with answering(path, {**about, "processes": [process]}):
        top = window.start(*command_of(path))
        window.read_until(b"[red]bad[/red]")
        for key, shown in ((b"l", b"Log of"), (b"q", b"NAME"), (b"s", b"Stop")):
            window.type(key)
            window.read_until(shown)
        window.type(b"\x03")
        assert top.wait() == 0
        window.read_rest()

    assert b"\x1b]0;taken" not in window.written
    assert b"Traceback" not in window.written


def test_a_status_of_another_version_shows_a_message_and_no_traceback(
    tmp_path: Path, window: Window
) -> None:
    path = tmp_path / "c.sock"
    process = {"name": "web", "instances": [{"name": "web.1"}]}

    with answering(path, {"api": 1, "pid": -1, "processes": [process]}):
        top = window.start(*command_of(path))
        window.read_until(b"the supervisor has another version of django-prodserver")
        window.type(b"q")
        assert top.wait() == 0
        window.read_rest()

    assert b"Traceback" not in window.written


@contextmanager
def answering(path: Path, document: Any) -> Iterator[None]:
    """Answer every request with this document, which no supervisor of ours would send."""
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(document).encode()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # It was shut down.
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


@pytest.mark.skipif(which("tmux") is None, reason="there is no tmux here")
def test_top_works_in_tmux(start: Runs, tmp_path: Path) -> None:
    run = ready(start, {"web": FOREVER, "worker": FOREVER})
    pid = socket_of(start).instances()["web.1"]["pid"]
    (tmp_path / "t").mkdir()
    server = ["tmux", "-S", str(tmp_path / "t" / "s"), "-f", "/dev/null"]

    def tmux(*words: str) -> str:
        done = subprocess.run([*server, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def shows(*texts: str) -> str:
        while not all(text in (seen := tmux("capture-pane", "-p")) for text in texts):
            os.sched_yield()
        return seen

    command = " ".join(command_of(socket_of(start).path))
    script = f"echo before; {command}; echo ended with $?; read _"
    tmux("new-session", "-d", "-x", "80", "-y", "24", script)
    try:
        shows("NAME", "web.1", "worker.1", "2 of 2 as wanted")
        tmux("send-keys", "r")
        shows("restart web.1: web.1 RUNNING (pid ")
        tmux("send-keys", "q")
        seen = shows("ended with 0")
    finally:
        tmux("kill-server")

    assert seen.split("\n")[:2] == ["before", "ended with 0"]
    assert socket_of(start).instances()["web.1"]["pid"] != pid
    assert run.end(signal.SIGTERM) == 0


# ---- refused ----


def test_top_without_textual_fails_with_a_one_line_error() -> None:
    source = "; ".join(
        (
            "import sys",
            "sys.modules['textual'] = None",
            "from django_prodserver.prodctl.main import main",
            "sys.exit(main(['top']))",
        )
    )

    said = subprocess.run([*PYTHON, "-c", source], capture_output=True, text=True)

    sentence = "prodctl: top needs the package textual; run: pip install textual\n"
    assert (said.returncode, said.stdout, said.stderr) == (1, "", sentence)


def test_top_without_a_terminal_fails_with_a_one_line_error(start: Runs) -> None:
    sentence = "prodctl: top needs a terminal; elsewhere use `status` or `status --watch`\n"

    assert prodctl(start, "top") == (1, "", sentence)


def test_top_without_a_supervisor_fails_with_a_one_line_error(
    tmp_path: Path, window: Window
) -> None:
    path = tmp_path / "c.sock"

    top = window.start(*command_of(path))
    assert top.wait() == 4
    window.read_rest()

    assert window.written == f"prodctl: no supervisor answers at {path}\r\n".encode()
