"""The ready-made handlers, each against a local server in place of the real service."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.running import Run, Site, skip_without

CRASHES = {"web": {"BACKEND": "shell", "ARGS": "echo last words; exit 3"}}
MESSAGE = "web.1 exited with status 3 after "


class Sink:
    """Receives HTTP requests, and answers like the service that they are meant for."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        sink = self

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.requests.append((self.path, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Take)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(name="sink")
def sink_fixture() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


def crash(site: Site, handler: str, source: str = "", **how: Any) -> Run:
    """Run a site whose only process fails, with one of our handlers in a module of the project."""
    files = {"watched.py": f"from django_prodserver.handlers import {handler}\n{source}"}
    added = how.pop("settings", {})
    supervisor = {"ON_EVENT": [f"watched.{handler}"], "SETTINGS": added}
    run = site(CRASHES, supervisor=supervisor, files=files, **how)
    assert run.end() == 3
    assert [text for text in run.said("system") if "ON_EVENT" in text or "handler" in text] == []
    return run


def test_mail_admins_sends_a_mail_with_the_event_and_the_last_lines(site: Site) -> None:
    settings = {
        "ADMINS": [("Ada", "ada@example.com")],
        "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
        "EMAIL_FILE_PATH": str(site.project / "mails"),
    }
    crash(site, "mail_admins", settings=settings)

    # Each process that has sent mail has written its own file.
    mails = "".join(path.read_text() for path in sorted((site.project / "mails").iterdir()))
    assert f"prodserver: {MESSAGE}" in mails.replace("\n ", " ")
    assert "To: ada@example.com" in mails
    assert "\nname: web.1\n" in mails
    assert "\nlast words\n" in mails
    assert "instance.starting" not in mails  # Not worth a mail.


@pytest.mark.parametrize("by", ["setting", "variable"])
def test_the_webhook_handler_posts_the_event_and_the_last_lines(
    site: Site, sink: Sink, by: str
) -> None:
    url = f"http://{sink.address}/services/T0/B0"
    name = "PRODUCTION_WEBHOOK_URL"
    how: dict[str, Any] = {"settings": {name: url}} if by == "setting" else {"env": {name: url}}
    crash(site, "webhook", **how)

    texts = [json.loads(body)["text"] for path, body in sink.requests if path == "/services/T0/B0"]
    (text,) = (text for text in texts if "instance.exited" in text)
    assert text.startswith(f"prodserver: {MESSAGE}")
    assert text.endswith("last lines:\nlast words")


def test_the_sentry_handler_reports_a_crash_as_an_error(site: Site, sink: Sink) -> None:
    skip_without("sentry_sdk")
    source = f"import sentry_sdk\nsentry_sdk.init('http://key@{sink.address}/1')\n"
    crash(site, "sentry", source)

    events = []
    for _, body in sink.requests:
        head, *items = body.split(b"\n")
        assert "event_id" in json.loads(head)
        events += [json.loads(item) for item in items if b'"message"' in item]
    (event,) = (one for one in events if one["tags"]["prodserver.event"] == "instance.exited")
    assert (event["level"], event["tags"]["prodserver.name"]) == ("error", "web.1")
    assert event["message"].startswith(MESSAGE)
    assert event["fingerprint"] == ["prodserver", "instance.exited", "web"]
    assert event["contexts"]["prodserver"]["digest"]["lines"] == ["last words"]


def test_the_log_handler_writes_events_to_pythons_logging(site: Site) -> None:
    run = crash(site, "log")

    said = run.said("errand.handlers")
    assert any(text.startswith(MESSAGE) for text in said)
    assert any(text.startswith("all stopped after ") for text in said)


def test_the_send_signal_handler_sends_a_django_signal(site: Site) -> None:
    source = """
from django.dispatch import receiver
from django_prodserver.handlers import happened

@receiver(happened)
def hear(event, **kwargs):
    print("heard", event["event"])
"""
    run = crash(site, "send_signal", source)

    assert "heard instance.exited" in run.said("errand.handlers")


def test_a_failing_signal_receiver_is_logged_as_a_failed_handler(site: Site) -> None:
    files = {
        "watched.py": """
            from django_prodserver.handlers import happened, send_signal

            def fail(event, **kwargs):
                raise ValueError("not now")

            happened.connect(fail)
        """
    }
    run = site(CRASHES, supervisor={"ON_EVENT": ["watched.send_signal"]}, files=files)

    assert run.end() == 3
    assert any(
        text.startswith("the handler watched.send_signal failed for ")
        and text.endswith(": ValueError: not now")
        for text in run.said("system")
    )


PROVIDER = """
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import {processor}
provider = LoggerProvider()
provider.add_log_record_processor({processor}(OTLPLogExporter("http://{address}/v1/logs")))
set_logger_provider(provider)
"""


@pytest.mark.parametrize("processor", ["SimpleLogRecordProcessor", "BatchLogRecordProcessor"])
def test_the_opentelemetry_handler_exports_events_as_log_records(
    site: Site, sink: Sink, processor: str
) -> None:
    skip_without("opentelemetry.sdk._logs")
    skip_without("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    crash(site, "opentelemetry_logs", PROVIDER.format(processor=processor, address=sink.address))

    records = [
        record
        for path, body in sink.requests
        if path == "/v1/logs"
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
    found = {
        attribute.value.string_value: record
        for record in records
        for attribute in record.attributes
        if attribute.key == "prodserver.event"
    }
    assert {"supervisor.starting", "instance.exited", "supervisor.stopped"} <= set(found)
    ended = found["instance.exited"]
    assert ended.body.string_value.startswith(MESSAGE)
    assert ended.severity_text == "ERROR"
    attributes = {one.key: one.value for one in ended.attributes}
    assert attributes["prodserver.name"].string_value == "web.1"
    assert attributes["prodserver.exit_status"].int_value == 3
    assert attributes["prodserver.digest.lines"].array_value.values[0].string_value == "last words"
