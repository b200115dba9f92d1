"""A stop signal during the preload is obeyed, even by PID 1."""

from __future__ import annotations

import sys
from signal import SIGINT, SIGQUIT, SIGTERM, Signals

import pytest

from tests.functional.helpers import FOREVER, Runs, code
from tests.running import skip_unless_it_works

linux = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux")
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]
# A module that prints a line and never finishes its import.
ENDLESS = """
    import signal
    print("system | preloading", flush=True)
    while True:
        signal.pause()
"""

# A module that catches the exception of the signal, and then goes on.
SWALLOWS = """
    import signal
    print("system | preloading", flush=True)
    try:
        while True:
            signal.pause()
    except:
        pass
"""


@pytest.mark.parametrize("prefix", [(), pytest.param(UNSHARE, marks=linux)], ids=["", "pid 1"])
@pytest.mark.parametrize(("asked", "status"), [(SIGTERM, 0), (SIGQUIT, 0), (SIGINT, 130)])
def test_a_stop_signal_during_the_preload_is_obeyed(
    start: Runs, asked: Signals, status: int, prefix: list[str]
) -> None:
    if prefix:
        skip_unless_it_works(*prefix)
    run = start(
        {"web": FOREVER},
        supervisor={"PRELOAD": ["endless"]},
        files={"endless.py": ENDLESS},
        prefix=prefix,
    )
    run.wait_for("system", "preloading")
    if prefix:
        run.enter()

    assert run.end(asked) == status
    assert run.stderr == ""


@pytest.mark.parametrize(("asked", "status"), [(SIGTERM, 0), (SIGINT, 130)])
def test_a_stop_signal_swallowed_by_a_preloaded_module_is_obeyed(
    start: Runs, asked: Signals, status: int
) -> None:
    run = start(
        {"web": code("print('system | begun')")},
        supervisor={"PRELOAD": ["swallows"]},
        files={"swallows.py": SWALLOWS},
    )
    run.wait_for("system", "preloading")

    assert run.end(asked) == status
    assert run.said("system") == ["preloading"]


@linux
def test_sigterm_ends_a_process_that_runs_alone_as_pid_1(start: Runs) -> None:
    skip_unless_it_works(*UNSHARE)
    source = "print('system | here', flush=True); forever()"
    # Coverage's handler for SIGTERM exits by the default action, which does not end PID 1.
    unmeasured = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    run = start({"web": code(source)}, "web", prefix=UNSHARE, env=unmeasured)
    run.wait_for("system", "here")
    run.enter()

    assert run.end(SIGTERM) == 128 + SIGTERM
