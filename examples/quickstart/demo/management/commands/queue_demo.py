import time
from http.cookiejar import CookieJar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, build_opener

from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from demo import tasks
from demo.models import Result

AGAIN_AFTER = 10  # seconds


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
        deadline = time.monotonic() + timeout
        browser = Browser(url, deadline) if url else None
        queues = {
            Result.Queue.CELERY.value: ("queue-celery", tasks.queue_celery),
            Result.Queue.DJANGO_TASKS.value: ("queue-django-tasks", tasks.queue_django_tasks),
        }
        newest = Result.objects.first()
        mine = Result.objects.filter(pk__gt=newest.pk if newest else 0)
        waiting = set(queues)
        again = 0

        while waiting:
            if time.monotonic() > again:
                # Retry after a while: a broker made of files may lose a message that a worker takes
                # while it is being written.
                again = time.monotonic() + AGAIN_AFTER
                for button, queue in (queues[name] for name in sorted(waiting)):
                    if browser:
                        browser.press(button)
                    else:
                        queue()
            for result in mine.filter(queue__in=waiting, state=Result.State.DONE):
                if result.queue in waiting:
                    waiting.discard(result.queue)
                    self.stdout.write(f"{result} ({result.process}, pid {result.pid})")
            if waiting and time.monotonic() > deadline:
                raise CommandError(
                    f"No result from {' and '.join(sorted(waiting))} within {timeout:g} s;"
                    " do all processes run?"
                )
            time.sleep(0.1)


class Browser:
    def __init__(self, url, deadline):
        """Open the page, and retry while the site is starting and creating its tables."""
        self.url = url
        self.cookies = CookieJar()
        self.opener = build_opener(HTTPCookieProcessor(self.cookies))
        while True:
            try:
                self.open()
                return
            except HTTPError as error:
                raise self.failed(error) from error
            except URLError as error:
                if time.monotonic() > deadline:
                    raise self.failed(error) from error
                time.sleep(0.1)

    def press(self, button):
        token = next(cookie.value for cookie in self.cookies if cookie.name == "csrftoken")
        form = urlencode({"csrfmiddlewaretoken": token}).encode()
        try:
            self.open(reverse(button), form)
        except URLError as error:
            raise self.failed(error) from error

    def open(self, path="", form=None):
        self.opener.open(urljoin(self.url, path), form).close()

    def failed(self, error):
        return CommandError(f"{self.url} does not answer as it should: {error}")
