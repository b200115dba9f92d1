"""Six processes of one Django project: how soon are they ready, what do they cost?

Ready is what an outsider sees, by the same criteria for everybody; a supervisor's own words about
readiness count for nothing.
"""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import harness
from harness import Contender, Figure, Run

TIMEOUT = 60.0
SETTLE = 2.0  # from ready to the memory sample: the second gunicorn worker, celery's pool
SERVERS = ("gunicorn", "uvicorn", "waitress")
#: The process's own line, read from the supervisor's stdout.
LINES = {
    "celery": re.compile(r"celery\S*@\S+ ready\."),
    "beat": re.compile(r"beat: Starting\.\.\."),
    "db_worker": re.compile(r"Starting worker worker_id="),
}
FIGURES = [
    Figure("ready", "all six ready, s", 3),
    *(Figure(f"ready {name}", f"{name} ready, s", 3) for name in (*SERVERS, *LINES)),
    Figure("cpu", "CPU until ready, s"),
    Figure("pss", "PSS, MiB", 1),
    Figure("processes", "processes", 0),
    Figure("stop", "SIGTERM to end, s", 3),
]


def measure(contender: Contender, place: Path, first_port: int) -> dict[str, float]:
    ports = dict(zip(SERVERS, harness.free_ports(first_port, len(SERVERS))))
    variables = {f"BENCH_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    with harness.fresh_folder(place) as folder:
        env = harness.environment(folder, contender.settings, variables)
        with Run(contender, env) as run:
            moments = wait_until_ready(run, ports)
            values = {"cpu": harness.cpu_seconds()}
            for port in ports.values():
                status = harness.http_status(port)
                if b" 200 " not in status:
                    raise run.error(f"answered {status!r} on port {port}")
            ready = max(moments.values())
            time.sleep(max(0.0, ready + SETTLE - time.monotonic()))
            values["pss"] = harness.pss_bytes() / 2**20
            values["processes"] = len(harness.descendants())
            values["stop"] = run.stop()
            values["ready"] = ready - run.started
            values.update({f"ready {name}": at - run.started for name, at in moments.items()})
            return values


def wait_until_ready(run: Run, ports: dict[str, int]) -> dict[str, float]:
    """When each of the six was ready, on the monotonic clock."""
    deadline = run.started + TIMEOUT
    answered: dict[str, float | None] = {}

    def ask(name: str) -> None:
        answered[name] = harness.http_ok_at(ports[name], deadline)

    askers = [threading.Thread(target=ask, args=(name,), daemon=True) for name in ports]
    for asker in askers:
        asker.start()
    found = run.wait_for_lines(list(LINES.values()), TIMEOUT)
    for asker in askers:
        asker.join()
    moments = {name: found[pattern][0] for name, pattern in LINES.items()}
    for name, moment in answered.items():
        if moment is None:
            raise run.error(f"did not answer on port {ports[name]} within {TIMEOUT:g} s")
        moments[name] = moment
    return moments


def main() -> None:
    parser = harness.arguments(__doc__, rounds=7)
    parser.add_argument("--port", type=int, default=18300, help="first port (default: %(default)s)")
    options = parser.parse_args()
    contenders = [harness.honcho("Procfile"), harness.prodserver("project.settings_prodserver")]
    where = harness.machine(contenders)
    with harness.workplace() as place:
        results = harness.take_turns(
            contenders,
            options.rounds,
            lambda contender: measure(contender, place, options.port),
            show=[figure for figure in FIGURES if figure.key in ("ready", "cpu", "pss")],
        )
    harness.report("startup", FIGURES, results, contenders, where, options.json)


if __name__ == "__main__":
    with harness.benchmark():
        main()
