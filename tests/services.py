"""Redis and PostgreSQL of the tests' own: started on a free port at 127.0.0.1, ended afterwards.

One of each for all tests of a process, because PostgreSQL takes a second to be made. Both are
Debian packages; where one is missing, its tests are skipped and say so.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.inside import free_port

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
        # It refuses to run as the superuser, and pytest's folders are for their owner alone.
        user["user"] = owner = user_id("postgres")
        folder = Path(tempfile.mkdtemp(prefix="prodserver-postgresql-"))
        os.chown(folder, owner, -1)
    try:
        command = [initdb, "--pgdata", folder, "--auth=trust", "--username=tests", "--no-sync"]
        subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd="/", **user)
        options = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
        }
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        command = [postgres, "-D", folder, *words]
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


def database(address: str) -> dict[str, Any]:
    """The entry of DATABASES for PostgreSQL at this address."""
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


def found(program: str) -> str:
    """The path of a program; PostgreSQL's are not on the PATH in Debian."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, folders)])
    program_path = shutil.which(program, path=path)
    if program_path is None:
        pytest.skip(f"there is no {program} here")
    return program_path


@contextmanager
def running(
    command: Sequence[Any], ready: str, stop: signal.Signals, **popen: Any
) -> Iterator[None]:
    """A server, once it has said that it is ready."""
    popen.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with subprocess.Popen(command, **popen) as server:
        assert server.stdout is not None
        try:
            said = []
            while not said or ready not in said[-1]:
                said.append(server.stdout.readline())
                assert said[-1], "it ended before it was ready:\n" + "".join(said)
            yield
        finally:
            server.send_signal(stop)
            server.communicate()
