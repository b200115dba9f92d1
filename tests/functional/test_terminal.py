"""At a terminal, in a pipe, and with a terminal that is gone."""

from __future__ import annotations

import os
import socket
import subprocess
from signal import SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import Runs, code
from tests.running import Terminal

HELLO = code("print('hello'); sys.exit(3)")
HERE = code("print('here'); forever()")
COLOR = "\x1b["


def colored(run: Any) -> bool:
    lines = [raw for raw in run.raw if raw.endswith("hello")]
    assert len(lines) == 1
    assert lines[0].startswith(COLOR) == (COLOR in lines[0])
    return COLOR in lines[0]


@pytest.mark.parametrize(
    ("options", "env", "expected"),
    [
        (["--all"], {}, True),
        (["--all"], {"NO_COLOR": "1"}, False),
        (["--all"], {"NO_COLOR": ""}, True),
        (["--all", "--color", "never"], {}, False),
        (["--all", "--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_lines_are_coloured_on_a_terminal_unless_colour_is_disabled(
    start: Runs, options: list[str], env: dict[str, str], expected: bool
) -> None:
    run = Terminal().start(start, {"web": HELLO}, *options, env=env)

    assert run.end() == 3
    assert colored(run) == expected


@pytest.mark.parametrize(
    ("options", "env", "expected"),
    [
        (["--all"], {}, False),
        (["--all"], {"FORCE_COLOR": "1"}, True),
        (["--all"], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--all", "--color", "always"], {}, True),
        (["--all", "--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--all", "--color", "auto"], {}, False),
    ],
)
def test_lines_are_not_coloured_in_a_pipe_unless_colour_is_forced(
    start: Runs, options: list[str], env: dict[str, str], expected: bool
) -> None:
    run = start({"web": HELLO}, *options, env=env)

    assert run.end() == 3
    assert colored(run) == expected


def test_warnings_and_errors_are_coloured_on_a_terminal(start: Runs) -> None:
    failing = code(
        "sys.exit(3)", RESTART="on-failure", START_LIMIT={"BURST": 2}, BACKOFF={"INITIAL": 0.01}
    )
    run = Terminal().start(start, {"web": failing}, "--all", "--no-timestamps")

    assert run.end() == 3
    colors = {raw.partition("system | ")[2]: raw.partition("system")[0] for raw in run.raw}
    said = {text: color for text, color in colors.items() if text}
    assert [color for text, color in said.items() if "restarting in" in text] == ["\x1b[33m"]
    assert [color for text, color in said.items() if "giving up" in text] == ["\x1b[31m"]
    assert [color for text, color in said.items() if "exit status 3" in text] == ["\x1b[31m"]
    assert all(text.endswith("\x1b[0m") for text in said)


def test_long_names_are_shortened_on_a_terminal_but_not_in_a_pipe(start: Runs) -> None:
    processes = {"a-name-that-nobody-likes": {**HERE, "REPLICAS": 2}}

    at_terminal = Terminal().start(start, processes, "--all", "--no-timestamps", "--color=never")
    at_terminal.wait_for_each({"a-name-th…dy-likes.1": "here", "a-name-th…dy-likes.2": "here"})
    assert at_terminal.end(SIGTERM) == 0
    in_pipe = start(processes)
    in_pipe.wait_for("a-name-that-nobody-likes.2", "here")

    assert "a-name-that-nobody-likes.2 | here" in in_pipe.raw
    assert in_pipe.end(SIGTERM) == 0


def test_addresses_are_printed_on_a_terminal_once_all_are_ready(start: Runs) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    serving = code(
        """
        listener = socket.create_server(("127.0.0.1", int(args[0])))
        forever()
        """,
        "ServingCode",
    )
    serving["ARGS"].append(str(port))
    processes = {"web": serving, "worker": HERE}

    at_terminal = Terminal().start(start, processes, "--all", "--no-timestamps", "--color=never")
    at_terminal.wait_for("system", f"^web.1 http://127.0.0.1:{port}/$")
    said = at_terminal.said("system")
    assert at_terminal.end(SIGTERM) == 0
    in_pipe = start(processes)
    in_pipe.wait_for("system", "^all 2 ready")
    assert in_pipe.end(SIGTERM) == 0

    assert said[-2].startswith("all 2 ready after ")
    assert not any("http" in text for text in in_pipe.said("system"))


def test_the_color_option_overrides_the_color_setting(start: Runs) -> None:
    always = {"COLOR": "always"}

    by_setting = start({"web": HELLO}, supervisor=always)
    assert by_setting.end() == 3
    by_option = start({"web": HELLO}, "--all", "--color", "never", supervisor=always)
    assert by_option.end() == 3

    assert colored(by_setting)
    assert not colored(by_option)


def test_each_instance_name_has_a_different_colour(start: Runs) -> None:
    run = start({"web": {**HERE, "REPLICAS": 3}}, "--all", "--color", "always")
    said: dict[str, str] = {}
    while len(said) < 3:
        line = run.read()
        assert line is not None
        if run.raw[-1].endswith("here"):
            name = run.raw[-1].split()[1]
            said[name] = run.raw[-1].partition("m")[0]

    assert len(set(said.values())) == 3
    assert run.end(SIGTERM) == 0


def test_ctrl_c_exits_with_130_and_sends_each_process_only_sigterm(start: Runs) -> None:
    terminal = Terminal()
    # Software that is interrupted twice, by the terminal and by the supervisor, may abort: it must
    # get only one of the two signals.
    source = """
        asked = []
        signal.signal(signal.SIGINT, lambda *_: asked.append("SIGINT"))
        signal.signal(signal.SIGTERM, lambda *_: asked.append("SIGTERM"))
        print("here")
        while "SIGTERM" not in asked:
            signal.pause()
        print("asked by", *asked)
    """
    run = terminal.start(start, {"web": code(source)}, "--all", "--color", "never")
    run.wait_for("web.1", "here")

    terminal.type(b"\x03")

    assert run.end() == 130
    assert run.said("web.1") == ["here", "asked by SIGTERM"]


def test_a_second_ctrl_c_kills_all_processes_at_once(start: Runs) -> None:
    terminal = Terminal()
    deaf = code("signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here'); forever()")
    run = terminal.start(start, {"web": deaf}, "--all", "--color", "never")
    run.wait_for("web.1", "here")

    terminal.type(b"\x03")
    run.wait_for("system", "SIGINT received; stopping everything")
    terminal.type(b"\x03")

    assert run.end() == 130
    assert "web.1 killed" in run.said("system")


def test_closing_the_terminal_stops_everything(start: Runs) -> None:
    terminal = Terminal()
    ticking = code("while True: print('tick')")
    run = terminal.start(start, {"web": ticking}, "--all", "--color", "never")
    run.wait_for("web.1", "tick")
    assert run.output is not None
    run.output.close()
    run.output = None

    assert run.end() == 129


SLOW = {"slow.py": "import os, time; os.write(1, b'slow | here\\n'); time.sleep(1000)"}


@pytest.mark.parametrize(
    ("where", "settings"),
    [("web.1", {}), ("slow", {"files": SLOW, "supervisor": {"PRELOAD": ["slow"]}})],
    ids=["running", "preload"],
)
def test_closing_the_terminal_stops_a_supervisor_whose_stdout_is_a_pipe(
    start: Runs, where: str, settings: dict[str, Any]
) -> None:
    terminal = Terminal()
    run = terminal.start(start, {"web": HERE}, stdout=subprocess.PIPE, **settings)
    run.wait_for(where, "here")

    terminal.close()

    assert run.end() == 129
    assert run.said("web.1") == ["here"] * (where == "web.1")


def test_a_supervisor_under_nohup_survives_a_closed_terminal(start: Runs) -> None:
    terminal = Terminal()
    run = terminal.start(start, {"web": HERE}, stdout=subprocess.PIPE, prefix=["nohup"])
    run.wait_for("web.1", "here")

    terminal.close()

    run.handshake()
    assert run.end(SIGTERM) == 0


def test_a_child_has_no_terminal(start: Runs) -> None:
    source = """
        try:
            os.open("/dev/tty", os.O_RDWR)
        except OSError as error:
            print(error.strerror)
        print(*[os.isatty(fd) for fd in (0, 1, 2)])
        sys.exit(3)
    """
    run = Terminal().start(start, {"web": code(source)}, "--all", "--color", "never")

    assert run.end() == 3
    assert run.said("web.1") == [os.strerror(6), "False False False"]
