"""The real gunicorn, alone and supervised."""

from __future__ import annotations

import os
import pwd
import re
import signal
import stat
from importlib.metadata import version
from pathlib import Path
from subprocess import STDOUT
from typing import Any

import psutil
import pytest

from tests.inside import GUNICORN, free_port, refused
from tests.peers import Request, get
from tests.running import Run, Site, folder_for_all_users, skip_without

has_control_socket = pytest.mark.skipif(
    tuple(map(int, version("gunicorn").split(".")[:2])) < (25, 1),
    reason="this gunicorn has no control socket yet",
)


has_asgi_worker = tuple(map(int, version("gunicorn").split(".")[:2])) >= (25, 1)


def gunicorn(port: int, **entry: Any) -> dict[str, Any]:
    arguments = {"bind": f"127.0.0.1:{port}", "workers": 2, **entry.pop("ARGS", {})}
    return {"BACKEND": GUNICORN, **entry, "ARGS": arguments}


def start(site: Site, *names: str, **entry: Any) -> tuple[Run, int]:
    """Start gunicorn as `web`: supervised, or alone if its name is given."""
    port = free_port()
    run = site({"web": gunicorn(port, **entry)}, *names, stderr=STDOUT)
    name = "" if names else "web.1"
    ready = [] if names else [("system", "all 1 ready")]
    run.wait_for_all((name, "Booting worker"), (name, "Booting worker"), *ready)
    return run, port


def test_gunicorn_finishes_in_flight_requests_when_it_is_stopped(site: Site) -> None:
    site.hold("slow")
    run, port = start(site)
    assert get(port).startswith("served by ")
    slow = Request(port, "/hold/slow")
    run.wait_for("web.1", "slow in progress")

    run.signal(signal.SIGTERM)
    run.wait_for("web.1", "Handling signal: term")
    site.release("slow")

    assert slow.answer() == "slow held"
    assert run.end() == 0
    assert re.match(r"web\.1 stopped after", run.said("system")[-2])


# The first worker gets SIGTERM before it has handlers of its own.
EARLY_SIGNAL = """
    import os, signal

    def pre_fork(arbiter, worker):
        first[:] = [worker] if worker.age == 1 else []

    first = []
    os.register_at_fork(after_in_child=lambda: first and os.kill(os.getpid(), signal.SIGTERM))
"""


@pytest.mark.parametrize("supervised", [True, False], ids=["supervised", "alone"])
def test_a_worker_that_is_stopped_before_it_has_signal_handlers_exits(
    site: Site, supervised: bool
) -> None:
    """Otherwise it would queue the signal, as its arbiter does, and nothing would stop it."""
    port, files = free_port(), {"gunicorn.conf.py": EARLY_SIGNAL}
    web = gunicorn(port, ARGS={"workers": 1})
    run = site({"web": web}, *([] if supervised else ["web"]), files=files, stderr=STDOUT)

    run.wait_for("web.1" if supervised else "", "was sent SIGTERM")

    assert get(port).startswith("served by ")
    assert run.end(signal.SIGTERM) == 0


def test_gunicorn_is_not_ready_and_exits_with_3_if_the_app_fails_to_load(
    site: Site,
) -> None:
    # One worker: if two fail at once, gunicorn 27 exits with a traceback and status 1.
    entry = gunicorn(free_port(), ARGS={"workers": 1})
    run = site({"web": entry}, supervisor={"WSGI_APPLICATION": "late.application"})

    assert run.end() == 3

    said = run.said("system")
    assert not any("web.1 ready" in line for line in said)
    assert any("web.1 exited with status 3 (a worker failed to boot)" in line for line in said)
    assert any("no licence" in line for line in run.said("web.1"))


def test_gunicorn_without_a_supervisor_reloads_on_sighup_and_stops_on_sigterm(site: Site) -> None:
    run, port = start(site, "web")
    before = get(port)

    run.signal(signal.SIGHUP)
    run.wait_for_all(*[("", "Booting worker"), ("", "Worker exiting")] * 2)

    assert get(port) != before
    assert run.end(signal.SIGTERM) == 0


def test_supervised_gunicorn_reloads_on_sighup(site: Site) -> None:
    """On reload it reads sys.argv, which must hold its own arguments, not the supervisor's."""
    run, port = start(site)
    (leader,) = run.children()
    before = {worker.pid for worker in leader.children()}

    leader.send_signal(signal.SIGHUP)
    run.wait_for_all(*[("web.1", "Booting worker"), ("web.1", "Worker exiting")] * 2)

    assert int(get(port).split()[-1]) not in before
    assert get(port, "/argv") == "manage.py prodserver web"
    assert run.children() == [leader]
    assert run.end(signal.SIGTERM) == 0


def test_gunicorn_reads_the_env_of_its_own_process_and_receives_sigusr1(
    site: Site,
) -> None:
    """gunicorn reads PORT and WEB_CONCURRENCY when it is imported."""
    plain, other = free_port(), free_port()
    env = {"PORT": str(other), "WEB_CONCURRENCY": "3"}
    processes = {
        "plain": {"BACKEND": GUNICORN, "ARGS": {"bind": f"127.0.0.1:{plain}"}},
        "other": {"BACKEND": GUNICORN, "ENV": env},
    }

    run = site(processes)
    booted = ("other.1", "Booting worker")
    run.wait_for_all(("system", "all 2 ready"), *[booted] * 3, ("plain.1", "Booting worker"))
    run.signal(signal.SIGUSR1)
    run.wait_for_each({"plain.1": "Handling signal: usr1", "other.1": "Handling signal: usr1"})
    get(plain)
    get(other)
    assert run.end(signal.SIGTERM) == 0

    assert sum("Booting worker" in line for line in run.said("plain.1")) == 1
    assert sum("Booting worker" in line for line in run.said("other.1")) == 3


@has_control_socket
@pytest.mark.parametrize("wanted", [False, True])
def test_gunicorn_opens_a_control_socket_only_if_args_set_its_path(
    site: Site,
    tmp_path: Path,
    wanted: bool,
) -> None:
    """Two arbiters at the default path would unlink each other's control socket."""
    path = tmp_path / "control"
    home = tmp_path / "home"
    home.mkdir()
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    arguments = {"control-socket": str(path)} if wanted else {}
    run = site({"web": gunicorn(free_port(), ARGS=arguments)}, env=env)
    run.wait_for("system", "all 1 ready")
    run.signal(signal.SIGUSR1)
    # It handles signals only once everything has started.
    listening = [("web.1", "Control socket listening")] if wanted else []
    run.wait_for_all(("web.1", "Handling signal: usr1"), *listening)
    (leader,) = run.children()
    assert leader.num_threads() == (2 if wanted else 1)

    assert path.is_socket() is wanted
    # Any file here belongs to the supervisor's own control socket.
    assert list(home.glob("*")) in ([], [home / "prodserver"])

    assert run.end(signal.SIGTERM) == 0


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux lets processes die with their parent")
def test_gunicorns_process_titles_contain_the_instance_name(site: Site) -> None:
    """gunicorn sets titles only if setproctitle is installed; they contain its `proc_name`."""
    skip_without("setproctitle")
    port = free_port()
    entry = gunicorn(port, REPLICAS=2, ARGS={"workers": 1, "reuse-port": True})
    run = site({"web": entry}, stderr=STDOUT)
    run.wait_for("system", "all 2 ready")

    titles = [psutil.Process(pid).cmdline()[0] for pid in run.descendants()]

    assert set(titles) == {
        f"gunicorn: {role} [{instance}]"
        for role in ("master", "worker")
        for instance in ("web.1", "web.2")
    }
    assert run.end(signal.SIGTERM) == 0


def test_gunicorn_workers_die_with_the_supervisor(site: Site) -> None:
    run, _ = start(site)
    descendants = psutil.Process(run.pid).children(recursive=True)

    assert run.end(signal.SIGKILL) == -signal.SIGKILL

    assert len(descendants) >= 3
    assert psutil.wait_procs(descendants, timeout=60)[1] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_gunicorn_runs_as_another_user_and_in_another_folder(site: Site) -> None:
    """gunicorn's own defaults for these come from the process that imported it, not the life."""
    with folder_for_all_users() as folder:
        entry = {"USER": "nobody", "UMASK": "0027", "CWD": str(folder)}
        run = site({"web": gunicorn(0, ARGS={"bind": "unix:web.sock"}, **entry)}, stderr=STDOUT)
        run.wait_for("system", "all 1 ready")

        uid = pwd.getpwnam("nobody").pw_uid
        processes = [psutil.Process(pid) for pid in run.descendants()]
        assert {process.uids() for process in processes} == {(uid, uid, uid)}
        assert {process.cwd() for process in processes} == {str(folder)}
        found = (folder / "web.sock").stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (uid, 0o750)
        assert run.end(signal.SIGTERM) == 0
        assert not any("ignored" in text for text in run.said("system"))


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux lets processes die with their parent")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_workers_that_change_their_user_die_with_the_arbiter(site: Site) -> None:
    """A change of user clears the parent death signal, and the application may load slowly."""
    entry = gunicorn(free_port(), ARGS={"user": "nobody", "group": "nogroup", "workers": 1})
    run = site({"web": entry})
    arbiter = psutil.Process(int(run.wait_for("system", r"^web\.1 ready .*pid (\d+)")[1]))
    run.wait_for("system", "all 1 ready")
    workers = arbiter.children()
    assert {worker.uids().effective for worker in workers} == {pwd.getpwnam("nobody").pw_uid}
    # Workers notice that they are orphans only in their loops, not while they work.
    for worker in workers:
        worker.suspend()
    arbiter.kill()

    assert psutil.wait_procs(workers, timeout=60)[1] == []
    assert run.end() == 128 + signal.SIGKILL


@pytest.mark.skipif(not has_asgi_worker, reason="this gunicorn has no ASGI worker yet")
def test_the_asgi_worker_serves_asgi_and_finishes_in_flight_requests(
    site: Site,
) -> None:
    site.hold("slow")
    run, port = start(site, BACKEND="gunicorn-asgi")
    assert get(port, "/interface") == "ASGIRequest"
    slow = Request(port, "/hold/slow")
    run.wait_for("web.1", "slow in progress")
    descendants = run.descendants()

    run.signal(signal.SIGTERM)
    run.wait_for("web.1", "Handling signal: term")
    site.release("slow")

    assert slow.answer() == "slow held"
    assert run.end() == 0
    assert len(descendants) == 3
    assert any(line.startswith("web.1 stopped after") for line in run.said("system"))


# The first worker that loads the application gets SIGTERM meanwhile.
SIGNALLED = """
    import os, pathlib, signal
    from asgi import application

    first = pathlib.Path("first")
    if not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.skipif(not has_asgi_worker, reason="this gunicorn has no ASGI worker yet")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_asgi_worker_that_is_stopped_while_it_loads_the_application_exits(
    site: Site, loop: str
) -> None:
    """uvloop loses a signal that arrives before it runs."""
    skip_without(loop)
    args = {"workers": 1, "asgi-loop": loop}
    web = gunicorn(free_port(), BACKEND="gunicorn-asgi", START_METHOD="spawn", ARGS=args)
    using = {"ASGI_APPLICATION": "signalled.application"}
    run = site({"web": web}, files={"signalled.py": SIGNALLED}, supervisor=using)

    run.wait_for("web.1", "Worker exiting")
    run.wait_for("system", "all 1 ready")

    assert run.end(signal.SIGTERM) == 0


def test_another_worker_class_can_serve_the_asgi_application(site: Site) -> None:
    arguments = {"worker-class": "uvicorn.workers.UvicornWorker"}
    run, port = start(site, "web", BACKEND="gunicorn-asgi", ARGS=arguments)

    assert get(port, "/interface") == "ASGIRequest"
    assert run.end(signal.SIGTERM) == 0


@pytest.mark.skipif(has_asgi_worker, reason="this gunicorn has an ASGI worker")
def test_gunicorn_without_an_asgi_worker_class_is_refused_with_advice() -> None:
    (line,) = refused({"web": {"BACKEND": "gunicorn-asgi"}})

    assert (
        f"gunicorn {version('gunicorn')} has no worker class 'asgi'. Install gunicorn 25.1" in line
    )
