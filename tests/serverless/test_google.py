"""The function of the docs in Google's framework, compared with gunicorn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests import documented
from tests.serverless.requests import Request, some_request
from tests.serverless.servers import Server

pytestmark = pytest.mark.skipif(
    find_spec("functions_framework") is None, reason="functions-framework is not installed"
)


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("google")
    (shown,) = (file.text for file in documented.files() if file.name == "main.py")
    source = folder / "main.py"
    source.write_text(shown.replace("mysite", "shop"))
    words = ("functions_framework", "--target", "site", "--source", str(source))
    server = Server(folder / "log", *words)
    yield server
    server.stop()


def test_every_response_equals_the_response_of_gunicorn(gunicorn: Server, google: Server) -> None:
    chance = random.Random(20)

    for _ in range(1000):
        asked = some_request(chance)
        if asked.path == "/unchanged":
            continue  # Google's framework drops the Content-Length of a 304.

        assert google.ask(asked) == gunicorn.ask(asked), asked


@pytest.mark.parametrize("path", ["/robots.txt", "/favicon.ico"])
def test_robots_txt_and_favicon_ico_always_return_404(google: Server, path: str) -> None:
    assert google.ask(Request("GET", f"/echo{path}")).status == 200
    assert google.ask(Request("GET", path)).status == 404
