"""What the page shows, and what it says when there is nothing to show."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import AdminSite
from .supervisor import FakeSupervisor, instance, process
from .visitor import PROCESSES, Visitor

WEB = f"{PROCESSES}web.1/change/"


def test_each_instance_has_a_row_and_a_process_with_replicas_a_summary_row(
    root: Visitor, fake: FakeSupervisor
) -> None:
    fake.of(
        process("migrate", instance("migrate.1", "EXITED", as_wanted=True, reason="finished")),
        process("web", instance("web.1"), instance("web.2", "STARTING", restarts=3)),
        process("beat", instance("beat.1", "STOPPED", reason="stopped on request")),
        process("mail", instance("mail.1", "FATAL", reason="exited with status 3")),
    )

    page = root.get(PROCESSES)

    assert list(page.rows) == ["migrate.1", "web", "web.1", "web.2", "beat.1", "mail.1"]
    assert "EXITED - - 0 - - finished" in page.rows["migrate.1"]
    assert "web 1 of 2 ready 3 2.0MiB" in page.rows["web"]
    assert "STARTING 1234" in page.rows["web.2"]
    assert "1.0MiB" in page.rows["web.2"]
    assert "exited with status 3" in page.rows["mail.1"]
    assert "running, 3 of 5 as wanted: /srv/shop (pid 0)" in page.text
    assert {name: page.buttons(name) for name in page.rows} == {
        "migrate.1": ["start"],
        "web": ["restart", "stop"],
        "web.1": ["restart", "stop"],
        "web.2": ["restart", "stop"],
        "beat.1": ["start"],
        "mail.1": ["start"],
    }


def test_the_table_endpoint_returns_the_rows_as_json_for_the_script(
    root: Visitor, fake: FakeSupervisor
) -> None:
    fake.of(process("web", instance("web.1", "BACKOFF", reason="exited with status 3")))

    seen = root.get(f"{PROCESSES}table/").json

    assert seen == {
        "problem": None,
        "read_only": None,
        "known": True,
        "may_control": True,
        "summary": "running, 0 of 1 as wanted: /srv/shop (pid 0)",
        "rows": [
            {
                "name": "web.1",
                "mood": "bad",
                "inner": False,
                "verbs": ["start", "stop"],
                "cells": {
                    "state": "BACKOFF",
                    "pid": "-",
                    "uptime": "-",
                    "restarts": "0",
                    "cpu": "-",
                    "memory": "-",
                    "info": "exited with status 3",
                },
            }
        ],
    }


def test_the_page_of_an_instance_shows_its_last_log_lines(
    root: Visitor, fake: FakeSupervisor
) -> None:
    fake.lines = [
        line("web.1", "Listening at: http://127.0.0.1:8000"),
        line("web.1", "\x1b[32mok\x1b[0m"),
    ]

    page = root.get(WEB)
    seen = root.get(f"{PROCESSES}web.1/lines/").json

    assert list(page.rows) == ["web.1"]
    assert "web.1 | Listening at: http://127.0.0.1:8000" in page.text
    assert seen["lines"].splitlines()[1].endswith(" web.1 | ok")
    assert fake.name_of_log == "web.1"


def test_the_page_of_a_process_lists_all_its_instances(root: Visitor, fake: FakeSupervisor) -> None:
    fake.of(process("a_b", instance("a_b.1"), instance("a_b.2")), process("web"))

    page = root.get(PROCESSES)
    (link,) = {part.partition('"')[0] for part in page.source.split('href="') if "a_5Fb/" in part}

    assert list(root.get(link).rows) == ["a_b", "a_b.1", "a_b.2"]
    assert fake.name_of_log == "a_b"


def test_an_unknown_name_returns_404_with_a_suggestion(root: Visitor, fake: FakeSupervisor) -> None:
    for path in (f"{PROCESSES}wbe/change/", f"{PROCESSES}wbe/lines/"):
        page = root.get(path)
        assert page.status == 404
    expected = "no process or instance is named 'wbe'; did you mean 'web'?"
    assert root.get(f"{PROCESSES}wbe/lines/").json["problem"] == expected
    assert root.get(f"{PROCESSES}wbe/change/").problem == expected


@pytest.mark.parametrize("name", ["all", "w*", "web%2Cworker"])
def test_a_page_for_all_a_pattern_or_a_list_of_names_is_not_found(
    root: Visitor, fake: FakeSupervisor, name: str
) -> None:
    assert root.get(f"{PROCESSES}{name}/change/").status == 404


def test_another_admin_site_has_its_own_pages(admin_site: AdminSite, fake: FakeSupervisor) -> None:
    office = Visitor(admin_site.address).log_in("operator", "/office/")

    page = office.get("/office/django_prodserver/process/")
    asked = office.post(
        "/office/django_prodserver/process/ask/", verb="restart", name="web.1", from_one="1"
    )

    assert "The office" in page.text
    assert "/admin/django_prodserver" not in page.source
    assert asked.url.endswith("/office/django_prodserver/process/web.1/change/")
    assert "/admin/django_prodserver" not in asked.source


# ---- what must not reach a page ----

NASTY = "\x1b]0;title\x07\x1b[2J\u202e\x9b1m<script>alert(1)</script>'\"&"
RAW = ("\x1b", "\x07", "\u202e", "\x9b", "<script>alert", "\ud800")


def test_neither_escape_sequences_nor_tags_reach_a_page(
    root: Visitor, fake: FakeSupervisor
) -> None:
    fake.status["project"] = f"/srv/{NASTY}"
    fake.status["phase"] = NASTY
    fake.of(
        process("web", instance("web.1", reason=NASTY), instance(NASTY)),
        process(NASTY, instance("x.1"), instance("x.2")),
    )
    fake.lines = [line("web.1", f"{NASTY}\ud800"), line(NASTY, NASTY)]
    fake.refusal = (409, "stopping", NASTY)

    pages = [
        root.get(PROCESSES),
        root.get(WEB),
        root.ask("restart", "web.1"),
        root.ask("restart", NASTY),
        root.ask("stop", NASTY),
        root.get(f"{PROCESSES}%1b%5b31m%e2%80%ae%3cscript%3ealert/change/"),
        root.get(f"{PROCESSES}%1b%5b31m%e2%80%ae%3cscript%3ealert/history/"),
    ]

    for page in pages:
        assert [raw for raw in RAW if raw in page.source] == [], page.url
    shown = r"\x1b]0;title\x07\x1b[2J\u202e\x9b1m<script>alert(1)</script>"
    assert pages[0].text.count(shown) > 3
    assert pages[1].text.count(shown) > 1
    for path in (f"{PROCESSES}table/", f"{PROCESSES}web.1/lines/"):
        # The script inserts them as text.
        seen = root.get(path).json
        assert [text for text in texts(seen) if not text.replace("\n", "").isprintable()] == []


def texts(value: Any) -> Iterator[str]:
    """Yield all strings of a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def test_no_page_contains_inline_scripts_or_styles(root: Visitor, fake: FakeSupervisor) -> None:
    for page in (root.get(PROCESSES), root.get(WEB), root.ask("stop", "web.1")):
        ours = page.source.partition('id="content"')[2]
        assert "style=" not in ours.partition("<footer")[0]
        scripts = page.source.split("<script")[1:]
        assert [tag for tag in scripts if " src=" not in tag.partition(">")[0]] == []
        assert "<style" not in page.source


# ---- no supervisor that answers ----


def test_the_page_reports_that_no_supervisor_answers(admin_site: AdminSite, root: Visitor) -> None:
    problem = f"no supervisor answers at {admin_site.control}"
    message = f"No{problem[2:]}"

    for page in (root.get(PROCESSES), root.get(WEB)):
        assert (page.status, page.problem, page.rows) == (200, problem, {})
    assert root.get(f"{PROCESSES}table/").json["problem"] == problem
    assert root.ask("restart", "web.1").messages == [("error", message)]
    assert root.ask("stop", "web.1").messages == [("error", message)]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 200 OK\r\n\r\n{"])
def test_the_page_does_not_wait_for_a_hanging_supervisor(
    admin_site: AdminSite, root: Visitor, said: bytes
) -> None:
    with answering(admin_site.control, said, ends=False):
        page = root.get(PROCESSES)

    assert page.status == 200
    assert page.problem == f"the supervisor at {admin_site.control} does not answer"


def test_the_page_does_not_wait_for_a_supervisor_that_answers_byte_by_byte(
    admin_site: AdminSite, root: Visitor
) -> None:
    with answering(admin_site.control, b"HTTP/1.0 200 OK\r\n\r\n", ends=False, drips=True):
        page = root.get(PROCESSES)

    assert page.problem == f"the supervisor at {admin_site.control} does not answer"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "what answers there is not a prodserver supervisor"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", "what answers there is not a prodserver supervisor"),
        (b"HTTP/1.0 200 OK\r\n\r\n[]", "the supervisor has another version of django-prodserver"),
        (
            b'HTTP/1.0 200 OK\r\n\r\n{"api": 2}',
            "the supervisor has another version of django-prodserver",
        ),
        (
            b'HTTP/1.0 200 OK\r\n\r\n{"api": 1, "processes": [{"name": "web", "instances": [{}]}]}',
            "the supervisor has another version of django-prodserver",
        ),
        (
            b'HTTP/1.0 404 Not Found\r\n\r\n{"error": {"code": "not_found", "message": ""}}',
            "the supervisor has another version of django-prodserver, which cannot do that",
        ),
    ],
)
def test_the_page_reports_another_program_or_version_at_the_control_socket(
    admin_site: AdminSite, root: Visitor, said: bytes, problem: str
) -> None:
    with answering(admin_site.control, said):
        page = root.get(PROCESSES)
        asked = root.ask("restart", "web.1")

    assert (page.status, page.problem) == (200, problem)
    assert asked.messages == [("error", problem[0].upper() + problem[1:])]


def line(name: str, message: str) -> dict[str, str]:
    return {
        "time": "2026-11-26T12:00:00.000Z",
        "process": name,
        "stream": "stdout",
        "message": message,
    }


@contextmanager
def answering(path: Path, said: bytes, ends: bool = True, drips: bool = False) -> Iterator[None]:
    """Send each client `said`; then close, stay silent, or drip more bytes."""
    over = threading.Event()
    threads = []

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.recv(1 << 16)
            connection.sendall(said)
            while not ends and not over.wait(0.1 if drips else None):
                try:
                    connection.sendall(b" ")
                except OSError:
                    break

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
            path.unlink()
