"""docs/operate/tracing.md with the real libraries: the reports of web, worker and beat arrive.

This includes what happens just before the stop.
"""

from __future__ import annotations

import gzip
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from tests.running import Run, skip_without
from tests.test_documented_commands import Project, add_celery
from tests.test_documented_files import written

FAILS = """
def fail(request):
    from mysite.tasks import failing
    failing.delay()
    raise ValueError("in the web")


urlpatterns.append(path("fail", fail))
"""
FAILING_TASK = """
@shared_task
def failing():
    print("fails", flush=True)
    raise ValueError("in the worker")
"""
SCHEDULE = """
CELERY_BEAT_SCHEDULE = {"fail": {"task": "mysite.tasks.failing", "schedule": 1}}
"""
REQUESTS = 5


class Sink:
    """Accepts everything that is posted to it."""

    def __init__(self) -> None:
        sink = self
        self.taken: list[tuple[str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.taken.append((self.path, body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: Any) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def errors(self) -> list[str]:
        """The messages of the exceptions that Sentry received."""
        parts = [part for _, body in self.taken for part in body.split(b"\n")]
        events = [json.loads(part) for part in parts if part.startswith(b"{")]
        return [one["exception"]["values"][-1]["value"] for one in events if "exception" in one]

    def spans(self) -> list[str]:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        found = []
        for path, body in self.taken:
            if path == "/v1/traces":
                request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
                scopes = [
                    one for resource in request.resource_spans for one in resource.scope_spans
                ]
                found += [span.name for scope in scopes for span in scope.spans]
        return found

    def metrics(self) -> set[str]:
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

        found = set()
        for path, body in self.taken:
            if path == "/v1/metrics":
                request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
                scopes = [one for part in request.resource_metrics for one in part.scope_metrics]
                found |= {metric.name for scope in scopes for metric in scope.metrics}
        return found


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project(tmp_path) as made:
        add_celery(made)
        made.append("mysite/urls.py", FAILS)
        made.append("mysite/tasks.py", FAILING_TASK)
        made.append("mysite/settings.py", SCHEDULE)
        yield made


def fail(project: Project, run: Run) -> int:
    """Fail in the web and in the worker, then stop at once; returns the number of failed tasks."""
    run.wait_for_all(("system", "^all 4 ready"), ("worker.1", "fails$"))
    for _ in range(REQUESTS):
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(f"http://127.0.0.1:{project.port}/fail", timeout=60)
    for _ in range(REQUESTS):
        run.wait_for("worker.1", "fails$")
    assert run.end(SIGTERM) == 0, "\n".join(run.raw)
    return sum(text.endswith("fails") for text in run.said("worker.1"))


def test_every_error_arrives_at_sentry(project: Project, sink: Sink) -> None:
    skip_without("sentry_sdk")
    written(project, "sentry")
    project.environ["SENTRY_DSN"] = f"{sink.url.replace('//', '//key@')}/1"

    tasks = fail(project, project.start("python manage.py prodserver --all"))

    assert sorted(sink.errors) == ["in the web"] * REQUESTS + ["in the worker"] * tasks


def test_every_span_arrives_at_the_collector(project: Project, sink: Sink) -> None:
    skip_without("opentelemetry.instrumentation.django")
    written(project, "opentelemetry")
    project.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = sink.url
    project.environ["OTEL_SERVICE_NAME"] = "mysite"

    tasks = fail(project, project.start("python manage.py prodserver --all"))

    spans = sink.spans()
    assert spans.count("GET fail") == REQUESTS, spans
    assert spans.count("run/mysite.tasks.failing") == tasks
    # By the web, and by beat, whose last task may not have run.
    assert spans.count("apply_async/mysite.tasks.failing") >= tasks
    assert "http.server.duration" in sink.metrics()
