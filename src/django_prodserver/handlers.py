"""Ready-made event handlers, for `PRODUCTION_SUPERVISOR["ON_EVENT"]`.

    PRODUCTION_SUPERVISOR = {"ON_EVENT": ["django_prodserver.handlers.mail_admins"]}

Each takes an event, which is a dict. Handlers that alert people act only on events with the
severity WARNING or ERROR. A handler imports what it needs when it is called.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.dispatch import Signal

Event = Mapping[str, Any]

# Sent by `send_signal`, with the keyword argument `event`. It has no sender: Django compares
# senders by identity, and equal event names need not be the same object.
happened = Signal()

# A setting, or else an environment variable.
WEBHOOK_URL = "PRODUCTION_WEBHOOK_URL"
# The timeout of a webhook request, in seconds.
WEBHOOK_WITHIN = 10.0
# The timeout of an OpenTelemetry export, in milliseconds.
EXPORT_WITHIN = 5000


def mail_admins(event: Event) -> None:
    """Mail an alert to ADMINS, with Django."""
    if _is_alert(event):
        mail.mail_admins(_title(event), _text(event))


def webhook(event: Event) -> None:
    """Post an alert as `{"text": ...}`, for Slack, Mattermost and others."""
    import json
    from urllib.request import Request, urlopen

    url = getattr(settings, WEBHOOK_URL, None) or os.environ.get(WEBHOOK_URL)
    if not url:
        raise ImproperlyConfigured(f"{WEBHOOK_URL} is not set")
    if _is_alert(event):
        body = json.dumps({"text": f"{_title(event)}\n{_text(event)}"}).encode()
        request = Request(url, body, {"Content-Type": "application/json"})
        urlopen(request, timeout=WEBHOOK_WITHIN).close()


def sentry(event: Event) -> None:
    """Send an alert to Sentry. The project has to call `sentry_sdk.init`."""
    import sentry_sdk

    if not _is_alert(event):
        return
    with sentry_sdk.new_scope() as scope:
        scope.set_level("error" if event["severity"] == "ERROR" else "warning")
        scope.set_tag("prodserver.event", event["event"])
        if event["name"] is not None:
            scope.set_tag("prodserver.process", event["process"])
            scope.set_tag("prodserver.name", event["name"])
        # Group by what happened: the message has times and PIDs, which always differ.
        scope.fingerprint = ["prodserver", event["event"], event["process"] or ""]
        scope.set_context("prodserver", dict(event))
        scope.capture_message(event["message"])


def log(event: Event) -> None:
    """Log an event with Python's logging, to the logger `django_prodserver.events`."""
    level: int = getattr(logging, event["severity"])
    logger = logging.getLogger("django_prodserver.events")
    logger.log(level, "%s", event["message"], extra={"event": event})


def send_signal(event: Event) -> None:
    """Send an event to all receivers of `happened`, then raise the first exception of any."""
    for _, answer in happened.send_robust(sender=None, event=event):
        if isinstance(answer, Exception):
            raise answer


def opentelemetry_logs(event: Event) -> None:
    """Emit an event as an OpenTelemetry log record. The project has to set up a logger provider."""
    from datetime import datetime

    from opentelemetry._logs import LogRecord, SeverityNumber, get_logger_provider

    provider = get_logger_provider()
    # `fromisoformat` accepts a Z only since Python 3.11.
    at = datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
    severity = "WARN" if event["severity"] == "WARNING" else event["severity"]
    record = LogRecord(
        timestamp=round(at.timestamp() * 1000) * 1_000_000,
        severity_text=event["severity"],
        severity_number=SeverityNumber[severity],
        body=event["message"],
        attributes=dict(_flat("prodserver", event)),
    )
    provider.get_logger("django_prodserver").emit(record)
    # The process exits without running the provider's exit handler.
    getattr(provider, "force_flush", lambda within: None)(EXPORT_WITHIN)


def _is_alert(event: Event) -> bool:
    return bool(event["severity"] != "INFO")


def _title(event: Event) -> str:
    # The subject of a mail must be one line.
    return f"prodserver: {' '.join(event['message'].split())}"


def _text(event: Event) -> str:
    """Return the details of an event as text for people."""
    known = [
        f"{key}: {value}"
        for key, value in event.items()
        if value is not None and key not in ("message", "digest")
    ]
    digest = event.get("digest", {})
    known += [f"{key}: {value}" for key, value in digest.items() if key not in (*event, "lines")]
    lines = digest.get("lines", [])
    return "\n".join([*known, *(["", "last lines:", *lines] if lines else [])])


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Flatten to attributes of plain types, such as `prodserver.digest.exit_status`."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(f"{name}.{key}", one)
    elif isinstance(value, (list, tuple)):
        yield name, [one if isinstance(one, str) else repr(one) for one in value]
    elif value is not None:
        yield name, value
