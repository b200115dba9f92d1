"""What `prodctl top` makes of a status and of lines, without a terminal or a supervisor."""

from __future__ import annotations

from typing import Any

import pytest

from django_prodserver.prodctl.top.queries import LONGEST_LINE, Request, line

STATUS = {
    "processes": [
        {"name": "web", "replicas": 1, "instances": [{"name": "web.1"}]},
        {"name": "worker", "replicas": 2, "instances": [{"name": "worker.1"}]},
    ]
}


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (Request("restart", "web.1"), {"names": ["web.1"]}),
        (Request("scale", "worker", 1), {"counts": {"worker": 3}}),
        (Request("scale", "web", -1), {"counts": {"web": 0}}),
        (Request("scale", "web", -2), {"counts": {"web": 0}}),
    ],
)
def test_a_restart_or_scale_request_has_the_right_body(
    request_: Request, body: dict[str, Any]
) -> None:
    assert request_.body(STATUS) == body


def shown(message: object) -> str:
    return line({"time": "2026-11-26T12:00:01.000Z", "message": message})[len("12:00:01 ") :]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("as it is", "as it is"),
        ("\x1b[1;32mgreen\x1b[0m and \x1b[38;5;1mred\x1b[m", "green and red"),
        ("\x1b[2Jcleared", "\\x1b[2Jcleared"),
        ("\x1b]0;taken\x07", "\\x1b]0;taken\\x07"),
        ("\x9b2Jby one byte", "\\x9b2Jby one byte"),
        ("a\ttab, and [markup]", "a tab, and [markup]"),
        ("\u202ereversed", "\\u202ereversed"),
        ("", ""),
        (7, "7"),
    ],
)
def test_a_line_of_a_log_cannot_control_the_terminal(message: object, expected: str) -> None:
    assert shown(message) == expected


def test_a_long_line_is_cut() -> None:
    assert len(line({"time": "2026-11-26T12:00:01.000Z", "message": "x" * 10**6})) == LONGEST_LINE


def test_the_number_of_missing_lines_is_shown() -> None:
    assert line({"lost": 12}) == "... 12 lines are missing here ..."
