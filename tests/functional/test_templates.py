"""Templates: forking lives and other templates from them, replacing them, and doing without."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import psutil
import pytest

from tests.functional.helpers import Run, Runs, code, shell
from tests.running import gone

pytestmark = [
    pytest.mark.template,
    pytest.mark.skipif(sys.platform != "linux", reason="templates take a subreaper"),
]

AT_ONCE = {"INITIAL": 0.01, "MAX": 0.02}
# Waits for the test before it exits, so that the test decides when it is restarted.
ENDING = code("held(); sys.exit(1)", RESTART="always", BACKOFF=AT_ONCE, START_LIMIT={"BURST": 50})
# Reports that it is running its own code, after the fork.
HERE = code("print('here'); forever()")
READS = """
    import pathlib
    made = pathlib.Path("made").read_text() if pathlib.Path("made").exists() else "nothing"
"""
PRINTS = code("import reads; print('read', reads.made); forever()")


def oneshot(command: str, **entry: Any) -> dict[str, Any]:
    return shell(command, TYPE="oneshot", **entry)


def the_template(run: Run) -> int:
    (pid,) = run.templates()
    return pid


def kill_template(run: Run) -> None:
    run.kill(the_template(run), SIGKILL)
    run.wait_for("system", "^the template was killed by SIGKILL; starting another one; running")


# ---- a template that ends ----


def test_a_killed_template_is_replaced_without_affecting_any_life(start: Runs) -> None:
    run = start({"web": ENDING, "worker": HERE})
    run.wait_for_each({"web.1": "^held as", "worker.1": "^here$"})
    before = set(run.descendants())
    kill_template(run)
    run.wait_for("system", "^another template is ready$")

    assert set(run.descendants()) == before
    run.release("web.1")
    run.wait_for("system", "^web.1 started")
    assert run.held("web.1") not in before
    assert run.end(SIGTERM) == 0


def test_a_restart_waits_for_the_next_template(start: Runs) -> None:
    run = start({"web": ENDING}, supervisor={"PRELOAD": ["slow"]}, files={"slow.py": ""})
    pid = run.held("web.1")
    # The next template finishes loading it only once the test opens the pipe.
    os.mkfifo(run_folder(run) / "gate")
    (run_folder(run) / "slow.py").write_text("open('gate').read()")
    kill_template(run)
    run.release("web.1")
    run.wait_for("system", "^web.1 exited with status 1 .*restarting")
    run.handshake()
    assert gone(pid)

    with open(run_folder(run) / "gate", "w"):
        """Opening the pipe lets the template continue."""
    run.wait_for("system", "^another template is ready$")
    run.wait_for("system", "^web.1 started")
    assert run.end(SIGTERM) == 0


def test_lives_keep_running_while_a_template_cannot_be_replaced(start: Runs) -> None:
    run = start({"web": ENDING, "worker": HERE})
    run.wait_for_each({"web.1": "^held as", "worker.1": "^here$"})
    manage = run_folder(run) / "settings.py"
    right = manage.read_text()
    manage.write_text(right + "\nimport no_such_module\n")
    before = set(run.descendants())
    kill_template(run)
    run.wait_for("template", "No module named 'no_such_module'")
    run.wait_for("system", "^the template exited with status 1; no process can be started until")
    run.release("web.1")
    run.wait_for("system", "^web.1 exited with status 1 .*restarting")
    run.handshake()
    (worker,) = set(run.descendants())
    assert worker in before

    manage.write_text(right)
    run.wait_for("system", "^another template is ready$")
    run.wait_for("system", "^web.1 started")
    assert run.end(SIGTERM) == 0


def test_a_stop_does_not_wait_for_a_restart_that_waits_for_a_template(start: Runs) -> None:
    run = start({"web": ENDING, "worker": HERE})
    run.wait_for_each({"web.1": "^held as", "worker.1": "^here$"})
    os.mkfifo(run_folder(run) / "gate")
    with open(run_folder(run) / "settings.py", "a") as settings:
        settings.write("\nopen('gate').read()\n")
    kill_template(run)
    run.release("web.1")
    run.wait_for("system", "^web.1 exited with status 1 .*restarting")
    run.handshake()

    assert run.end(SIGTERM) == 0


def test_a_template_that_hangs_does_not_delay_a_stop(start: Runs) -> None:
    run = start({"web": ENDING})
    run.held("web.1")
    run.kill(the_template(run), SIGSTOP)
    run.release("web.1")
    run.wait_for("system", "^web.1 exited with status 1 .*restarting")
    run.handshake()

    assert run.end(SIGTERM) == 0


def test_a_process_forked_after_its_start_was_cancelled_runs_nothing(start: Runs) -> None:
    run = start({"web": ENDING})
    run.held("web.1")
    template = the_template(run)
    run.kill(template, SIGSTOP)
    run.release("web.1")
    run.wait_for("system", "^web.1 exited with status 1 .*restarting")
    run.handshake()
    run.signal(SIGTERM)
    run.wait_for("system", "^SIGTERM received")
    run.kill(template, SIGCONT)

    assert run.end() == 0
    assert len([text for text in run.said("web.1") if text.startswith("held as")]) == 1


def test_the_output_of_a_template_is_logged(start: Runs) -> None:
    files = {"talks.py": "import threading; threading.Timer(0, print, ['from a thread']).start()"}
    run = start({"web": HERE}, supervisor={"PRELOAD": ["talks"]}, files=files)
    run.wait_for("web.1", "^here$")
    run.kill(the_template(run), SIGKILL)
    run.wait_for("template", "^from a thread$")

    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1"])
def test_a_template_ignores_signals_meant_for_the_supervisor(start: Runs, number: str) -> None:
    run = start({"web": ENDING})
    run.held("web.1")
    template = psutil.Process(the_template(run))
    template.send_signal(getattr(__import__("signal"), number))
    run.release("web.1")
    run.wait_for("system", "^web.1 started")

    assert template.pid in run.templates()
    assert run.end(SIGTERM) == 0


def test_a_life_is_a_child_of_the_supervisor_with_a_session_of_its_own(start: Runs) -> None:
    ties = "print('ties', os.getppid(), os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid())"
    handlers = "print('handlers', *(signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)))"
    opened = "print('open', *sorted(os.listdir('/proc/self/fd'), key=int))"
    run = start({"web": code(f"{ties}; {handlers}; {opened}; forever()")})
    found = run.wait_for("web.1", r"^ties (\d+) True True$")
    assert int(found[1]) == run.pid
    run.wait_for("web.1", "^handlers Handlers.SIG_DFL Handlers.SIG_DFL$|^handlers 0 0$")
    # 0 to 2, and the descriptor of `listdir` itself.
    run.wait_for("web.1", r"^open 0 1 2 \d+$")

    assert run.end(SIGTERM) == 0


# ---- stages ----


def test_the_preload_for_a_dependent_runs_after_its_oneshot(start: Runs) -> None:
    processes = {
        "make": oneshot("echo something > made"),
        "web": {**PRINTS, "AFTER": ["make"]},
        "early": PRINTS,
    }
    run = start(processes, supervisor={"PRELOAD": ["reads"]}, files={"reads.py": READS})
    run.wait_for_each({"web.1": "^read something$", "early.1": "^read "})

    assert run.end(SIGTERM) == 0


def test_a_oneshot_is_forked_from_a_template_without_the_preload(start: Runs) -> None:
    processes = {
        "first": code("print('reads' in sys.modules)", TYPE="oneshot"),
        "web": {**PRINTS, "AFTER": ["first"]},
    }
    run = start(processes, supervisor={"PRELOAD": ["reads"]}, files={"reads.py": READS})
    run.wait_for("first.1", "^False$")
    run.wait_for("web.1", "^read nothing$")

    assert run.end(SIGTERM) == 0


def test_after_a_refreshing_oneshot_the_settings_are_read_again(start: Runs) -> None:
    processes = {
        "key": oneshot("echo secret > key", REFRESH=True),
        "web": code(
            "from django.conf import settings; print(settings.SECRET_KEY); forever()",
            AFTER=["key"],
        ),
    }
    reads = "\nif os.path.exists('key'): SECRET_KEY = open('key').read().strip()\n"
    with (start.project / "settings.py").open("a") as settings:
        settings.write(reads)
    run = start(processes)
    run.wait_for("web.1", "^secret$")

    assert run.end(SIGTERM) == 0


def test_a_oneshot_after_a_refreshing_one_has_the_new_settings_and_no_preload(start: Runs) -> None:
    shows = """
    from django.conf import settings
    print(settings.SECRET_KEY, "reads" in sys.modules)
    """
    processes = {
        "key": oneshot("echo secret > key", REFRESH=True),
        "migrate": code(shows, TYPE="oneshot", AFTER=["key"]),
        "web": code(shows + "forever()", AFTER=["migrate"]),
    }
    reads = "\nif os.path.exists('key'): SECRET_KEY = open('key').read().strip()\n"
    with (start.project / "settings.py").open("a") as settings:
        settings.write(reads)
    run = start(processes, supervisor={"PRELOAD": ["reads"]}, files={"reads.py": ""})
    run.wait_for("migrate.1", "^secret False$")
    run.wait_for("web.1", "^secret True$")

    assert run.end(SIGTERM) == 0


def test_a_preload_that_fails_after_the_oneshots_stops_everything(start: Runs) -> None:
    processes = {
        "make": oneshot("touch made"),
        "web": {**HERE, "AFTER": ["make"]},
        "other": shell(["sleep", "100"]),
    }
    run = start(
        processes,
        supervisor={"PRELOAD": ["broken"]},
        files={"broken.py": "import pathlib\nassert not pathlib.Path('made').exists()\n"},
    )

    assert run.end() == 1
    said = "PRODUCTION_SUPERVISOR['PRELOAD'] names 'broken', which cannot be imported: "
    assert [text for text in run.said("system") if said in text]
    assert run.said("web.1") == []


def test_a_stage_whose_template_is_killed_is_loaded_again(start: Runs) -> None:
    processes = {"make": oneshot("true"), "web": {**ENDING, "AFTER": ["make"]}}
    run = start(processes)
    run.held("web.1")
    before = run.templates()
    assert len(before) == 2
    for pid in before:
        run.kill(pid, SIGKILL)
        run.wait_for("system", "^the template was killed by SIGKILL")
        run.wait_for("system", "^another template is ready$")
    run.release("web.1")
    run.wait_for("system", "^web.1 started")

    assert run.end(SIGTERM) == 0


def test_a_thread_started_by_django_setup_exists_in_dependents_of_a_oneshot(start: Runs) -> None:
    """A fork of a template with threads would silently lack them."""
    polls = """
        from django.apps import AppConfig
        import threading

        class Polls(AppConfig):
            name = "polls"

            def ready(self):
                threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
    """
    (start.project / "polls").mkdir()
    with (start.project / "settings.py").open("a") as settings:
        settings.write("\nINSTALLED_APPS += ['polls.apps.Polls']\n")
    names = "print('threads', *(thread.name for thread in threading.enumerate())); forever()"
    run = start(
        {"make": oneshot("true"), "web": code(names, AFTER=["make"])},
        files={"polls/__init__.py": "", "polls/apps.py": polls},
    )
    run.wait_for("web.1", "^threads MainThread poller$")

    assert run.end(SIGTERM) == 0


# ---- the supervisor ----


def test_the_supervisor_keeps_its_command_line_in_the_process_list(start: Runs) -> None:
    run = start({"web": HERE})
    run.wait_for("system", "^all 1 ready")
    shown = Path(f"/proc/{run.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")

    words = [word.decode() for word in shown]
    assert words[0] == sys.executable
    assert words[-4:] == ["manage.py", "prodserver", "--all", "--no-timestamps"]
    assert run.end(SIGTERM) == 0


def test_the_supervisor_obeys_the_bytecode_variables_of_python(start: Runs, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    written = []
    for without in ("1", ""):
        env = {"PYTHONPYCACHEPREFIX": str(cache), "PYTHONDONTWRITEBYTECODE": without}
        run = start({"web": HERE}, env=env)
        run.wait_for("web.1", "^here$")
        assert run.end(SIGTERM) == 0
        written.append(len(list(cache.rglob("posix/main.*.pyc"))))

    assert written == [0, 1]


def test_the_supervisor_loads_none_of_the_libraries_that_django_imports(start: Runs) -> None:
    run = start({"web": HERE})
    run.wait_for("system", "^all 1 ready")
    mapped = Path(f"/proc/{run.pid}/maps").read_text()

    # Django imports these; a supervisor does not.
    assert not re.search(r"_ssl\.|_sqlite3\.|_decimal\.|psutil|msgspec", mapped)
    assert run.end(SIGTERM) == 0


def test_a_hanging_exit_handler_of_the_project_does_not_delay_the_exit(start: Runs) -> None:
    hangs = "import atexit, os, signal; atexit.register(signal.pause)"
    run = start(
        {"sh": shell(["true"], TYPE="oneshot")},
        supervisor={"PRELOAD": ["hangs"]},
        files={"hangs.py": hangs},
    )
    assert run.end() == 0


def test_a_program_that_changes_its_folder_spawns_from_the_original_folder(start: Runs) -> None:
    manage = start.project / "manage.py"
    manage.write_text(manage.read_text().replace("import os\n", "import os\n\nos.chdir('/')\n"))
    run = start(
        {"web": {**HERE, "START_METHOD": "spawn"}},
        cwd=start.project.parent,
        program=("project/manage.py", "prodserver"),
    )
    run.wait_for("web.1", "^here$")
    run.kill(the_template(run), SIGKILL)
    run.wait_for("system", "^another template is ready$")

    assert run.end(SIGTERM) == 0


def test_a_template_is_replaced_in_a_project_folder_with_spaces(start: Runs) -> None:
    spaced = start.project.parent / "a folder with spaces"
    shutil.copytree(start.project, spaced)
    run = start({"web": ENDING}, cwd=spaced)
    run.held("web.1")
    kill_template(run)
    run.wait_for("system", "^another template is ready$")

    assert run.end(SIGTERM) == 0


# ---- without a template ----


def test_the_supervisor_forks_from_itself_on_systems_without_templates(start: Runs) -> None:
    processes = {"make": oneshot("echo made > made"), "web": {**PRINTS, "AFTER": ["make"]}}
    run = start(
        processes,
        supervisor={"PRELOAD": ["reads"]},
        files={"reads.py": READS},
        env={"PRODSERVER_LOCAL_FORK": "1"},
    )
    run.wait_for("web.1", "^read made$")

    assert run.templates() == []
    assert run.end(SIGTERM) == 0


def test_a_program_that_calls_the_command_continues_after_it(start: Runs) -> None:
    program = """
        import os
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        import django
        from django.core.management import call_command
        django.setup()
        try:
            call_command("prodserver", "--all", "--no-timestamps")
        finally:
            print("system | the program goes on", flush=True)
    """
    run = start(
        {"one": shell(["true"], TYPE="oneshot")},
        files={"program.py": program},
        program=("program.py",),
    )
    run.wait_for("system", "^all 1 finished")
    run.wait_for("system", "^the program goes on$")

    assert run.end() == 0


def test_wrong_settings_leave_the_garbage_collector_of_the_caller_enabled(start: Runs) -> None:
    program = """
        import gc, os
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        import django
        from django.core.management import CommandError, call_command
        django.setup()
        try:
            call_command("prodserver", "--all")
        except CommandError:
            print("system | collects:", gc.isenabled(), flush=True)
    """
    wrong = {"one": {"BACKEND": "command", "ARGS": ["no_such_command"]}}
    run = start(wrong, files={"program.py": program}, program=("program.py",))
    run.wait_for("system", "^collects: True$")

    assert run.end() == 0


def run_folder(run: Run) -> Path:
    return Path(psutil.Process(run.pid).cwd())
