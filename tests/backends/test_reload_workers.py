"""A reload of a worker loses no task, and none is executed twice.

Tasks are enqueued all the time, so that a worker is stopped while it executes some and has taken
others from its broker. The software promises less:

- at least once: Celery with `acks_late` (https://docs.celeryq.dev/en/stable/faq.html, "Should I use
  retry or acks_late?"); dramatiq, which acknowledges tasks when they are done
  (https://dramatiq.io/motivation.html); procrastinate, where stalled jobs are retried
  (https://procrastinate.readthedocs.io/en/stable/howto/production/retry_stalled_jobs.html); and RQ,
  where failed jobs are retried (https://python-rq.org/docs/exceptions/, "Retrying Failed Jobs");
- at most once: Celery without `acks_late` (https://docs.celeryq.dev/en/stable/glossary.html, "early
  acknowledgment"); huey, which sends a signal when it has interrupted a task
  (https://huey.readthedocs.io/en/latest/signals.html); django-q2 over Redis
  (https://django-q2.readthedocs.io/en/master/brokers.html); and django-tasks, whose documentation
  (https://docs.djangoproject.com/en/stable/topics/tasks/) does not say.

The difference is for workers that are killed. A worker that may finish its stop executes the tasks
that it has begun and gives back the others: with all of this software that is exactly once.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from signal import SIGCONT, SIGSTOP, SIGTERM
from subprocess import PIPE, STDOUT
from typing import Any, NamedTuple

import psutil
import pytest

from tests.backends.test_everything import missing
from tests.backends.test_same_program import SOFTWARE, filled
from tests.operating import Done, prodctl
from tests.running import Run, Site
from tests.services import database

# Set by `make same`. Without it, everything is reduced, to save time.
LONG = bool(os.environ.get("PRODSERVER_TEST_LONG"))
TASKS, RELOADS = (200, 5) if LONG else (40, 2)
CALL = ("-W", "ignore", "manage.py", "call")


class Kind(NamedTuple):
    software: str
    settings: Mapping[str, Any] = {}


KINDS = {
    "celery": Kind("celery"),
    "celery with acks_late": Kind("celery", {"CELERY_TASK_ACKS_LATE": True}),
    "django-tasks": Kind("django-tasks"),
    "rq": Kind("rq"),
    "huey": Kind("huey"),
    "dramatiq": Kind("dramatiq"),
    "django-q2": Kind("django-q2"),
    "procrastinate": Kind("procrastinate", {"PROCRASTINATE_IMPORT_PATHS": ["noted.tasks"]}),
}
SHORT = ["celery with acks_late", "django-tasks", "huey"]


class Notes(NamedTuple):
    """How often each task has begun and ended, and in which releases."""

    begun: Counter[str]
    ended: Counter[str]
    releases: set[str]


def notes_of(site: Site) -> Notes:
    path = site.project / "notes"
    text = path.read_text() if path.exists() else ""
    found = re.findall(r"(\d+) (begins|ends) in (\d+)\n", text)
    begun = Counter(token for token, what, _ in found if what == "begins")
    ended = Counter(token for token, what, _ in found if what == "ends")
    return Notes(begun, ended, {release for _, _, release in found})


def project_of(kind: Kind, redis: str, postgresql: str) -> dict[str, Any]:
    """Return the arguments that start a run of this kind."""
    more = filled(SOFTWARE[kind.software].settings, {"REDIS": redis})
    settings = {
        **more,
        "INSTALLED_APPS": ["noted", *more.get("INSTALLED_APPS", [])],
        "DATABASES": {"default": database(postgresql)},
        "CELERY_BROKER_URL": redis,
        "TASKS_OF": kind.software,
        **kind.settings,
    }
    return {"supervisor": {"SETTINGS": settings}}


def wait_until_ended(site: Site, run: Run, tokens: set[str]) -> None:
    waiting = tokens
    try:
        while waiting := tokens - {*notes_of(site).ended}:
            run.wait_for("jobs.1", r"\d+ ends in")
    finally:
        print("never executed:", *sorted(waiting, key=int))


@pytest.mark.template
@pytest.mark.parametrize("name", KINDS if LONG else SHORT)
def test_each_task_is_executed_once(site: Site, name: str, redis: str, postgresql: str) -> None:
    kind = KINDS[name]
    if missing(kind.software):
        pytest.skip(f"{', '.join(missing(kind.software))} is not installed here")
    software, project = SOFTWARE[kind.software], project_of(kind, redis, postgresql)
    entry = {"BACKEND": kind.software, "ARGS": software.args.split(), **software.entry}
    release = site.project / "release"
    release.write_text("0")
    enqueue = ("noted.tasks.enqueue", f"[{TASKS}]")
    sender = site({"jobs": entry}, *enqueue, program=CALL, stdin=PIPE, **project)
    sender.wait_for("", "enqueues")
    run = site({"jobs": entry}, stderr=STDOUT, **project)
    run.wait_for("jobs.1", "ends in 0")

    for number in range(1, RELOADS + 1):
        release.write_text(str(number))
        assert prodctl(site, "reload") == Done(0, f"generation {number}\n", "")
        run.wait_for("jobs.1", f"ends in {number}")
    assert sender.popen.stdin is not None
    sender.popen.stdin.close()
    enqueued = int(sender.wait_for("", r"enqueued (\d+)")[1])
    tokens = {str(number) for number in range(enqueued)}
    wait_until_ended(site, run, tokens)
    status = run.end(SIGTERM)

    notes, once = notes_of(site), Counter(tokens)
    assert notes.begun - once == notes.ended - once == Counter(), "executed more than once"
    assert notes == (once, once, {str(number) for number in range(RELOADS + 1)})
    assert (status, sender.end()) == (0, 0)
    print(f"{name}: {enqueued} tasks, {RELOADS} reloads, each task executed once")


def token_of(message: bytes) -> str:
    """The token of a task in a queue of Celery in Redis."""
    arguments, *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return str(arguments[0])


def test_a_task_that_celery_receives_while_stopping_is_executed_or_given_back(
    site: Site, redis: str, postgresql: str
) -> None:
    """The pool process that receives it has not begun it when the worker starts to shut down."""
    client: Any = pytest.importorskip("redis", reason="the Python package redis is missing")
    project = project_of(KINDS["celery"], redis, postgresql)
    args = {"concurrency": 2, "loglevel": "info"}
    entry = {"BACKEND": "celery", "APP": "workers", "ARGS": args}
    (site.project / "release").write_text("0")
    run = site({"jobs": entry}, stderr=STDOUT, **project)
    run.wait_for("system", "all 1 ready")
    (leader,) = run.children()
    one, _ = psutil.Process(leader.pid).children()

    one.send_signal(SIGSTOP)
    send = ("noted.tasks.send_all", '[["0", "1"], 1]')
    sender = site({"jobs": entry}, *send, program=CALL, **project)
    run.wait_for("jobs.1", "begins in 0")
    leader.send_signal(SIGTERM)  # The supervisor would send SIGCONT as well.
    run.wait_for_all(("jobs.1", "Warm shutdown"), ("jobs.1", "ends in 0"))
    # The end of the other task has woken the worker, which now acts on the signal.
    time.sleep(0.3)
    one.send_signal(SIGCONT)

    run.wait_for("system", "jobs.1 exited with status 0")
    run.end()
    assert sender.end() == 0
    with client.Redis.from_url(redis) as broker:
        given_back = [token_of(message) for message in broker.lrange("celery", 0, -1)]
    notes = notes_of(site)
    assert notes.begun == notes.ended
    assert sorted([*notes.ended.elements(), *given_back]) == ["0", "1"]
