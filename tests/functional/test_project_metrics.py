"""The project's own metrics at /metrics: those of all its processes, merged."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import sys
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM
from typing import Any, cast

import psutil
import pytest

from django_prodserver.posix.project_metrics import ProjectMetrics
from tests.functional.helpers import Runs, code

prometheus = pytest.importorskip("prometheus_client")

pytestmark = [
    pytest.mark.template,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what has ended"),
]

COUNTS = """
    from prometheus_client import Counter, Gauge, Histogram

    done = Counter("done", "Of everyone.", ["who"])
    alive = Gauge("alive", "Of those who live.", multiprocess_mode="livesum")
    took = Histogram("took", "Seconds.")
"""
WORKS = """
    import counts
    counts.done.labels("{who}").inc({count})
    counts.alive.set(1)
    print("counted in", os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
    forever()
"""
COUNTED = "^counted in (.*)$"
FILES = {"counts.py": COUNTS}


def works(who: str, count: int = 1, **entry: Any) -> dict[str, Any]:
    return code(WORKS.format(who=who, count=count), **entry)


class OfSupervisor(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def scraped(runs: Runs) -> dict[str, float]:
    """The values of the samples, by name and labels."""
    (path,) = (runs.runtime / "prodserver").glob("*.sock")
    connection = OfSupervisor(str(path))
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == 200
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_one_scrape_has_the_metrics_of_all_processes(start: Runs) -> None:
    processes = {"web": works("web", 2, REPLICAS=2), "beat": works("beat", 3)}
    run = start(processes, files=FILES)
    run.wait_for_each(dict.fromkeys(["web.1", "web.2", "beat.1"], COUNTED))
    found = scraped(start)

    assert found['done_total{who="web"}'] == 4
    assert found['done_total{who="beat"}'] == 3
    assert found["alive"] == 3
    assert found['prodserver_process_replicas{process="web"}'] == 2
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize("imported", ["in a process", "in the template", "by the settings"])
@pytest.mark.parametrize("program", ["manage.py", "-m django_prodserver", "without templates"])
def test_metrics_are_shared_wherever_prometheus_client_is_imported(
    start: Runs, imported: str, program: str
) -> None:
    """The library reads the environment only once, when it is imported."""
    if imported == "by the settings":
        with (start.project / "settings.py").open("a") as settings:
            settings.write("\nimport counts\n")
    run = start(
        {"web": works("web"), "worker": works("worker")},
        supervisor={"PRELOAD": ["counts"] if imported == "in the template" else []},
        files=FILES,
        program=("-m", "django_prodserver") if program.startswith("-m") else None,
        env={"PRODSERVER_LOCAL_FORK": "1"} if program == "without templates" else {},
    )
    run.wait_for_each(dict.fromkeys(["web.1", "worker.1"], COUNTED))
    found = scraped(start)

    # Here the library is imported too early, and without an exec the metrics cannot be shared.
    shared = (program, imported) != ("without templates", "by the settings")
    assert ('done_total{who="web"}' in found, 'done_total{who="worker"}' in found) == 2 * (shared,)
    assert run.end(SIGTERM) == 0


def test_no_metrics_folder_is_set_if_prometheus_client_is_not_installed(start: Runs) -> None:
    run = start(
        {"web": code("print('folder', os.environ.get('PROMETHEUS_MULTIPROC_DIR')); forever()")},
        files={"sitecustomize.py": "import sys; sys.modules['prometheus_client'] = None"},
        env={"PYTHONPATH": str(start.project)},
    )
    run.wait_for("web.1", "^folder None$")

    assert "prodserver_generation" in scraped(start)
    assert run.end(SIGTERM) == 0


def test_counters_outlive_their_process_and_live_gauges_do_not(start: Runs) -> None:
    entry: dict[str, Any] = {"RESTART": "always", "BACKOFF": {"INITIAL": 0.01, "MAX": 0.02}}
    run = start({"web": works("web", **entry), "worker": works("worker")}, files=FILES)
    run.wait_for_each(dict.fromkeys(["web.1", "worker.1"], COUNTED))
    for count in (1, 2, 3):
        found = scraped(start)
        assert (found['done_total{who="web"}'], found["alive"]) == (count, 2)
        (web,) = [p for p in run.children() if p.name() == "web.1"]
        web.kill()
        run.wait_for("web.1", COUNTED)
    run.signal(SIGHUP)
    run.wait_for_each({"system": "^reloaded", "web.1": COUNTED, "worker.1": COUNTED})
    found = scraped(start)

    # The reload restarted both of them once.
    assert (found['done_total{who="web"}'], found["alive"]) == (5, 2)
    assert found['done_total{who="worker"}'] == 2
    assert run.end(SIGTERM) == 0


def test_the_metrics_folder_is_private_and_removed_at_the_end(start: Runs) -> None:
    run = start({"web": works("web")}, files=FILES)
    inner = Path(run.wait_for("web.1", COUNTED)[1])
    (web,) = [process.pid for process in run.children()]
    outer, root = inner.parent, os.geteuid() == 0

    assert stat.S_IMODE(inner.stat().st_mode) == (0o1733 if root else 0o700)
    assert stat.S_IMODE(outer.stat().st_mode) == (0o711 if root else 0o700)
    assert [*inner.glob(f"counter_{web}.db")]
    assert run.end(SIGTERM) == 0
    assert not outer.exists()


def test_the_metrics_folder_is_removed_if_the_supervisor_is_killed(start: Runs) -> None:
    run = start({"web": works("web")}, files=FILES)
    outer = Path(run.wait_for("web.1", COUNTED)[1]).parent
    guards = [psutil.Process(pid) for pid in run.templates()]
    run.kill(run.pid, SIGKILL)
    run.end()
    psutil.wait_procs(guards, timeout=30)

    assert not outer.exists()


def test_wrong_settings_leave_no_metrics_folder(start: Runs, tmp_path: Path) -> None:
    (tmp_path / "places").mkdir()
    places = {"XDG_RUNTIME_DIR": str(tmp_path / "places"), "TMPDIR": str(tmp_path / "places")}
    run = start({"web": {"BACKEND": "no_such"}}, files=FILES, env=places)

    assert run.end() == 1
    assert [*(tmp_path / "places").iterdir()] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_the_metrics_of_processes_of_other_users_are_included(start: Runs) -> None:
    processes = {"web": works("web", USER="nobody"), "worker": works("worker", USER="daemon")}
    for path in (start.project.parent, start.project):
        path.chmod(0o755)
    run = start(processes, files=FILES, supervisor={"PRELOAD": ["counts"]})
    run.wait_for_each(dict.fromkeys(["web.1", "worker.1"], COUNTED))
    found = scraped(start)

    assert (found['done_total{who="web"}'], found['done_total{who="worker"}']) == (1, 1)
    assert run.end(SIGTERM) == 0


def test_a_metrics_folder_set_by_the_user_is_used_and_not_cleaned(
    start: Runs, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "gauge_livesum_999999999.db").touch()
    run = start({"web": works("web")}, files=FILES, env={"PROMETHEUS_MULTIPROC_DIR": str(mine)})
    run.wait_for("web.1", COUNTED)
    found = scraped(start)

    assert found['done_total{who="web"}'] == 1
    assert run.end(SIGTERM) == 0
    assert (mine / "gauge_livesum_999999999.db").exists()
    assert [*mine.glob("counter_*.db")]


def test_project_metrics_that_cannot_be_collected_are_logged_once(start: Runs) -> None:
    run = start({"web": works("web")}, files=FILES)
    folder = Path(run.wait_for("web.1", COUNTED)[1])
    (folder / "counter_1.db").write_bytes(b"not a file of the library")
    found = [scraped(start) for _ in range(3)]
    run.handshake()

    assert all("prodserver_generation" in one for one in found)
    said = [text for text in run.said("system") if "metrics" in text]
    assert said == ["the metrics of the project are missing: it exited with status 1"]
    assert run.said("errand.metrics")
    assert run.end(SIGTERM) == 0


def test_no_process_is_forked_for_project_metrics_that_do_not_exist(start: Runs) -> None:
    run = start({"web": code("import prometheus_client; print('here'); forever()")})
    run.wait_for("web.1", "here")
    (template,) = run.templates()
    # An errand would time out, and its failure be logged.
    run.kill(template, SIGSTOP)

    assert "prodserver_generation" in scraped(start)
    run.handshake()
    assert not [text for text in run.said("system") if "metrics" in text]
    run.kill(template, SIGCONT)
    assert run.end(SIGTERM) == 0


def test_project_metrics_exist_unless_their_folder_is_empty(tmp_path: Path) -> None:
    metrics = ProjectMetrics(cast("Any", None), cast("Any", None))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path)
    assert not metrics.exist

    (tmp_path / "counter_1.db").touch()
    assert metrics.exist
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path / "missing")
    assert metrics.exist
