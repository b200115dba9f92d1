"""Whether a functional test takes a template."""

from __future__ import annotations

import os

import pytest

LOCAL_FORK = "PRODSERVER_LOCAL_FORK"


@pytest.fixture(autouse=True)
def supervised_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With coverage, or if the variable says so, lives are forked without a template.

    The supervisor that has one starts without site, and thus without coverage. Tests that are about
    that one, or its template, are marked so.
    """
    if request.node.get_closest_marker("template"):
        monkeypatch.delenv(LOCAL_FORK, raising=False)
    elif "COVERAGE_RUN" in os.environ:
        monkeypatch.setenv(LOCAL_FORK, "1")
