"""Redis, PostgreSQL and other services for the tests, on free ports at 127.0.0.1.

All tests of a process share one of each, because PostgreSQL takes a second to initialize. All are
Debian packages; where one is missing, its tests are skipped with that reason.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil
import pytest

from django_prodserver.posix.child import quiet_fork
from tests.inside import free_port, free_ports
from tests.running import gone, not_measured, skip_without

_names = itertools.count(1)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = found("redis-server")
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    options = {"port": port, "bind": "127.0.0.1", "save": "", "dir": folder}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    with running([program, *words], "eady to accept connections", signal.SIGKILL):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(name="redis")
def redis_fixture(redis_server: str) -> str:
    """The address of an empty Redis."""
    redis: Any = pytest.importorskip("redis", reason="the Python package redis is missing")
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    initdb, postgres = found("initdb"), found("postgres")
    port = free_port()
    user: dict[str, Any] = {}
    folder = tmp_path_factory.mktemp("postgresql")
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root, and only their owner can enter pytest's folders.
        user["user"] = owner = user_id("postgres")
        folder = Path(tempfile.mkdtemp(prefix="prodserver-postgresql-"))
        os.chown(folder, owner, -1)
    try:
        command = [initdb, "--pgdata", str(folder), "--auth=trust", "--username=tests", "--no-sync"]
        subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd="/", **user)
        options = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 300,
        }
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        command = [postgres, "-D", str(folder), *words]
        with running(command, "ready to accept connections", signal.SIGINT, cwd="/", **user):
            yield f"postgresql://tests@127.0.0.1:{port}"
    finally:
        if user:
            shutil.rmtree(folder)


@pytest.fixture(name="postgresql")
def postgresql_fixture(postgresql_server: str) -> str:
    """The address of an empty database."""
    psycopg: Any = pytest.importorskip("psycopg", reason="the Python package psycopg is missing")
    name = f"test_{next(_names)}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgresql_server}/{name}"


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[int]:
    """The port of a MariaDB; `root` needs no password."""
    install, program = found("mariadb-install-db"), found("mariadbd")
    port = free_port()
    user: dict[str, Any] = {"user": user_id("mysql")} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="prodserver-mariadb-") as folder:
        for owner in user.values():
            os.chown(folder, owner, -1)
        data = f"--datadir={folder}/data"
        command = [install, "--no-defaults", data, "--auth-root-authentication-method=normal"]
        subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd="/", **user)
        command = [
            *(program, "--no-defaults", data, f"--port={port}", "--bind-address=127.0.0.1"),
            *(f"--socket={folder}/socket", f"--pid-file={folder}/pid", "--skip-log-bin"),
        ]
        with running(command, "ready for connections", signal.SIGTERM, cwd="/", **user):
            yield port


@pytest.fixture
def mariadb(mariadb_server: int) -> dict[str, Any]:
    """The entry of DATABASES for an empty MariaDB database."""
    pymysql: Any = pytest.importorskip("pymysql", reason="the Python package pymysql is missing")
    name = f"test_{next(_names)}"
    at = {"host": "127.0.0.1", "port": mariadb_server, "user": "root"}
    with pymysql.connect(**at) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    engine = {"ENGINE": "django.db.backends.mysql", "NAME": name, "USER": "root"}
    return {**engine, "HOST": "127.0.0.1", "PORT": mariadb_server}


@pytest.fixture
def pgbouncer(postgresql: str) -> Iterator[str]:
    """The address of the same database behind pgbouncer, in transaction mode."""
    program, url, port = found("pgbouncer"), urlsplit(postgresql), free_port()
    # Like PostgreSQL, it refuses to run as root.
    user: dict[str, Any] = {"user": user_id("postgres")} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="prodserver-pgbouncer-") as name:
        folder = Path(name)
        (folder / "users.txt").write_text('"tests" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={url.port} user=tests\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\nauth_file = {folder}/users.txt\npool_mode = transaction\n"
            "ignore_startup_parameters = extra_float_digits\n"
        )
        for owner in user.values():
            os.chown(folder, owner, -1)
        command = [program, str(folder / "pgbouncer.ini")]
        with running(command, "process up", signal.SIGINT, cwd="/", **user):
            yield f"postgresql://tests@127.0.0.1:{port}{url.path}"


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A RabbitMQ for all tests of a process; each test uses queues with its own names."""
    program = found("rabbitmq-server", "/usr/lib/rabbitmq/bin")
    control = found("rabbitmqctl", "/usr/lib/rabbitmq/bin")
    epmd, (port, names, nodes) = found("epmd"), free_ports(3)
    with tempfile.TemporaryDirectory(prefix="prodserver-rabbitmq-") as folder:
        environ = {
            **not_measured(),
            "HOME": folder,  # Holds the cookie that authenticates rabbitmqctl.
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "tests@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(nodes),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{folder}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOGS": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
        }
        # RabbitMQ would start an epmd that outlives it.
        with started([epmd], signal.SIGTERM, env=environ) as (names_server, _):
            while not listens(names):
                assert not gone(names_server)
            with running([program], "completed with", signal.SIGTERM, env=environ):
                yield RabbitMQ(f"amqp://guest:guest@127.0.0.1:{port}/%2F", control, environ)


class RabbitMQ(NamedTuple):
    address: str
    control: str
    environ: Mapping[str, str]

    def messages(self, queue: str) -> tuple[int, int]:
        """The numbers of ready and of unacknowledged messages, according to rabbitmqctl."""
        columns = ["name", "messages_ready", "messages_unacknowledged"]
        listed = self._ctl("list_queues", "--no-table-headers", *columns)
        (found,) = (row for row in map(str.split, listed.splitlines()) if row[0] == queue)
        return int(found[1]), int(found[2])

    def purge(self, queue: str) -> None:
        """Drop the ready messages."""
        self._ctl("purge_queue", queue)

    def _ctl(self, *words: str) -> str:
        command = [self.control, "--quiet", *words]
        ran = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=self.environ
        )
        return ran.stdout


@pytest.fixture(scope="session", name="memcached")
def memcached_fixture() -> Iterator[str]:
    """The address of a memcached."""
    skip_without("pymemcache")
    port = free_port()
    command = [found("memcached"), "-l", "127.0.0.1", "-p", str(port), "-u", "nobody"]
    with started(command, signal.SIGKILL) as (server, _):
        while not listens(port):
            assert not gone(server)
        yield f"127.0.0.1:{port}"


def connections(pid: int) -> list[Any]:
    """The TCP and UDP connections of a process."""
    process: Any = psutil.Process(pid)
    listed = getattr(process, "net_connections", None) or process.connections  # Before psutil 6.
    return list(listed("inet"))


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def database(address: str) -> dict[str, Any]:
    """The entry of DATABASES for the PostgreSQL database at this address."""
    url = urlsplit(address)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": url.hostname,
        "PORT": url.port,
        "USER": url.username,
        "NAME": url.path[1:],
    }


def user_id(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        pytest.skip(f"there is no user {name} here")


def found(program: str, *places: str) -> str:
    """The path of a program; skip the test if it is missing. `places` are searched first.

    In Debian, PostgreSQL's programs are not on the PATH, and RabbitMQ's are there as scripts that
    need another user.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([*places, os.environ.get("PATH", os.defpath), *map(str, folders)])
    program_path = shutil.which(program, path=path)
    if program_path is None:
        pytest.skip(f"there is no {program} here")
    return program_path


@contextmanager
def running(
    command: Sequence[Any], ready: str, stop: signal.Signals, **popen: Any
) -> Iterator[None]:
    """Run a server, and wait until it has said that it is ready."""
    with started(command, stop, **popen) as (_, output), open(output, closefd=False) as lines:
        said: list[str] = []
        while not said or ready not in said[-1]:
            said.append(lines.readline())
            assert said[-1], "it ended before it was ready:\n" + "".join(said)
        yield


@contextmanager
def started(
    command: Sequence[Any], stop: signal.Signals, **popen: Any
) -> Iterator[tuple[int, int]]:
    """The pid of a program, and a file descriptor of its output; it is stopped at the end.

    It is not a child of this process, because tests look at their children, and reap them.
    """
    output, theirs = os.pipe()
    heard, tell = os.pipe()
    between = quiet_fork()
    if between == 0:
        try:
            made = subprocess.Popen(command, stdout=theirs, stderr=theirs, **popen)
            os.write(tell, str(made.pid).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.close(tell)
    os.waitpid(between, 0)
    pid = int(os.read(heard, 32))
    os.close(heard)
    try:
        yield pid, output
    finally:
        os.close(output)
        os.kill(pid, stop)
        while not gone(pid):
            """It is being stopped."""
