"""A health check of a real server needs only a path, also over TLS and at a Unix socket."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.backends.base import Address
from django_prodserver.launch.addresses import probed_address
from django_prodserver.launch.resolve import resolve
from django_prodserver.settings.load import load
from tests.inside import configured, free_port
from tests.running import Site

pytestmark = pytest.mark.timeout(60)

# A self-signed certificate and its key.
PEM = str(Path(__file__).parent.parent / "tls.pem")


def over_tls(name: str, port: int) -> dict[str, Any]:
    return {
        "gunicorn": {"bind": f"127.0.0.1:{port}", "certfile": PEM, "keyfile": PEM},
        "uvicorn": {"port": port, "ssl-certfile": PEM, "ssl-keyfile": PEM},
        "hypercorn": {"bind": f"127.0.0.1:{port}", "certfile": PEM, "keyfile": PEM},
        "granian": {"port": port, "ssl-certificate": PEM, "ssl-keyfile": PEM},
        "daphne": {"e": f"ssl:{port}:privateKey={PEM}:certKey={PEM}:interface=127.0.0.1"},
    }[name]


def at_socket(name: str, path: str) -> dict[str, Any]:
    return {
        "gunicorn": {"bind": f"unix:{path}"},
        "uvicorn": {"uds": path},
        "hypercorn": {"bind": f"unix:{path}"},
        "granian": {"uds": path},
        "daphne": {"u": path},
        "waitress": {"unix-socket": path},
    }[name]


TLS = ("gunicorn", "uvicorn", "hypercorn", "granian", "daphne")
SOCKETS = (*TLS, "waitress")


def asked(site: Site, processes: dict[str, Any]) -> list[str]:
    """Run until each was health-checked; return the supervisor's lines about health."""
    run = site(processes)
    run.wait_for("system", f"all {len(processes)} ready")
    run.wait_for_each({f"{name}.1": "asked how it is" for name in processes})
    assert run.end(signal.SIGTERM) in (0, 1)
    return [line for line in run.said("system") if "health" in line]


def test_servers_with_tls_are_health_checked_over_tls(site: Site) -> None:
    check = {"HTTP": "/healthy", "INTERVAL": 0.2, "RETRIES": 1}
    processes = {
        name: {"BACKEND": name, "ARGS": over_tls(name, free_port()), "HEALTHCHECK": check}
        for name in TLS
    }

    assert asked(site, processes) == []


def test_the_verify_key_makes_a_health_check_verify_the_certificate(site: Site) -> None:
    port = free_port()
    check = {"HTTP": f"https://localhost:{port}/healthy", "INTERVAL": 0.2, "RETRIES": 1}
    arguments = {**over_tls("gunicorn", port), "bind": f"localhost:{port}"}
    web = {"BACKEND": "gunicorn", "ARGS": arguments, "HEALTHCHECK": {**check, "VERIFY": PEM}}

    assert asked(site, {"web": web}) == []

    run = site({"web": {**web, "HEALTHCHECK": {**check, "VERIFY": True}}})
    run.wait_for("system", r"is unhealthy: the certificate of https://localhost:\d+/healthy is not")
    run.end()


def test_servers_are_health_checked_at_their_unix_sockets(site: Site, tmp_path: Path) -> None:
    check = {"HTTP": "/healthy", "INTERVAL": 0.2, "RETRIES": 1}
    processes = {
        name: {
            "BACKEND": name,
            "ARGS": at_socket(name, str(tmp_path / f"{name}.sock")),
            "HEALTHCHECK": check,
        }
        for name in SOCKETS
    }

    assert asked(site, processes) == []


def test_a_relative_socket_path_is_resolved_in_the_folder_of_the_supervisor(site: Site) -> None:
    check = {"INTERVAL": 0.2, "RETRIES": 1}
    processes = {
        "own": {
            "BACKEND": "gunicorn",
            "ARGS": {"bind": "unix:own.sock"},
            "HEALTHCHECK": {"HTTP": "/healthy", **check},
        },
        "named": {
            "BACKEND": "uvicorn",
            "ARGS": {"uds": "named.sock"},
            "HEALTHCHECK": {"HTTP": "unix:named.sock:/healthy", **check},
        },
    }

    assert asked(site, processes) == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("gunicorn", {"cert-reqs": 2}),
        ("uvicorn", {"ssl-cert-reqs": 2}),
        ("hypercorn", {"verify-mode": "CERT_REQUIRED"}),
        ("granian", {"ssl-client-verify": True, "ssl-ca": PEM}),
    ],
)
def test_a_server_that_demands_a_client_certificate_is_detected(
    name: str, arguments: dict[str, Any]
) -> None:
    plain = {"BACKEND": name, "ARGS": over_tls(name, 8443)}
    demanding = {"BACKEND": name, "ARGS": {**plain["ARGS"], **arguments}}
    with configured({"plain": plain, "demanding": demanding}):
        found = [probed_address(resolve(load(), [one])[0]) for one in ("plain", "demanding")]

    assert [(one.at, one.tls, one.client_certificate) for one in found if one] == [
        (("127.0.0.1", 8443), True, False),
        (("127.0.0.1", 8443), True, True),
    ]


def test_the_insecure_bind_of_hypercorn_is_an_address_without_tls() -> None:
    both = {"certfile": PEM, "keyfile": PEM, "bind": ":8443", "insecure-bind": ":8000"}
    with configured({"web": {"BACKEND": "hypercorn", "ARGS": both}}):
        (process,) = resolve(load(), ["web"])

    assert [address.tls for address in process.addresses] == [True, False]
    assert isinstance(process.addresses[0], Address)
