"""Scheduled processes: as CronJobs of Kubernetes, and elsewhere under a supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.exports import judges
from tests.exports.projects import exported
from tests.exports.test_losses import said

NIGHTLY = {
    "BACKEND": "command",
    "ARGS": ["check"],
    "TYPE": "oneshot",
    "SCHEDULE": "30 3 * * *",
    "RESTART": "on-failure",
    "START_LIMIT": {"BURST": 3},
}
OFTEN = {"BACKEND": "command", "ARGS": ["check"], "TYPE": "oneshot", "EVERY": "15m"}


def resources(processes: Any, folder: Path) -> dict[tuple[str, str], Any]:
    files = exported(processes, "kubernetes-split", folder, "--set", "name=site")
    documents = yaml.safe_load_all(files["base/site.yaml"])
    return {(one["kind"], one["metadata"]["name"]): one for one in documents if one}


def test_a_schedule_is_a_cronjob(tmp_path: Path) -> None:
    found = resources({"nightly": NIGHTLY}, tmp_path)
    spec = found["CronJob", "site-nightly"]["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("30 3 * * *", "Forbid")
    assert spec["timeZone"] == "America/Chicago"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 2
    assert pod["restartPolicy"] == "Never"
    assert container["command"] == ["python", "-m", "django_prodserver", "nightly"]
    assert not [key for key in container if key.endswith("Probe")]
    judges.kubernetes(tmp_path)


def test_a_cronjob_runs_it_once(tmp_path: Path) -> None:
    locked = {**NIGHTLY, "LOCK": str(tmp_path / "lock")}

    found = resources({"nightly": locked}, tmp_path / "exported")

    assert list(found) == [("CronJob", "site-nightly")]


def test_an_interval_is_kept_by_a_supervisor(tmp_path: Path) -> None:
    found = resources({"often": OFTEN}, tmp_path)
    (container,) = found["Deployment", "site-often"]["spec"]["template"]["spec"]["containers"]

    assert container["command"] == ["python", "-m", "django_prodserver", "often=1"]


@pytest.mark.parametrize("to", ["compose", "systemd-split", "supervisord", "fly", "render"])
def test_elsewhere_a_supervisor_keeps_it(to: str, tmp_path: Path) -> None:
    files = exported({"nightly": NIGHTLY}, to, tmp_path)

    assert any("nightly=1" in text for text in files.values())


def test_a_procfile_cannot(tmp_path: Path) -> None:
    assert said({"nightly": NIGHTLY}, "procfile") == ["nightly: SCHEDULE is ignored: it runs once"]
