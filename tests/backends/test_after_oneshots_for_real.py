"""Processes read what the oneshots before them have made, even while they are loaded.

As with `manage.py migrate && manage.py collectstatic && gunicorn`, on a first start with an empty
folder, and with the next release.
"""

from __future__ import annotations

import signal
import sqlite3
import struct
from typing import Any

import pytest

from tests.inside import BEAT, COMMAND, GUNICORN, SHELL, free_port
from tests.peers import get
from tests.running import Run, Site, skip_without

MANIFEST = "whitenoise.storage.CompressedManifestStaticFilesStorage"


def translations(**texts: str) -> bytes:
    """The bytes of a .mo file, as msgfmt(1) makes it."""
    texts = {"": "Content-Type: text/plain; charset=UTF-8\n", **texts}
    pairs = sorted((key.encode(), text.encode()) for key, text in texts.items())
    columns = [[pair[column] for pair in pairs] for column in (0, 1)]
    at = 28 + 16 * len(pairs)
    tables = b""
    for word in (word for column in columns for word in column):
        tables += struct.pack("=2I", len(word), at)
        at += len(word) + 1
    head = struct.pack("=7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + tables + b"".join(word + b"\0" for column in columns for word in column)


def oneshot(*words: str, backend: str = COMMAND) -> dict[str, Any]:
    return {"BACKEND": backend, "ARGS": list(words), "TYPE": "oneshot"}


def start(site: Site, port: int, **web: Any) -> Run:
    settings = {
        "INSTALLED_APPS": ["django.contrib.staticfiles", "shop"],
        "MIDDLEWARE": ["whitenoise.middleware.WhiteNoiseMiddleware"],
        "ROOT_URLCONF": "shop.urls",
        "DEBUG": False,
        "STATIC_URL": "/static/",
        "STATIC_ROOT": str(site.project / "collected"),
        "STORAGES": {"staticfiles": {"BACKEND": MANIFEST}},
        "LANGUAGE_CODE": "de",
        "LOCALE_PATHS": [str(site.project / "locale")],
    }
    processes = {
        "migrate": oneshot("migrate", "--verbosity=0"),
        "static": oneshot("collectstatic", "--noinput", "--verbosity=0"),
        "messages": oneshot("cp", "-R", "built", "locale", backend=SHELL),
        "web": {
            "BACKEND": GUNICORN,
            "ARGS": {"bind": f"127.0.0.1:{port}"},
            "AFTER": ["@oneshots"],
            **web,
        },
        "beat": {"BACKEND": BEAT, "APP": "shop.celery", "AFTER": ["migrate"]},
    }
    run = site(processes, supervisor={"SETTINGS": settings})
    run.wait_for("system", "all 5 ready")
    return run


def release(site: Site, style: str, welcome: str) -> None:
    static, messages = site.project / "shop" / "static", site.project / "built/de/LC_MESSAGES"
    for folder in (static, messages):
        folder.mkdir(parents=True, exist_ok=True)
    (static / "shop.css").write_text(style)
    (messages / "django.mo").write_bytes(translations(Welcome=welcome))


skip_without("whitenoise")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_static_files_translations_and_tables_exist_on_a_first_start(
    site: Site, method: str
) -> None:
    release(site, "p {color: red}", "Willkommen")
    port = free_port()
    run = start(site, port, START_METHOD=method)

    welcome, style = get(port).split()
    assert welcome == "Willkommen"
    assert get(port, style) == "p {color: red}"
    assert run.end(signal.SIGTERM) == 0
    with sqlite3.connect(site.project / "db.sqlite3") as database:
        assert database.execute("select name from shop_task").fetchall() == [("tick",)]
    database.close()


def test_the_next_release_serves_its_new_static_files_and_translations(site: Site) -> None:
    port = free_port()
    release(site, "p {color: red}", "Willkommen")
    before = start(site, port)
    first = get(port)
    assert before.end(signal.SIGTERM) == 0
    release(site, "p {color: blue}", "Hallo")
    (site.project / "locale").rename(site.project / "old")
    run = start(site, port)

    welcome, style = get(port).split()
    assert welcome == "Hallo"
    assert style not in first
    assert get(port, style) == "p {color: blue}"
    assert run.end(signal.SIGTERM) == 0
