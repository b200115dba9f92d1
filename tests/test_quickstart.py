"""examples/quickstart as a new user runs it."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from django_prodserver import test
from tests.inside import free_port, listener
from tests.peers import get
from tests.running import QUICKSTART, ROOT, Run, Site, Terminal

DEMO = (str(ROOT / "tools" / "demo.py"), sys.executable)
MANAGE = ("-W", "ignore", str(QUICKSTART / "manage.py"))


class Quickstart:
    def __init__(self, site: Site, var: Path) -> None:
        self.port = free_port()
        self._env = {"QUICKSTART_VAR": str(var), "QUICKSTART_BIND": f"127.0.0.1:{self.port}"}
        self._site = site

    def manage(self, *arguments: str) -> Run:
        command, *options = arguments
        return self._site({}, *options, program=(*MANAGE, command), env=self._env)

    def demo(self, terminal: Terminal, address: str) -> Run:
        """Run what `make demo` runs, at a terminal."""
        return terminal.start(
            self._site, {}, "--no-color", "--no-timestamps", program=(*DEMO, address), env=self._env
        )

    def running(self) -> AbstractContextManager[test.Run]:
        return self._site.running({}, command=[sys.executable, *MANAGE], env=self._env)


@pytest.fixture
def quickstart(site: Site, tmp_path: Path) -> Quickstart:
    return Quickstart(site, tmp_path / "var")


def test_the_quickstart_serves_runs_a_task_of_each_queue_and_stops_on_ctrl_c(
    quickstart: Quickstart,
) -> None:
    with quickstart.running() as run:
        assert run.said("system")[-1].startswith("all 5 ready")
        # The tables exist before the processes that use them start.
        assert run.said("system")[1].startswith("migrate.1 finished after")
        assert "Queue a Celery task" in get(quickstart.port)
        demo = quickstart.manage("queue_demo", "--url", f"http://127.0.0.1:{quickstart.port}/")
        assert demo.end() == 0
        assert {line.split()[0] for line in demo.raw} == {"celery", "django-tasks"}

        descendants = psutil.Process(run.pid).children(recursive=True)
        titles = [" ".join(process.cmdline()).strip() for process in descendants]
        assert run.stop(signal.SIGINT) == 130
        # Four leaders, two of which have two workers each.
        assert len(titles) - titles.count("prodserver: template") == 8
        assert not any(process.is_running() for process in descendants)
        assert not any("killing" in line for line in run.said("system"))


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux lets processes die with their parent")
def test_no_process_survives_the_sudden_death_of_the_supervisor(quickstart: Quickstart) -> None:
    with quickstart.running() as run:
        descendants = psutil.Process(run.pid).children(recursive=True)
        os.kill(run.pid, signal.SIGKILL)

        _, alive = psutil.wait_procs(descendants, timeout=60)
        assert alive == []
        assert run.wait() == -signal.SIGKILL


def test_the_demo_waits_for_a_site_whose_tables_are_not_there_yet(quickstart: Quickstart) -> None:
    url = f"http://127.0.0.1:{quickstart.port}/"
    demo = quickstart.manage("queue_demo", "--url", url)

    with quickstart.running() as run:
        assert demo.end() == 0
        assert run.stop() == 0


def test_make_demo_runs_both_queues_prints_its_address_and_exits_0_on_ctrl_c(
    quickstart: Quickstart,
) -> None:
    address = f"127.0.0.1:{quickstart.port}"
    terminal = Terminal()
    run = quickstart.demo(terminal, address)

    run.wait_for("", f"^Both queues work. Open http://{address}/ ")
    terminal.type(b"\x03")

    # make has nothing to report, and no process is left.
    assert run.end() == 0
    assert run.said("system")[-1].endswith("exit status 130")
    assert "Traceback" not in "\n".join(run.raw) + run.stderr


def test_make_demo_stopped_early_leaves_nothing_behind(quickstart: Quickstart) -> None:
    terminal = Terminal()
    run = quickstart.demo(terminal, f"127.0.0.1:{quickstart.port}")

    run.wait_for("system", "^supervising")
    terminal.type(b"\x03")

    assert run.end() == 0


def test_make_demo_suggests_another_address_if_its_address_is_in_use(
    quickstart: Quickstart,
) -> None:
    with listener() as address:
        run = quickstart.demo(Terminal(), address)
        assert run.end() == 1

    host, _, port = address.partition(":")
    assert run.stderr == (
        f"{address} is in use by another program. Take another address: "
        f"make demo QUICKSTART_BIND={host}:{int(port) + 1}\n"
    )


def test_the_dockerfile_copies_existing_files_and_matches_the_wizard() -> None:
    lines = (QUICKSTART / "Dockerfile").read_text(encoding="utf-8").splitlines()
    proposed = (ROOT / "src/django_prodserver/wizard/templates/Dockerfile.txt").read_text("utf-8")
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]

    assert [word for word in copied if not (word.startswith("--") or (ROOT / word).exists())] == []
    for instruction in ("HEALTHCHECK", "CMD"):
        (line,) = (line for line in lines if line.startswith(f"{instruction} "))
        assert line in proposed.splitlines()
    (extras,) = re.findall(r"/src\[(.*)\]", "\n".join(lines))
    readme = (QUICKSTART / "README.md").read_text(encoding="utf-8")
    assert f'"../..[{extras}]"' in readme
