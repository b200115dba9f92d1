from __future__ import annotations

from huey import crontab
from huey.contrib.djhuey import periodic_task, signal, task
from huey.signals import SIGNAL_INTERRUPTED
from jobs import hold as holding


@task()
def hold(name):
    holding.hold(name)


@periodic_task(crontab(minute="*"))
def tick():
    holding.say("tick")


@signal(SIGNAL_INTERRUPTED)
def interrupted(signal, task, *args):
    holding.say(f"{task.args[0]} interrupted")


def enqueue(*names):
    for name in names:
        hold(name)
