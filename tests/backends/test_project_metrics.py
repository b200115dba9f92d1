"""The metrics of django-prometheus and of a project, from real processes in one response."""

from __future__ import annotations

import signal
import urllib.request
from typing import Any

from tests.functional.test_project_metrics import COUNTED, FILES, scraped, works
from tests.inside import free_port
from tests.running import Site, skip_without

skip_without("django_prometheus")

APP = """
    from celery.signals import task_postrun
    from django.apps import AppConfig

    import counts

    class Counted(AppConfig):
        name = "counted"

        def ready(self):
            task_postrun.connect(count, weak=False)

    def count(**kwargs):
        counts.done.labels("task").inc()
        print("counted a task", flush=True)
"""
SETTINGS: dict[str, Any] = {
    # Before django_prodserver in INSTALLED_APPS: loading it imports prometheus_client.
    "FIRST_APPS": ["django_prometheus"],
    "INSTALLED_APPS": ["counted.apps.Counted"],
    "MIDDLEWARE": [
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
}


def test_one_response_contains_the_metrics_of_web_worker_and_beat(site: Site) -> None:
    (site.project / "counted").mkdir()
    files = {**FILES, "counted/__init__.py": "", "counted/apps.py": APP}
    port = free_port()
    processes = {
        "web": {"BACKEND": "gunicorn", "ARGS": {"bind": f"127.0.0.1:{port}", "workers": 2}},
        "worker": {
            "BACKEND": "celery",
            "APP": "workers.app",
            "ARGS": {"concurrency": 1, "Q": "celery"},
        },
        "beat": works("beat", 3),
    }
    site.send(("hello", [], "celery"))
    run = site(processes, supervisor={"SETTINGS": SETTINGS}, files=files)
    run.wait_for_all(
        *(("system", "^all 3 ready"), ("beat.1", COUNTED), ("worker.1", "counted a task"))
    )
    for _ in range(20):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
    found = scraped(site)

    assert found['django_http_requests_total_by_method_total{method="GET"}'] == 20
    assert found['done_total{who="task"}'] == 1
    assert found['done_total{who="beat"}'] == 3
    assert run.end(signal.SIGTERM) == 0
