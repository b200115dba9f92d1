"""What a format cannot express is reported; with --strict nothing is exported then."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.exports.projects import CHAIN, CHAT
from tests.inside import configured, sleeper

SHELL = {"BACKEND": "shell", "ARGS": "sleep 9; true"}


def said(processes: Any, to: str, *args: str) -> list[str]:
    stderr = io.StringIO()
    with configured(processes):
        call_command("prodserver", "--export", to, *args, stdout=io.StringIO(), stderr=stderr)
    return [line.removeprefix("WARNING: ") for line in stderr.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("processes", "to", "lines"),
    [
        (CHAT, "systemd-split", []),
        (CHAT, "compose", []),
        (CHAT, "kubernetes", []),
        (CHAIN, "compose-single", []),
        (
            CHAT,
            "kubernetes-split",
            ["api: does not wait for web: Kubernetes starts everything at once"],
        ),
        (
            {"x": {**sleeper(), "HEALTHCHECK": {"COMMAND": ["true"]}, "REPLICAS": 2}, "y": SHELL},
            "procfile",
            [
                "x: REPLICAS is 2, but one is run",
                "x: HEALTHCHECK is not performed",
                "y: ARGS is a shell command, and the shell does not pass on the stop signal",
            ],
        ),
        (
            {"x": sleeper(STOP_TIMEOUT=300)},
            "fly",
            ["x: killed 300 s after its stop signal; STOP_TIMEOUT of x is 300 s"],
        ),
        ({"x": sleeper(STOP_TIMEOUT=299)}, "fly", []),
        (
            {"m": sleeper(TYPE="oneshot"), "x": sleeper(AFTER=["m"])},
            "procfile",
            ["m: left out, because it is a oneshot; run it before the rest"],
        ),
        ({"m": sleeper(TYPE="oneshot"), "x": sleeper(AFTER=["m"])}, "fly", []),
        (
            {"x": sleeper(), "m": sleeper(TYPE="oneshot", AFTER=["x"])},
            "fly",
            ["m: does not wait for x: Fly starts all Machines at once"],
        ),
        (
            {"x": {"BACKEND": "gunicorn", "ARGS": {"bind": "unix:/run/x.sock"}}},
            "compose",
            ["x: listens at /run/x.sock, which only its own container can reach"],
        ),
        (
            {"x": {"BACKEND": "gunicorn", "ARGS": {"bind": "127.0.0.1:8000"}}},
            "kubernetes",
            ["SITE: listens for its own container only; let it listen at 0.0.0.0"],
        ),
        (
            {"web": {"BACKEND": "gunicorn", "ARGS": {"bind": ["0.0.0.0:8000", "0.0.0.0:8001"]}}},
            "render",
            ["web: gets the requests to port 8000 only, not to 8001"],
        ),
        (
            {"site": {"BACKEND": "gunicorn", "ARGS": {"bind": "0.0.0.0:8000"}}},
            "heroku",
            ["site: gets no requests: only a process named web does"],
        ),
        (
            {"x": sleeper(USER="www-data", GROUP="adm")},
            "kubernetes-split",
            [
                "x: USER is 'www-data', but its container has one user, who is not root",
                "x: GROUP is 'adm', but its container has one user, who is not root",
            ],
        ),
        (
            {"beat": {"BACKEND": "celery-beat", "APP": "tests.project.workers"}},
            "compose-single",
            ["SITE: must not run twice at once, because of beat"],
        ),
        (
            {"x": sleeper(), "y": sleeper(ENABLED=False)},
            "compose",
            ["y: left out, disabled by ENABLED"],
        ),
    ],
)
def test_losses_are_reported_by_process_and_refused_by_strict(
    processes: Any, to: str, lines: list[str], tmp_path: Path
) -> None:
    site = ("--set", "name=site") if any(line.startswith("SITE") for line in lines) else ()

    assert said(processes, to, *site) == [line.replace("SITE", "site") for line in lines]

    if lines:
        with pytest.raises(CommandError, match="Nothing is exported"):
            said(processes, to, *site, "--strict", "--output", str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()
    else:
        said(processes, to, "--strict")


def test_an_unused_set_value_is_reported() -> None:
    assert said({"x": sleeper()}, "procfile", "--set", "name=x", "--set", "uid=7") == [
        "name: set, but not used by procfile",
        "uid: set, but not used by procfile",
    ]


def test_helm_hooks_avoid_the_warning_about_the_order_of_oneshots() -> None:
    processes = {"m": sleeper(TYPE="oneshot"), "x": sleeper(AFTER=["m"])}

    assert said(processes, "kubernetes-split") == [
        "x: does not wait for m: Kubernetes starts everything at once"
    ]
    assert said(processes, "kubernetes-split", "--set", "hooks=helm") == []
