"""Exports of a project whose CONTROL is False: its supervisors have no control socket."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.exports import judges
from tests.inside import configured, sleeper

NIGHTLY = {"BACKEND": "command", "ARGS": ["check"], "TYPE": "oneshot", "SCHEDULE": "30 3 * * *"}
PROCESSES: dict[str, Any] = {
    "nightly": NIGHTLY,
    "hourly": {**NIGHTLY, "SCHEDULE": "15 * * * *"},
    "web": sleeper(),
}


def exported(to: str, folder: Path) -> tuple[str, list[str]]:
    """The text of all files, and the warnings."""
    stderr = io.StringIO()
    words = ("--export", to, "--output", str(folder))
    with configured(PROCESSES, {"CONTROL": False}):
        call_command("prodserver", *words, stdout=io.StringIO(), stderr=stderr)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    warnings = [line.removeprefix("WARNING: ") for line in stderr.getvalue().splitlines()]
    return "".join(path.read_text() for path in files), warnings


@pytest.mark.parametrize("to", ["procfile", "supervisord", "systemd", "systemd-split", "heroku"])
def test_an_export_does_not_switch_on_a_control_socket(to: str, tmp_path: Path) -> None:
    text, warnings = exported(to, tmp_path)

    assert "PRODSERVER_CONTROL" not in text
    assert "prodctl" not in text
    assert not any("prodctl" in warning for warning in warnings)
    judges.JUDGES[to](tmp_path)


def test_systemd_reloads_a_supervisor_without_control_socket_by_sighup(tmp_path: Path) -> None:
    text, _ = exported("systemd", tmp_path)

    assert "ExecReload=/bin/kill -HUP $MAINPID\n" in text


@pytest.mark.parametrize(
    ("to", "supervised"),
    # Kubernetes itself runs what has a SCHEDULE.
    [("compose", ["nightly", "hourly", "web"]), ("kubernetes-split", ["web"])],
)
def test_a_health_check_that_needs_the_control_socket_is_a_warning(
    to: str, supervised: list[str], tmp_path: Path
) -> None:
    _, warnings = exported(to, tmp_path)

    assert [one for one in warnings if "prodctl" in one] == [
        f"{name}: cannot be checked by prodctl: CONTROL is False" for name in supervised
    ]
