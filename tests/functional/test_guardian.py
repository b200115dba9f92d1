"""`kill -9` of the supervisor leaves no process, and a life leaves none to the next one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from django_prodserver.posix import marks, orphans, process_table
from django_prodserver.supervisor.spec import Ref
from tests.functional import survivors as kinds
from tests.functional.helpers import FOREVER, Runs, code, shell
from tests.functional.survivors import survivors
from tests.running import Site, folder_for_all_users

pytestmark = [
    pytest.mark.template,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")

# In seconds; `make torture` allows two, because it has the machine to itself.
PATIENCE = 10.0
LAST = {"gunicorn": "Booting worker", "celery": "beat: Starting"}
NOBODY = {"gunicorn": {"user": "nobody"}, "celery": {"uid": "nobody"}}


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    """Each test checks on its own which processes are left."""
    made = Runs(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(kinds.SHELL, id="shell"),
        pytest.param(kinds.DAEMON, id="daemon"),
        pytest.param(kinds.OTHER_USER, id="another user", marks=root),
    ],
)
def test_nothing_survives_a_supervisor_that_is_killed(runs: Runs, entry: dict[str, Any]) -> None:
    run = runs({"web": entry, "worker": FOREVER})
    run.wait_for("web.1", "^here")

    run.signal(SIGKILL)

    assert survivors(run, runs, PATIENCE) == []


def test_a_replaced_template_kills_earlier_lives_of_a_killed_supervisor(runs: Runs) -> None:
    # Without an environment they have no mark: only their process group shows whose they are.
    web = shell("exec env -i sh -c 'sleep 1000 & echo here; wait'")
    worker = code("held(); sys.exit(3)", RESTART="always", BACKOFF={"INITIAL": 0, "MAX": 0})
    run = runs({"web": web, "worker": worker})
    run.wait_for("web.1", "^here")
    run.held("worker.1")
    (template,) = run.templates()
    run.kill(template, SIGKILL)
    run.release("worker.1")
    run.held("worker.1")  # It was forked from another template.

    run.signal(SIGKILL)

    assert survivors(run, runs, PATIENCE) == []


def test_a_new_template_kills_what_a_supervisor_leaves_that_is_killed_at_once(runs: Runs) -> None:
    """It outlives the supervisor from the moment it is ready."""
    run = runs({"web": shell("exec env -i sh -c 'sleep 1000 & echo here; wait'")})
    run.wait_for("web.1", "^here")
    (template,) = run.templates()
    run.kill(template, SIGKILL)
    run.wait_for("system", "another template is ready")

    run.signal(SIGKILL)

    assert survivors(run, runs, PATIENCE) == []


@root
@pytest.mark.parametrize("name", NOBODY)
def test_processes_that_change_user_do_not_survive_a_killed_supervisor(name: str) -> None:
    with folder_for_all_users() as folder, Site(folder / "site") as site:
        site.let_anyone_write()
        entry = getattr(kinds, name)(NOBODY[name])
        run = site({"web": entry}, supervisor=kinds.PRELOAD, env={"HOME": str(folder)})
        # Each of these comes from the last process to start.
        run.wait_for_each({"system": "all 1 ready", "web.1": LAST[name]})

        run.signal(SIGKILL)

        assert survivors(run, site, PATIENCE) == []


def test_no_process_survives_a_supervisor_killed_while_it_stops_everything(runs: Runs) -> None:
    source = """
        def daemon():
            os.setsid()
            beget(lambda: print("here") or forever())

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.waitpid(beget(daemon), 0)
        forever()
    """
    run = runs({"web": code(source)})
    run.wait_for("web.1", "here")
    run.signal(SIGTERM)
    run.wait_for("system", "SIGTERM received")

    run.signal(SIGKILL)

    assert survivors(run, runs, PATIENCE) == []


def test_notify_sockets_of_a_killed_supervisor_are_removed(runs: Runs) -> None:
    with folder_for_all_users() as folder:
        entry = code("notify(); forever()", "NotifyingCode")
        run = runs({"web": entry}, env={"TMPDIR": str(folder)})
        run.wait_for("system", "all 1 ready")
        assert list(folder.iterdir()) != []

        run.signal(SIGKILL)

        assert survivors(run, runs, PATIENCE) == []
        assert list(folder.iterdir()) == []


LEAVES_A_DAEMON = """
    def alive(pid):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def daemon():
        os.setsid()
        beget(lambda: os.write(told, str(os.getpid()).encode()) and forever())

    here, told = os.pipe()
    number = life()
    if number > 1:
        print("left behind" if alive(int(open("daemon").read())) else "nothing left")
    os.waitpid(beget(daemon), 0)
    pid = os.read(here, 20).decode()
    print("daemon", pid)
    open("daemon", "w").write(pid)
    if number < 3:
        sys.exit(1)
    forever()
"""


def test_processes_left_by_a_life_are_killed_before_the_next_life_starts(runs: Runs) -> None:
    entry = code(LEAVES_A_DAEMON, RESTART="always", BACKOFF={"INITIAL": 0, "MAX": 0})
    run = runs({"web": entry, "worker": FOREVER})
    pids = [run.wait_for("web.1", r"daemon (\d+)")[1] for _ in range(3)]
    run.handshake()

    # Checked before the stop, which kills it in any case.
    assert Path(f"/proc/{pids[2]}").exists()
    said = run.said("system")
    for pid in pids[:2]:
        assert sum("killed what was left behind by web.1: " in s and pid in s for s in said) == 1
    assert [text for text in run.said("web.1") if "left" in text] == ["nothing left"] * 2
    assert run.end(SIGTERM) == 0


def test_killed_orphans_have_exited_once_none_is_reported_as_ending() -> None:
    mark = marks.of_life(marks.new_run(), Ref("web.1", 0, 1))
    known = set(process_table.children(os.getpid()) or ())
    for _ in range(300):
        here, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                marks.mark(mark)
                os.write(told, b".")
                signal.pause()
            finally:
                os._exit(1)
        os.read(here, 1)
        os.close(here)
        os.close(told)

        while orphans.kill(mark, known).ending:
            pass

        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        assert ended is not None
        assert ended.si_status == SIGKILL
