"""SIGKILL and SIGTERM at random moments: `make torture`, or `python -m tests.torture --help`.

Each trial does one thing to one run, at a moment that a printed seed gives, and looks at what comes
of it. A sleep until that moment is the only one here.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable

import psutil

from tests.functional import survivors as kinds
from tests.functional.helpers import code
from tests.running import Run, Site, folder_for_all_users, gone

TEMPLATE = "prodserver: template"
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]
ENTRIES = {
    "manage.py": ("-W", "ignore", "manage.py", "prodserver"),
    "module": ("-W", "ignore", "-m", "django_prodserver"),
}
# In seconds: a process that still runs this long after SIGKILL has survived.
SURVIVED = 2.0
# In seconds, for SIGTERM: the project's import, the latest moment, and the time to exit.
IMPORTS, MOMENTS, GRACE = 1.5, 2.0, 1.0
# In seconds: a trial that takes longer has failed.
TRIAL = 90

FLAPPING = code("sys.exit(1)", RESTART="always", BACKOFF={"INITIAL": 0.05, "MAX": 0.05})
FLAPPING["START_LIMIT"] = {"BURST": 10_000, "INTERVAL": 1}
RESTARTED = {**kinds.DAEMON, "RESTART": "always"}
# Consecutive numbers: a missing one is a lost line.
COUNTING = code(
    """
    for number in range(10**9):
        print("number", number)
        select.select([], [], [], 0.002)
    """
)


class Failed(Exception):
    """What was wrong in a trial."""


def check(holds: object, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def wait_until(holds: Callable[[], object], otherwise: str, within: float = 30.0) -> None:
    end = time.monotonic() + within
    while not holds():
        check(time.monotonic() < end, otherwise)
        time.sleep(0.005)


# ---- SIGKILL of the supervisor ----


def supervisor_killed(site: Site, chance: random.Random, entry: str) -> str:
    """SIGKILL at a random moment of a start, run, restart or stop leaves no process behind."""
    processes: dict[str, Any] = {"shell": kinds.SHELL, "daemon": RESTARTED, "flap": FLAPPING}
    if chance.random() < 0.4:
        user: dict[str, dict[str, str]] = {"gunicorn": {}, "celery": {}}
        if kinds.ROOT:
            user = {"gunicorn": {"user": "nobody"}, "celery": {"uid": "nobody"}}
            processes["user"] = kinds.OTHER_USER
        processes["gunicorn"] = kinds.gunicorn(user["gunicorn"])
        processes["celery"] = kinds.celery(user["celery"])
    site.let_anyone_write()
    phase = chance.choice(["start", "run", "restart", "stop"])
    moment = chance.uniform(0, 3.0 if phase == "start" else 0.5)
    run = start(site, processes, entry, supervisor=kinds.PRELOAD)
    if phase != "start":
        daemon = int(run.wait_for("system", r"^daemon\.1 started .*pid (\d+)")[1])
        run.wait_for("system", r"^all \d+ ready")
    if phase == "restart":
        run.kill(daemon, signal.SIGKILL)
    elif phase == "stop":
        run.signal(signal.SIGTERM)
    time.sleep(moment)

    run.signal(signal.SIGKILL)

    left = kinds.survivors(run, site, SURVIVED)
    check(not left, f"{phase} + {moment:.3f} s, left: {left}")
    return phase


# ---- SIGKILL of the template ----


def template_killed(site: Site, chance: random.Random, entry: str) -> str:
    """No life dies, no line is lost, restarts still work, and the exit status is 0."""
    again = code("forever()", RESTART="always", BACKOFF={"INITIAL": 0, "MAX": 0})
    again["START_LIMIT"] = {"BURST": 10_000, "INTERVAL": 1}
    run = start(site, {"count": COUNTING, "again": again}, entry)
    lives = {
        name: int(run.wait_for("system", rf"^{name} started .*pid (\d+)")[1]) for name in NAMES
    }
    time.sleep(chance.uniform(0, 0.5))
    found = templates(run)
    check(found, f"no child of the supervisor is named {TEMPLATE!r}")
    # A life that was just forked still has the template's name for a moment.
    template = min(found, key=lambda one: one.create_time())
    restart_before = chance.random() < 0.5
    if restart_before:
        run.kill(lives["again.1"], signal.SIGKILL)

    template.kill()

    check(not gone(lives["count.1"]), "a life has died with the template")
    if not restart_before:
        run.kill(lives["again.1"], signal.SIGKILL)
    run.wait_for("system", r"^again\.1 was killed by SIGKILL")
    run.wait_for("system", r"^again\.1 started")
    check(not gone(lives["count.1"]), "a life has died after the template")
    status = run.end(signal.SIGTERM)
    check(status == 0, f"exit status {status}")
    numbers = [int(text[7:]) for text in run.said("count.1") if text.startswith("number ")]
    check(numbers == list(range(len(numbers))), "lines were lost")
    return "a restart that waits" if restart_before else "a restart afterwards"


NAMES = ("count.1", "again.1")


def templates(run: Run) -> list[psutil.Process]:
    children = psutil.Process(run.pid).children()
    return [child for child in children if " ".join(child.cmdline()).startswith(TEMPLATE)]


# ---- SIGTERM to PID 1 ----


def stopped_as_pid_1(site: Site, chance: random.Random, entry: str) -> str:
    """SIGTERM in the first two seconds stops the supervisor within one second."""
    (site.project / "slow.py").write_text(f"import time\ntime.sleep({IMPORTS})\n")
    moment = chance.uniform(0, MOMENTS)
    begun = time.monotonic()
    run = start(site, {"web": code("forever()")}, entry, SLOW, prefix=UNSHARE)
    outer = psutil.Process(run.popen.pid)
    wait_until(outer.children, "nothing was started")
    (run.pid,) = (child.pid for child in outer.children())
    time.sleep(max(0.0, begun + moment - time.monotonic()))
    check(run.popen.poll() is None, f"ended by itself before {moment:.3f} s")

    run.signal(signal.SIGTERM)

    try:
        run.popen.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        run.signal(signal.SIGKILL)
        run.popen.wait()
        raise Failed(f"deaf to SIGTERM after {moment:.3f} s") from None
    return "obeyed"


SLOW = {"PRELOAD": ["slow"]}


# ---- running trials ----


def start(
    site: Site,
    processes: Mapping[str, Mapping[str, Any]],
    entry: str,
    supervisor: Mapping[str, Any] = {},
    **kwargs: Any,
) -> Run:
    environ = {"HOME": str(site.project), "DJANGO_SETTINGS_MODULE": "settings"}
    return site(
        processes,
        supervisor=supervisor,
        program=ENTRIES[entry],
        env=environ,
        stderr=subprocess.STDOUT,
        **kwargs,
    )


KINDS: Mapping[str, tuple[int, Callable[[Site, random.Random, str], str]]] = {
    "supervisor": (100, supervisor_killed),
    "template": (50, template_killed),
    "pid1": (200, stopped_as_pid_1),
}


@contextmanager
def bounded(seconds: int) -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise Failed(f"not over after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def trial(kind: str, seed: str, entry: str) -> tuple[str, bool]:
    """Run one trial; return what happened, and whether it passed."""
    with folder_for_all_users() as folder:
        site = Site(folder / "site")
        try:
            with bounded(TRIAL):
                return KINDS[kind][1](site, random.Random(seed), entry), True
        except (Failed, AssertionError, OSError, psutil.Error) as error:
            return str(error).splitlines()[0], False
        finally:
            site.close(quietly=True)


def _kind(given: str) -> str:
    if given not in KINDS:
        raise argparse.ArgumentTypeError(f"{given!r} is not one of {', '.join(KINDS)}")
    return given


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("kinds", nargs="*", type=_kind, help=f"of {', '.join(KINDS)}; default: all")
    parser.add_argument("--count", type=int, help="trials of each kind; by default 100, 50 and 200")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--entry", choices=ENTRIES, default="manage.py", help="what is started")
    parser.add_argument("--minutes", type=float, default=60, help="no new trial begins after that")
    given = parser.parse_args()
    again = f"--seed {given.seed} --entry {given.entry}"
    print(f"torture {again}", flush=True)
    end = time.monotonic() + given.minutes * 60
    all_held = True
    for kind in given.kinds or KINDS:
        count = given.count or KINDS[kind][0]
        results: list[tuple[str, bool]] = []
        while len(results) < count and time.monotonic() < end:
            results.append(trial(kind, f"{given.seed} {kind} {len(results)}", given.entry))
            said, held = results[-1]
            if not held:
                print(f"{kind} {len(results)}: FAILED, {said}", flush=True)
        number = sum(held for _, held in results)
        print(f"{kind}: {number} of {len(results)} trials held", flush=True)
        all_held = all_held and number == count
    return 0 if all_held else 1


if __name__ == "__main__":
    sys.exit(main())
