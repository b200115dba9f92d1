"""Where each software loads the project, and what its workers are, for its page.

tests/backends/test_loading.py runs each of these under each start method, and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# Where the project is loaded, and `ready()` run, if it is not loaded yet.
LEADER, WORKERS, NOTHING = "in the leader", "in each worker", ""

# What workers are.
FORKED = "processes that it forks"
FRESH = "processes, which are always fresh interpreters"
FOR_EACH_TASK = "a forked process for each task"
THREADS = "threads"
NONE = "none; the leader does the work itself"


class Loading(NamedTuple):
    """The behaviour of a software by default, or with these ARGS."""

    by: str
    workers: str
    args: Mapping[str, Any] = {}
    # It is another program, whatever the start method.
    executed: bool = False
    # Where it is loaded again if it is not forked, because `manage.py` becomes another program.
    then: str = NOTHING

    @property
    def by_others(self) -> str:
        """Where the project is loaded if the process is `manage.py`."""
        return ", then ".join(filter(None, [self.by, self.then]))

    @property
    def by_forks(self) -> str:
        """Where the project is loaded again after the template has loaded it."""
        if self.executed:
            return self.by
        return WORKERS if self.workers == FRESH else NOTHING

    def __str__(self) -> str:
        return ", ".join(f"`{key!r}: {value!r}`" for key, value in self.args.items())


LOADING: Mapping[str, Sequence[Loading]] = {
    "gunicorn": [Loading(WORKERS, FORKED), Loading(LEADER, FORKED, {"preload": True})],
    "gunicorn-asgi": [Loading(WORKERS, FORKED), Loading(LEADER, FORKED, {"preload": True})],
    "uvicorn": [Loading(LEADER, NONE), Loading(WORKERS, FRESH, {"workers": 2})],
    "uvicorn-wsgi": [Loading(LEADER, THREADS), Loading(WORKERS, FRESH, {"workers": 2})],
    "granian": [Loading(WORKERS, FORKED)],
    "granian-wsgi": [Loading(WORKERS, FORKED)],
    "hypercorn": [Loading(WORKERS, FRESH), Loading(LEADER, NONE, {"workers": 0})],
    "hypercorn-wsgi": [Loading(WORKERS, FRESH), Loading(LEADER, THREADS, {"workers": 0})],
    "daphne": [Loading(LEADER, NONE)],
    "waitress": [Loading(LEADER, THREADS)],
    "uwsgi": [
        Loading(LEADER, FORKED, executed=True),
        Loading(WORKERS, FORKED, {"lazy-apps": True}, executed=True),
    ],
    "celery": [Loading(LEADER, FORKED), Loading(LEADER, THREADS, {"pool": "threads"})],
    "celery-beat": [Loading(LEADER, NONE)],
    "celery-flower": [Loading(LEADER, NONE)],
    "rq": [Loading(LEADER, FOR_EACH_TASK)],
    "rq-scheduler": [Loading(LEADER, NONE)],
    "dramatiq": [Loading(LEADER, FORKED, then=WORKERS)],
    "huey": [Loading(LEADER, THREADS), Loading(LEADER, FORKED, {"worker-type": "process"})],
    "django-q2": [Loading(LEADER, FORKED)],
    "procrastinate": [Loading(LEADER, NONE)],
    "django-tasks": [Loading(LEADER, NONE)],
    "command": [Loading(LEADER, NONE)],
    "wait-for": [Loading(LEADER, NONE)],
    "migrate": [Loading(LEADER, NONE)],
    "runserver": [Loading(LEADER, THREADS)],
    "shell": [Loading(NOTHING, NONE, executed=True)],
}


def header(name: str) -> Sequence[str]:
    return (
        ("", "forked", "spawned", "alone") if not _executed(name) else ("", "supervised", "alone")
    )


def rows(name: str, own_program: bool) -> Iterator[Sequence[str]]:
    """Yield the rows. When alone, `manage.py` has already loaded the project to check settings."""
    if _executed(name):
        yield "it is", "another program", "`manage.py`, which becomes that program"
        for one in LOADING[name]:
            alone = ", then ".join(filter(None, ["in `manage.py`", one.by]))
            yield f"runs `ready()` {_with(one)}".strip(), one.by or "nowhere", alone
        return
    if own_program:
        alone = "`manage.py`, which becomes that program"
        yield "it is", "a fork of the template", "a program of its own", alone
    else:
        becomes = ", which becomes a program of its own" if LOADING[name][0].then else ""
        fresh, itself = f"a fresh `manage.py`{becomes}", f"`manage.py`{becomes or ' itself'}"
        yield "it is", "a fork of the template", fresh, itself
    for one in LOADING[name]:
        forked = " and ".join(filter(None, ["in the template", one.by_forks]))
        alone = f"in `manage.py`, then {one.by}" if own_program else one.by_others
        if not one.args or one.by != LOADING[name][0].by:
            yield f"runs `ready()` {_with(one)}".strip(), forked, one.by_others, alone


def workers(name: str) -> str:
    """Return a sentence on what its workers are; "" if it has none."""
    usual = LOADING[name][0].workers
    said = [
        usual,
        *(f"{_with(one)} {one.workers}" for one in LOADING[name] if one.workers != usual),
    ]
    return "" if said == [NONE] else f"Its workers: {'; '.join(said)}."


def _executed(name: str) -> bool:
    return LOADING[name][0].executed


def _with(one: Loading) -> str:
    return f"with {one}" if one.args else ""
