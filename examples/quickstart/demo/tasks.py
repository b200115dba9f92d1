"""The same work for two queues, and a heartbeat for Celery beat."""

import logging
import os
import random
from datetime import timedelta
from math import isqrt

from celery import shared_task
from django.utils import timezone
from django.utils.module_loading import import_string
from quickstart import compat

from demo.models import Result

task = import_string(compat.TASK_DECORATOR)

logger = logging.getLogger(__name__)


@shared_task
def celery_primes(result_id, limit):
    count_primes(result_id, limit, process="Celery worker")


@task()
def django_tasks_primes(result_id, limit):
    count_primes(result_id, limit, process="db_worker")


@shared_task
def heartbeat():
    now = timezone.now()
    Result.objects.create(
        queue=Result.Queue.BEAT,
        state=Result.State.DONE,
        process="Celery worker",
        pid=os.getpid(),
        queued_at=now,
        finished_at=now,
    )
    an_hour_ago = now - timedelta(hours=1)
    Result.objects.filter(queue=Result.Queue.BEAT, queued_at__lt=an_hour_ago).delete()


def count_primes(result_id, limit, process):
    result = Result.objects.get(pk=result_id)
    result.start(process, os.getpid())
    count = sum(all(n % d for d in range(2, isqrt(n) + 1)) for n in range(2, limit))
    result.finish(f"{count} primes below {limit}")
    logger.info("%s", result)


def queue_celery():
    result = Result.objects.create(queue=Result.Queue.CELERY)
    celery_primes.delay(result.pk, random_limit())


def queue_django_tasks():
    result = Result.objects.create(queue=Result.Queue.DJANGO_TASKS)
    django_tasks_primes.enqueue(result.pk, random_limit())


def random_limit():
    return random.randrange(10_000, 50_000)
