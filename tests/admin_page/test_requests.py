"""What the buttons do, and how the outcome is shown."""

from __future__ import annotations

from typing import Any

import pytest

from .supervisor import FakeSupervisor, instance, process
from .visitor import PROCESSES, Visitor


@pytest.mark.parametrize(
    ("verb", "name", "message"),
    [
        ("restart", "web.1", "Restarted web.1."),
        ("start", "web.1", "Started web.1."),
        ("restart", "worker", "Restarted worker."),
    ],
)
def test_a_button_sends_a_request_to_the_supervisor_and_shows_the_outcome(
    root: Visitor, fake: FakeSupervisor, verb: str, name: str, message: str
) -> None:
    page = root.ask(verb, name)

    assert fake.asked == [(f"/v1/{verb}", {"names": [name]})]
    assert page.url.endswith(PROCESSES)
    assert page.messages == [("success", message)]


def test_a_button_on_the_page_of_a_process_returns_to_that_page(
    root: Visitor, fake: FakeSupervisor
) -> None:
    page = root.ask("restart", "web.1", from_one="1")

    assert page.url.endswith(f"{PROCESSES}web.1/change/")
    assert page.messages == [("success", "Restarted web.1.")]


def test_a_stop_requires_confirmation(root: Visitor, fake: FakeSupervisor) -> None:
    asked = root.ask("stop", "web.1")

    assert fake.asked == []
    assert asked.status == 200
    assert "Stop web.1?" in asked.text
    confirmed = root.ask("stop", "web.1", confirmed="yes")
    assert fake.asked == [("/v1/stop", {"names": ["web.1"]})]
    assert confirmed.messages == [("success", "Stopped web.1.")]


@pytest.mark.parametrize(
    ("change", "level", "message"),
    [
        ({"state": "running"}, "info", "Restarting web.1."),
        ({"state": "done", "message": "nothing to do"}, "success", "Restart web.1: nothing to do"),
        (
            {"state": "failed", "message": "web.1 exited with status 3"},
            "error",
            "Restart failed: web.1 exited with status 3",
        ),
    ],
)
def test_the_message_shows_whether_the_request_is_running_done_or_failed(
    root: Visitor, fake: FakeSupervisor, change: dict[str, Any], level: str, message: str
) -> None:
    fake.change.update(change)

    assert root.ask("restart", "web.1").messages == [(level, message)]


def test_a_refused_request_shows_the_message_of_the_supervisor(
    root: Visitor, fake: FakeSupervisor
) -> None:
    fake.refusal = (409, "stopping", "everything is being stopped")

    assert root.ask("restart", "web.1").messages == [("error", "Everything is being stopped")]
    assert "Everything is being stopped" not in root.get(PROCESSES).text
    assert "Requested a restart." not in root.get(f"{PROCESSES}refused.1/history/").text


def test_a_forbidden_request_shows_the_message_of_the_supervisor(
    root: Visitor, fake: FakeSupervisor
) -> None:
    fake.refusal = (403, "forbidden", "the user with id 33 may only read")

    assert root.ask("restart", "web.1").messages == [("error", "The user with id 33 may only read")]


@pytest.mark.parametrize(
    ("verb", "name", "message"),
    [
        ("shutdown", "web.1", "A request needs a name, and one of the verbs restart, start, stop."),
        ("", "web.1", "A request needs a name, and one of the verbs restart, start, stop."),
        ("restart", "", "A request needs a name, and one of the verbs restart, start, stop."),
        ("restart", "wbe", "No process or instance is named 'wbe'; did you mean 'web'?"),
        (
            "stop",
            "all",
            "No process or instance is named 'all'; known: web, worker, web.1, worker.1",
        ),
        (
            "restart",
            "w*",
            "No process or instance is named 'w*'; known: web, worker, web.1, worker.1",
        ),
    ],
)
def test_an_invalid_request_shows_an_error_and_is_not_sent_to_the_supervisor(
    root: Visitor, fake: FakeSupervisor, verb: str, name: str, message: str
) -> None:
    page = root.ask(verb, name)

    assert (page.status, page.messages) == (200, [("error", message)])
    assert fake.asked == []


def test_the_admin_log_records_each_request_and_its_user(
    visitors: dict[str, Visitor], fake: FakeSupervisor
) -> None:
    fake.of(process("diary", instance("diary.1")))
    visitors["operator"].ask("restart", "diary.1")
    visitors["root"].ask("stop", "diary.1", confirmed="yes")

    history = visitors["root"].get(f"{PROCESSES}diary.1/history/")

    said = history.text.partition("Date/time User Action")[2]
    first, _, second = said.partition("Requested a restart.")
    assert "operator" in first
    assert "root" in second.partition("Requested a stop.")[0]
    index = visitors["root"].get("/admin/")
    assert f"{PROCESSES}diary.1/change/" in index.source


def test_a_refused_request_is_not_recorded_in_the_admin_log(
    root: Visitor, fake: FakeSupervisor
) -> None:
    fake.of(process("quiet", instance("quiet.1")))
    fake.refusal = (409, "stopping", "everything is being stopped")
    root.ask("restart", "quiet.1")

    assert "Requested" not in root.get(f"{PROCESSES}quiet.1/history/").text
