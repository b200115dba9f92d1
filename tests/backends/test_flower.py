"""The real flower, alone and beside the Celery worker that it monitors, over Redis."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.inside import free_port, listener, refused
from tests.peers import get, systemd
from tests.running import Site


def flower(port: int, **entry: Any) -> dict[str, Any]:
    args = {"address": "127.0.0.1", "port": port}
    return {"BACKEND": "celery-flower", "APP": "workers", "ARGS": args, **entry}


def test_flower_shows_the_worker_of_the_same_supervisor(site: Site, redis: str) -> None:
    port = free_port()
    processes = {
        "worker": {"BACKEND": "celery", "APP": "workers", "ARGS": {"concurrency": 1}},
        "flower": flower(
            port,
            ENV={"FLOWER_UNAUTHENTICATED_API": "true"},
            HEALTHCHECK={"HTTP": "/healthcheck", "INTERVAL": 0.2, "RETRIES": 1},
            AFTER=["worker"],
        ),
    }
    run = site(processes, env={"BROKER": redis})
    run.wait_for("system", "^all 2 ready")

    # flower waits a second for the workers' answers; meanwhile its health is checked.
    workers = json.loads(get(port, "/api/workers?refresh=1"))

    assert [name.partition("@")[0] for name in workers] == ["worker.1"]
    assert "jobs.tasks.hello" in workers.popitem()[1]["registered"]
    assert get(port, "/healthcheck") == "OK"
    assert run.end(signal.SIGTERM) == 0
    said = run.said("system")
    assert any(line.startswith("flower.1 stopped after") for line in said)
    assert not any("health" in line for line in said)


def test_flower_without_a_supervisor_starts_and_stops(
    site: Site, redis: str, tmp_path: Path
) -> None:
    port = free_port()
    with systemd(tmp_path) as somebody:
        env = {"BROKER": redis, **somebody.environ}
        run = site({"flower": flower(port)}, "flower", env=env)
        somebody.wait_for_ready()

    assert get(port, "/healthcheck") == "OK"

    assert run.end(signal.SIGTERM) == 0


CURRENT = {"BACKEND": "celery-flower", "APP": "celery.current_app"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"ARGS": {"prot": 5555}},
            "--prot=5555: Unrecognized command line option: 'prot'. Did you mean '--port'?",
        ),
        ({"ARGS": {"port": "x"}}, "--port=x: invalid literal for int() with base 10: 'x'"),
        ({"ARGS": ["--port", "5555"]}, "--port: Option 'port' requires a value"),
        ({"ARGS": ["worker"]}, "'worker' is not an option, such as --port=5555"),
        # As Kubernetes sets it for a service named flower.
        (
            {"ENV": {"FLOWER_PORT": "tcp://10.0.0.1:80"}},
            (
                "FLOWER_PORT=tcp://10.0.0.1:80: "
                "invalid literal for int() with base 10: 'tcp://10.0.0.1:80'"
            ),
        ),
    ],
    ids=["unknown", "value", "no value", "word", "environment"],
)
def test_a_wrong_option_is_refused(entry: Any, message: str) -> None:
    """flower itself ignores unknown options."""
    assert refused({"flower": {**CURRENT, **entry}}) == [
        f"PRODUCTION_PROCESSES['flower']['ARGS']: celery flower: {message}"
    ]


def test_an_address_in_use_is_reported_whether_set_by_args_file_or_env(tmp_path: Path) -> None:
    """The command line overrides the file, which overrides the environment."""
    file = tmp_path / "own.py"
    other = {"FLOWER_PORT": "1"}
    with listener() as taken:
        port = taken.rpartition(":")[2]
        file.write_text(f"port = {port}\n")
        named: list[Any] = [
            {"ARGS": {"address": "127.0.0.1", "port": port}, "ENV": other},
            {"ARGS": {"address": "127.0.0.1", "conf": file}, "ENV": other},
            {"ENV": {"FLOWER_PORT": port}},
        ]
        refusals = [refused({"flower": {**CURRENT, **entry}}) for entry in named]

    # Without an address it listens on all interfaces.
    hosts = ["127.0.0.1", "127.0.0.1", "0.0.0.0"]
    start = "PRODUCTION_PROCESSES['flower'] cannot listen at "
    assert [lines[0].partition(": ")[0] for lines in refusals] == [
        f"{start}{host}:{port}" for host in hosts
    ]
