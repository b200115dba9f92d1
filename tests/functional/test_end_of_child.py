"""A forked child exits as a separate interpreter would."""

from __future__ import annotations

from signal import SIGINT, SIGTERM

import pytest

from tests.functional.helpers import FOREVER, Runs, code

PRELOADED = {"PRELOAD": ["preloaded"]}


def test_threads_are_joined(start: Runs) -> None:
    source = """
        def outlive():
            threading.main_thread().join()
            print("after the main thread")

        threading.Thread(target=outlive).start()
    """
    run = start({"web": code(source)})

    assert run.end() == 1
    assert run.said("web.1") == ["after the main thread"]


def test_daemon_threads_are_not_joined(start: Runs) -> None:
    source = """
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        sys.exit(3)
    """
    run = start({"web": code(source)})

    assert run.end() == 3


def test_the_running_work_of_an_executor_is_finished(start: Runs) -> None:
    source = """
        from concurrent.futures import ThreadPoolExecutor
        begun = threading.Event()
        executor = ThreadPoolExecutor(1)
        executor.submit(begun.wait)
        executor.submit(print, "the second one")
        atexit.register(print, "atexit")
        begun.set()
    """
    run = start({"web": code(source)})

    assert run.end() == 1
    assert run.said("web.1") == ["the second one", "atexit"]


@pytest.mark.template
def test_a_child_runs_atexit_handlers_registered_before_and_after_the_fork(start: Runs) -> None:
    preloaded = """
        import atexit, os
        parent = os.getpid()
        atexit.register(lambda: print("before,", "parent" if os.getpid() == parent else "child"))
    """
    source = "atexit.register(print, 'after'); sys.exit(3)"
    run = start({"web": code(source)}, supervisor=PRELOADED, files={"preloaded.py": preloaded})

    assert run.end() == 3
    assert run.said("web.1") == ["after", "before, child"]
    # The supervisor is another program, and its template exits without output.
    assert "before, parent" not in run.raw


def test_an_atexit_handler_of_a_child_runs_only_in_that_child(start: Runs) -> None:
    run = start({"web": code("atexit.register(print, 'bye'); sys.exit(3)"), "worker": FOREVER})

    assert run.end() == 3
    assert "\n".join(run.raw).count("bye") == 1


def test_a_failing_atexit_handler_is_logged_and_keeps_the_exit_status(start: Runs) -> None:
    run = start({"web": code("atexit.register(lambda: 1 / 0); sys.exit(3)")})

    assert run.end() == 3
    assert run.said("web.1")[-1].startswith("ZeroDivisionError")


def test_logging_is_flushed(start: Runs) -> None:
    source = """
        import logging, logging.handlers
        target = logging.StreamHandler(sys.stdout)
        handler = logging.handlers.MemoryHandler(1000, target=target)
        logging.getLogger("test").addHandler(handler)
        logging.getLogger("test").error("held in memory")
    """
    run = start({"web": code(source)})

    assert run.end() == 1
    assert run.said("web.1") == ["held in memory"]


def test_multiprocessing_children_are_joined(start: Runs) -> None:
    source = """
        import multiprocessing

        def work(leaving):
            leaving.wait()
            print("the work is done")

        leaving = multiprocessing.get_context("fork").Event()
        multiprocessing.get_context("fork").Process(target=work, args=(leaving,)).start()
        atexit.register(leaving.set)  # Runs before multiprocessing's own, which joins.
        sys.exit(3)
    """
    run = start({"web": code(source)})

    assert run.end() == 3
    assert run.said("web.1") == ["the work is done"]


def test_an_exception_logs_its_traceback_and_exits_with_1(start: Runs) -> None:
    run = start({"web": code("def serve():\n    raise LookupError('no such thing')\nserve()")})

    assert run.end() == 1
    assert run.said("web.1")[0] == "Traceback (most recent call last):"
    assert run.said("web.1")[-1] == "LookupError: no such thing"
    assert run.stderr == ""


def test_sys_exit_with_a_text_prints_the_text_and_exits_with_1(start: Runs) -> None:
    run = start({"web": code("sys.exit('cannot work like this')")})

    assert run.end() == 1
    assert run.said("web.1") == ["cannot work like this"]


@pytest.mark.parametrize(
    ("argument", "status"),
    [("7", 7), ("-1", 255), ("258", 2), ("0", 0), ("None", 0), ("256", 0), ("True", 1)],
)
def test_the_argument_of_sys_exit_becomes_the_exit_status(
    start: Runs, argument: str, status: int
) -> None:
    run = start({"web": code(f"sys.exit({argument})")})

    assert run.end() == (status or 1)
    assert any(f"web.1 exited with status {status} after" in text for text in run.said("system"))
    assert run.said("web.1") == []


def test_a_keyboard_interrupt_is_reported_as_death_by_sigint(start: Runs) -> None:
    run = start({"web": code("raise KeyboardInterrupt")})

    assert run.end() == 128 + SIGINT
    assert run.said("web.1") == []
    assert any("web.1 was killed by SIGINT" in text for text in run.said("system"))


def test_the_supervisors_frames_are_not_unwound_in_a_child(start: Runs) -> None:
    caller = """
        import os
        import sys

        import django
        from django.core.management import call_command

        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        django.setup()
        try:
            call_command("prodserver", "--all", "--no-timestamps")
        except SystemExit as end:
            print("status", end.code)
        finally:
            print("unwound")
    """
    run = start({"web": code("sys.exit(3)")}, files={"call.py": caller}, program=["call.py"])

    assert run.end() == 0
    assert run.raw[-2:] == ["status 3", "unwound"]
    assert "\n".join(run.raw).count("unwound") == 1


def test_a_last_line_without_a_newline_is_logged_before_the_exit(start: Runs) -> None:
    run = start({"web": code("print('last words', end=''); sys.exit(3)")})

    assert run.end() == 3
    assert run.said("web.1") == ["last words"]
    assert run.lines.index(("web.1", "last words")) < next(
        number for number, line in enumerate(run.lines) if line.text.startswith("web.1 exited")
    )


def test_signal_handlers_of_the_caller_are_restored(start: Runs) -> None:
    caller = """
        import os
        import signal

        import django
        from django.core.management import call_command

        def handler(number, frame):
            print("mine")

        numbers = [getattr(signal, name) for name in
                   ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD")]
        for number in numbers:
            signal.signal(number, handler)
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        django.setup()
        call_command("prodserver", "--all", "--no-timestamps")
        print(all(signal.getsignal(number) is handler for number in numbers))
        print(signal.set_wakeup_fd(-1) == write, signal.pthread_sigmask(signal.SIG_BLOCK, []))
        os.kill(os.getpid(), signal.SIGTERM)
    """
    run = start({"web": FOREVER}, files={"call.py": caller}, program=["call.py"])
    run.wait_for("system", "all 1 ready")

    assert run.end(SIGTERM) == 0
    assert run.said("")[-3:] == ["True", "True set()", "mine"]
