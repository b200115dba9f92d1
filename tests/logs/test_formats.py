"""Blocks of lines to what stands in the log, in each of the three formats."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_prodserver.logs.formats import Format, RawFormat, TextFormat
from django_prodserver.logs.json_lines import JsonFormat
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


def test_lines_have_no_timestamp_without_a_clock() -> None:
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


def test_a_long_name_is_cut_in_its_middle() -> None:
    names = ["web.1", "twenty-columns-wide.1", "nineteen-columns-w.1", "send-newsletters-daily.12"]

    assert hello(TextFormat(names, max_width=20), ["system", *names]) == [
        "system               | hello\n",
        "web.1                | hello\n",
        "twenty-co…mns-wide.1 | hello\n",
        "nineteen-columns-w.1 | hello\n",
        "send-news…s-daily.12 | hello\n",
    ]


def test_names_that_would_become_identical_are_not_shortened() -> None:
    names = [
        "newsletter-to-customers-daily.1",
        "newsletter-of-partners-daily.1",
        "a-rather-long-one.2345",
    ]

    assert hello(TextFormat(names, max_width=20), names) == [
        "newsletter-to-customers-daily.1 | hello\n",
        "newsletter-of-partners-daily.1  | hello\n",
        "a-rather-…g-one.2345            | hello\n",
    ]


def test_names_are_not_shortened_without_a_maximum_width() -> None:
    (line,) = hello(TextFormat(["w" * 50 + ".1"]), ["w" * 50 + ".1"])

    assert line == "w" * 50 + ".1 | hello\n"


def test_the_label_is_coloured_and_the_line_is_not() -> None:
    names = ["web.1", "worker.1"]

    assert hello(TextFormat(names, clock=lambda: NOON, color=True), ["system", *names]) == [
        "12:00:01 system   |\x1b[0m hello\n",
        "\x1b[36m12:00:01 web.1    |\x1b[0m hello\n",
        "\x1b[33m12:00:01 worker.1 |\x1b[0m hello\n",
    ]


def test_colours_repeat_if_there_are_more_instances_than_colours() -> None:
    names = [f"web.{number}" for number in range(1, 14)]

    labels = [line.partition("m")[0] for line in hello(TextFormat(names, color=True), names)]

    assert len(set(labels)) == 10
    assert labels[10:] == labels[:3]


def test_without_colour_there_is_no_escape_sequence() -> None:
    names = ["system", "web.1", "worker.1"]

    assert not any("\x1b" in line for line in hello(TextFormat(names[1:]), names))


# ---- raw ----


def test_the_raw_format_writes_lines_unchanged() -> None:
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


def test_a_line_becomes_a_json_object() -> None:
    format = JsonFormat(clock=lambda: NOON_UTC)

    assert b"".join(format.render("web.1", "stderr", whole(b"hello\n"))) == (
        b'{"time":"2026-11-23T12:00:01.250Z","process":"web.1","stream":"stderr","message":"hello"}\n'
    )


def test_each_line_of_a_block_becomes_its_own_json_object() -> None:
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
def test_any_bytes_become_a_valid_json_string(line: bytes, message: str) -> None:
    assert entries(line + b"\n") == [{"process": "web.1", "stream": "stdout", "message": message}]


OURS = {"process": "web.1", "stream": "stdout"}


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        (b"{}", "}"),
        (b"{ \t}\r", "}\r"),
        (b'{"level": "info", "n": [1, {"a": null}]}', ',"level": "info", "n": [1, {"a": null}]}'),
        (b' \t{ "a": 1} ', ', "a": 1} '),
        (b'{"a": 1}\r', ',"a": 1}\r'),
        # What parsers read as a float, or drop, stays as it was written.
        (
            b'{"a": 12345678901234567890123, "b": 1.00, "c": -0, "d": 1e999}',
            ',"a": 12345678901234567890123, "b": 1.00, "c": -0, "d": 1e999}',
        ),
        (b'{"a": 1, "a": 2}', ',"a": 1, "a": 2}'),
        (b'{"a": "\xff"}', ',"a": "\ufffd"}'),
        (b'{"message": "m", "severity": "ERROR"}', ',"message": "m", "severity": "ERROR"}'),
        # Only names at the top are taken.
        (b'{"a": {"process": 1, "time": 2}}', ',"a": {"process": 1, "time": 2}}'),
        (b'{"a": "process", "b": "{}"}', ',"a": "process", "b": "{}"}'),
    ],
)
def test_a_line_that_is_a_json_object_keeps_its_keys_and_gets_ours(line: bytes, rest: str) -> None:
    start = '{"process":"web.1","stream":"stdout"'

    assert text(JsonFormat(), "web.1", whole(line + b"\n")).decode() == f"{start}{rest}\n"
    assert entries(line + b"\n") == [{**OURS, **json.loads(line.decode(errors="replace"))}]


def test_a_json_object_gets_a_time_only_if_it_has_none() -> None:
    format = JsonFormat(clock=lambda: NOON_UTC)

    assert text(format, "web.1", whole(b'{"a": 1}\n{"a": 1, "time": 7.5}\n')) == (
        b'{"time":"2026-11-23T12:00:01.250Z","process":"web.1","stream":"stdout","a": 1}\n'
        b'{"process":"web.1","stream":"stdout","a": 1, "time": 7.5}\n'
    )


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ('{"process": 7}', {"prodserver.process": "web.1", "stream": "stdout"}),
        ('{"pr\\u006fcess": null}', {"prodserver.process": "web.1", "stream": "stdout"}),
        ('{"process": 7, "process": 8}', {"prodserver.process": "web.1", "stream": "stdout"}),
        ('{"stream": {}}', {"process": "web.1", "prodserver.stream": "stdout"}),
        (
            # What a supervisor under this one has written, about one under itself.
            '{"process": "a", "stream": "b", "prodserver.process": "c"}',
            {"prodserver.prodserver.process": "web.1", "prodserver.stream": "stdout"},
        ),
    ],
)
def test_our_keys_are_prefixed_if_the_line_has_the_same_keys(
    line: str, ours: dict[str, str]
) -> None:
    with_time = JsonFormat(clock=lambda: NOON_UTC)

    assert entries(line.encode() + b"\n") == [{**ours, **json.loads(line)}]
    assert entries(line.encode() + b"\n", with_time) == [
        {"time": NOON_UTC, **ours, **json.loads(line)}
    ]


def test_objects_and_other_lines_keep_their_order() -> None:
    found = entries(b'one\n{"n": 2}\n\n{"n": 4}\n{\n}\n')

    assert found == [
        {**OURS, "message": "one"},
        {**OURS, "n": 2},
        {**OURS, "message": ""},
        {**OURS, "n": 4},
        {**OURS, "message": "{"},
        {**OURS, "message": "}"},
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"{'a': 1}",
        b'{"a": 1} and more',
        b'{"a": 1}{"b": 2}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 01}',
        b'{"a": 1,}',
        b'{"a": "\\x"}',
        b'{"a": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"a": "\x01"}',
        b'{"a": 1, "process"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'\x0b{"a": 1}',
        b"[1, 2]",
        b'"text"',
        b"1",
        b"null",
        b'{"a":' * 20_000,
        b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b'{"process":' + b'{"a":' * 3000 + b"1" + b"}" * 3001,
    ],
    ids=lambda line: line[:20].decode(),
)
def test_a_line_that_is_not_a_json_object_becomes_a_message(line: bytes) -> None:
    assert entries(line + b"\n") == messages(line + b"\n")


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b'{"a": [' + b"[],{}," * 200 + b"1]}",
        rb'{"a": "\\\"' + b"{[" * 200 + b'", "b": "' + b"[" * 200 + b'"}',
    ],
    ids=["100 deep", "many brackets", "brackets in strings"],
)
def test_deeply_nested_json_objects_and_many_brackets_are_accepted(line: bytes) -> None:
    assert entries(line + b"\n") == [{**OURS, **json.loads(line)}]


# ---- what the supervisor says itself ----

FACTS = {"event": "instance.ready", "instance": "web.1", "pid": 12, "seconds": 0.15}


def test_a_supervisor_message_in_json_has_its_severity_and_facts() -> None:
    format = JsonFormat(clock=lambda: NOON_UTC)

    said = b"".join(format.say("web.1 ready after 0.15 s (pid 12)", "INFO", FACTS))

    assert said == (
        b'{"time":"2026-11-23T12:00:01.250Z","process":"system","stream":"system",'
        b'"severity":"INFO","message":"web.1 ready after 0.15 s (pid 12)",'
        b'"event":"instance.ready","instance":"web.1","pid":12,"seconds":0.15}\n'
    )


@pytest.mark.parametrize(
    ("color", "severity", "line"),
    [
        (False, "ERROR", "12:00:01 system | no\n"),
        (True, "INFO", "12:00:01 system |\x1b[0m no\n"),
        (True, "WARNING", "\x1b[33m12:00:01 system | no\x1b[0m\n"),
        (True, "ERROR", "\x1b[31m12:00:01 system | no\x1b[0m\n"),
    ],
)
def test_supervisor_messages_are_coloured_by_severity(
    color: bool, severity: str, line: str
) -> None:
    format = TextFormat(["w.1"], clock=lambda: NOON, color=color)

    assert b"".join(format.say("no", severity, FACTS)).decode() == line


def test_a_supervisor_message_in_the_raw_format_is_only_its_text() -> None:
    assert b"".join(RawFormat().say("web.1 ready", "INFO", FACTS)) == b"web.1 ready\n"


@pytest.mark.parametrize("format", [TextFormat(["w.1"]), RawFormat(), JsonFormat()])
def test_a_supervisor_message_with_invalid_unicode_can_be_written(format: Format) -> None:
    said = b"".join(format.say("no file \udcff", "ERROR", {"names": ["\udcff"]}))

    assert "no file ?" in said.decode()


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
        entry = json.loads(line, object_pairs_hook=own)
        found.append(entry[0][1] if [key for key, _ in entry] == ["message"] else entry)
    return found


def own(pairs: list[tuple[str, object]]) -> list[tuple[str, object]]:
    """What is not ours; duplicate keys stay."""
    return [(key, value) for key, value in pairs if (key, value) not in OURS.items()]


def as_written(line: bytes) -> object:
    return line


def as_json(line: bytes) -> object:
    written = line.decode(errors="replace")
    try:
        value = json.loads(written, parse_constant=int)
    except ValueError:
        return written
    if not isinstance(value, dict):
        return written
    return json.loads(written, object_pairs_hook=lambda pairs: pairs)


CHUNKS = st.lists(
    st.binary()
    | st.sampled_from([b"\n", b"a", b"\r\n", b"\xff", b"\xc3", b"\xa9", b'{"a"', b": 1}", b" "])
)

NAMES = st.text() | st.sampled_from(["time", "process", "stream", "message", "prodserver.process"])

# Values as programs write them: nested, with names that are ours, and not always as JSON has it.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=8,
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
def test_every_format_preserves_all_lines_however_they_are_chunked(
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


@given(
    st.lists(
        st.builds(
            lambda value, ascii, indent, after: (
                json.dumps(value, ensure_ascii=ascii, separators=indent).encode("utf-8", "replace")
                + after
            ),
            st.dictionaries(NAMES, VALUES) | VALUES,
            st.booleans(),
            st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", "\r: ")]),
            st.sampled_from([b"", b"\r", b" ", b"}", b",", b" x"]),
        ),
        min_size=1,
    ),
    st.booleans(),
)
def test_every_json_line_is_valid_and_preserves_what_was_written(
    lines: list[bytes], timed: bool
) -> None:
    format = JsonFormat(clock=(lambda: NOON_UTC) if timed else None)

    said = text(format, NAME, whole(b"\n".join(lines) + b"\n"))

    *found, end = said.split(b"\n")
    assert end == b""
    assert len(found) == len(lines)
    for line, written in zip(found, lines):
        entry = json.loads(line, parse_constant=int)
        value = as_object(written)
        if value is None:
            assert entry.pop("message") == written.decode(errors="replace")
        else:
            assert {key: entry.pop(key) for key in value} == value
        ours = {key.rpartition(".")[2]: one for key, one in entry.items()}
        assert ours == {key: one for key, one in ALL.items() if key != "time" or "time" in entry}
        assert ("time" in entry) == (timed and "time" not in (value or {}))


ALL = {"time": NOON_UTC, "process": NAME, "stream": "stdout"}


def as_object(line: bytes) -> dict[str, object] | None:
    """The object that a line is, by a parser that takes RFC 8259 literally; or None."""
    written = line.decode(errors="replace")
    try:
        value = json.loads(written, parse_constant=int)
        json.dumps(value, ensure_ascii=False).encode()  # No lone surrogates.
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
