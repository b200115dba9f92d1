"""One process without a supervisor: the software is the manage.py process."""

from __future__ import annotations

import os
from signal import SIGINT, SIGTERM

import pytest

from tests.functional.helpers import FOREVER, Runs, code, shell


def test_an_unsupervised_process_is_the_manage_py_process(start: Runs) -> None:
    source = """
        print(os.getpid(), os.getsid(0), *sys.argv)
        sys.exit(7)
    """
    run = start({"worker": FOREVER, "web": code(source)}, "web")

    assert run.end() == 7
    assert run.raw == [f"{run.pid} {os.getsid(0)} manage.py prodserver web"]


def test_without_a_name_the_first_process_is_started(start: Runs) -> None:
    run = start({"web": code("print('web')"), "worker": code("print('worker')")}, "--no-timestamps")

    assert run.end() == 0
    assert run.raw == ["web"]


def test_an_unsupervised_process_receives_signals_directly(start: Runs) -> None:
    source = """
        def stop(number, frame):
            print("got", signal.Signals(number).name)
            sys.exit(5)

        signal.signal(signal.SIGTERM, stop)
        print("here", flush=True)
        forever()
    """
    run = start({"web": code(source)}, "web")
    assert run.read() == ("", "here")

    assert run.end(SIGTERM) == 5
    assert run.raw == ["here", "got SIGTERM"]


def test_an_unsupervised_process_dies_of_a_signal_it_does_not_handle(start: Runs) -> None:
    run = start({"web": code("print('here', flush=True); forever()")}, "web")
    assert run.read() == ("", "here")

    assert run.end(SIGTERM) == -SIGTERM


def test_an_unsupervised_process_handles_ctrl_c_itself(start: Runs) -> None:
    source = """
        try:
            print("here", flush=True)
            forever()
        except KeyboardInterrupt:
            print("cleaned up")
            sys.exit(4)
    """
    run = start({"web": code(source)}, "web")
    assert run.read() == ("", "here")

    assert run.end(SIGINT) == 4
    assert run.raw[-1] == "cleaned up"


def test_an_unsupervised_process_gets_its_env(start: Runs) -> None:
    run = start({"web": code("print(os.environ['FLAVOUR'])", ENV={"FLAVOUR": "vanilla"})}, "web")

    assert run.end() == 0
    assert run.raw == ["vanilla"]


@pytest.mark.parametrize("inherited", [{}, {"PRODSERVER_INSTANCE": "other.1"}])
def test_an_unsupervised_process_has_a_process_name_and_no_instance_name(
    start: Runs, inherited: dict[str, str]
) -> None:
    """Even if another instance has started it: it is not that instance."""
    source = "print(*(os.environ.get(f'PRODSERVER_{name}') for name in ('PROCESS', 'INSTANCE')))"
    run = start({"web": code(source)}, "web", env=inherited)

    assert run.end() == 0
    assert run.raw == ["web None"]


def test_arguments_after_the_dashes_are_passed_to_the_software(start: Runs) -> None:
    run = start({"web": code("print(*args)")}, "web", "--", "--workers", "4", "--", "x")

    assert run.end() == 0
    assert run.raw == ["--workers 4 -- x"]


def test_a_single_process_with_a_count_is_supervised(start: Runs) -> None:
    source = "print(os.getpid(), os.getppid(), os.environ['PRODSERVER_INSTANCE']); sys.exit(3)"
    run = start({"web": code(source)}, "web=1", "--no-timestamps")

    assert run.end() == 3
    (said,) = run.said("web.1")
    pid, parent, instance = said.split()
    assert (int(parent), instance) == (run.pid, "web.1")
    assert int(pid) != run.pid


def test_a_count_on_the_command_line_overrides_replicas(start: Runs) -> None:
    here = code("print('here'); forever()", REPLICAS=5)
    run = start({"web": here, "worker": here}, "web=2", "worker=1", "--no-timestamps")
    run.wait_for_each({"web.1": "here", "web.2": "here", "worker.1": "here"})
    run.handshake()

    assert run.end(SIGTERM) == 0
    assert run.said("system")[0].startswith("supervising web.1, web.2, worker.1 (")


def test_only_the_named_processes_are_supervised_in_the_given_order(start: Runs) -> None:
    processes = {"web": FOREVER, "worker": FOREVER, "beat": FOREVER}
    run = start(processes, "worker", "web", "--no-timestamps")
    run.wait_for("system", "all 2 ready")

    assert run.end(SIGTERM) == 0
    assert run.said("system")[0].startswith("supervising worker.1, web.1 (")


def test_all_except_leaves_out_the_named_process(start: Runs) -> None:
    processes = {"web": FOREVER, "worker": FOREVER, "beat": FOREVER}
    run = start(processes, "--all", "--except", "beat", "--no-timestamps")
    run.wait_for("system", "all 2 ready")

    assert run.end(SIGTERM) == 0
    assert run.said("system")[0].startswith("supervising web.1, worker.1 (")


def test_an_unsupervised_shell_command_is_the_manage_py_process(start: Runs) -> None:
    run = start({"web": shell(["sh", "-c", "echo $$; exit 6"])}, "web")

    assert run.end() == 6
    assert run.raw == [str(run.pid)]


def test_garbage_collection_is_enabled_unsupervised_forked_and_spawned(start: Runs) -> None:
    collects = "import gc; print('collects:', gc.isenabled(), flush=True)"
    run = start({"web": code(collects)}, "web")

    assert run.end() == 0
    assert run.raw == ["collects: True"]

    ways = {how: code(f"{collects}; forever()", START_METHOD=how) for how in ("fork", "spawn")}
    run = start(ways)
    for how in ways:
        run.wait_for(f"{how}.1", "^collects: True$")
    run.end(SIGTERM)
