"""Imports are timed, and nothing else changes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from importlib import _bootstrap, import_module
from pathlib import Path
from types import ModuleType
from typing import Callable, NamedTuple

import pytest

from django_prodserver.control.startup import MOST_MODULES, Imported, Preload
from django_prodserver.posix import imports

# A module that takes a second by the clock below.
SLOW = "import stopwatch\nstopwatch.spend(1.0)\n"


class Stopwatch(ModuleType):
    """A clock that stands still until a module spends time."""

    at = 0.0

    def now(self) -> float:
        return self.at

    def spend(self, seconds: float) -> None:
        self.at += seconds


class Written(NamedTuple):
    """Modules in a folder that have not been imported."""

    folder: Path

    def timed(self, *names: str) -> dict[str, Imported]:
        imports.begin()
        try:
            for name in names:
                import_module(name)
        finally:
            preload = imports.end()
        return {one.name: one for one in preload.slowest}

    def again(self) -> None:
        """Forget that they have been imported."""
        for path in self.folder.glob("*.py"):
            sys.modules.pop(path.stem, None)
        importlib.invalidate_caches()


@pytest.fixture
def write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Mapping[str, str]], Written]]:
    imports.end()  # Another test may have begun.
    monkeypatch.syspath_prepend(tmp_path)
    stopwatch = Stopwatch("stopwatch")
    monkeypatch.setitem(sys.modules, "stopwatch", stopwatch)
    monkeypatch.setattr(imports, "monotonic", stopwatch.now)
    written = Written(tmp_path)

    def write(modules: Mapping[str, str]) -> Written:
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source)
        written.again()
        return written

    yield write
    imports.end()
    written.again()


Write = Callable[[Mapping[str, str]], Written]


def test_a_module_is_timed_by_itself_and_with_what_it_imports(write: Write) -> None:
    found = write({"outer": f"import inner\n{SLOW}", "inner": SLOW}).timed("outer")

    assert found == {
        "outer": Imported("outer", 1.0, 2.0),
        "inner": Imported("inner", 1.0, 1.0),
    }


def test_a_circular_import_is_counted_once(write: Write) -> None:
    found = write({"one": "import two", "two": f"import one\n{SLOW}"}).timed("one")

    assert found == {"one": Imported("one", 0.0, 1.0), "two": Imported("two", 1.0, 1.0)}


def test_the_slowest_modules_come_first_and_all_modules_are_counted(write: Write) -> None:
    names = [f"number{number}" for number in range(MOST_MODULES + 5)]
    write({**dict.fromkeys(names, ""), "slow": SLOW})
    imports.begin()
    for name in [*names, "slow"]:
        import_module(name)
    preload = imports.end()

    assert len(preload.slowest) == MOST_MODULES
    assert preload.slowest[0] == Imported("slow", 1.0, 1.0)
    assert preload.modules == len(names) + 1
    assert (preload.importing, preload.seconds) == (1.0, 1.0)


def test_a_module_that_imports_slow_modules_is_among_the_slowest(write: Write) -> None:
    slow = [f"slow{number}" for number in range(MOST_MODULES)]
    found = write({**dict.fromkeys(slow, SLOW), "outer": f"import {', '.join(slow)}"})

    assert found.timed("outer")["outer"] == Imported("outer", 0.0, MOST_MODULES * 1.0)


def test_a_module_that_fails_to_import_is_timed_too(write: Write) -> None:
    tries = "try:\n import broken\nexcept ValueError: pass"
    found = write({"broken": f"{SLOW}raise ValueError", "tries": tries}).timed("tries")

    assert found == {"tries": Imported("tries", 0.0, 1.0), "broken": Imported("broken", 1.0, 1.0)}


def test_ending_a_timing_that_was_not_started_reports_no_modules() -> None:
    assert imports.end().slowest == []


def test_ending_the_timing_restores_the_import_system(write: Write) -> None:
    before = _bootstrap._ModuleLockManager
    written = write({"plain": ""})
    imports.begin()
    imports.begin()
    assert _bootstrap._ModuleLockManager is not before
    imports.end()

    assert _bootstrap._ModuleLockManager is before
    assert "plain" not in written.timed()


def test_nothing_is_timed_if_python_has_no_module_lock_class(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "_Lock", None)

    assert write({"plain": ""}).timed("plain") == {}


# ---- what does not change ----


def both(what: Callable[[], object], written: Written) -> list[object]:
    """The result without timed imports, and the result with them."""
    found = [what()]
    written.again()
    imports.begin()
    try:
        found.append(what())
    finally:
        imports.end()
    return found


@pytest.mark.parametrize("source", ["1 / 0", "import no_such_module", "def f(:"])
def test_timing_adds_no_line_to_a_traceback(write: Write, source: str) -> None:
    written = write({"broken": f"import works\n{source}\n", "works": "", "outer": "import broken"})

    def what() -> str:
        try:
            import_module("outer")
        except Exception:
            return traceback.format_exc()
        return ""

    without, timed = both(what, written)
    assert without == timed
    assert "broken.py" in str(timed)


def test_a_warning_points_to_the_line_with_the_import(write: Write) -> None:
    old = "import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=2)\n"
    written = write({"old": old, "user": "\n\nimport old\n"})

    def what() -> tuple[str, int]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import_module("user")
        (warning,) = caught
        return Path(warning.filename).name, warning.lineno

    assert both(what, written) == [("user.py", 3)] * 2


def test_timing_adds_no_frame_to_the_stack_of_a_module(write: Write) -> None:
    stack = "import sys\nframe, stack = sys._getframe(), []\n"
    stack += "while frame: stack.append(frame.f_code.co_filename); frame = frame.f_back\n"
    written = write({"looks": stack})

    without, timed = both(lambda: import_module("looks").stack, written)

    assert without == timed


def test_timing_does_not_change_loaders_and_specs(write: Write) -> None:
    written = write({"plain": ""})

    def what() -> list[object]:
        module = import_module("plain")
        assert module.__spec__ is not None
        return [type(module), type(module.__loader__), type(module.__spec__), sys.meta_path[:]]

    without, timed = both(what, written)
    assert without == timed


def test_a_lazy_module_stays_lazy(write: Write) -> None:
    written = write({"lazy": "import sys\nsys.has_run = True\n"})

    def what() -> list[bool]:
        spec = importlib.util.find_spec("lazy")
        assert spec is not None
        assert spec.loader is not None
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = sys.modules["lazy"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        before = hasattr(sys, "has_run")
        assert module.sys is sys
        after = hasattr(sys, "has_run")
        del sys.has_run  # type: ignore[attr-defined]
        return [before, after]

    assert both(what, written) == [[False, True]] * 2


def test_concurrent_imports_in_threads_are_timed_separately(write: Write) -> None:
    meet = f"import meeting\nmeeting.barrier.wait()\n{SLOW}meeting.barrier.wait()\n"
    write({"meeting": "import threading\nbarrier = threading.Barrier(2)", "a": meet, "b": meet})
    import_module("meeting")
    threads = [threading.Thread(target=import_module, args=(name,)) for name in "ab"]
    imports.begin()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {one.name: one for one in imports.end().slowest}

    for name in "ab":
        assert found[name].own == found[name].seconds


def test_an_import_that_outlasts_the_timing_completes(write: Write) -> None:
    wait = "import meeting\nmeeting.barrier.wait()\nmeeting.barrier.wait()\nimport late\n"
    source = "import threading\nbarrier = threading.Barrier(2)"
    write({"meeting": source, "long": wait, "late": ""})
    meeting = import_module("meeting")
    thread = threading.Thread(target=import_module, args=("long",))
    imports.begin()
    thread.start()
    meeting.barrier.wait()
    imports.end()
    meeting.barrier.wait()
    thread.join()

    assert "late" in sys.modules


def test_concurrent_imports_in_greenlets_are_timed_separately(write: Write) -> None:
    greenlet = pytest.importorskip("greenlet")
    switch = "import greenlet\ngreenlet.getcurrent().parent.switch()\n"
    write({"a": switch, "b": f"{SLOW}{switch}"})
    imports.begin()
    both = [greenlet.greenlet(lambda name=name: import_module(name)) for name in "ab"]
    for one in [*both, *both]:
        one.switch()
    found = {one.name: one for one in imports.end().slowest}

    for name in "ab":
        assert found[name].own == found[name].seconds


def test_python_importtime_lists_the_same_modules_during_the_timing(write: Write) -> None:
    folder = write({"outer": "import inner", "inner": ""}).folder

    def listed(program: str) -> list[str]:
        command = [sys.executable, "-X", "importtime", "-c", f"{program}\nimport outer"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return [line.rpartition("|")[2] for line in done.stderr.splitlines()][-2:]

    begin = "from django_prodserver.posix import imports\nimports.begin()"
    assert listed("") == listed(begin) == ["   inner", " outer"]


def test_import_times_arrive_unchanged_at_the_supervisor() -> None:
    from django_prodserver.posix.template.wire import pack, unpack

    preload = Preload(1.0, 2.0, 1, 0.5, (Imported("a.b", 0.25, 0.5),))

    assert unpack(pack(preload)) == preload
