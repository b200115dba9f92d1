from __future__ import annotations

from celery import shared_task
from django.conf import settings

from .database import answer


def send(tokens):
    import workers  # noqa: F401

    for token in tokens:
        write_answer.delay(token)


@shared_task
def write_answer(token):
    with (settings.BASE_DIR / "answers").open("a") as answers:
        answers.write(f"{token} {answer(token)}\n")
