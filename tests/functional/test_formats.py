"""The formats of the log, and stderr merged or kept apart, as a user sees them."""

from __future__ import annotations

import json
import os
import re
from signal import SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import Run, Runs, code
from tests.functional.project import flood
from tests.running import Reader

# RFC 3339, UTC, to the millisecond.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SAYS = code(
    r"""
    print("hello")
    print('{"event": "login", "user": {"id": 7}}')
    os.write(1, b"\xff\x00 10 %\r20 %\r\n\nno newline")
    sys.exit(3)
    """
)
BOTH = code("print('out'); print('err', file=sys.stderr); sys.exit(3)")
APART = {"STDERR": "separate"}
OURS = ("time", "process", "stream")


def objects(run: Run) -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in run.raw]


def of(name: str, entries: list[dict[str, Any]]) -> list[Any]:
    """The entries of this name, without the keys that all its lines share."""
    return [
        entry.get("message", {key: one for key, one in entry.items() if key not in OURS})
        for entry in entries
        if entry["process"] == name
    ]


def test_the_json_format_writes_one_object_per_line(start: Runs) -> None:
    run = start({"web": SAYS}, "--all", "--log-format", "json")

    assert run.end() == 3
    found = objects(run)
    for entry in found:
        assert TIME.fullmatch(entry.pop("time"))
    assert {"process": "web.1", "stream": "stdout", "message": "hello"} in found
    assert of("web.1", found) == [
        "hello",
        {"event": "login", "user": {"id": 7}},
        "\ufffd\x00 10 %\r20 %\r",
        "",
        "no newline",
    ]
    assert {entry["stream"] for entry in found if entry["process"] == "web.1"} == {"stdout"}
    assert {entry["stream"] for entry in found if entry["process"] == "system"} == {"system"}
    assert of("system", found)[0].startswith("supervising web.1 (python ")
    assert of("system", found)[-1].startswith("all stopped after ")


def test_keys_of_a_json_line_from_a_process_stay_at_the_top_level(start: Runs) -> None:
    source = """
        print('{"severity": "ERROR", "message": "no such table", "time": 7, "n": 1.00}')
        print('{"process": "mine"}')
        sys.exit(3)
    """
    run = start({"web": code(source)}, "--all", "--log-format", "json", "--no-timestamps")

    assert run.end() == 3
    assert [raw for raw in run.raw if "web.1" in raw and '"system"' not in raw] == [
        (
            '{"process":"web.1","stream":"stdout",'
            '"severity": "ERROR", "message": "no such table", "time": 7, "n": 1.00}'
        ),
        '{"prodserver.process":"web.1","stream":"stdout","process": "mine"}',
    ]


def test_json_lines_of_the_supervisor_have_their_facts_as_fields(start: Runs) -> None:
    run = start({"web": SAYS}, "--all", "--log-format", "json")

    assert run.end() == 3
    by_event = {entry["event"]: entry for entry in objects(run) if entry["process"] == "system"}
    assert by_event["supervisor.starting"]["severity"] == "INFO"
    assert by_event["supervisor.starting"]["instances"] == ["web.1"]
    ended = by_event["instance.exited"]
    assert (ended["severity"], ended["instance"], ended["exit_status"]) == ("ERROR", "web.1", 3)
    assert ended["consequence"] == "stop_everything"
    assert ended["pid"] > 1
    assert by_event["supervisor.stopped"]["exit_status"] == 3


def test_the_raw_format_has_no_prefix(start: Runs) -> None:
    run = start({"web": SAYS}, "--all", "--log-format", "raw", "--color", "always")
    assert run.output is not None
    said = b"".join(iter(run.output.chunk, b""))

    assert run.end() == 3
    assert (
        b'\nhello\n{"event": "login", "user": {"id": 7}}\n\xff\x00 10 %\r20 %\r\n\nno newline\n'
    ) in said
    assert said.startswith(b"supervising web.1 (python ")
    assert b"|" not in said


def test_the_log_format_option_overrides_the_setting(start: Runs) -> None:
    settings = {"LOG_FORMAT": "json", "TIMESTAMPS": False}

    by_setting = start({"web": SAYS}, "--all", supervisor=settings)
    assert by_setting.end() == 3
    by_option = start({"web": SAYS}, "--all", "--log-format", "text", supervisor=settings)
    assert by_option.end() == 3

    assert {"process": "web.1", "stream": "stdout", "message": "hello"} in objects(by_setting)
    assert "web.1  | hello" in by_option.raw


@pytest.mark.parametrize("format", ["text", "json", "raw"])
def test_a_line_longer_than_max_line_is_cut_in_every_format(start: Runs, format: str) -> None:
    run = start(
        {"web": code("print('a' * 1000 + 'b' * 1000 + 'c' * 500); sys.exit(3)")},
        "--all",
        f"--log-format={format}",
        supervisor={"MAX_LINE": 1000},
    )

    assert run.end() == 3
    # The digest of its exit repeats its last lines.
    written = [raw for raw in run.raw if '"digest"' not in raw]
    runs = [match for raw in written for match in re.findall("a{9,}|b{9,}|c{9,}", raw)]
    assert runs == ["a" * 1000, "b" * 1000, "c" * 500]


# ---- stderr ----


def test_separate_stderr_is_written_to_stderr(start: Runs) -> None:
    run = start({"web": BOTH}, "--all", "--no-timestamps", supervisor=APART)

    assert run.end() == 3
    assert run.said("web.1") == ["out"]
    assert run.stderr == "web.1  | err\n"


def test_a_json_line_names_its_stream(start: Runs) -> None:
    run = start({"web": BOTH}, "--all", "--log-format=json", supervisor=APART)

    assert run.end() == 3
    (err,) = [json.loads(line) for line in run.stderr.splitlines()]
    assert (err["stream"], err["message"]) == ("stderr", "err")
    assert [entry["stream"] for entry in objects(run) if entry["process"] == "web.1"] == ["stdout"]


def test_a_traceback_goes_to_stderr(start: Runs) -> None:
    run = start({"web": code("1 / 0")}, "--all", "--no-timestamps", supervisor=APART)

    assert run.end() == 1
    assert run.said("web.1") == []
    assert run.stderr.endswith("web.1  | ZeroDivisionError: division by zero\n")


def test_two_streams_into_one_pipe_do_not_tear_each_others_lines(start: Runs) -> None:
    read, write = os.pipe()
    source = """
        import flood

        for block in flood.blocks({0}, 0, 50_000):
            while block:
                block = block[os.write({0}, block):]
        forever()
    """
    processes = {f"w{fd}": code(source.format(fd)) for fd in (1, 2)}
    run = start(processes, stdout=write, stderr=write, supervisor=APART)
    os.close(write)
    run.output = Reader(read)
    run.wait_for_each({"w1.1": "^49999 ", "w2.1": "^49999 "})

    assert {name: run.said(name) for name in ("w1.1", "w2.1")} == {
        f"w{fd}.1": [flood.line(fd, n).decode()[:-1] for n in range(50_000)] for fd in (1, 2)
    }
    assert run.end(SIGTERM) == 0


def test_a_closed_stderr_pipe_stops_everything(start: Runs) -> None:
    read, write = os.pipe()
    os.close(read)
    source = "print('err', file=sys.stderr); forever()"

    run = start({"web": code(source)}, stderr=write, supervisor=APART)
    os.close(write)

    assert run.end() == 141
    assert "all stopped" in run.said("system")[-1]
