"""Reloads and updates of whole sites under load: no request fails, whatever is deployed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL

import psutil
import pytest

from tests.load import Work, path_of
from tests.peers import Request
from tests.reloading import SERVERS, SETTINGS, Site
from tests.running import skip_unless_it_works, skip_without

LONG = bool(os.environ.get("PRODSERVER_TEST_LONG"))
# One of each kind: an arbiter, an event loop, and threads that prodserver drains.
SHORT = ["gunicorn gthread", "uvicorn, asyncio and h11", "waitress"]
TIMES = 50 if LONG else 2
# Requests that must succeed in between.
BETWEEN = 50


def skip_unless_installed(server: str) -> None:
    module = "uvicorn_worker" if "UvicornWorker" in server else SERVERS[server][0].partition("-")[0]
    skip_without(module)


@pytest.mark.parametrize("server", SERVERS if LONG else SHORT)
def test_no_request_fails_during_a_reload_or_a_restart(tmp_path: Path, server: str) -> None:
    skip_unless_installed(server)
    site = Site(tmp_path, server)
    with site.running(), site.load(4, 4) as load:
        load.wait_for(BETWEEN)
        for words in ["reload"], ["restart", "web"]:
            for _ in range(TIMES):
                done = site.prodctl(*words)
                assert done.status == 0, done.stderr + site.log[-2000:]
                load.wait_for(BETWEEN)
    assert load.failures == []


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_stopped_right_after_it_is_ready_still_answers_a_request(
    tmp_path: Path, server: str
) -> None:
    skip_unless_installed(server)
    site = Site(tmp_path, server, replicas=1)
    with site.running(until="web.1 ready"):
        request = Request(site.port, path_of("answer", Work(6, before=0.2)))

    assert request.answer() == "answer"


# ---- broken releases ----

Broken = Callable[[Site], None]


def _syntax_error(site: Site) -> None:
    site.write("settings.py", "x = = 3")


def _missing_module(site: Site) -> None:
    site.write("settings.py", "import no_such_module")


def _settings_error(site: Site) -> None:
    site.set({"web": {**site.web, "REPLICSA": 2}})


def _failing_migration(site: Site) -> None:
    migrate = {"BACKEND": "shell", "ARGS": ["sh", "-c", "exit 3"], "TYPE": "oneshot"}
    site.set({"migrate": migrate, "web": {**site.web, "AFTER": ["migrate"]}})


def _application_that_raises(site: Site) -> None:
    site.write("application.py", "raise RuntimeError('there is no database')")


def _never_ready(site: Site) -> None:
    slow = {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY": {"LOG": "ready"}}
    site.set({"web": site.web, "worker": {**slow, "READY_TIMEOUT": 1}})


def _wrong_option(site: Site) -> None:
    site.set({"web": {**site.web, "ARGS": {**site.web["ARGS"], "no-such-option": 1}}})


def _killed_template(site: Site) -> None:
    site.write("settings.py", "import os; os.kill(os.getpid(), 9)")


BROKEN: dict[str, tuple[Broken, str]] = {
    "a syntax error": (_syntax_error, "SyntaxError"),
    "a missing module": (_missing_module, "No module named 'no_such_module'"),
    "an error of the settings": (_settings_error, "REPLICSA"),
    "a failing migration": (_failing_migration, "migrate.1 exited with status 3"),
    "an application that raises": (_application_that_raises, "there is no database"),
    "a process that never gets ready": (_never_ready, "worker.1 was not ready within 1 s"),
    "a wrong option": (_wrong_option, "no-such-option"),
    "a template that is killed": (_killed_template, "SIGKILL"),
}


@contextmanager
def restored(site: Site) -> Iterator[None]:
    files = {path: path.read_bytes() for path in site.folder.iterdir() if path.is_file()}
    yield
    for path, data in files.items():
        if path.name not in ("log", "control.json"):
            path.write_bytes(data)


def test_no_request_fails_while_broken_releases_are_deployed(tmp_path: Path) -> None:
    site = Site(tmp_path, "gunicorn gthread")
    with site.running(), site.load(4, 4) as load:
        load.wait_for(BETWEEN)
        for case, (spoil, sentence) in BROKEN.items():
            with restored(site):
                spoil(site)
                done = site.prodctl("reload")
            assert done.status == 1, case
            assert "reload failed: " in done.stderr, case
            assert sentence in done.stderr, case
            load.wait_for(BETWEEN)
        with socket.create_server(("127.0.0.1", 0)) as other, restored(site):
            taken = f"127.0.0.1:{other.getsockname()[1]}"
            site.set({"web": site.web, "api": {**site.web, "ARGS": {"bind": taken}}})
            assert f"api cannot listen at {taken}" in site.prodctl("reload").stderr
            load.wait_for(BETWEEN)

        assert site.prodctl("reload").status == 0
        load.wait_for(BETWEEN)
    assert load.failures == []


# In a mount namespace that only the site sees: the application on a disk without free space.
FULL = """
mount -t tmpfs -o size=16k none full && cp written.py full/application.py || exit 1
cat /dev/zero > full/rest 2> /dev/null
exec "$@"
"""
WRITTEN = """
import pathlib
from tests.load import wsgi as application
if pathlib.Path("writes").exists():
    pathlib.Path(__file__).with_name("cache").write_text("so much that it takes room")
"""


def test_no_request_fails_while_the_disk_of_a_release_is_full(tmp_path: Path) -> None:
    """Python runs without writing bytecode. If the project fails to write, that is its error."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    skip_unless_it_works(*unshare, "sh", "-c", 'mount -t tmpfs none "$0"', str(tmp_path))
    site = Site(tmp_path, "gunicorn gthread")
    site.prefix = [*unshare, "sh", "-c", FULL, "sh"]
    site.write("written.py", WRITTEN)
    (tmp_path / "full").mkdir()
    with site.running() as run, site.load(4, 4) as load:
        load.wait_for(BETWEEN)
        site.write("settings.py", f"{SETTINGS}import sys\nsys.path.insert(0, 'full')\n")
        site.write("writes", "")
        done = site.prodctl("reload")
        load.wait_for(BETWEEN)
        assert done.status == 1
        why = "No space left on device (full/application.py, line 5); nothing was changed"
        assert why in done.stderr

        (tmp_path / "writes").unlink()
        done = site.prodctl("reload")
        load.wait_for(BETWEEN)
        assert done.status == 0, done.stderr
        written = Path(f"/proc/{run.pid}/root{tmp_path}/full")
        assert not [*written.rglob("*.pyc")]
    assert load.failures == []


def test_no_connection_is_refused_when_one_of_two_instances_is_killed(tmp_path: Path) -> None:
    """Only requests that the killed instance held are lost."""
    site = Site(tmp_path, "gunicorn gthread")
    site.set({"web": {**site.web, "RESTART": "always"}})
    with site.running() as run, site.load(4, 4) as load:
        load.wait_for(BETWEEN)
        for _ in range(3):
            arbiter, *_ = [one for one in psutil.Process(run.pid).children() if one.children()]
            for worker in arbiter.children():
                os.kill(worker.pid, SIGKILL)
            os.kill(arbiter.pid, SIGKILL)
            while site.prodctl("health").status != 0:
                """It is not back yet."""
            before = len(load.failures)
            load.failures[:] = [one for one in load.failures if "refused" in one.why.lower()]
            assert load.failures == [], before
            load.wait_for(BETWEEN)
    assert not [one for one in load.failures if "refused" in one.why.lower()]
