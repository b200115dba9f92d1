"""Held sockets: what listens on them, when clients can connect, and that no connection is lost."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any, Union

import psutil
import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.inside import free_port
from tests.operating import prodctl

SERVE = "serve()"


def holding(source: str, at: Union[int, Path], **entry: Any) -> dict[str, Any]:
    made = code(source, "HoldingCode", **entry)
    return {**made, "ARGS": [*made["ARGS"], str(at)]}


def connected(at: Union[int, Path]) -> socket.socket:
    if isinstance(at, int):
        return socket.create_connection(("127.0.0.1", at), timeout=60)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    try:
        client.connect(str(at))
    except OSError:
        client.close()
        raise
    return client


def answer(client: socket.socket) -> str:
    """The instance that the client is connected to, and its pid."""
    with closing(client):
        said = b""
        while chunk := client.recv(100):
            said += chunk
        return said.decode()


def ask(at: Union[int, Path]) -> str:
    return answer(connected(at))


def listening(run: Run, at: int) -> dict[int, str]:
    """The processes that listen on this port, and their names."""
    family = [run.popen.pid, *run.descendants()]
    return {
        pid: psutil.Process(pid).name()
        for pid in family
        for one in connections(psutil.Process(pid))
        if one.status == psutil.CONN_LISTEN and one.laddr[1] == at
    }


def connections(process: psutil.Process) -> Any:
    """Before psutil 6.0, the method has another name."""
    found = getattr(process, "net_connections", None) or process.connections
    return found("tcp")


@pytest.fixture(params=["port", "path"])
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Union[int, Path]]:
    """Where to listen. Afterwards nothing listens there, and no file is left."""
    where = free_port() if request.param == "port" else tmp_path / "web.sock"
    yield where
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        connected(where)


# ---- listening ----


def test_a_held_socket_accepts_connections_before_the_server_is_ready(
    start: Runs, at: Union[int, Path]
) -> None:
    run = start({"web": holding("held(); serve()", at)})
    run.held("web.1")

    client = connected(at)
    run.release("web.1")

    assert answer(client).startswith("web.1 ")
    run.wait_for("system", "all 1 ready")
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_instances_share_one_socket(start: Runs, at: Union[int, Path], method: str) -> None:
    run = start({"web": holding(SERVE, at, REPLICAS=2, START_METHOD=method)})
    run.wait_for("system", "all 2 ready")

    one, pid = ask(at).split()
    os.kill(int(pid), SIGSTOP)
    other, _ = ask(at).split()
    os.kill(int(pid), SIGCONT)

    assert {one, other} == {"web.1", "web.2"}
    assert run.end(SIGTERM) == 0


@pytest.mark.template
def test_only_the_supervisor_and_the_server_have_the_held_socket_open(start: Runs) -> None:
    port = free_port()
    checked = {"COMMAND": ["sh", "-c", "ls -l /proc/self/fd/ > fds"], "INTERVAL": 0.05}
    run = start(
        {
            "web": holding(SERVE, port, HEALTHCHECK=checked),
            "worker": FOREVER,
            "shell": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
        }
    )
    run.wait_for("system", "all 3 ready")
    _, web = ask(port).split()

    assert {*listening(run, port)} == {run.popen.pid, int(web)}
    while not (start.project / "fds").exists() or not (start.project / "fds").read_text():
        assert run.popen.poll() is None
    assert "socket:" not in (start.project / "fds").read_text()
    assert run.end(SIGTERM) == 0


def test_the_file_of_a_held_socket_has_the_right_owner_and_permissions(
    start: Runs, tmp_path: Path
) -> None:
    path, owner = tmp_path / "web.sock", {"USER": 54321} if os.geteuid() == 0 else {}
    run = start({"web": holding(SERVE, path, **owner)})
    run.wait_for("system", "all 1 ready")

    found = path.stat()

    assert stat.S_IMODE(found.st_mode) == 0o640
    assert found.st_uid == (54321 if owner else os.geteuid())
    assert run.end(SIGTERM) == 0
    assert not path.exists()


def test_a_stale_socket_file_is_replaced(start: Runs, tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    run = start({"web": holding(SERVE, path)})
    run.wait_for("system", "all 1 ready")

    assert ask(path).startswith("web.1 ")
    assert run.end(SIGTERM) == 0


def test_a_socket_file_of_another_program_is_not_removed(start: Runs, tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    run = start({"web": holding(SERVE, path)})
    run.wait_for("system", "all 1 ready")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))

        assert run.end(SIGTERM) == 0
        assert path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root binds such a port")
def test_a_privileged_port_is_bound_before_the_process_changes_its_user(start: Runs) -> None:
    port = next(port for port in range(1023, 600, -1) if _is_free(port))
    run = start({"web": holding(SERVE, port, USER=54321)})
    run.wait_for("system", "all 1 ready")

    assert ask(port).startswith("web.1 ")
    assert run.end(SIGTERM) == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# ---- while a life is replaced, dead or stopped ----


def test_clients_that_connect_after_a_life_is_killed_reach_the_next_life(
    start: Runs, at: Union[int, Path]
) -> None:
    source = "if life() > 1: held()\nserve()"
    run = start({"web": holding(source, at, RESTART="always")})
    run.wait_for("system", "all 1 ready")
    _, pid = ask(at).split()

    os.kill(int(pid), SIGKILL)
    run.held("web.1")
    clients = [connected(at) for _ in range(20)]
    run.release("web.1")

    (only,) = {answer(client) for client in clients}
    assert only not in ("", f"web.1 {pid}")
    assert run.end(SIGTERM) == 0


def test_a_restart_replaces_a_life_only_once_the_new_life_is_ready(
    start: Runs, at: Union[int, Path]
) -> None:
    source = "if life() > 1: held()\nserve()"
    run = start({"web": holding(source, at)})
    run.wait_for("system", "all 1 ready")
    _, old = ask(at).split()

    assert prodctl(start, "restart", "--no-wait", "web").status == 0
    run.held("web.1")
    assert ask(at) == f"web.1 {old}"
    run.release("web.1")
    run.wait_for("system", "web.1 stopped")

    assert ask(at).split()[1] != old
    assert run.end(SIGTERM) == 0


def test_update_order_stop_first_ends_the_old_life_before_the_new_life_starts(
    start: Runs, at: Union[int, Path]
) -> None:
    source = "if life() > 1: held()\nserve()"
    run = start({"web": holding(source, at, UPDATE_ORDER="stop-first")})
    run.wait_for("system", "all 1 ready")
    _, old = ask(at).split()

    assert prodctl(start, "restart", "--no-wait", "web").status == 0
    run.held("web.1")
    assert not psutil.pid_exists(int(old))
    client = connected(at)
    run.release("web.1")

    assert answer(client).startswith("web.1 ")
    assert run.end(SIGTERM) == 0


def test_the_old_life_stays_if_the_new_life_fails(start: Runs, at: Union[int, Path]) -> None:
    source = "if life() > 1: sys.exit(3)\nserve()"
    run = start({"web": holding(source, at)})
    run.wait_for("system", "all 1 ready")
    before = ask(at)

    done = prodctl(start, "restart", "web")

    assert done.status == 1
    assert "web.1" in done.stderr
    assert ask(at) == before
    assert run.end(SIGTERM) == 0


def test_a_stopped_process_refuses_connections_until_it_is_started_again(
    start: Runs, at: Union[int, Path]
) -> None:
    run = start({"web": holding(SERVE, at, REPLICAS=2), "worker": FOREVER})
    run.wait_for("system", "all 3 ready")

    for _ in range(5):
        assert prodctl(start, "stop", "web").status == 0
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            connected(at)
        assert prodctl(start, "start", "web").status == 0
        assert ask(at).startswith("web.")

    assert run.end(SIGTERM) == 0


def test_a_process_started_while_its_old_life_listens_waits_for_the_address(
    start: Runs, at: Union[int, Path]
) -> None:
    source = """
        signal.signal(signal.SIGTERM, lambda number, frame: held())
        (listening,) = __import__("django_prodserver.posix.held", fromlist=[""]).sockets()
        notify()
        while not os.path.exists("go"): time.sleep(0.01)
        serve = None
    """
    first = "if life() == 1:" + source.replace("\n        ", "\n    ") + "\nelse: serve()"
    run = start({"web": holding(first, at, REPLICAS=2), "worker": FOREVER})
    run.wait_for("system", "all 3 ready")

    assert prodctl(start, "stop", "--no-wait", "web").status == 0
    run.held("web.1")
    run.held("web.2")
    assert prodctl(start, "start", "--no-wait", "web").status == 0
    (start.project / "go").write_text("")
    run.release("web.1")
    run.release("web.2")
    run.wait_for_all(("system", r"web\.1 ready"), ("system", r"web\.2 ready"))

    assert ask(at).startswith("web.")
    assert run.end(SIGTERM) == 0


# ---- the last stop ----


def test_clients_that_connected_before_the_last_stop_are_answered(
    start: Runs, at: Union[int, Path]
) -> None:
    """Their connections are in the kernel's queue; the server has not accepted them yet."""
    run = start({"web": holding(SERVE, at)})
    run.wait_for("system", "all 1 ready")
    _, pid = ask(at).split()
    os.kill(int(pid), SIGSTOP)
    clients = [connected(at) for _ in range(20)]

    run.signal(SIGTERM)
    run.wait_for("system", "SIGTERM received")
    os.kill(int(pid), SIGCONT)

    assert {answer(client) for client in clients} == {f"web.1 {pid}"}
    assert run.end() == 0


# ---- sockets from the service manager ----


def passing(given: socket.socket, name: str, count: str = "1") -> dict[str, Any]:
    """How a service manager starts a program and passes it this socket, under this name."""
    variables = f"LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={name}"
    script = f'exec 3<&{given.fileno()}; {variables} exec "$0" "$@"'
    return {"prefix": ["bash", "-c", script], "pass_fds": [given.fileno()]}


@pytest.mark.parametrize("name", ["web", "web.socket", "x"])
def test_a_socket_of_the_service_manager_is_held(start: Runs, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        # Matched by the name of the process, or by the address.
        wanted = port if name == "x" else free_port()
        run = start({"web": holding(SERVE, wanted)}, **passing(given, name))
        run.wait_for("system", "all 1 ready")

        assert ask(port).startswith("web.1 ")
        assert run.end(SIGTERM) == 0
        # It is still open, and new connections wait for the next supervisor.
        connected(port).close()


def test_an_unused_socket_of_the_service_manager_is_reported(start: Runs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        run = start({"web": holding(SERVE, free_port())}, **passing(given, "api"))
        run.wait_for("system", "LISTEN_FDS has a socket api .* that no process uses")
        run.wait_for("system", "all 1 ready")

        assert run.end(SIGTERM) == 0


@pytest.mark.parametrize("count", ["x", "", "-1", "99999999999"])
def test_an_invalid_listen_fds_is_ignored(start: Runs, count: str) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as given:
        run = start({"web": holding(SERVE, port)}, **passing(given, "web", count))
        run.wait_for("system", "all 1 ready")

        assert ask(port).startswith("web.1 ")
        assert (run.end(SIGTERM), run.stderr) == (0, "")


# ---- servers that bind their own socket ----


def test_a_server_can_bind_its_own_socket(start: Runs) -> None:
    port = free_port()
    entry = holding(
        f"""
        with socket.create_server(("127.0.0.1", {port})):
            notify()
            forever()
        """,
        port,
        SOCKETS="own",
    )
    run = start({"web": entry})
    run.wait_for("system", "all 1 ready")

    assert run.end(SIGTERM) == 0
