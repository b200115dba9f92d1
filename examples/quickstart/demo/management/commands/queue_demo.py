import time
from http.cookiejar import CookieJar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, build_opener

from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from demo import tasks
from demo.models import Result


class Command(BaseCommand):
    help = "Queue a Celery task and a django-tasks task, and wait for both results."

    def add_arguments(self, parser):
        parser.add_argument(
            "--timeout", type=float, default=30, metavar="SECONDS", help="(default: 30)"
        )
        parser.add_argument(
            "--url",
            help="press the buttons of the site that runs there, e.g. http://127.0.0.1:8000/",
        )

    def handle(self, *, timeout, url, **options):
        newest = Result.objects.first()
        mine = Result.objects.filter(pk__gt=newest.pk if newest else 0)
        waiting = {Result.Queue.CELERY.value, Result.Queue.DJANGO_TASKS.value}

        deadline = time.monotonic() + timeout
        if url:
            press_buttons(url, deadline)
        else:
            tasks.queue_celery()
            tasks.queue_django_tasks()

        while waiting:
            for result in mine.filter(queue__in=waiting, state=Result.State.DONE):
                waiting.discard(result.queue)
                self.stdout.write(f"{result} ({result.process}, pid {result.pid})")
            if waiting and time.monotonic() > deadline:
                raise CommandError(
                    f"No result from {' and '.join(sorted(waiting))} within {timeout:g} s;"
                    " do all processes run?"
                )
            time.sleep(0.1)


def press_buttons(url, deadline):
    cookies = CookieJar()
    browser = build_opener(HTTPCookieProcessor(cookies))
    try:
        visit(browser, url, deadline)
        token = next(cookie.value for cookie in cookies if cookie.name == "csrftoken")
        form = urlencode({"csrfmiddlewaretoken": token}).encode()
        for button in ("queue-celery", "queue-django-tasks"):
            browser.open(urljoin(url, reverse(button)), form).close()
    except URLError as error:
        raise CommandError(f"{url} does not answer as it should: {error}") from error


def visit(browser, url, deadline):
    """Open a page, of a site that may be about to start."""
    while True:
        try:
            browser.open(url).close()
            return
        except HTTPError:
            raise
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
