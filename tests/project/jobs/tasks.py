from __future__ import annotations

import os

import compat
from celery import shared_task
from django.utils.module_loading import import_string
from jobs import hold as holding

task = import_string(compat.TASK_DECORATOR)


@shared_task
def hello():
    holding.say(f"hello from {os.environ['PRODSERVER_INSTANCE']}")


@shared_task
def hold(name):
    holding.hold(name)


@shared_task(acks_late=True)
def hold_late(name):
    holding.hold(name)


@shared_task
def pass_on(queue):
    hello.apply_async(queue=queue)
    holding.say(f"{os.environ['PRODSERVER_INSTANCE']} has passed it on")


@shared_task
def remapped():
    from billiard import common

    holding.say(f"SIGTERM means {common.REMAP_SIGTERM}")


@task()
def django_hello():
    holding.say(f"hello from {os.environ['PRODSERVER_INSTANCE']}")


@task()
def django_hold(name):
    holding.hold(name)
