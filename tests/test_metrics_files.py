"""The files of prometheus_client: what is kept of processes that have ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.launch import metrics

multiprocess: Any = pytest.importorskip("prometheus_client.multiprocess")
MmapedDict: Any = multiprocess.MmapedDict

# Metrics of every type, and gauges of every mode.
COUNTS = """
import os, sys
from prometheus_client import Counter, Gauge, Histogram, Summary

counter = Counter("counter", "", ["label"])
summary = Summary("summary", "")
histogram = Histogram("histogram", "", buckets=(1, 2))
modes = sorted(Gauge._MULTIPROC_MODES)
gauges = [Gauge(f"gauge_{mode}", "", multiprocess_mode=mode) for mode in modes]
for number in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        counter.labels(str(number % 3)).inc(number)
        summary.observe(number)
        histogram.observe(number % 4)
        for gauge in gauges:
            gauge.set((number * 7) % 11 - 5)
        os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return tmp_path


def count(lives: int) -> None:
    subprocess.run([sys.executable, "-c", COUNTS, str(lives)], check=True)


def counted(folder: Path) -> Sequence[str]:
    """All metrics except gauges of live processes."""
    lines = metrics.merged(str(folder)).decode().splitlines()
    return sorted(line for line in lines if not line.startswith(("#", "gauge_live")))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def others(folder: Path) -> list[str]:
    """The files except those of gauges that are reported for each process."""
    return [name for name in names(folder) if not name.startswith("gauge_all_")]


TOGETHER = [
    *("counter_0.db", "gauge_max_0.db", "gauge_min_0.db", "gauge_mostrecent_0.db"),
    *("gauge_sum_0.db", "histogram_0.db", "summary_0.db"),
]


def test_the_files_of_a_thousand_short_lives_are_merged_into_a_few(folder: Path) -> None:
    count(1000)
    before = counted(folder)
    assert len(names(folder)) > 10_000

    metrics.tidy_up(str(folder))

    assert others(folder) == TOGETHER
    assert counted(folder) == before


def test_the_metrics_of_later_lives_are_added_to_the_merged_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_OF_THE_DEAD", 0)
    for _ in range(3):
        count(5)
        before = counted(folder)
        metrics.tidy_up(str(folder))

        assert others(folder) == TOGETHER
        assert counted(folder) == before


def test_a_small_number_of_files_is_not_merged(folder: Path) -> None:
    count(2)
    before = [name for name in names(folder) if not name.startswith("gauge_live")]

    metrics.tidy_up(str(folder))

    assert names(folder) == before


@pytest.mark.parametrize("done", range(4))
def test_a_kill_during_the_merge_counts_no_metric_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    monkeypatch.setattr(metrics, "MOST_OF_THE_DEAD", 0)
    count(3)
    before = counted(folder)
    with monkeypatch.context() as killed:
        # It is killed right after it has written the journal.
        killed.setattr(metrics, "_finish", lambda folder: None)
        metrics.tidy_up(str(folder))
    if done > 0:
        (folder / "counter.new").rename(folder / "counter_0.db")
    if done > 1:
        for path in folder.glob("counter_[1-9]*.db"):
            path.unlink()
    if done > 2:
        (folder / "histogram.new").rename(folder / "histogram_0.db")

    metrics.tidy_up(str(folder))

    assert counted(folder) == before
    assert others(folder) == TOGETHER


def test_a_merge_killed_before_its_journal_leaves_the_metrics_unchanged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_OF_THE_DEAD", 0)
    count(3)
    before = counted(folder)
    together = MmapedDict(str(folder / "counter.new"))
    together.write_value('["counter", "counter_total", {"label": "0"}, ""]', 1000.0, 0.0)
    together.close()
    (folder / "journal.new").write_text("[{")

    metrics.tidy_up(str(folder))

    assert counted(folder) == before


def test_the_files_of_live_processes_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_OF_THE_DEAD", 0)
    count(1)
    ours = [f"{kind}_{os.getpid()}.db" for kind in ("counter", "gauge_livesum", "histogram")]
    for name in ours:
        MmapedDict(str(folder / name)).close()

    metrics.tidy_up(str(folder))

    assert others(folder) == sorted([*TOGETHER, *ours])


def test_an_empty_metrics_file_is_not_an_error(folder: Path) -> None:
    count(1)
    living, dead = folder / f"counter_{os.getpid()}.db", folder / "counter_999999999.db"
    living.touch()
    dead.touch()
    before = counted(folder)

    assert metrics.collect(str(folder)).decode().count("counter_total") > 0
    assert counted(folder) == before
    assert living.exists()
    assert not dead.exists()


def test_other_files_are_not_read(folder: Path) -> None:
    (folder / "notes.db").write_text("mine")
    (folder / "counter_1.txt").write_text("mine")

    assert metrics.collect(str(folder)) == b""
    assert names(folder) == ["counter_1.txt", "notes.db"]


def test_a_metrics_folder_of_the_user_is_never_modified(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_OF_THE_DEAD", 0)
    count(2)
    before = names(folder)

    assert b"counter_total" in metrics.collect(None)
    assert b"counter_total" in metrics.collect("/another")
    assert names(folder) == before


def test_a_missing_folder_has_no_metrics(folder: Path) -> None:
    folder.rmdir()

    assert metrics.collect(str(folder)) == b""
