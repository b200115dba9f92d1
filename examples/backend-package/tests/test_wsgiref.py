"""The backend under a real supervisor; `manage.py` is not needed for it."""

from __future__ import annotations

import os
import socket
from urllib.request import urlopen

import django
import pytest
from django.test import override_settings

from django_prodserver.test import assert_valid_configuration, running

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "{}:{}".format(*probe.getsockname())


def test_the_server_serves_requests_and_stops() -> None:
    address = free_address()

    with running("web", env={"ADDRESS": address}) as site:
        with urlopen(f"http://{address}/") as response:
            assert response.read() == b"served"

        assert site.stop() == 0


def test_the_short_name_of_the_backend_is_accepted() -> None:
    assert_valid_configuration()


@pytest.mark.parametrize(
    ("arguments", "finding"),
    [
        ([], " must be one address. Write '127.0.0.1:8000'."),
        ("127.0.0.1", ": '127.0.0.1' is not host:port."),
    ],
)
def test_wrong_arguments_are_reported_before_anything_starts(
    arguments: object, finding: str
) -> None:
    wrong = {"web": {"BACKEND": "wsgiref", "ARGS": arguments}}

    with override_settings(PRODUCTION_PROCESSES=wrong), pytest.raises(AssertionError) as error:
        assert_valid_configuration()

    assert str(error.value) == f"PRODUCTION_PROCESSES['web']['ARGS']{finding}"
