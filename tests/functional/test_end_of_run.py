"""Killing all processes of a run, and what is left of a life: the functions, called directly.

Each test runs a script, because the functions search all processes of the machine.
"""

from __future__ import annotations

import os
import pwd
import select
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO

import psutil
import pytest

from django_prodserver.posix.guardian import LIMIT
from tests.running import folder_for_all_users, not_measured, skip_unless_it_works

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
NOBODY = pwd.getpwnam("nobody")

PRELUDE = """
    import ctypes, os, signal, subprocess, sys, traceback
    from django_prodserver.posix import guardian, kernel, marks, orphans, process_table

    for stopping in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(stopping, signal.SIG_IGN)
    held = int(os.environ["HELD"])
    os.set_inheritable(held, True)
    run = os.environ["RUN"]
    # The pid of a supervisor that has ended: more than any can be (PID_MAX_LIMIT).
    NOT_RUNNING = (1 << 22) + 1

    def beget(become):
        pid = os.fork()
        if pid == 0:
            try:
                become()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        return pid

    def forever():
        while True:
            signal.pause()

    def ready(text=""):
        os.write(started, b".")

    started_here, started = os.pipe()

    def wait_for(number):
        while number:
            number -= len(os.read(started_here, number))

    def daemon(become):
        # A session of its own, and no parent that is known.
        os.waitpid(beget(lambda: os.setsid() or beget(become)), 0)

    def sleeper(*prefix, **kwargs):
        return subprocess.Popen([*prefix, "sleep", "1000"], pass_fds=[held], **kwargs)
"""


class Scripts:
    """Runs scripts. All their processes hold one pipe, which ends when the last of them is gone.

    `said` is everything that they have printed.
    """

    def __init__(self, output: IO[bytes]) -> None:
        self._here, self._held = os.pipe()
        self._run = os.urandom(8).hex()
        self._output = output
        self.said = ""

    def __call__(self, source: str, *prefix: str, environ: Mapping[str, str] = {}) -> None:
        program = textwrap.dedent(PRELUDE) + textwrap.dedent(source)
        # Not measured: the script may carry a mark, and the guard kills marked processes.
        given = {**not_measured(), "RUN": self._run, "HELD": str(self._held), **environ}
        subprocess.run(
            [*prefix, sys.executable, "-c", program],
            env=given,
            pass_fds=[self._held],
            stdout=self._output,
            stderr=self._output,
            check=False,
        )
        # Not through a pipe, because processes that are left would hold its write end open.
        self._output.seek(0)
        self.said = self._output.read().decode()

    def nobody_is_left(self) -> bool:
        os.close(self._held)
        self._held = -1
        return bool(select.select([self._here], [], [], LIMIT)[0]) and not os.read(self._here, 1)

    def close(self) -> None:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("RUN") == self._run:
                    process.kill()
        for fd in {self._held, self._here} - {-1}:
            os.close(fd)


@pytest.fixture
def script() -> Iterator[Scripts]:
    with tempfile.TemporaryFile() as output:
        scripts = Scripts(output)
        yield scripts
        scripts.close()


# ---- the end of a run ----


def test_every_process_with_a_mark_of_the_run_is_killed_except_the_guard(script: Scripts) -> None:
    script(
        """
        marks.mark(marks.of_template(run, 0))

        def life():
            os.setsid()
            marks.mark(run + "/web.1/0.1")
            daemon(lambda: ready() or forever())
            sleeper()
            sleeper("setsid")
            subprocess.Popen(["sh", "-c", "sleep 1000 & setsid sleep 1000 & wait"], pass_fds=[held])
            sleeper("env", "-i")  # It has no mark, but descends from who has one.
            ready()
            forever()

        beget(life)
        sleeper()  # What the project starts in a template.
        wait_for(2)
        marks.show(marks.of_guard(run, os.getpid()))
        guardian.end_run(run, [], NOT_RUNNING)
        print("alive")
        """
    )

    assert script.said == "alive\n"
    assert script.nobody_is_left()


def test_process_groups_are_killed_with_all_their_descendants(script: Scripts) -> None:
    """For example, the groups of processes that cannot be marked."""
    script(
        """
        def leader():
            os.setsid()
            beget(lambda: os.setsid() or ready() or forever())
            ready()
            forever()

        group = beget(leader)
        wait_for(2)
        guardian.end_run(run, [group, os.getpgrp()], NOT_RUNNING)
        """,
        "setsid",
        "--wait",
    )

    assert script.nobody_is_left()


def test_processes_forked_during_the_kill_are_killed_too(script: Scripts) -> None:
    script(
        """
        def breed():
            # Each child has a session of its own, which no group leads to.
            for n in range(500):
                beget(lambda: os.setsid() or forever())
                if n == 5:
                    ready()
            forever()

        marks.mark(run + "/web.1/0.1")
        for _ in range(2):
            daemon(breed)
        marks.mark(marks.of_template(run, 0))
        marks.show(marks.of_guard(run, os.getpid()))
        wait_for(2)
        guardian.end_run(run, [], NOT_RUNNING)
        """
    )

    assert script.nobody_is_left()


def test_another_guard_and_other_runs_are_spared_but_forks_of_a_guard_are_not(
    script: Scripts,
) -> None:
    script(
        """
        kernel.adopt_orphans()

        def guard():
            marks.show(marks.of_guard(run, os.getpid()))
            beget(forever)  # Not a guard, though it shows the same.
            ready()
            forever()

        def other():
            marks.mark("x" + run + "/web.1/0.1")
            ready()
            forever()

        spared = {beget(guard), beget(other)}
        wait_for(2)
        marks.show(marks.of_guard(run, os.getpid()))
        guardian.end_run(run, [], NOT_RUNNING)
        for pid in spared:
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            os.kill(pid, signal.SIGKILL)
        """
    )

    assert script.said == ""
    assert script.nobody_is_left()


@root
def test_root_kills_processes_of_other_users(script: Scripts) -> None:
    script(
        f"""
        def life():
            marks.mark(run + "/web.1/0.1")
            os.setuid({NOBODY.pw_uid})
            daemon(lambda: ready() or forever())
            sleeper("setsid")
            ready()
            forever()

        beget(life)
        wait_for(2)
        marks.show(marks.of_guard(run, os.getpid()))
        guardian.end_run(run, [], NOT_RUNNING)
        """
    )

    assert script.nobody_is_left()


@root
def test_a_non_root_user_kills_its_own_processes_without_waiting_for_others(
    script: Scripts,
) -> None:
    script(
        f"""
        def guard():
            os.setgroups([])
            os.setuid({NOBODY.pw_uid})
            # PR_SET_DUMPABLE: as if it was executed by this user.
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
            daemon(lambda: ready() or forever())
            wait_for(2)
            marks.show(marks.of_guard(run, os.getpid()))
            guardian.end_run(run, [], NOT_RUNNING, limit=3600)
            print("over", flush=True)

        marks.mark(run + "/web.1/0.1")
        other = beget(lambda: os.setsid() or ready() or forever())
        os.waitpid(beget(guard), 0)
        print(os.waitpid(other, os.WNOHANG))
        os.kill(other, signal.SIGKILL)
        """
    )

    assert script.said == "over\n(0, 0)\n"
    assert script.nobody_is_left()


@root
def test_the_guard_waits_for_processes_that_it_cannot_kill_no_longer_than_the_limit(
    script: Scripts,
) -> None:
    without_kill = ("setpriv", "--bounding-set", "-kill")
    skip_unless_it_works(*without_kill)
    script(
        f"""
        ending, end = os.pipe()

        def life():
            marks.mark(run + "/web.1/0.1")
            os.setsid()
            os.setuid({NOBODY.pw_uid})
            os.close(end)
            ready()
            os.read(ending, 1)

        pid = beget(life)
        wait_for(1)
        print(marks.carries(process_table.environment(pid), run))
        guardian.end_run(run, [], NOT_RUNNING, limit=0.1)
        os.close(end)
        print(os.waitpid(pid, 0)[1])
        """,
        *without_kill,
    )

    if script.said.startswith("False"):
        pytest.skip("root cannot read the environment of other users here")
    assert script.said == "True\n0\n"
    assert script.nobody_is_left()


def test_only_groups_are_killed_if_proc_shows_another_pid_namespace(script: Scripts) -> None:
    unshare = ("unshare", "--pid", "--fork")
    skip_unless_it_works(*unshare)
    script(
        """
        def leader():
            os.setsid()
            ready()
            forever()

        groups = [beget(leader), beget(leader)]
        wait_for(2)
        guardian.end_run(run, groups[:1], NOT_RUNNING)
        assert os.waitpid(groups[0], 0)[1] == signal.SIGKILL
        print(os.waitpid(groups[1], os.WNOHANG))
        """,
        *unshare,
    )

    assert script.said == "(0, 0)\n"  # Not killed here; it ends with PID 1 of its namespace.
    assert script.nobody_is_left()


def test_the_socket_folder_of_a_dead_supervisor_is_removed(script: Scripts) -> None:
    source = """
        from django_prodserver.posix.socket_folder import SocketFolder

        folders, pids = {}, []
        # One that lives, and one that is killed.
        for kind in ("alive", "killed"):
            read, write = os.pipe()

            def supervisor():
                os.write(write, SocketFolder().path.encode())
                os.kill(os.getpid(), signal.SIGKILL) if kind == "killed" else forever()

            pids.append(beget(supervisor))
            os.close(write)
            folders[kind] = os.read(read, 1000).decode()
        guardian.end_run(run, [], pids[1])
        print([kind for kind, path in folders.items() if os.path.exists(path)])
        os.kill(pids[0], signal.SIGKILL)
        """
    with folder_for_all_users() as folder:
        script(source, environ={"TMPDIR": str(folder)})

    assert script.said == "['alive']\n"


# ---- the orphans of a life ----


LIFE = """
    kernel.adopt_orphans()
    mark = run + "/web.1/0.1"

    def reap(*pids):
        for pid in pids:
            os.waitpid(pid, 0)
"""


def test_orphans_of_a_dead_life_are_killed_and_nothing_else(script: Scripts) -> None:
    script(
        LIFE
        + """
    def life(number, leaves):
        os.setsid()
        marks.mark(f"{run}/web.1/0.{number}")
        for become in leaves:
            daemon(become)

    def program():
        ready()
        os.execvp("sleep", ["sleep", "1000"])

    def without_environment():
        beget(lambda: ready() or os.execvpe("sleep", ["sleep", "1000"], {}))
        ready()
        forever()

    reap(beget(lambda: life(1, [program, without_environment])))
    # The next life of the same instance, and an orphan of the one after the ninth of it.
    following = beget(lambda: life(2, []) or ready() or forever())
    reap(beget(lambda: life(10, [lambda: ready() or forever()])))
    wait_for(5)
    print(sorted(name for name, _ in orphans.kill(mark, [following]).killed))
    while orphans.kill(mark, [following]).ending:
        os.waitpid(-1, os.WNOHANG)
    print(os.waitpid(following, os.WNOHANG))
    print(len(orphans.kill(run + "/web.1/0.10", [following]).killed))
    print(orphans.kill(run + "/web.1/0.3", [following]).killed)
    os.kill(following, signal.SIGKILL)
    """
    )

    assert script.said.splitlines()[1:] == ["(0, 0)", "1", "[]"]
    assert script.said.count("sleep") == 2
    assert script.nobody_is_left()
