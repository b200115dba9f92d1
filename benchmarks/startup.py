"""Six processes of one Django project: how soon are they ready, what do they cost?

With --heavy it is a project with wagtail, Django REST framework and pandas, and one gunicorn of it,
without any supervisor, takes part: how soon is that alone ready?

Ready is what an outsider sees, by the same criteria for everybody; a supervisor's own words about
readiness count for nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import harness
import peers
from harness import Contender, Figure, Run
from peers import Command, Peer

TIMEOUT = 60.0
SETTLE = 2.0  # from ready to the memory sample: the second gunicorn worker, celery's pool
STOP = 15.0
#: What peers run; project/settings_prodserver.py has the same as PRODUCTION_PROCESSES.
COMMANDS = {
    "gunicorn": "gunicorn project.wsgi:application --bind 127.0.0.1:{port} --workers 2",
    "uvicorn": "uvicorn project.asgi:application --host 127.0.0.1 --port {port}",
    "waitress": "waitress-serve --listen 127.0.0.1:{port} project.wsgi:application",
    "celery": "celery -A project.celery worker --concurrency 2 --loglevel INFO",
    "beat": "celery -A project.celery beat --loglevel INFO",
    "dbworker": "python manage.py db_worker --no-reload",
}
SERVERS = ("gunicorn", "uvicorn", "waitress")
#: The process's own line that it is ready, read from the supervisor's stdout.
LINES = {
    "celery": re.compile(r"celery\S*@\S+ ready\."),
    "beat": re.compile(r"beat: Starting\.\.\."),
    "db_worker": re.compile(r"Starting worker worker_id="),
}
WHOLE = [
    Figure("ready", "all six ready, s", 3),
    Figure("cpu", "CPU until ready, s"),
    Figure("pss", "PSS, MiB", 1),
]
END = [
    Figure("processes", "processes", 0),
    Figure("stop", "SIGTERM to end, s", 3, STOP),
]
EACH = [Figure(f"ready {name}", f"{name} ready, s", 3) for name in (*SERVERS, *LINES)]


class Alone(peers.PythonPeer):
    """The first of the six, without a supervisor."""

    name, program, package = "gunicorn alone", "gunicorn", "gunicorn"
    install = "pip install gunicorn"
    multiplexes = False

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        return Contender(self.name, commands[0].argv, "project.settings")


ALONE = Alone()


def measure(place: Path, first_port: int, to_the_end: bool, peer: Peer) -> dict[str, float]:
    ports = dict(zip(SERVERS, harness.free_ports(first_port, len(SERVERS))))
    variables = {f"BENCH_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    with harness.fresh_folder(place) as folder:
        contender = peer.contender(commands(ports), folder)
        env = harness.environment(folder, contender.settings, variables)
        with Run(contender, env) as run:
            if peer is ALONE:
                ports = {"gunicorn": ports["gunicorn"]}
            moments = wait_until_ready(run, ports, {} if peer is ALONE else LINES)
            values = {"cpu": harness.cpu_seconds()}
            ready = max(moments.values())
            values["ready"] = ready - run.started
            values.update({f"ready {name}": at - run.started for name, at in moments.items()})
            if not to_the_end:
                return values
            for port in ports.values():
                status = harness.http_status(port)
                if b" 200 " not in status:
                    raise run.error(f"answered {status!r} on port {port}")
            time.sleep(max(0.0, ready + SETTLE - time.monotonic()))
            values["pss"] = harness.pss_bytes() / 2**20
            values["processes"] = len(harness.descendants())
            if peer.stops_on_sigterm:
                values["stop"] = run.stop(STOP)
            return values


def commands(ports: Mapping[str, int]) -> list[Command]:
    return [
        Command(name, tuple(shlex.split(line.format(port=ports.get(name)))))
        for name, line in COMMANDS.items()
    ]


def wait_until_ready(
    run: Run, ports: dict[str, int], lines: Mapping[str, re.Pattern[str]]
) -> dict[str, float]:
    """Return when each process was ready, on the monotonic clock."""
    deadline = run.started + TIMEOUT
    answered: dict[str, float | None] = {}

    def ask(name: str) -> None:
        answered[name] = harness.http_ok_at(ports[name], deadline)

    askers = [threading.Thread(target=ask, args=(name,), daemon=True) for name in ports]
    for asker in askers:
        asker.start()
    found = run.wait_for_lines(list(lines.values()), TIMEOUT)
    for asker in askers:
        asker.join()
    moments = {name: found[pattern][0] for name, pattern in lines.items()}
    for name, moment in answered.items():
        if moment is None:
            raise run.error(f"did not answer on port {ports[name]} within {TIMEOUT:g} s")
        moments[name] = moment
    return moments


def main() -> None:
    parser = peers.arguments(__doc__, rounds=3)
    parser.add_argument("--port", type=int, default=18300, help="first port (default: %(default)s)")
    parser.add_argument("--heavy", action="store_true", help="a project that is slow to import")
    options = parser.parse_args()
    others = list(peers.PEERS)
    if options.heavy:
        os.environ["BENCH_HEAVY"] = "1"
        others.append(ALONE)
    only = [*options.only, *([ALONE.name] if options.only else [])]
    field = peers.Field(only, peers.Configured("project.settings_prodserver"), others)
    with harness.workplace() as place:
        results = harness.take_turns(
            field.entrants,
            options.rounds,
            partial(measure, place, options.port, True),
            show=WHOLE if options.heavy else [*WHOLE, *END],
            warm_up=partial(measure, place, options.port, False),
        )
    tables = {"the whole": WHOLE, "size and end": END, "servers": EACH[:3], "others": EACH[3:]}
    if options.heavy:
        # Gunicorn alone does not have the other figures.
        tables = {"the whole": WHOLE}
    field.report("startup-heavy" if options.heavy else "startup", tables, results, options.json)


if __name__ == "__main__":
    with harness.benchmark():
        main()
