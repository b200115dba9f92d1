"""What all tests share: fixtures, Hypothesis, and signals as at a terminal."""

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

# No deadline: a machine that is busy for a moment is not a failure. The other profile is chosen by
# `pytest --hypothesis-profile=nightly`; a test that needs more examples uses a multiple.
settings.register_profile("default", max_examples=100, deadline=None, print_blob=True)
settings.register_profile("nightly", parent=settings.get_profile("default"), max_examples=2500)
settings.load_profile("default")

# Before any test is imported: many of them need the settings.
inside.configure_django()

HERE = Path(__file__).resolve().parent
# Three tiers; an entry is a file, or the beginning of a path. `make test` runs the quick ones: what
# is not in RUNNING, and of that, one file of each kind. The oldest end of the matrix runs all but
# the files of LONG, which run real software again and again, or depend on the kernel, a shell or a
# browser more than on versions of Python and its packages. `make test-all` runs everything.
RUNNING = (
    "backends/",
    "exports/",
    "functional/",
    "serverless/",
    "test_backend_package",
    "test_benchmark_lines",
    "test_metrics_files",
    "test_prodserver_command",
)
OF_EACH_KIND = (
    "backends/test_django_tasks",
    "backends/test_draining",
    "backends/test_gunicorn",
    "functional/test_end_of_run",
    "functional/test_exit_status",
    "functional/test_readiness",
    "functional/test_reload",
    "functional/test_restarts",
    "functional/test_running",
    "functional/test_shortage",
    "functional/test_signals",
    "functional/test_streams",
    "functional/test_terminal",
    "serverless/test_events",
)
LONG = (
    "backends/test_after_oneshots",
    "backends/test_autoscale",
    "backends/test_busy",
    "backends/test_drain_",
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
    "exports/test_every_command",
    "exports/test_round_trip",
    "exports/test_shut_in",
    "functional/test_admin_browser",
    "functional/test_errands",
    "functional/test_frozen",
    "functional/test_guardian",
    "functional/test_leftovers",
    "functional/test_memory",
    "functional/test_monitoring",
    "functional/test_oom",
    "functional/test_stall",
    "functional/test_systemd",
    "functional/test_template_faults",
    "functional/test_unkillable",
    "functional/test_writer",
    "serverless/test_google",
    "serverless/test_runtime",
    "simulation/",
    "test_completion_shells",
    "test_documented_commands",
    "test_documented_files",
    "test_howto",
    "test_images",
    "test_pipelines",
    "test_quickstart",
    "test_real_layouts",
    "torture/",
)

# The signals that background jobs of a shell ignore, and SIGHUP, which nohup ignores.
IGNORED_IN_THE_BACKGROUND = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def pytest_configure() -> None:
    """Processes that the tests start must not ignore Ctrl-C because of `make test &`.

    An ignored signal stays ignored across exec, a handled one does not. The handler does nothing,
    so the tests themselves still ignore the signal.
    """
    for number in IGNORED_IN_THE_BACKGROUND:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long tests and, unless they are marked otherwise, the quick ones."""
    long, running, of_each_kind = (
        tuple(f"{HERE}/{beginning}" for beginning in tier) for tier in (LONG, RUNNING, OF_EACH_KIND)
    )
    for item in items:
        path = str(item.path)
        if path.startswith(long):
            item.add_marker(pytest.mark.long)
        if item.get_closest_marker("long"):
            continue
        if path.startswith(of_each_kind) or not path.startswith(running):
            item.add_marker(pytest.mark.quick)


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Restore the environment: a command that a test calls in this process may change it."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Runs]:
    """Start `manage.py prodserver` in the smallest project; no process is left at the end."""
    with Runs(tmp_path) as runs:
        yield runs


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Start it in a project with work for servers and workers; no process is left at the end."""
    with Site(tmp_path) as site:
        yield site
