"""Blocks of lines to what stands in the log, in each of the three formats."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_prodserver.logs.formats import Format, JsonFormat, RawFormat, TextFormat
from django_prodserver.logs.lines import Block, Lines, whole

NOON = "12:00:01"
NOON_UTC = "2026-11-23T12:00:01.250Z"


def text(format: Format, name: str, block: Block) -> bytes:
    return b"".join(format.render(name, "stdout", block))


# ---- text ----


def hello(format: TextFormat, names: list[str]) -> list[str]:
    return [text(format, name, whole(b"hello\n")).decode() for name in names]


def test_names_are_aligned_with_the_longest() -> None:
    names = ["system", "web.1", "celery-worker.12"]

    assert hello(TextFormat(names[1:], clock=lambda: NOON), names) == [
        "12:00:01 system           | hello\n",
        "12:00:01 web.1            | hello\n",
        "12:00:01 celery-worker.12 | hello\n",
    ]


def test_names_shorter_than_system_are_aligned_with_it() -> None:
    assert hello(TextFormat(["web.1"], clock=lambda: NOON), ["system", "web.1"]) == [
        "12:00:01 system | hello\n",
        "12:00:01 web.1  | hello\n",
    ]


def test_without_a_clock_there_is_no_time() -> None:
    assert hello(TextFormat(["web.1"]), ["system", "web.1"]) == [
        "system | hello\n",
        "web.1  | hello\n",
    ]


@pytest.mark.parametrize(
    ("block", "result"),
    [
        (Block(b"", b"\n", 1), b"w.1    | \n"),
        (Block(b"", b"one\n", 4), b"w.1    | one\n"),
        (Block(b"", b"one\n\ntwo\n", 9), b"w.1    | one\nw.1    | \nw.1    | two\n"),
        (Block(b"on", b"e\ntwo\nthr", 6), b"w.1    | one\nw.1    | two\n"),
        (Block(b"one", b"\n", 1), b"w.1    | one\n"),
    ],
)
def test_each_line_of_a_block_gets_the_label(block: Block, result: bytes) -> None:
    assert text(TextFormat(["w.1"]), "w.1", block) == result


def test_the_label_is_coloured_and_the_line_is_not() -> None:
    names = ["web.1", "worker.1"]

    assert hello(TextFormat(names, clock=lambda: NOON, color=True), ["system", *names]) == [
        "12:00:01 system   |\x1b[0m hello\n",
        "\x1b[36m12:00:01 web.1    |\x1b[0m hello\n",
        "\x1b[33m12:00:01 worker.1 |\x1b[0m hello\n",
    ]


def test_colours_are_dealt_out_again_when_there_are_more_processes_than_colours() -> None:
    names = [f"web.{number}" for number in range(1, 14)]

    labels = [line.partition("m")[0] for line in hello(TextFormat(names, color=True), names)]

    assert len(set(labels)) == 10
    assert labels[10:] == labels[:3]


def test_without_colour_there_is_no_escape_sequence() -> None:
    names = ["system", "web.1", "worker.1"]

    assert not any("\x1b" in line for line in hello(TextFormat(names[1:]), names))


# ---- raw ----


def test_raw_is_what_was_written() -> None:
    block = Block(b"on", b"e\n\xff\r\nthr", 5)

    assert text(RawFormat(), "web.1", block) == b"one\n\xff\r\n"


# ---- json ----


def entries(block: bytes, format: Format | None = None) -> list[object]:
    said = text(format or JsonFormat(), "web.1", whole(block))
    assert said.endswith(b"\n")
    return [json.loads(line) for line in said.split(b"\n")[:-1]]


def messages(block: bytes) -> list[object]:
    return [{"process": "web.1", "stream": "stdout", "message": m} for m in said_in(block)]


def said_in(block: bytes) -> list[str]:
    return block.decode(errors="replace").split("\n")[:-1]


def test_a_line_is_an_object() -> None:
    format = JsonFormat(clock=lambda: NOON_UTC)

    assert format.render("web.1", "stderr", whole(b"hello\n")) == [
        b'{"time":"2026-11-23T12:00:01.250Z","process":"web.1","stream":"stderr","message":"hello"}\n'
    ]


def test_each_line_of_a_block_is_an_object() -> None:
    assert entries(b"one\n\ntwo\n") == messages(b"one\n\ntwo\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
        (b"a\r", "a\r"),
        ("été \U0001f600 \u2028\x85".encode(), "été \U0001f600 \u2028\x85"),
        ("é".encode()[:1] + b"t", "\ufffdt"),
        (b'say "hi" \\ \t', 'say "hi" \\ \t'),
        (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
    ],
)
def test_any_bytes_are_a_string(line: bytes, message: str) -> None:
    assert entries(line + b"\n") == [{"process": "web.1", "stream": "stdout", "message": message}]


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"level": "info", "event": "x", "n": [1, {"a": null}]}',
        b' {"a": 1} ',
        b'{"a": 1}\r',
        b'{"a": 12345678901234567890123, "b": 1.00}',
        b'{"a": "\xff"}',
        b'{"a": 1, "a": 2}',
    ],
)
def test_a_line_that_is_an_object_is_nested_as_it_is(line: bytes) -> None:
    nested = line.decode(errors="replace")

    assert text(JsonFormat(), "web.1", whole(line + b"\n")).decode() == (
        '{"process":"web.1","stream":"stdout","data":' + nested + "}\n"
    )
    assert entries(line + b"\n") == [
        {"process": "web.1", "stream": "stdout", "data": json.loads(nested)}
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"{'a': 1}",
        b'{"a": 1} and more',
        b'{"a": NaN}',
        b'{"a": 01}',
        b'{"a": "\\x"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\x01"}',
        b"[1, 2]",
        b'"text"',
        b"1",
        b"null",
        b'{"a":' * 20_000,
        b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
    ids=lambda line: line[:20].decode(),
)
def test_what_is_no_object_is_a_message(line: bytes) -> None:
    assert entries(line + b"\n") == messages(line + b"\n")


# ---- all of them: what comes out is what went in, wherever it was cut ----

NAME = "web.1"
PREFIX = b"web.1  | "


def lines_of_text(said: bytes) -> list[bytes]:
    assert all(line.startswith(PREFIX) for line in said.split(b"\n")[:-1])
    return [line[len(PREFIX) :] for line in said.split(b"\n")[:-1]]


def lines_of_raw(said: bytes) -> list[bytes]:
    return said.split(b"\n")[:-1]


def lines_of_json(said: bytes) -> list[object]:
    found = []
    for line in said.split(b"\n")[:-1]:
        entry = json.loads(line)
        found.append(entry.get("message", entry.get("data")))
    return found


def as_written(line: bytes) -> object:
    return line


def as_json(line: bytes) -> object:
    written = line.decode(errors="replace")
    try:
        value = json.loads(written, parse_constant=int)
    except ValueError:
        return written
    return value if isinstance(value, dict) else written


CHUNKS = st.lists(
    st.binary()
    | st.sampled_from([b"\n", b"a", b"\r\n", b"\xff", b"\xc3", b"\xa9", b'{"a"', b": 1}", b" "])
)


@pytest.mark.parametrize(
    ("format", "lines_of", "as_"),
    [
        pytest.param(TextFormat([NAME]), lines_of_text, as_written, id="text"),
        pytest.param(RawFormat(), lines_of_raw, as_written, id="raw"),
        pytest.param(JsonFormat(), lines_of_json, as_json, id="json"),
    ],
)
@given(CHUNKS)
@example([b'{"a"', b": 1}\n"])
def test_the_lines_that_come_out_are_those_that_went_in(
    format: Format,
    lines_of: Callable[[bytes], list[object]],
    as_: Callable[[bytes], object],
    chunks: list[bytes],
) -> None:
    lines = Lines()
    blocks = [*(lines.feed(chunk) for chunk in chunks), lines.finish()]

    said = b"".join(text(format, NAME, block) for block in blocks if block.end)

    written = b"".join(chunks)
    *whole_lines, rest = written.split(b"\n")
    assert lines_of(said) == [as_(line) for line in [*whole_lines, *([rest] if rest else [])]]
