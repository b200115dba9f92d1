"""Scheduled processes: as CronJobs of Kubernetes, and elsewhere under a supervisor."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from honcho.environ import parse_procfile

from django_prodserver.exports.options import default_name
from tests.exports import judges
from tests.exports.projects import exported
from tests.exports.test_losses import said
from tests.inside import prodserver, sleeper

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


def test_a_schedule_becomes_a_cronjob(tmp_path: Path) -> None:
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


def test_a_schedule_with_a_lock_becomes_only_a_cronjob(tmp_path: Path) -> None:
    locked = {**NIGHTLY, "LOCK": str(tmp_path / "lock")}

    found = resources({"nightly": locked}, tmp_path / "exported")

    assert list(found) == [("CronJob", "site-nightly")]


def test_on_kubernetes_an_interval_is_run_by_a_supervisor(tmp_path: Path) -> None:
    found = resources({"often": OFTEN}, tmp_path)
    (container,) = found["Deployment", "site-often"]["spec"]["template"]["spec"]["containers"]

    assert container["command"] == ["python", "-m", "django_prodserver", "often=1"]


@pytest.mark.parametrize("to", ["compose", "systemd-split", "supervisord", "fly", "render"])
def test_other_formats_run_a_schedule_under_a_supervisor(to: str, tmp_path: Path) -> None:
    files = exported({"nightly": NIGHTLY}, to, tmp_path)

    assert any("nightly=1" in text for text in files.values())


@pytest.mark.parametrize("option", [["--procfile"], ["--export", "procfile"]])
def test_a_procfile_has_a_supervisor_for_each_schedule(option: list[str]) -> None:
    """A line that ran once and exited would make honcho stop everything."""
    processes = {"nightly": NIGHTLY, "web": sleeper(), "often": OFTEN}

    found = parse_procfile(prodserver(processes, *option)).processes

    folder = os.path.basename(os.path.dirname(os.path.abspath(sys.argv[0])))
    sockets = f"PRODSERVER_CONTROL=/tmp/{default_name(settings.SETTINGS_MODULE or '', folder)}"
    assert found == {
        "nightly": f"{sockets}-nightly-control.sock python manage.py prodserver nightly=1",
        "web": "python manage.py prodserver web",
        "often": f"{sockets}-often-control.sock python manage.py prodserver often=1",
    }
    assert said(processes, "procfile") == []


def test_a_procfile_with_one_supervisor_leaves_it_the_default_socket() -> None:
    processes = {"often": OFTEN, "web": sleeper()}

    assert prodserver(processes, "--procfile").splitlines() == [
        "often: python manage.py prodserver often=1",
        "web: python manage.py prodserver web",
    ]
