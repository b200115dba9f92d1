"""No process survives its supervisor, and none is killed that would have exited on its own."""

from __future__ import annotations

import os
import sys
import textwrap
from signal import SIGALRM, SIGKILL, SIGTERM

import pytest

from tests.functional.helpers import FOREVER, Runs, code
from tests.running import gone, skip_unless_it_works

linux = pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux")
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]


def test_a_grandchild_that_holds_the_pipe_does_not_delay_the_shutdown(start: Runs) -> None:
    source = """
        def outlive():
            os.setsid()
            forever()

        print("grandchild", beget(outlive))
        print("last words")
        sys.exit(4)
    """
    run = start({"web": code(source), "worker": FOREVER})

    assert run.end() == 4
    assert run.said("web.1")[1:] == ["last words"]
    texts = [line.text for line in run.lines]
    obituary = next(text for text in texts if text.startswith("web.1 exited with status 4"))
    assert texts.index("last words") < texts.index(obituary)


def test_a_grandchild_that_never_stops_writing_does_not_delay_the_shutdown(start: Runs) -> None:
    source = """
        def write():
            os.setsid()
            while True:
                os.write(1, b"noise\\n" * 1000)

        beget(write)
        sys.exit(4)
    """
    run = start({"web": code(source), "worker": FOREVER})

    assert run.end() == 4
    assert any("killed what was left behind" in text for text in run.said("system"))


def test_the_stop_signal_is_sent_once_and_only_to_the_leader(start: Runs) -> None:
    source = """
        counts = {"leader": 0, "grandchild": 0}

        def count(who):
            def handler(*_):
                counts[who] += 1
                print(who, "got SIGTERM")
            signal.signal(signal.SIGTERM, handler)

        ask, asked = os.pipe()

        def grandchild():
            count("grandchild")
            print("grandchild ready")
            os.read(ask, 1)
            print("grandchild counted", counts["grandchild"])

        signal.signal(signal.SIGALRM, lambda *_: None)
        count("leader")
        pid = beget(grandchild)
        while not counts["leader"]:
            signal.pause()
        signal.sigwait({signal.SIGALRM})
        os.write(asked, b"?")
        os.waitpid(pid, 0)
        print("leader counted", counts["leader"])
    """
    source = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])" + source.replace(
        "\n        ", "\n"
    )
    run = start({"web": code(source)})
    pid = int(run.wait_for("system", r"web.1 started \(pid (\d+)\)")[1])
    run.wait_for("web.1", "grandchild ready")

    run.signal(SIGTERM)
    run.wait_for("web.1", "leader got SIGTERM")
    run.handshake()
    os.kill(pid, 14)

    assert run.end() == 0
    assert run.said("web.1")[-2:] == ["grandchild counted 0", "leader counted 1"]


def test_processes_left_in_the_group_of_a_dead_leader_are_killed(start: Runs) -> None:
    source = """
        def outlive():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            forever()

        print("grandchild", beget(outlive))
        forever()
    """
    run = start({"web": code(source)})
    grandchild = int(run.wait_for("web.1", r"grandchild (\d+)")[1])

    assert run.end(SIGTERM) == 0
    assert gone(grandchild)


def test_processes_left_in_the_group_have_time_to_finish(start: Runs) -> None:
    source = """
        alive, held = os.pipe()

        def finish():
            os.close(held)
            os.read(alive, 1)
            print("finished by myself")

        beget(finish)
        print("here")
        forever()
    """
    run = start({"web": code(source)})
    run.wait_for("web.1", "here")

    assert run.end(SIGTERM) == 0
    assert run.said("web.1")[-1] == "finished by myself"


def test_a_second_signal_does_not_wait_for_processes_left_in_the_group(start: Runs) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); forever()"
    left = f"beget(lambda: exec({deaf!r}, globals())); print('here'); forever()"
    run = start({"web": code(left), "worker": code(f"print('here'); {deaf}")})
    run.wait_for_each({"web.1": "here", "worker.1": "here"})
    run.signal(SIGTERM)
    run.wait_for("system", r"web\.1 stopped")

    assert run.end(SIGTERM) == 128 + SIGTERM


@linux
def test_a_daemon_with_a_session_of_its_own_is_killed_at_the_end(start: Runs) -> None:
    source = """
        def daemon():
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            beget(lambda: print("daemon", os.getpid()) or forever())

        os.waitpid(beget(daemon), 0)
        forever()
    """
    run = start({"web": code(source)})
    daemon = int(run.wait_for("web.1", r"daemon (\d+)")[1])

    assert run.end(SIGTERM) == 0
    assert gone(daemon)
    (said,) = [text for text in run.said("system") if "left behind" in text]
    assert f"(pid {daemon})" in said


def test_processes_from_before_the_start_are_spared(start: Runs) -> None:
    # An entry script pipes its output into a logger of its own, and then execs the supervisor.
    script = 'exec > >(while read -r line; do echo "$line"; done); exec "$@"'
    run = start({"web": FOREVER}, prefix=["bash", "-c", script, "bash"])
    run.wait_for("system", "all 1 ready")

    assert run.end(SIGTERM) == 0
    assert run.said("system")[-1].endswith("exit status 0")


def test_a_line_started_by_a_grandchild_is_not_cut_when_its_leader_ends(
    start: Runs,
) -> None:
    slow = """
        import os, sys
        orphaned, tell_it = map(int, sys.argv[1:])
        os.write(1, b"half a line")
        os.close(tell_it)
        os.read(orphaned, 1)
        os.write(1, b", and the rest\\n")
        open("written", "w").close()
    """
    (start.project / "slow.py").write_text(textwrap.dedent(slow))
    # Without its environment it has no mark, so it is not killed before it has written the rest.
    source = """
        def slow():
            os.setsid()
            os.close(held)
            os.set_inheritable(orphaned, True)
            os.set_inheritable(tell_it, True)
            argv = [sys.executable, "slow.py", str(orphaned), str(tell_it)]
            os.execve(sys.executable, argv, {})

        listen, tell_it = os.pipe()
        orphaned, held = os.pipe()
        beget(slow)
        os.close(tell_it)
        os.read(listen, 1)
        tell(str(os.getpid()))
        forever()
    """
    os.mkfifo(start.project / "written")
    stops_late = code(
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        print("listening")
        signal.sigwait([signal.SIGTERM])
        open("written").close()
        """
    )
    run = start({"web": code(source), "worker": stops_late}, channel=True)
    run.wait_for("worker.1", "listening")
    leader = int(run.hear() or "")

    run.kill(leader, SIGALRM)

    assert run.end() == 128 + SIGALRM
    assert run.said("web.1") == ["half a line, and the rest"]


@linux
def test_no_process_survives_a_supervisor_that_is_killed(start: Runs) -> None:
    stubborn = "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntell('here'); forever()"
    run = start({"web": code(stubborn, REPLICAS=3)}, channel=True)
    assert [run.hear() for _ in range(3)] == ["here"] * 3

    run.signal(SIGKILL)

    assert run.hear() is None  # No process is left that holds the channel open.
    assert run.popen.wait() == -SIGKILL


@linux
@pytest.mark.parametrize("prefix", [(), UNSHARE], ids=["subreaper", "pid 1"])
def test_orphans_leave_no_zombie(start: Runs, prefix: list[str]) -> None:
    if prefix:
        skip_unless_it_works(*prefix)
    source = """
        alive, held = os.pipe()

        def parent():
            os.close(alive)
            living, of_parent = os.pipe()

            def orphan():
                os.close(of_parent)
                os.read(living, 1)  # Returns when the parent has died.

            for _ in range(200):
                beget(orphan)

        os.waitpid(beget(parent), 0)
        os.close(held)
        os.read(alive, 1)
        print("all orphans ended")
        forever()
    """
    run = start({"web": code(source)}, prefix=prefix)
    run.wait_for("web.1", "all orphans ended")
    if prefix:
        run.enter()

    # The last orphan may have closed its descriptors without having exited yet.
    run.handshake()
    while len(run.descendants()) > 1:
        run.handshake()

    assert run.end(SIGTERM) == 0


@linux
def test_a_supervisor_as_pid_1_stops_on_sigterm_and_kills_a_daemon(start: Runs) -> None:
    skip_unless_it_works(*UNSHARE)
    source = """
        def daemon():
            os.setsid()
            beget(lambda: print("daemon of", os.getsid(0)) or forever())

        os.waitpid(beget(daemon), 0)
        print("parent", os.getppid())
        forever()
    """
    run = start({"web": code(source), "worker": FOREVER}, prefix=UNSHARE)
    run.wait_for("web.1", "parent 1")
    run.enter()

    assert run.end(SIGTERM) == 0
    assert any("killed what was left behind" in text for text in run.said("system"))
