"""The last lines of each process, against a slow reference; and those who follow them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_prodserver.logs.lines import Block, whole
from django_prodserver.logs.recent import OVERHEAD, Reader, Recent
from django_prodserver.supervisor.spec import process_of

KEPT = 3 * OVERHEAD
NAMES = ["web.1", "web.2", "a.b.1", "system"]


def add(recent: Recent, name: str, *lines: str) -> None:
    recent.add(1.0, name, "stdout", whole("".join(f"{line}\n" for line in lines).encode()))


def everything(reader: Reader) -> tuple[int, list[tuple[str, str]]]:
    """How many lines were lost, and all others with the names of those who wrote them."""
    lost, found = 0, []
    while True:
        gap, entries = reader.take()
        lost += gap
        if not entries:
            return lost, found
        for entry in entries:
            found += [(entry.name, line) for line in entry.lines.decode().splitlines()]


def lines(reader: Reader) -> list[str]:
    lost, found = everything(reader)
    assert lost == 0
    return [line for _, line in found]


# ---- what is kept ----


def test_lines_are_kept_in_the_order_in_which_they_came() -> None:
    recent = Recent()
    add(recent, "web.1", "one", "two")
    add(recent, "worker.1", "three")
    add(recent, "web.2", "four")

    assert everything(recent.read()) == (
        0,
        [("web.1", "one"), ("web.1", "two"), ("worker.1", "three"), ("web.2", "four")],
    )


def test_each_process_has_its_own_memory_limit() -> None:
    recent = Recent(KEPT)
    add(recent, "quiet.1", "still there")
    for number in range(100):
        add(recent, "loud.1", f"line {number}")

    assert lines(recent.read({"quiet"})) == ["still there"]
    assert lines(recent.read({"loud"})) == ["line 98", "line 99"]


def test_the_instances_of_a_process_share_its_memory_limit() -> None:
    recent = Recent(KEPT)
    for number in range(10):
        add(recent, f"web.{number}", f"line {number}")

    assert lines(recent.read({"web"})) == ["line 8", "line 9"]


def test_only_the_last_whole_lines_of_a_large_block_are_kept() -> None:
    recent = Recent(OVERHEAD + 20)
    add(recent, "web.1", *(f"line {number}" for number in range(100)))

    assert lines(recent.read()) == ["line 98", "line 99"]


def test_only_the_end_of_a_line_that_exceeds_the_limit_is_kept() -> None:
    recent = Recent(OVERHEAD + 6)
    recent.add(1.0, "web.1", "stdout", Block(b"x" * 50, b"12345\nrest", 6))

    assert lines(recent.read()) == ["12345"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES), st.lists(st.sampled_from(["", "a", "b" * 90]), min_size=1)
        ),
        max_size=30,
    )
)
def test_the_kept_lines_of_a_process_never_exceed_its_memory_limit(
    blocks: list[tuple[str, list[str]]],
) -> None:
    recent = Recent(KEPT)
    written: dict[str, list[str]] = {}
    for name, block in blocks:
        add(recent, name, *block)
        written.setdefault(process_of(name), []).extend(block)

    for process, said in written.items():
        kept = lines(recent.read({process}))
        assert 0 < sum(len(line) + 1 for line in kept) <= KEPT - OVERHEAD
        assert kept == said[-len(kept) :]


# ---- what is asked for ----


def test_lines_can_be_read_by_instance_or_process_name() -> None:
    recent = Recent()
    for name in ("web.1", "web.2", "worker.1", "system"):
        add(recent, name, f"of {name}")

    assert lines(recent.read({"web.2"})) == ["of web.2"]
    assert lines(recent.read({"web"})) == ["of web.1", "of web.2"]
    assert lines(recent.read({"system", "worker"})) == ["of worker.1", "of system"]
    assert lines(recent.read({"mail"})) == []


def test_the_last_lines_are_counted_across_all_requested_instances() -> None:
    recent = Recent()
    add(recent, "web.1", "one", "two", "three")
    add(recent, "worker.1", "not counted")
    add(recent, "web.2", "four")

    assert lines(recent.read({"web"}, last=3)) == ["two", "three", "four"]
    assert lines(recent.read({"web"}, last=1)) == ["four"]
    assert lines(recent.read({"web"}, last=0)) == []
    assert lines(recent.read({"web"}, last=99)) == ["one", "two", "three", "four"]


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 4)), max_size=12),
    st.sets(st.sampled_from(NAMES)),
    st.integers(0, 30),
)
def test_the_last_lines_are_the_newest_of_all_requested_instances(
    blocks: list[tuple[str, int]], names: set[str], last: int
) -> None:
    recent, wanted, number = Recent(), [], 0
    for name, count in blocks:
        block = [f"{number + at}" for at in range(count)]
        number += count
        add(recent, name, *block)
        wanted += block if name in names else []

    assert lines(recent.read(names, last=last)) == (wanted[-last:] if last else [])


# ---- those who follow ----


def test_a_follower_is_woken_only_by_lines_that_it_follows() -> None:
    recent, woken = Recent(), []
    reader = recent.read({"web"})
    recent.follow(reader, lambda: woken.append(1))
    add(recent, "worker.1", "not for it")
    assert woken == []

    add(recent, "web.1", "for it")
    assert (len(woken), lines(reader)) == (1, ["for it"])

    recent.leave(reader)
    add(recent, "web.1", "too late")
    assert len(woken) == 1


def test_a_slow_follower_gets_the_number_of_lines_it_has_lost() -> None:
    recent = Recent(KEPT)
    reader = recent.read({"web"})
    recent.follow(reader, lambda: None)
    for number in range(10):
        add(recent, "web.1", f"{number}", "and")
        add(recent, "worker.1", "not missed")

    lost, found = everything(reader)
    assert [line for _, line in found] == ["8", "and", "9", "and"]
    assert lost == 16


@given(
    st.lists(st.tuples(st.sampled_from(NAMES[:2]), st.integers(1, 60), st.booleans()), max_size=20)
)
def test_every_line_is_read_by_the_follower_or_counted_as_lost(
    blocks: list[tuple[str, int, bool]],
) -> None:
    recent = Recent(KEPT)
    reader = recent.read({"web"})
    recent.follow(reader, lambda: None)
    written = read = lost = 0
    for name, count, reads in blocks:
        add(recent, name, *("x" * 40 for _ in range(count)))
        written += count
        if reads:
            gap, entries = reader.take()
            lost += gap
            read += sum(entry.lines.count(b"\n") for entry in entries)
    gap, found = everything(reader)

    assert read + len(found) + lost + gap == written
