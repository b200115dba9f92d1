"""Where servers listen: their options, which addresses collide, and why one is not available."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.backends.base import Address
from django_prodserver.launch import addresses
from django_prodserver.launch.resolve import resolve
from django_prodserver.posix.address import (
    LONGEST_PATH,
    LOOPBACK,
    Binding,
    bind_error,
    bindings,
    collide,
)
from django_prodserver.settings.load import load
from tests.inside import configured, free_port, listener, prodserver, refused, sleeper

pytestmark = pytest.mark.timeout(60)

WEB = "PRODUCTION_PROCESSES['web']"


# ---- collisions, compared with the kernel ----

HOSTS = ("", "localhost", "0.0.0.0", "127.0.0.1", "127.0.0.2", "127.1", "::", "::1", "0::1")
HOSTS += ("::ffff:127.0.0.1",)


def ipv6() -> bool:
    return bind_error(("::1", 0)) is None


def listening(stack: ExitStack, some: list[Binding]) -> None:
    for binding in some:
        one = stack.enter_context(socket.socket(binding.family))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if binding.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, binding.v6only)
        one.bind(binding.address)
        one.listen()


@pytest.mark.skipif(not ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("host", HOSTS)
def test_addresses_collide_exactly_where_the_kernel_refuses_to_bind_both(
    host: str, plain: bool
) -> None:
    port = free_port()
    with ExitStack() as stack:
        if plain or "ffff" not in host:  # Mapped addresses need a socket for both families.
            listening(stack, bindings(host, port, plain))
        else:
            pytest.skip("an IPv6-only socket cannot be bound to an IPv4 address")
        for other in HOSTS:
            for other_plain in (True, False):
                if not other_plain and "ffff" in other:
                    continue
                error = bind_error((other, port), plain=other_plain)

                said = collide(bindings(host, port, plain), bindings(other, port, other_plain))
                assert said is (error is not None), (other, other_plain, error)


@pytest.mark.skipif(not ipv6(), reason="no IPv6 here")
def test_address_collisions_depend_on_how_each_server_binds() -> None:
    def together(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
        with configured({"web": one, "api": other}):
            processes = resolve(load(), ["web", "api"], starting=False)
            return [finding.message for finding in addresses.address_problems(processes)[1]]

    port = free_port()
    uvicorn: dict[str, Any] = {"BACKEND": "uvicorn", "ARGS": {"host": "::", "port": port}}
    two = {"BACKEND": "uvicorn", "ARGS": {"host": "::", "port": port, "workers": 2}}
    everywhere = {"BACKEND": "gunicorn", "ARGS": {"bind": f":{port}"}}
    loopback = {"BACKEND": "daphne", "ARGS": {"bind": "localhost", "port": port}}
    dual = {"BACKEND": "hypercorn", "ARGS": {"bind": f"[::]:{port}"}}
    loopback6 = {"BACKEND": "waitress", "ARGS": {"listen": f"[::1]:{port}"}}

    assert together(uvicorn, everywhere) == []
    assert together(uvicorn, loopback) == []
    assert together(everywhere, loopback6) == []
    for one, other in (
        (uvicorn, loopback6),
        (two, everywhere),
        (dual, loopback),
        (dual, uvicorn),
        (everywhere, loopback),
    ):
        (message,) = together(one, other)
        assert message.startswith("and PRODUCTION_PROCESSES['api'] cannot both listen at ")


def test_two_paths_to_the_same_unix_socket_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "run")
    processes = {
        "web": {"BACKEND": "gunicorn", "ARGS": {"bind": f"unix:{tmp_path}/run/x"}},
        "api": {"BACKEND": "uvicorn", "ARGS": {"uds": f"{tmp_path}/var/../var/x"}},
    }

    (said,) = refused(processes)

    assert said.startswith(f"{WEB} and PRODUCTION_PROCESSES['api'] cannot both listen at ")


# ---- the options of servers ----

V4, V6 = ("127.0.0.1", 8000), ("::", 8000)


@pytest.mark.parametrize(
    ("backend", "arguments", "expected"),
    [
        ("gunicorn", {"bind": ":8000"}, [("", 8000)]),
        ("gunicorn", {"bind": "8000"}, [("8000", 8000)]),
        ("gunicorn", {"bind": "[::]:8000"}, [V6]),
        ("gunicorn", {"bind": "LOCALHOST:8000"}, [("localhost", 8000)]),
        ("gunicorn", {"bind": ["127.0.0.1:8000", "unix:/run/x", "fd://3"]}, [V4, "/run/x"]),
        ("hypercorn", {"bind": ":8000"}, [("", 8000)]),
        ("hypercorn", {"bind": "8000"}, [("8000", 8000)]),
        ("hypercorn", {"bind": "[::]:8000"}, [V6]),
        ("hypercorn", {"bind": "::"}, [V6]),
        ("hypercorn", {"bind": "localhost"}, [("localhost", 8000)]),
        ("hypercorn", {"bind": ["127.0.0.1:8000", "unix:/run/x", "fd://3"]}, [V4, "/run/x"]),
        ("uvicorn", {"host": "::", "port": 8000}, [V6]),
        ("uvicorn", {"host": "", "port": 8000}, [("", 8000)]),
        ("uvicorn", {"uds": "/run/x"}, ["/run/x"]),
        ("uvicorn", {"fd": 3}, []),
        ("granian", {"host": "::"}, [V6]),
        ("granian", {"uds": "/run/x"}, ["/run/x"]),
        ("daphne", {"bind": "[::]"}, [V6]),
        ("daphne", ["-e", "tcp:8000"], [("", 8000)]),
        ("daphne", ["-e", r"tcp:8000:interface=\:\:"], [V6]),
        ("daphne", {"unix-socket": "/run/x"}, ["/run/x"]),
        ("daphne", {"fd": 3}, []),
        ("waitress", {"listen": "[::]:8000"}, [V6]),
        ("waitress", {"listen": "127.0.0.1:8000 [::]:8000"}, [V4, V6]),
        ("waitress", {"unix-socket": "/run/x"}, ["/run/x"]),
    ],
)
def test_the_address_of_each_server_is_read_from_its_args(
    backend: str, arguments: Any, expected: Any
) -> None:
    with configured({"web": {"BACKEND": backend, "ARGS": arguments}}):
        (process,) = resolve(load(), ["web"], starting=False)

    assert [address.at for address in process.addresses] == expected


def test_hypercorn_accepts_a_bind_with_only_a_port() -> None:
    entry = {"BACKEND": "hypercorn", "ARGS": {"bind": f":{free_port()}"}}

    assert prodserver({"web": entry}, "--check").startswith("No problems found: web.\n")


# ---- why an address is not available ----


def gunicorn(bind: str, **others: Any) -> dict[str, Any]:
    return {"BACKEND": "gunicorn", "ARGS": {"bind": bind}, **others}


@pytest.mark.parametrize("port", ["99999", "-1", "65536"])
def test_an_impossible_port_is_reported(port: str) -> None:
    assert refused({"web": gunicorn(f"127.0.0.1:{port}")}) == [
        (
            f"{WEB}['ARGS']: {port} is not a port. "
            "Write a port from 1 to 65535, or 0 for any that is free."
        )
    ]


@pytest.mark.parametrize("backend", ["uvicorn", "daphne"])
def test_an_impossible_port_is_reported_for_other_servers_too(backend: str) -> None:
    (said,) = refused({"web": {"BACKEND": backend, "ARGS": {"port": 70000}}})

    assert said.startswith(f"{WEB}['ARGS']: 70000 is not a port. ")


def test_an_address_of_another_machine_is_reported() -> None:
    # An address for documentation, which no machine has: RFC 5737.
    assert refused({"web": gunicorn("192.0.2.1:8000")}) == [
        (
            f"{WEB} cannot listen at 192.0.2.1:8000: this machine does not have that address. "
            "Listen at 0.0.0.0 for all of its addresses, or at 127.0.0.1 for itself only."
        )
    ]
    assert refused({"web": gunicorn("[2001:db8::1]:8000")})[0].startswith(
        f"{WEB} cannot listen at [2001:db8::1]:8000: this machine "
    )


def test_a_port_without_a_colon_gets_the_hint_to_add_one() -> None:
    assert refused({"web": gunicorn("8000")}) == [
        (
            f"{WEB} cannot listen at 8000:8000: '8000' is read as a host. "
            "Write ':8000' for that port on all addresses."
        )
    ]


@pytest.mark.parametrize("host", ["nobody.invalid", "n" * 70])
def test_an_unknown_host_is_reported(host: str) -> None:
    assert refused({"web": gunicorn(f"{host}:8000")}) == [
        (
            f"{WEB} cannot listen at {host}:8000: the host '{host}' cannot be found. "
            "Name an address that this machine has."
        )
    ]


def test_a_missing_socket_folder_is_reported() -> None:
    assert refused({"web": gunicorn("unix:/no/such/folder/socket")}) == [
        (
            f"{WEB} cannot listen at /no/such/folder/socket: the folder /no/such/folder does not "
            "exist. Create it, or choose another path."
        )
    ]


def test_a_socket_folder_may_be_created_by_an_earlier_process() -> None:
    processes = {
        "make": {"BACKEND": "shell", "ARGS": ["mkdir", "/no/such"], "TYPE": "oneshot"},
        "web": gunicorn("unix:/no/such/socket", AFTER=["make"]),
    }

    assert prodserver(processes, "--check").startswith("No problems found: make, web.\n")


def test_a_file_in_the_place_of_a_socket_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert refused({"web": gunicorn(f"unix:{tmp_path}/file")}) == [
        (
            f"{WEB} cannot listen at {tmp_path}/file: a file that is not a socket is there. "
            "Remove it, or choose another path."
        )
    ]


def test_a_socket_path_that_is_too_long_is_reported(tmp_path: Path) -> None:
    path = f"{tmp_path}/{'x' * 108}"

    assert refused({"web": gunicorn(f"unix:{path}")}) == [
        (
            f"{WEB} cannot listen at {path}: the path is longer than {LONGEST_PATH} bytes. "
            "Choose a shorter one."
        )
    ]


@pytest.mark.parametrize(
    ("at", "code", "reason"),
    [
        (("127.0.0.1", 80), errno.EACCES, "this user cannot use that port"),
        (("::1", 8000), errno.EAFNOSUPPORT, "this machine has no IPv6"),
        (("127.0.0.1", 8000), errno.ENOBUFS, os.strerror(errno.ENOBUFS)),
        ("/run/x", errno.EACCES, "this user may not write to the folder /run"),
    ],
)
def test_each_bind_error_of_the_kernel_is_explained_with_a_hint(
    at: Any, code: int, reason: str
) -> None:
    error = OSError(code, os.strerror(code), "/run")

    said, hint = addresses._explained(error, Address(at))

    assert said == reason
    assert hint.endswith(".")


@pytest.mark.parametrize(
    ("system", "tcp", "path"),
    [("Linux", "ss -ltnp", "ss -lxp"), ("Darwin", "lsof -i :{port}", "lsof {path}")],
)
def test_the_hint_for_an_address_in_use_names_a_tool_of_this_system(
    system: str, tcp: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    taken = str(tmp_path / "socket")

    with listener() as address, listener(taken):
        first = refused({"web": gunicorn(address)})[0]
        second = refused({"web": gunicorn(f"unix:{taken}")})[0]

    assert f"(`{tcp.format(port=address.rpartition(':')[2])}` shows which)" in first
    assert f"(`{path.format(path=taken)}` shows which)" in second


def test_several_instances_with_own_sockets_get_a_hint_to_share_the_port() -> None:
    address = f"127.0.0.1:{free_port()}"
    (said,) = refused({"web": gunicorn(address, REPLICAS=2, SOCKETS="own")})

    assert said.endswith("Leave out SOCKETS: then the supervisor holds one socket for all of them.")
    with configured({"web": gunicorn(address, REPLICAS=2)}):
        resolve(load(), ["web"])


def test_a_server_on_all_addresses_is_probed_at_the_loopback_address() -> None:
    assert LOOPBACK == {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
    with configured({"web": gunicorn(":8000"), "other": sleeper()}):
        (process,) = resolve(load(), ["web"], starting=False)
    assert addresses.probed_address(process) == Address(("127.0.0.1", 8000))
