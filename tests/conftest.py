"""What every ring shares: fixtures, Hypothesis, and signals as a terminal would leave them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import inside
from tests.running import Runs, Site

pytest_plugins = ["tests.services"]

# No deadline: a machine that is busy for a moment is no failure. The other profile is chosen by
# `pytest --hypothesis-profile=nightly`; a test that needs more examples takes a multiple.
settings.register_profile("default", max_examples=100, deadline=None, print_blob=True)
settings.register_profile("nightly", parent=settings.get_profile("default"), max_examples=2500)
settings.load_profile("default")

# Before any test is imported: many need it as they are.
inside.configure_django()

HERE = Path(__file__).resolve().parent
# What takes long, mostly because it runs real software again and again: files, or how they begin.
LONG = (
    "backends/test_after_oneshots",
    "backends/test_autoscale",
    "backends/test_busy",
    "backends/test_drain",
    "backends/test_everything",
    "backends/test_flower",
    "backends/test_greenlets",
    "backends/test_in_flight",
    "backends/test_queues",
    "backends/test_reload",
    "backends/test_same_program",
    "backends/test_stopped_twice",
    "backends/test_subclassed",
    "backends/test_teller",
    "backends/test_tls",
    "exports/test_round_trip",
    "exports/test_shut_in",
    "functional/test_admin_browser",
    "functional/test_errands",
    "functional/test_monitoring",
    "functional/test_template_faults",
    "serverless/test_google",
    "serverless/test_runtime",
    "simulation/",
    "test_documented_commands",
    "test_documented_files",
    "test_howto",
    "test_images",
    "test_pipelines",
    "test_quickstart",
    "test_real_layouts",
    "torture/",
)

# What a shell lets ignore what it starts in the background, and nohup.
IGNORED_IN_THE_BACKGROUND = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def pytest_configure() -> None:
    """What the tests start must not ignore Ctrl-C because `make test &` does.

    An ignored signal stays ignored through exec, one with a handler does not. With one that does
    nothing the tests themselves go on to ignore it, as who started them wanted.
    """
    for number in IGNORED_IN_THE_BACKGROUND:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` leaves out what is in the files of LONG."""
    long = tuple(f"{HERE}/{beginning}" for beginning in LONG)
    for item in items:
        if str(item.path).startswith(long):
            item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """A command that a test calls in this process may change it, and the next test is to run as
    if it were the first."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Runs]:
    """Start `manage.py prodserver` in the smallest project; afterwards no process is left."""
    with Runs(tmp_path) as runs:
        yield runs


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Start it in a project that has work for servers and workers; no process is left either."""
    with Site(tmp_path) as site:
        yield site
