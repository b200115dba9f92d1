from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serverless.servers import Server


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("gunicorn") / "log"
    server = Server(log, "gunicorn", "shop.wsgi")
    yield server
    server.stop()
