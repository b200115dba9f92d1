"""The lines that the writers write, and the check that each arrived whole and in order.

A line is a marker, its writer, its number and a text that depends on both. Everything from the
first marker of an output line to its end must be such a line, byte for byte; anything before the
marker is the contender's prefix. An output line without a marker is the contender's own message.
"""

from __future__ import annotations

import random
import re
import string
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

MARKER = b"@"
#: The line numbers of a writer repeat after this many.
CYCLE = 10_000
#: A line further ahead than this is considered late.
AHEAD = CYCLE * 9 // 10
SHORTEST = 32
COLOR_OFF = b"\x1b[0m"

_TEXT = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=1 << 16)).encode()
_PAYLOAD = re.compile(MARKER + rb".*")
_KEY = slice(0, 4)

#: Takes a block of whole lines; returns the part of each from its first marker on.
Payloads = Callable[[bytes], Iterable[bytes]]


def cycle(writer: int, length: int) -> list[bytes]:
    """Return the lines of one writer, each of `length` bytes including its newline."""
    if not SHORTEST <= length <= len(_TEXT) // 2:
        raise ValueError(f"lines of {length} bytes are not made here")
    lines = []
    for number in range(CYCLE):
        head = b"%s%02d.%05d." % (MARKER, writer, number)
        start = (writer * 7919 + number * 31) % (len(_TEXT) // 2)
        lines.append(head + _TEXT[start : start + length - len(head) - 1] + b"\n")
    return lines


@dataclass
class Tally:
    """Counts of a writer's lines. `whole` lines came in order; a torn line is not lost."""

    expected: int = 0
    whole: int = 0
    out_of_order: int = 0
    duplicated: int = 0
    torn: int = 0
    lost: int = 0

    @property
    def perfect(self) -> bool:
        return self.whole == self.expected and not (
            self.out_of_order or self.duplicated or self.torn or self.lost
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


class Verifier:
    """Takes the contender's output in pieces of any size; keeps at most one line of it.

    A block without errors is compared as a whole, list with list.
    """

    def __init__(self, writers: int, length: int, payloads: Payloads | None = None) -> None:
        self._payloads = payloads or text_payloads
        self._writers = {
            b"%s%02d." % (MARKER, writer): _Writer([line[:-1] for line in cycle(writer, length)])
            for writer in range(writers)
        }
        #: Torn lines without a head that names their writer.
        self._strange = 0
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        end = piece.rfind(b"\n") + 1
        if not end:
            self._rest += piece
            return
        block, self._rest = self._rest + piece[:end], piece[end:]
        groups: dict[bytes, list[bytes]] = defaultdict(list)
        for payload in self._payloads(block):
            groups[payload[_KEY]].append(payload)
        for key, group in groups.items():
            writer = self._writers.get(key)
            for payload in writer.take(group) if writer else group:
                self._note_torn(payload)

    def _note_torn(self, payload: bytes) -> None:
        """Count torn lines: each marker began a line, and the head after it names the writer."""
        for piece in payload.split(MARKER)[1:]:
            writer = self._writers.get(MARKER + piece[:3])
            if writer:
                writer.torn += 1
            else:
                self._strange += 1

    def tallies(self, counts: Sequence[int]) -> list[Tally]:
        """Return a tally for each writer, which wrote `counts` lines, and one for unknown writers.

        A line without an end counts as torn.
        """
        found = [writer.tally(count) for writer, count in zip(self._writers.values(), counts)]
        return [*found, Tally(torn=self._strange + self._rest.count(MARKER))]

    def total(self, counts: Sequence[int]) -> Tally:
        """Return the tally of all writers. Torn lines of an unknown writer are not lost as well."""
        total = sum(self.tallies(counts), Tally())
        total.lost = max(0, total.lost - self._strange - self._rest.count(MARKER))
        return total


class _Writer:
    """The progress of one writer's lines."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._numbers = {line: number for number, line in enumerate(lines)}
        self._next = 0
        self._missing: set[int] = set()
        self._tally = Tally()
        self.torn = 0

    def take(self, payloads: list[bytes]) -> list[bytes]:
        """Count the payloads that are lines of this writer; return the others."""
        start = self._next % CYCLE
        times = (start + len(payloads)) // CYCLE + 1
        if payloads == (self._lines * times)[start : start + len(payloads)]:
            self._next += len(payloads)
            self._tally.whole += len(payloads)
            return []
        wrong = []
        for payload in payloads:
            number = self._numbers.get(payload)
            if number is None:
                wrong.append(payload)
            else:
                self._take_one(number)
        return wrong

    def _take_one(self, number: int) -> None:
        ahead = (number - self._next) % CYCLE
        if ahead < AHEAD:
            self._missing.update(range(self._next, self._next + ahead))
            self._next += ahead + 1
            self._tally.whole += 1
        elif (late := self._next + ahead - CYCLE) in self._missing:
            self._missing.remove(late)
            self._tally.out_of_order += 1
        else:
            self._tally.duplicated += 1

    def tally(self, expected: int) -> Tally:
        found = self._tally
        missing = expected - found.whole - found.out_of_order
        return Tally(
            expected,
            found.whole,
            found.out_of_order,
            found.duplicated + max(0, -missing),
            self.torn,
            max(0, missing - self.torn),
        )


def text_payloads(block: bytes) -> list[bytes]:
    """Return the payloads of plain lines. A line may be coloured up to its end."""
    if COLOR_OFF in block:
        block = block.replace(COLOR_OFF + b"\n", b"\n")
    return _PAYLOAD.findall(block)


def json_payloads() -> Payloads:
    """Take the payload from `message` of JSON objects; a line that is not one is torn."""
    import msgspec  # Here, because the writers import this module, too.

    class Record(msgspec.Struct):
        message: str

    decode = msgspec.json.Decoder(Record).decode

    def payloads(block: bytes) -> Iterable[bytes]:
        for line in block.split(b"\n")[:-1]:
            try:
                message = decode(line).message.encode()
            except msgspec.MsgspecError:
                message = (line if MARKER in line else MARKER) + b" is not JSON"
            at = message.find(MARKER)
            if at >= 0:
                yield message[at:]

    return payloads
