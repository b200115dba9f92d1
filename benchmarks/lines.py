"""The lines that the writers write, and whether every one of them arrived whole and in order.

A line is a marker, its writer, its number and a text that depends on both. Everything from the
first marker of an output line to its end has to be such a line, byte for byte; what comes before
the marker is the contender's prefix. An output line without a marker is the contender's own word.
"""

from __future__ import annotations

import random
import re
import string
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

MARKER = b"@"
#: A writer's lines have as many numbers, and then begin anew.
CYCLE = 10_000
#: A line further ahead than this is taken for one that is late.
AHEAD = CYCLE * 9 // 10
SHORTEST = 32
COLOR_OFF = b"\x1b[0m"

_TEXT = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=1 << 16)).encode()
_PAYLOAD = re.compile(MARKER + rb".*")
_KEY = slice(0, 4)

#: Takes a block of whole lines, gives what is in each from its first marker on.
Payloads = Callable[[bytes], Iterable[bytes]]


def cycle(writer: int, length: int) -> list[bytes]:
    """The lines of one writer, each of `length` bytes with its newline."""
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
    """What became of a writer's lines. `whole` ones came in order; a torn one is not lost."""

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
    """Takes the contender's output in pieces of any size; holds no more than a line of it.

    A block in which all is well is compared as a whole, list with list.
    """

    def __init__(self, writers: int, length: int, payloads: Payloads | None = None) -> None:
        self._payloads = payloads or text_payloads
        self._writers = {
            b"%s%02d." % (MARKER, writer): _Writer([line[:-1] for line in cycle(writer, length)])
            for writer in range(writers)
        }
        #: Torn lines whose head does not tell their writer.
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
        """Each marker in it began a line once; the head that follows tells whose."""
        for piece in payload.split(MARKER)[1:]:
            writer = self._writers.get(MARKER + piece[:3])
            if writer:
                writer.torn += 1
            else:
                self._strange += 1

    def tallies(self, counts: Sequence[int]) -> list[Tally]:
        """One for each writer that wrote `counts` lines, and a last one for lines of nobody.

        A line that has not ended yet is torn.
        """
        found = [writer.tally(count) for writer, count in zip(self._writers.values(), counts)]
        return [*found, Tally(torn=self._strange + self._rest.count(MARKER))]

    def total(self, counts: Sequence[int]) -> Tally:
        """Of all writers: a line of nobody is one that one of them seems to have lost."""
        total = sum(self.tallies(counts), Tally())
        total.lost = max(0, total.lost - self._strange - self._rest.count(MARKER))
        return total


class _Writer:
    """How far the lines of one writer have come."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._numbers = {line: number for number, line in enumerate(lines)}
        self._next = 0
        self._missing: set[int] = set()
        self._tally = Tally()
        self.torn = 0

    def take(self, payloads: list[bytes]) -> list[bytes]:
        """Returns those that are none of this writer's lines."""
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
    """A line may be coloured to its end."""
    if COLOR_OFF in block:
        block = block.replace(COLOR_OFF + b"\n", b"\n")
    return _PAYLOAD.findall(block)


def json_payloads() -> Payloads:
    """Of lines that are JSON objects, what `message` says; a line that is none is torn."""
    import msgspec  # Not in the writers, which import this module, too.

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
