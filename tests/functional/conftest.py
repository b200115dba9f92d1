"""Whether a functional test uses a template."""

from __future__ import annotations

import os

import pytest

LOCAL_FORK = "PRODSERVER_LOCAL_FORK"


@pytest.fixture(autouse=True)
def supervised_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With coverage, or if the variable is set, lives are forked without a template.

    A supervisor with a template starts without site, and thus without coverage. Tests of such a
    supervisor, or of its template, are marked `template`.
    """
    if request.node.get_closest_marker("template"):
        monkeypatch.delenv(LOCAL_FORK, raising=False)
    elif "COVERAGE_RUN" in os.environ:
        monkeypatch.setenv(LOCAL_FORK, "1")
