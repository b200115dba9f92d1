"""Handlers of events, ready-made: to be named in `PRODUCTION_SUPERVISOR["ON_EVENT"]`.

    PRODUCTION_SUPERVISOR = {"ON_EVENT": ["django_prodserver.handlers.mail_admins"]}

Each takes an event, which is a dict. Those that wake people take only what went wrong: events with
the severity WARNING or ERROR. What a handler imports, it imports when it is called.
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

# Sent by `send_signal`, with the keyword argument `event`. It has no sender: Django compares those
# by identity, which the name of an event has none of.
happened = Signal()

# A setting, or else an environment variable.
WEBHOOK_URL = "PRODUCTION_WEBHOOK_URL"
# How long the server of the webhook may take, in seconds.
WEBHOOK_WITHIN = 10.0
# How long OpenTelemetry may take to export what it was given, in milliseconds.
EXPORT_WITHIN = 5000


def mail_admins(event: Event) -> None:
    """Send it to ADMINS by Django, if something went wrong."""
    if _is_alert(event):
        mail.mail_admins(_title(event), _text(event))


def webhook(event: Event) -> None:
    """Send it as `{"text": ...}`, if something went wrong: for Slack, Mattermost and others."""
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
    """Send it to Sentry, if something went wrong. The project has to call `sentry_sdk.init`."""
    import sentry_sdk

    if not _is_alert(event):
        return
    with sentry_sdk.new_scope() as scope:
        scope.set_level("error" if event["severity"] == "ERROR" else "warning")
        scope.set_tag("prodserver.event", event["event"])
        if event["name"] is not None:
            scope.set_tag("prodserver.process", event["process"])
            scope.set_tag("prodserver.name", event["name"])
        # Times and pids differ each time, what happened does not.
        scope.fingerprint = ["prodserver", event["event"], event["process"] or ""]
        scope.set_context("prodserver", dict(event))
        scope.capture_message(event["message"])


def log(event: Event) -> None:
    """Log it by Python's logging, to the logger `django_prodserver.events`."""
    level: int = getattr(logging, event["severity"])
    logger = logging.getLogger("django_prodserver.events")
    logger.log(level, "%s", event["message"], extra={"event": event})


def send_signal(event: Event) -> None:
    """Send it to the receivers of the signal `happened`. The first one that fails, fails this."""
    for _, answer in happened.send_robust(sender=None, event=event):
        if isinstance(answer, Exception):
            raise answer


def opentelemetry_logs(event: Event) -> None:
    """Emit it as a log record of OpenTelemetry. The project has to set up a logger provider."""
    from datetime import datetime

    from opentelemetry._logs import LogRecord, SeverityNumber, get_logger_provider

    provider = get_logger_provider()
    # Before Python 3.11 it does not know the Z.
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
    # The process ends without what the provider does at an exit.
    getattr(provider, "force_flush", lambda within: None)(EXPORT_WITHIN)


def _is_alert(event: Event) -> bool:
    return bool(event["severity"] != "INFO")


def _title(event: Event) -> str:
    # The subject of a mail is one line.
    return f"prodserver: {' '.join(event['message'].split())}"


def _text(event: Event) -> str:
    """What there is to know of it, for people."""
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
    """Attributes, each of a plain type: `prodserver.digest.exit_status`."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(f"{name}.{key}", one)
    elif isinstance(value, (list, tuple)):
        yield name, [one if isinstance(one, str) else repr(one) for one in value]
    elif value is not None:
        yield name, value
