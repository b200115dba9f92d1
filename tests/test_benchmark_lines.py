"""benchmarks/lines.py: the verifier reports whatever happens to a line on its way."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from itertools import chain
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).resolve().parent.parent / "benchmarks" / "lines.py"
LENGTH = 100
COUNTS = [250, 250, 250]


@pytest.fixture(scope="module")
def lines() -> Iterator[ModuleType]:
    spec = spec_from_file_location("benchmark_lines", PATH)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # Its dataclass looks itself up there.
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def output(lines: ModuleType) -> list[bytes]:
    """The output of a contender without mistakes: the writers in turns, ten lines each."""
    cycles = [lines.cycle(writer, LENGTH) for writer in range(len(COUNTS))]
    turns = [cycles[w][n : n + 10] for n in range(0, COUNTS[0], 10) for w in range(len(COUNTS))]
    return [b"12:00:01 w.1 | " + line for line in chain(*turns)]


def verdict(lines: ModuleType, output: list[bytes], **options: Any) -> dict[str, int]:
    """The figures that are not 0, without those that count successes."""
    verifier = lines.Verifier(len(COUNTS), LENGTH, **options)
    verifier.feed(b"".join(output))
    total = verifier.total(COUNTS)
    found = {name: value for name, value in vars(total).items() if value}
    assert found.pop("expected") == sum(COUNTS)
    assert total.perfect == (found == {"whole": sum(COUNTS)})
    whole = found.pop("whole", 0) + found.get("out_of_order", 0)
    assert whole + found.get("torn", 0) + found.get("lost", 0) >= sum(COUNTS)
    return found


def test_generated_lines_are_unique_and_have_the_requested_length(lines: ModuleType) -> None:
    made = [*lines.cycle(0, LENGTH), *lines.cycle(1, LENGTH)]
    assert {len(line) for line in made} == {LENGTH}
    assert {line.count(b"@") for line in made} == {1}
    assert {line.count(b"\n") for line in made} == {1}
    assert len({line[10:] for line in made}) > len(made) * 0.9
    assert len(set(made)) == len(made)


def test_a_whole_log_has_no_errors(lines: ModuleType, output: list[bytes]) -> None:
    own = [b"system | w.1 started\n", b"\n", *output, b"system | stopping\n"]
    assert verdict(lines, own) == {}


def test_output_in_pieces_of_any_size_has_no_errors(lines: ModuleType, output: list[bytes]) -> None:
    verifier, data, at, chance = lines.Verifier(3, LENGTH), b"".join(output), 0, Random(7)
    while at < len(data):
        size = chance.choice([1, 2, 50, 99, 100, 101, 5000])
        verifier.feed(data[at : at + size])
        at += size
    assert all(tally.perfect for tally in verifier.tallies(COUNTS))


def test_output_of_several_cycles_has_no_errors(lines: ModuleType) -> None:
    count = 3 * lines.CYCLE + 5
    data = (lines.cycle(0, LENGTH) * 4)[:count]
    for step in (1, 2):
        verifier = lines.Verifier(1, LENGTH)
        for half in data[: count // step], data[count // step :]:
            verifier.feed(b"".join(half))
        assert verifier.total([count]).perfect


@pytest.mark.parametrize("at", [1, 10, 14, 15, 16, 17, 19, 24, 60, 113])
def test_a_line_torn_in_two_is_found(lines: ModuleType, output: list[bytes], at: int) -> None:
    line = output[205]
    output[205:206] = [line[:at] + b"\n", line[at:]]
    # A tear within the prefix leaves the line itself whole.
    assert verdict(lines, output) == ({"torn": 1} if at > 15 else {})


@pytest.mark.parametrize("at", [1, 3, 5, 60])
def test_a_line_torn_in_two_with_a_prefix_each_is_found(
    lines: ModuleType, output: list[bytes], at: int
) -> None:
    payload = output[205][15:]
    output[205:206] = [b"w.1 | " + payload[:at] + b"\n", b"w.1 | " + payload[at:]]
    assert verdict(lines, output) == {"torn": 1}


@pytest.mark.parametrize("index", [205, 209])
def test_a_spliced_line_is_found(lines: ModuleType, output: list[bytes], index: int) -> None:
    """Two lines of one writer, and of two writers."""
    output[index] = output[index][:-1]
    assert verdict(lines, output) == {"torn": 2}


def test_a_line_inside_another_is_found(lines: ModuleType, output: list[bytes]) -> None:
    line, other = output[205], output.pop(215)
    output[205] = line[:60] + other + line[60:]
    assert verdict(lines, output) == {"torn": 2}


@pytest.mark.parametrize("index", [0, 205, 749])
def test_a_lost_line_is_found(lines: ModuleType, output: list[bytes], index: int) -> None:
    del output[index]
    assert verdict(lines, output) == {"lost": 1}


def test_many_lost_lines_are_counted(lines: ModuleType, output: list[bytes]) -> None:
    del output[100:300]
    assert verdict(lines, output) == {"lost": 200}


def test_a_log_without_any_line_counts_every_line_as_lost(lines: ModuleType) -> None:
    assert verdict(lines, []) == {"lost": sum(COUNTS)}


def test_swapped_lines_are_found(lines: ModuleType, output: list[bytes]) -> None:
    output[205], output[206] = output[206], output[205]
    assert verdict(lines, output) == {"out_of_order": 1}


def test_writers_may_overtake_each_other(lines: ModuleType, output: list[bytes]) -> None:
    output[209], output[210] = output[210], output[209]
    assert verdict(lines, output) == {}


def test_a_duplicated_line_is_found(lines: ModuleType, output: list[bytes]) -> None:
    output.insert(300, output[205])
    assert verdict(lines, output) == {"duplicated": 1}


def test_a_duplicated_last_line_is_found(lines: ModuleType, output: list[bytes]) -> None:
    output.append(output[-1])
    assert verdict(lines, output) == {"duplicated": 1}


def test_any_changed_byte_is_found(lines: ModuleType, output: list[bytes]) -> None:
    line = output[205]
    for at in range(15, len(line) - 1):
        output[205] = line[:at] + b"-" + line[at + 1 :]
        found = verdict(lines, output)
        if at == 15:  # Without the marker the line belongs to no writer.
            assert found == {"lost": 1}
        else:
            assert found == {"torn": 1}


def test_an_extra_byte_at_the_end_of_a_line_is_found(
    lines: ModuleType, output: list[bytes]
) -> None:
    output[205] = output[205][:-1] + b" \n"
    assert verdict(lines, output) == {"torn": 1}


def test_a_missing_last_newline_is_found(lines: ModuleType, output: list[bytes]) -> None:
    output[-1] = output[-1][:-1]
    assert verdict(lines, output)["torn"] == 1


def test_several_errors_at_once_are_all_found(lines: ModuleType, output: list[bytes]) -> None:
    output[205], output[206] = output[206], output[205]
    del output[400]
    output[500] = output[500][:-1]
    output.insert(601, output[600])
    found = verdict(lines, output)
    assert found == {"out_of_order": 1, "lost": 1, "torn": 2, "duplicated": 1}


def as_json(output: list[bytes]) -> list[bytes]:
    return [
        json.dumps({"process": "w.1", "message": line.decode().rstrip("\n")}).encode() + b"\n"
        for line in output
    ]


def test_lines_of_json_are_read(lines: ModuleType, output: list[bytes]) -> None:
    payloads = lines.json_payloads()
    own = b'{"process":"system","message":"started"}\n'
    assert verdict(lines, [own, *as_json(output)], payloads=payloads) == {}
    assert verdict(lines, as_json(output)[1:], payloads=payloads) == {"lost": 1}


def test_a_line_that_is_not_json_is_found(lines: ModuleType, output: list[bytes]) -> None:
    payloads = lines.json_payloads()
    good = as_json(output)
    assert verdict(lines, [b"started\n", *good], payloads=payloads) == {"torn": 1}
    good[205:207] = [good[205][:-1] + good[206]]
    assert verdict(lines, good, payloads=payloads) == {"torn": 2}


def test_a_truncated_json_line_is_found(lines: ModuleType, output: list[bytes]) -> None:
    good = as_json(output)
    good[205] = good[205].removesuffix(b'"}\n') + b"\n"
    assert verdict(lines, good, payloads=lines.json_payloads()) == {"torn": 1}


def test_coloured_lines_are_read(lines: ModuleType, output: list[bytes]) -> None:
    assert verdict(lines, [b"\x1b[34m" + line[:-1] + b"\x1b[0m\n" for line in output]) == {}
