"""JSON lines: the log format for machines. Imported only if a log uses it, with msgspec."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Callable, Optional, Union

import msgspec
from msgspec import UNSET, UnsetType

from .formats import SYSTEM, Clock, Piece, encoded
from .lines import Block

# What JSON calls whitespace, except for the newline.
BLANK = " \t\r"
MAY_BEGIN_OBJECT = "{" + BLANK
# Parsers reject deeper nesting: Ruby's at 100, Rust's at 128. A deeper line is logged as text.
MAX_DEPTH = 100
# The prefix of our keys that a line already has.
OURS = "prodserver."


class _Taken(msgspec.Struct, gc=False):
    """Our keys that a line already has."""

    time: Union[msgspec.Raw, UnsetType] = UNSET
    process: Union[msgspec.Raw, UnsetType] = UNSET
    stream: Union[msgspec.Raw, UnsetType] = UNSET


class JsonFormat:
    """One JSON object per line, in UTF-8 (RFC 8259). No time without a clock.

    A line that is itself an object gets our keys in front of its own, which stay as they are, byte
    for byte. Bytes that are not UTF-8 become U+FFFD.
    """

    for_machines = True

    def __init__(self, *, clock: Optional[Clock] = None) -> None:
        self._clock = clock
        self._encode_lines = msgspec.json.Encoder().encode_lines
        self._decode = msgspec.json.Decoder(_Taken).decode

    def render(self, name: str, stream: str, block: Block) -> list[Piece]:
        time = self._clock() if self._clock else None
        keys = {"process": name, "stream": stream}
        start = _start(keys if time is None else {"time": time, **keys})
        text = bytes(block).decode(errors="replace")
        lines = text.split("\n")
        del lines[-1]
        if "{" in text:
            joined = self._joining(start, time, keys)
            objects = [joined(line) if line[:1] in MAY_BEGIN_OBJECT else None for line in lines]
            if any(objects):
                return [self._mixed(lines, objects, start)]
        # The only newline in an encoded line is the one that ends it.
        first = f'{start},"message":'.encode()
        between = b"}\n" + first
        body = self._encode_lines(lines).replace(b"\n", between)
        return [first, memoryview(body)[: 2 - len(between)]]

    def _mixed(self, lines: Sequence[str], objects: Sequence[Optional[str]], start: str) -> bytes:
        """Render lines, some of which are objects and have been joined with our keys."""
        messages = [line for line, joined in zip(lines, objects) if not joined]
        encoded = iter(self._encode_lines(messages).decode().split("\n"))
        done = [joined or f'{start},"message":{next(encoded)}}}' for joined in objects]
        return "\n".join([*done, ""]).encode()

    def say(self, message: str, severity: str, fields: Mapping[str, object]) -> list[Piece]:
        time = {"time": self._clock()} if self._clock else {}
        entry = {**time, "process": SYSTEM, "stream": SYSTEM, "severity": severity}
        return [self._encode_lines([_clean({**entry, "message": message, **fields})])]

    def _joining(
        self, start: str, time: Optional[str], keys: Mapping[str, str]
    ) -> Callable[[str], Optional[str]]:
        """A function that takes a line and returns its object, with our keys in front of its own.

        It returns None if the line is not an object.
        """
        decode, without_time = self._decode, _start(keys)

        def joined(line: str) -> Optional[str]:
            if line[:1] != "{":
                line = line.lstrip(BLANK)
                if line[:1] != "{":
                    return None
            try:
                taken = decode(line)
            except (msgspec.DecodeError, RecursionError):
                return None
            # Every level of nesting takes two brackets.
            if len(line) > 2 * MAX_DEPTH and _is_too_deep(line):
                return None
            ours = start if taken.time is UNSET else without_time
            if taken.process is not UNSET or taken.stream is not UNSET:
                own = {"time": time} if time is not None and taken.time is UNSET else {}
                ours = _start({**own, **_renamed(keys, line)})
            # After the brace comes a key, unless the object is empty.
            if line[1] != '"' and (rest := line[1:].lstrip(BLANK))[:1] == "}":
                return ours + rest
            return f"{ours},{line[1:]}"

        return joined


def object_of(members: Mapping[str, object]) -> str:
    """A JSON object with these members, which must not contain surrogates (not valid Unicode)."""
    return msgspec.json.encode(members).decode()


def _start(members: Mapping[str, str]) -> str:
    """An object with these members, without its closing brace."""
    return object_of(members)[:-1]


def _renamed(ours: Mapping[str, str], line: str) -> dict[str, str]:
    """Our keys, renamed where the object has the same key."""
    taken = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    added = {}
    for key, value in ours.items():
        while key in taken:
            key = OURS + key
        added[key] = value
    return added


def _is_too_deep(line: str) -> bool:
    if line.count("{") + line.count("[") <= MAX_DEPTH:
        return False
    # Without escapes, the parts between quotes alternate: outside a string, inside, outside.
    parts = line.replace("\\\\", "").replace('\\"', "").split('"')[::2]
    steps = (1 if c in "{[" else -1 for part in parts for c in part if c in "{[]}")
    return max(itertools.accumulate(steps)) > MAX_DEPTH


def _clean(value: object) -> object:
    """The same value without surrogates, which are not valid Unicode."""
    if isinstance(value, str):
        return encoded(value).decode()
    if isinstance(value, Mapping):
        return {key: _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, (list, tuple)) else value
