"""A reload of a real project: new code and new settings, or nothing changes."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from signal import SIGHUP, SIGKILL, SIGTERM
from typing import Any

import psutil
import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.functional.test_sockets import ask, connected, holding
from tests.inside import free_port
from tests.operating import Done, prodctl, socket_of
from tests.rewriting import rewrite
from tests.running import PRODUCTION

pytestmark = pytest.mark.template

# Each life prints its release: the module is imported in the template.
SAYS_RELEASE = "import release; say(f'release {release.NAME}'); notify(); forever()"


class Settings:
    """The settings of a run and the module `release`, which a test changes during the run."""

    def __init__(self, start: Runs) -> None:
        self._start = start
        self._file = start.project.parent / "production-that-changes.json"
        self.release("one")

    def release(self, name: str) -> None:
        rewrite(self._start.project / "release.py", f"NAME = {name!r}\n")

    def set(self, processes: Any, **supervisor: Any) -> None:
        text = json.dumps({"processes": processes, "supervisor": supervisor})
        self._file.write_text(text)

    def run(self, processes: Any, **kwargs: Any) -> Run:
        self.set(processes, **kwargs.pop("supervisor", {}))
        env = {**kwargs.pop("env", {}), PRODUCTION: str(self._file)}
        return self._start({}, env=env, **kwargs)

    def reload(self) -> Done:
        return prodctl(self._start, "reload")


@pytest.fixture
def settings(start: Runs) -> Settings:
    return Settings(start)


def web(port: int, **entry: Any) -> dict[str, Any]:
    source = "import release; serve(); say(f'{release.NAME} ends')"
    return holding(source, port, **entry)


def pids(start: Runs) -> dict[str, int]:
    return {name: one["pid"] for name, one in socket_of(start).instances().items()}


# ---- what a reload changes ----


@pytest.mark.parametrize("how", ["signal", "command"])
def test_a_reload_runs_the_new_code(start: Runs, settings: Settings, how: str) -> None:
    run = settings.run({"worker": code(SAYS_RELEASE, "NotifyingCode")})
    run.wait_for("worker.1", "release one")
    run.wait_for("system", "all 1 ready")

    settings.release("two")
    if how == "signal":
        run.signal(SIGHUP)
    else:
        assert settings.reload() == Done(0, "generation 1\n", "")
    run.wait_for("worker.1", "release two")
    run.wait_for("system", r"reloaded after .* \(generation 1\)")

    assert socket_of(start).status["generation"] == 1
    assert run.end(SIGTERM) == 0


def test_no_connection_is_refused_during_a_reload(start: Runs, settings: Settings) -> None:
    port = free_port()
    run = settings.run({"web": web(port, REPLICAS=2)})
    run.wait_for("system", "all 2 ready")
    before = {*pids(start).values()}

    for number in range(3):
        settings.release(str(number))
        assert prodctl(start, "reload", "--no-wait").status == 0
        answers = 0
        while socket_of(start).status["generation"] == number or answers < 50:
            assert ask(port).startswith("web.")
            answers += 1

    assert before.isdisjoint(pids(start).values())
    run.wait_for("web.1", "one ends")
    assert run.end(SIGTERM) == 0


def test_a_reload_applies_the_new_settings(start: Runs, settings: Settings) -> None:
    old, new = free_port(), free_port()
    run = settings.run({"web": web(old), "gone": FOREVER, "worker": FOREVER})
    run.wait_for("system", "all 3 ready")

    settings.set({"web": web(new, REPLICAS=2), "added": FOREVER, "worker": FOREVER})
    assert settings.reload().status == 0

    assert {*pids(start)} == {"web.1", "web.2", "added.1", "worker.1"}
    assert ask(new).startswith("web.")
    with pytest.raises(ConnectionRefusedError):
        connected(old)
    assert run.end(SIGTERM) == 0


def test_a_reload_can_move_an_address_to_another_process(start: Runs, settings: Settings) -> None:
    port = free_port()
    run = settings.run({"web": web(port)})
    run.wait_for("system", "all 1 ready")

    settings.set({"www": web(port)})
    assert settings.reload().status == 0

    assert ask(port).startswith("www.1 ")
    assert run.end(SIGTERM) == 0


def test_a_reload_changes_the_log_format(start: Runs, settings: Settings) -> None:
    run = settings.run({"worker": FOREVER})
    run.wait_for("system", "all 1 ready")

    settings.set({"worker": FOREVER}, LOG_FORMAT="json")
    assert settings.reload().status == 0

    status = run.end(SIGTERM)
    assert status == 0
    assert json.loads(run.raw[-1])["event"] == "supervisor.stopped"


def test_a_reload_reports_a_changed_setting_that_needs_a_restart(
    start: Runs, settings: Settings
) -> None:
    run = settings.run({"worker": FOREVER})
    run.wait_for("system", "all 1 ready")

    settings.set({"worker": FOREVER}, CONTROL=False)
    assert settings.reload().status == 0

    run.wait_for("system", "CONTROL of PRODUCTION_SUPERVISOR is unchanged: .* after a restart")
    assert run.end(SIGTERM) == 0


def test_a_reload_follows_a_moved_symlink_to_the_new_release(start: Runs) -> None:
    releases, current = start.project.parent / "releases", start.project.parent / "current"
    for name in ("one", "two"):
        shutil.copytree(start.project, releases / name)
        (releases / name / "release.py").write_text(f"NAME = {name!r}\n")
    current.symlink_to(releases / "one")
    run = start(
        {"worker": code(SAYS_RELEASE, "NotifyingCode")},
        cwd=current,
        env={"PWD": str(current)},
    )
    run.wait_for("worker.1", "release one")
    run.wait_for("system", "all 1 ready")

    moved = current.with_name("moved")
    moved.symlink_to(releases / "two")
    os.replace(moved, current)
    shutil.rmtree(releases / "one")
    run.signal(SIGHUP)

    run.wait_for("worker.1", "release two")
    run.wait_for("system", "reloaded after")
    assert run.end(SIGTERM) == 0


def test_a_stop_right_after_a_reload_exits_with_status_0(start: Runs, settings: Settings) -> None:
    """Both the old template and the new one are about to exit."""
    run = settings.run({"worker": FOREVER})
    run.wait_for("system", "all 1 ready")

    for number in range(1, 6):
        run.signal(SIGHUP)
        run.wait_for("system", rf"reloaded after .* \(generation {number}\)")

    assert run.end(SIGTERM) == 0
    assert run.stderr == ""


def test_a_reload_runs_oneshots_before_the_services_that_read_their_output(
    start: Runs, settings: Settings
) -> None:
    makes = code("import release; open('made', 'w').write(release.NAME)", TYPE="oneshot")
    reads = code("say('made by ' + open('made').read()); notify(); forever()", "NotifyingCode")
    run = settings.run({"make": makes, "worker": {**reads, "AFTER": ["make"]}})
    run.wait_for("worker.1", "made by one")
    run.wait_for("system", "all 2 ready")

    settings.release("two")
    run.signal(SIGHUP)

    run.wait_for("worker.1", "made by two")
    run.wait_for("system", "reloaded after")
    assert run.end(SIGTERM) == 0


def test_reloads_leave_no_template_or_descriptor_behind(start: Runs, settings: Settings) -> None:
    """No template is left, and no descriptor of the supervisor."""
    run = settings.run({"web": web(free_port()), "worker": FOREVER})
    run.wait_for("system", "all 2 ready")
    assert settings.reload().status == 0
    supervisor = psutil.Process(run.popen.pid)
    descriptors, children = supervisor.num_fds(), len(run.children())

    for _ in range(5):
        assert settings.reload().status == 0
    while supervisor.num_fds() > descriptors or len(run.children()) > children:
        """The last client or a template is still there."""

    assert run.end(SIGTERM) == 0


# ---- failed reloads ----


def _syntax_error(start: Runs, settings: Settings) -> None:
    rewrite(start.project / "settings.py", "x = = 3\n")


def _missing_module(start: Runs, settings: Settings) -> None:
    (start.project / "release.py").unlink()
    with (start.project / "settings.py").open("a") as file:
        file.write("import release\n")


def _wrong_option(start: Runs, settings: Settings) -> None:
    settings.set({"worker": {"BACKEND": "command", "ARGS": ["check", "--no-such-option"]}})


def _wrong_key(start: Runs, settings: Settings) -> None:
    settings.set({"worker": {**FOREVER, "REPLICSA": 2}})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_syntax_error, "SyntaxError: invalid syntax"),
        (_missing_module, "ModuleNotFoundError: No module named 'release'"),
        (_wrong_option, "--no-such-option"),
        (_wrong_key, "REPLICSA"),
    ],
)
def test_a_reload_of_a_broken_release_changes_nothing_and_reports_why(
    start: Runs, settings: Settings, spoil: Any, sentence: str
) -> None:
    run = settings.run({"worker": FOREVER})
    run.wait_for("system", "all 1 ready")
    before = pids(start)

    spoil(start, settings)
    done = settings.reload()

    assert done.status == 1
    assert re.search(f"reload failed: .*{sentence}.*; nothing was changed", done.stderr), done
    assert pids(start) == before
    assert run.end(SIGTERM) == 0


def test_a_reload_to_an_address_in_use_changes_nothing(start: Runs, settings: Settings) -> None:
    run = settings.run({"web": web(free_port())})
    run.wait_for("system", "all 1 ready")
    before = pids(start)

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings.set({"web": web(port)})
        done = settings.reload()

    assert done.status == 1
    why = f"web cannot listen at 127.0.0.1:{port}: Address already in use"
    assert f"reload failed: {why}; nothing was changed" in done.stderr
    assert pids(start) == before
    assert run.end(SIGTERM) == 0


FAILING = {
    "a oneshot that fails": ("make", "sys.exit(3)", "make.1 exited with status 3"),
    "code that fails when it runs": ("web", "sys.exit(3)", "web.1 exited with status 3"),
    "a process that never gets ready": ("web", "forever()", "web.1 was not ready within 1 s"),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_failed_reload_is_rolled_back(start: Runs, settings: Settings, case: str) -> None:
    name, source, why = FAILING[case]
    port = free_port()
    good = {
        "make": code("pass", TYPE="oneshot"),
        "web": web(port, AFTER=["make"], READY_TIMEOUT=1),
        "worker": FOREVER,
    }
    run = settings.run(good)
    run.wait_for("system", "all 3 ready")
    before = pids(start)

    bad = {"make": code(source, TYPE="oneshot"), "web": {**good["web"]}}
    bad["web"]["ARGS"] = [source, str(port)]
    settings.set({**good, name: bad[name]})
    done = settings.reload()

    assert done.status == 1
    assert f"reload failed: {why}" in done.stderr
    assert pids(start)["web.1"] == before["web.1"]
    assert ask(port) == f"web.1 {before['web.1']}"
    assert prodctl(start, "status").status == 0
    settings.set(good)
    assert settings.reload().status == 0
    assert run.end(SIGTERM) == 0


def test_a_reload_whose_template_is_killed_while_loading_changes_nothing(
    start: Runs, settings: Settings
) -> None:
    with (start.project / "settings.py").open("a") as file:
        file.write(
            "import os, signal\nif os.path.exists('die'): os.kill(os.getpid(), signal.SIGKILL)\n"
        )
    run = settings.run({"worker": FOREVER})
    run.wait_for("system", "all 1 ready")
    before = pids(start)

    (start.project / "die").write_text("")
    done = settings.reload()

    assert done.status == 1
    assert "reload failed: the template was killed by SIGKILL; nothing was changed" in done.stderr
    assert pids(start) == before
    assert run.end(SIGTERM) == 0


def test_a_reload_with_another_version_of_prodserver_needs_a_restart(
    start: Runs, settings: Settings
) -> None:
    with (start.project / "settings.py").open("a") as file:
        file.write(
            "import os\n"
            "from django_prodserver.posix.template import serve\n"
            "if os.path.exists('other'): serve.VERSION += 1\n"
        )
    run = settings.run({"worker": FOREVER})
    run.wait_for("system", "all 1 ready")

    (start.project / "other").write_text("")
    done = settings.reload()

    assert done.status == 1
    assert "another version of django-prodserver: that needs a restart; nothing" in done.stderr
    assert run.end(SIGTERM) == 0


def test_sigterm_during_a_reload_stops_everything(start: Runs, settings: Settings) -> None:
    run = settings.run(
        {"worker": code("if life() > 1: held()\nnotify(); forever()", "NotifyingCode")}
    )
    run.wait_for("system", "all 1 ready")
    run.signal(SIGHUP)
    run.held("worker.1")

    assert run.end(SIGTERM) == 0


def test_reload_requests_during_a_reload_cause_one_more_reload(
    start: Runs, settings: Settings
) -> None:
    run = settings.run(
        {"worker": code("if life() == 2: held()\nnotify(); forever()", "NotifyingCode")}
    )
    run.wait_for("system", "all 1 ready")
    run.signal(SIGHUP)
    run.held("worker.1")

    for _ in range(3):
        run.signal(SIGHUP)
        run.wait_for("system", "SIGHUP received")
    run.release("worker.1")

    run.wait_for("system", r"reloaded after .* \(generation 1\)")
    run.wait_for("system", r"reloaded after .* \(generation 2\)")
    # A third reload by signal would have been generation 3.
    assert settings.reload() == Done(0, "generation 3\n", "")
    assert run.end(SIGTERM) == 0


def test_a_life_that_is_killed_during_a_reload_does_not_fail_the_reload(
    start: Runs, settings: Settings
) -> None:
    port = free_port()
    entry = holding("if life() == 2: held()\nserve()", port, RESTART="always")
    run = settings.run({"web": entry})
    run.wait_for("system", "all 1 ready")
    _, old = ask(port).split()
    run.signal(SIGHUP)
    run.held("web.1")

    os.kill(int(old), SIGKILL)
    client = connected(port)
    run.release("web.1")
    run.wait_for("system", "reloaded after")

    client.close()
    assert ask(port).startswith("web.1 ")
    assert run.end(SIGTERM) == 0
