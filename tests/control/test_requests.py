"""Requests: what is understood, and one sentence for each mistake."""

from __future__ import annotations

from signal import Signals
from typing import Any

import pytest

from django_prodserver.control.changes import Target
from django_prodserver.control.requests import MOST_INSTANCES, VERBS, Accepted, Refused, understand
from django_prodserver.control.routes import Route, route
from django_prodserver.supervisor.events import (
    GoalRequest,
    Notified,
    RestartRequest,
    ScaleRequest,
    ShutdownRequest,
    Signalled,
    SignalRequest,
    Spawned,
)
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.snapshot import GroupSnapshot
from django_prodserver.supervisor.spec import Goal, Ref, Spec

ONLY_ONE = {"beat": "every instance would do the same work"}


def group() -> Group:
    """Two webs and a beat, of which web.1 is ready, web.2 starts, and beat.1 waits for them."""
    made = Group(
        [
            Spec("web.1", notifies=True),
            Spec("web.2", notifies=True),
            Spec("beat.1", after=frozenset({"web.1", "web.2"})),
        ]
    )
    made.start(0.0)
    made.tick(0.0)
    made.tick(0.0)
    made.take(0.0, Spawned(Ref("web.1", 0, 1)))
    made.take(0.0, Spawned(Ref("web.2", 0, 1)))
    made.take(0.0, Notified(Ref("web.1", 0, 1), ready=True))
    return made


SNAPSHOT: GroupSnapshot = group().snapshot(1.0)
UP, DOWN, NEW = Target.UP, Target.DOWN, Target.REPLACED


@pytest.mark.parametrize(
    ("verb", "body", "requests", "targets"),
    [
        (
            "stop",
            {"names": ["web"]},
            (GoalRequest("web", Goal.DOWN),),
            {"web.1": DOWN, "web.2": DOWN},
        ),
        (
            "start",
            {"names": ["web.2", "beat", "web.2"]},
            (GoalRequest("web.2", Goal.UP), GoalRequest("beat", Goal.UP)),
            {"web.2": UP, "beat.1": UP},
        ),
        ("restart", {"names": ["web.1"]}, (RestartRequest("web.1"),), {"web.1": NEW}),
        (
            "scale",
            {"counts": {"web": 3}},
            (ScaleRequest("web", 3),),
            {"web.1": UP, "web.2": UP, "web.3": UP},
        ),
        (
            "scale",
            {"counts": {"web": 0, "beat": 1}},
            (ScaleRequest("web", 0), ScaleRequest("beat", 1)),
            {"web.1": DOWN, "web.2": DOWN, "beat.1": UP},
        ),
        (
            "shutdown",
            {},
            (ShutdownRequest(),),
            dict.fromkeys(["web.1", "web.2", "beat.1"], Target.GONE),
        ),
    ],
)
def test_a_valid_body_is_translated_to_requests_and_targets(
    verb: str, body: Any, requests: tuple[Any, ...], targets: dict[str, Target]
) -> None:
    found = understand(verb, body, SNAPSHOT, ONLY_ONE)

    assert isinstance(found, Accepted)
    assert (found.requests, dict(found.targets)) == (requests, targets)


@pytest.mark.parametrize("given", ["HUP", "hup", "SIGHUP", 1, "1"])
def test_a_signal_may_be_given_by_name_or_number(given: Any) -> None:
    found = understand("signal", {"names": ["web"], "signal": given}, SNAPSHOT, {})

    assert isinstance(found, Accepted)
    assert found.requests == (SignalRequest("web", Signals.SIGHUP),)
    assert set(found.targets.values()) == {Target.ANYTHING}


NAMES = "'names' must be a list of names of processes or instances"


@pytest.mark.parametrize(
    ("verb", "body", "status", "message"),
    [
        ("stop", [], 400, "the body must be a JSON object"),
        ("stop", None, 400, "the body must be a JSON object"),
        ("stop", {}, 400, "stop takes 'names' in a JSON object"),
        ("stop", {"name": "web"}, 400, "stop takes 'names' in a JSON object"),
        ("stop", {"names": ["web"], "x": 1}, 400, "stop takes 'names' in a JSON object"),
        ("shutdown", {"names": []}, 400, "shutdown takes nothing in a JSON object"),
        ("stop", {"names": "web"}, 400, NAMES),
        ("stop", {"names": []}, 400, NAMES),
        ("stop", {"names": [1]}, 400, NAMES),
        ("stop", {"names": ["web", "wbe"]}, 404, "no process or instance is named 'wbe'"),
        ("restart", {"names": ["web.9"]}, 404, "no process or instance is named 'web.9'"),
        ("restart", {"names": [""]}, 404, "no process or instance is named ''"),
        (
            "signal",
            {"names": ["web"], "signal": "HUPP"},
            400,
            "'HUPP' is not a signal: write a name such as 'HUP', or a number",
        ),
        (
            "signal",
            {"names": ["web"], "signal": 999},
            400,
            "999 is not a signal: write a name such as 'HUP', or a number",
        ),
        ("signal", {"names": ["beat"], "signal": "HUP"}, 409, "beat.1: not running"),
        (
            "scale",
            {"counts": []},
            400,
            "'counts' must be an object with a number for each process",
        ),
        (
            "scale",
            {"counts": {}},
            400,
            "'counts' must be an object with a number for each process",
        ),
        *(
            (
                "scale",
                {"counts": {"web": count}},
                400,
                f"the count of web must be an integer from 0 to {MOST_INSTANCES}; got {count!r}",
            )
            for count in ("x", -1, 1.5, True, None, MOST_INSTANCES + 1)
        ),
        ("scale", {"counts": {"wbe": 1}}, 404, "no process or instance is named 'wbe'"),
        ("scale", {"counts": {"web.1": 1}}, 404, "no process or instance is named 'web.1'"),
        (
            "scale",
            {"counts": {"beat": 2}},
            409,
            "there can be only one instance of beat: every instance would do the same work",
        ),
    ],
)
def test_an_invalid_request_is_refused_with_a_status_and_a_message(
    verb: str, body: Any, status: int, message: str
) -> None:
    found = understand(verb, body, SNAPSHOT, ONLY_ONE)

    assert isinstance(found, Refused)
    assert (found.status, found.message) == (status, message)


def test_while_everything_stops_only_a_shutdown_is_accepted() -> None:
    stopping = group()
    stopping.take(1.0, Signalled(Signals.SIGTERM))
    snapshot = stopping.snapshot(1.0)

    for verb, (keys, _) in VERBS.items():
        body: dict[str, Any] = {"names": ["web"], "signal": "HUP", "counts": {"web": 1}}
        found = understand(verb, {key: body[key] for key in keys}, snapshot, {})
        if verb == "shutdown":
            assert isinstance(found, Accepted)
        else:
            assert found == Refused(409, "stopping", "everything is being stopped")


# ---- routes ----


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/v1/status", Route("status")),
        ("HEAD", "/healthz", Route("healthz")),
        ("GET", "/v1/changes/12", Route("change", argument="12")),
        ("POST", "/v1/restart", Route("restart", changes=True)),
        ("GET", "/v1/restart", Refused(405, "wrong_method", "/v1/restart takes POST, not GET")),
        (
            "POST",
            "/v1/status",
            Refused(405, "wrong_method", "/v1/status takes GET or HEAD, not POST"),
        ),
        *(
            ("GET", path, Refused(404, "not_found", f"{path} does not exist"))
            for path in (
                *("", "/", "/v1", "/v1/", "/v1/status/", "//v1/status", "/V1/status", "/v2/status"),
                *("/v1/changes/", "/v1/changes/x", "/v1/changes/1/2", "/v1/changes/-1"),
                *("/v1/__class__", "/v1/../v1/status", "*", "http://x/v1/status"),
            )
        ),
    ],
)
def test_only_paths_and_methods_in_the_route_table_are_accepted(
    method: str, path: str, found: object
) -> None:
    assert route(method, path) == found


@pytest.mark.parametrize("verb", ["restart", "signal"])
def test_a_request_for_a_process_skips_instances_removed_by_scaling(verb: str) -> None:
    made = group()
    made.take(1.0, ScaleRequest("web", 3))
    made.take(1.0, ScaleRequest("web", 2))
    body = {"names": ["web"], **({"signal": "HUP"} if verb == "signal" else {})}

    asked = understand(verb, body, made.snapshot(2.0), {})

    assert isinstance(asked, Accepted)
    assert [*asked.targets] == ["web.1", "web.2"]
