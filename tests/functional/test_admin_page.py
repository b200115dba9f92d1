"""The admin page under a real supervisor, which also runs the server of the page."""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any

import psutil
import pytest

from tests.admin_page.conftest import AdminRuns
from tests.admin_page.visitor import ASK, PROCESSES, Visitor
from tests.functional.helpers import Run, shell
from tests.inside import free_port
from tests.running import PYTHON, folder_for_all_users, skip_unless_it_works

NOBODY = pwd.getpwnam("nobody")

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[AdminRuns]:
    with AdminRuns(tmp_path) as runs:
        yield runs


def supervised(runs: AdminRuns, control: Path, **web: Any) -> tuple[Run, Visitor]:
    """A supervised site with the admin, and a visitor who is logged in as root."""
    port = free_port()
    bind = {"bind": f"127.0.0.1:{port}", "workers": 2}
    processes = {
        "prepare": shell([sys.executable, "prepare.py"], TYPE="oneshot"),
        "web": {"BACKEND": "gunicorn", "ARGS": bind, "AFTER": ["prepare"], **web},
        "sleeper": shell(["sleep", "1000"], RESTART="on-failure"),
        # Its output is shown on its page.
        "teller": shell("echo one; echo two; exec sleep 1000"),
    }
    run = runs(processes, env={"PRODSERVER_CONTROL": str(control)})
    run.wait_for("system", "all 4 ready")
    return run, Visitor(f"http://127.0.0.1:{port}").log_in("root")


def pid_of(visitor: Visitor, name: str) -> int:
    rows = visitor.get(f"{PROCESSES}table/").json["rows"]
    (row,) = (row for row in rows if row["name"] == name)
    return int(row["cells"]["pid"])


def test_a_button_restarts_stops_and_starts_a_process(runs: AdminRuns, tmp_path: Path) -> None:
    run, visitor = supervised(runs, tmp_path / "c")
    first = pid_of(visitor, "sleeper.1")
    workers = [child.pid for child in psutil.Process(pid_of(visitor, "web.1")).children()]

    restarted = visitor.ask("restart", "sleeper.1")
    second = pid_of(visitor, "sleeper.1")
    stopped = visitor.ask("stop", "sleeper", confirmed="yes")
    rows = visitor.get(PROCESSES).rows
    again = visitor.ask("stop", "sleeper", confirmed="yes")
    started = visitor.ask("start", "sleeper.1", from_one="1")

    assert restarted.messages == [("success", "Restarted sleeper.1.")]
    assert second != first
    assert not psutil.pid_exists(first)
    assert stopped.messages == [("success", "Stopped sleeper.")]
    assert "STOPPED - - 0 - - stopped on request" in rows["sleeper.1"]
    assert again.messages == [("success", "Stop sleeper: nothing to do")]
    assert started.messages == [("success", "Started sleeper.1.")]
    while psutil.Process(pid_of(visitor, "sleeper.1")).name() != "sleep":
        pass  # It has been forked, but exec is not done yet.
    page = visitor.get(f"{PROCESSES}teller/change/")
    assert re.findall(r"\d\d:\d\d:\d\d teller\.1 \| (\w+)", page.text) == ["one", "two"]
    assert "serves this page" in visitor.get(PROCESSES).rows["web.1"]
    assert run.end(SIGTERM) == 0
    # The supervisor's log names the worker that served the page.
    asked = re.findall(
        rf"restart sleeper\.1: requested by uid {os.geteuid()} \(pid (\d+)\)", "\n".join(run.raw)
    )
    assert [int(pid) in workers for pid in asked] == [True]


def test_the_server_of_the_page_restarts_and_stops_itself(runs: AdminRuns, tmp_path: Path) -> None:
    run, visitor = supervised(runs, tmp_path / "c")
    first = pid_of(visitor, "web.1")

    page = visitor.ask("restart", "web.1")
    run.wait_for("system", r"web\.1 ready")
    second = pid_of(visitor, "web.1")
    question = visitor.ask("stop", "web")
    stopped = visitor.ask("stop", "web", confirmed="yes")
    run.wait_for("system", r"web\.1 stopped")

    assert page.url.endswith(ASK)
    assert page.messages == [
        ("info", "Restarting web.1."),
        ("warning", "Web.1 serves this page, which may not answer for a moment."),
    ]
    assert "sleeper.1" in page.rows
    assert second != first
    assert (
        "web serves this page. Afterwards only prodctl start web starts it again." in question.text
    )
    assert stopped.messages == [
        ("info", "Stopping web."),
        ("warning", "Web serves this page: only `prodctl start web` starts it again."),
    ]
    assert run.end(SIGTERM) == 0


def test_the_page_does_not_wait_for_a_supervisor_paused_by_sigstop(
    runs: AdminRuns, tmp_path: Path
) -> None:
    run, visitor = supervised(runs, tmp_path / "c")

    run.signal(SIGSTOP)
    silent = visitor.get(PROCESSES)
    asked = visitor.ask("restart", "sleeper.1")
    run.signal(SIGCONT)
    after = visitor.get(PROCESSES)

    problem = f"the supervisor at {tmp_path / 'c'} does not answer"
    assert (silent.status, silent.problem) == (200, problem)
    assert asked.messages == [("error", f"T{problem[1:]}")]
    assert (after.problem, "sleeper.1" in after.rows) == ("", True)
    assert run.end(SIGTERM) == 0


@pytest.fixture
def open_runs() -> Iterator[AdminRuns]:
    """Run in a folder that every user may enter and write to."""
    with folder_for_all_users() as folder, AdminRuns(folder) as runs:
        runs.measured = False
        for path in (runs.project, *runs.project.rglob("*")):
            path.chmod(0o777)
        yield runs


def served_by_nobody(runs: AdminRuns, control: Path, **supervisor: Any) -> tuple[Run, Run, Visitor]:
    """A supervisor, and a server that it has not started, which serves the page as another user.

    That user may read all files, even an interpreter in a closed home, but write only its own.
    Connecting to a socket takes write permission.
    """
    told = {"PRODSERVER_CONTROL": str(control)}
    run = runs({"sleeper": shell(["sleep", "1000"])}, env=told, supervisor=supervisor)
    run.wait_for("system", "sleeper.1 started")
    reads = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
    groups = [f"--regid={NOBODY.pw_gid}", "--clear-groups"]
    nobody = ["setpriv", f"--reuid={NOBODY.pw_uid}", *groups, *reads]
    skip_unless_it_works(*nobody)
    env = {**runs.configure({}), **told}
    server = runs.command([*nobody, *PYTHON, "serve.py"], env=env)
    port = server.wait_for("", r"serves at port (\d+)")[1]
    return run, server, Visitor(f"http://127.0.0.1:{port}").log_in("root")


@root_only
def test_a_server_that_may_only_read_shows_everything_and_changes_nothing(
    open_runs: AdminRuns, tmp_path: Path
) -> None:
    group = NOBODY.pw_gid
    run, server, visitor = served_by_nobody(open_runs, tmp_path / "c", CONTROL_GROUP=group)

    page = visitor.get(PROCESSES)
    asked = visitor.ask("restart", "sleeper.1")

    uid = NOBODY.pw_uid
    assert "RUNNING" in page.rows["sleeper.1"]
    assert "<button" not in page.source.partition('id="content"')[2]
    assert (
        f"This page runs as the user with id {uid}, who may only read: the supervisor runs as 0."
    ) in page.text
    assert asked.messages == [("error", f"The user with id {uid} may only read")]
    server.signal(SIGTERM)
    assert server.end() == -SIGTERM
    assert run.end(SIGTERM) == 0


@root_only
def test_a_server_that_may_not_connect_shows_the_missing_permission(
    open_runs: AdminRuns, tmp_path: Path
) -> None:
    control = tmp_path / "c"
    run, server, visitor = served_by_nobody(open_runs, control)

    page = visitor.get(PROCESSES)
    asked = visitor.ask("restart", "sleeper.1")

    problem = f"no permission for {control}, which belongs to the user with id 0"
    assert page.problem == problem
    assert asked.messages == [("error", f"N{problem[1:]}")]
    server.signal(SIGTERM)
    assert server.end() == -SIGTERM
    assert run.end(SIGTERM) == 0


def test_the_page_ignores_a_supervisor_of_another_project(runs: AdminRuns, tmp_path: Path) -> None:
    """Even if it is the only one."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = {"XDG_RUNTIME_DIR": str(runtime)}
    supervisor = runs({"sleeper": shell(["sleep", "1000"])}, env=found)
    supervisor.wait_for("system", "sleeper.1 started")
    env = {**runs.configure({"web": shell("true")}), **found}

    def serve(cwd: Path) -> Visitor:
        here = {**env, "PWD": str(cwd)}
        program = [*PYTHON, str(runs.project / "serve.py")]
        server = runs.command(program, env=here, cwd=cwd)
        port = server.wait_for("", r"serves at port (\d+)")[1]
        servers.append(server)
        return Visitor(f"http://127.0.0.1:{port}").log_in("root")

    servers: list[Run] = []
    ours = serve(runs.project).get(PROCESSES)
    (runs.project / "db.sqlite3").unlink()
    others = serve(elsewhere).get(PROCESSES)

    assert "sleeper.1" in ours.rows
    assert others.rows == {}
    assert others.problem.startswith("no supervisor of this project is running here: ")
    for server in servers:
        server.signal(SIGTERM)
        server.end()
    assert supervisor.end(SIGTERM) == 0


def test_the_page_reports_that_the_control_socket_is_switched_off(runs: AdminRuns) -> None:
    env = {**runs.configure({}), "PRODSERVER_CONTROL": "off"}
    server = runs.command([*PYTHON, "serve.py"], env=env)
    port = server.wait_for("", r"serves at port (\d+)")[1]

    page = Visitor(f"http://127.0.0.1:{port}").log_in("root").get(PROCESSES)

    expected = "the control socket is switched off: PRODUCTION_SUPERVISOR['CONTROL'] is False"
    assert page.problem == expected
    server.signal(SIGTERM)
    assert server.end() == -SIGTERM


def test_the_page_reports_that_a_single_process_has_no_supervisor(
    runs: AdminRuns, tmp_path: Path
) -> None:
    (tmp_path / "runtime").mkdir()
    port = free_port()
    web = {"BACKEND": "gunicorn", "ARGS": {"bind": f"127.0.0.1:{port}"}}
    env = {"XDG_RUNTIME_DIR": str(tmp_path / "runtime")}
    assert runs.command([*PYTHON, "prepare.py"], env=runs.configure({})).end() == 0
    run = runs({"web": web}, "web", env=env, stderr=-2)
    run.wait_for("", "Booting worker")

    page = Visitor(f"http://127.0.0.1:{port}").log_in("root").get(PROCESSES)

    assert page.status == 200
    assert "no supervisor of this project is running here: a single process has none" in page.text
    run.end(SIGTERM)
