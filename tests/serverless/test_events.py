"""Requests of each sender in one form, and answers as each sender reads them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from django_prodserver.serverless.events import (
    BASE_PATH,
    Sender,
    command_in,
    request,
    response,
    sender_of,
)

BALANCER: dict[str, Any] = {
    "httpMethod": "GET",
    "path": "/",
    "headers": {},
    "requestContext": {"elb": {"targetGroupArn": "arn"}},
}
MULTI = {"httpMethod": "GET", "path": "/", "multiValueHeaders": {}, "requestContext": {"elb": {}}}
PAYLOAD_1: dict[str, Any] = {
    "httpMethod": "GET",
    "path": "/",
    "headers": {},
    "multiValueHeaders": {},
    "requestContext": {"stage": "prod", "path": "/prod/", "identity": {"sourceIp": "192.0.2.7"}},
}
PAYLOAD_2: dict[str, Any] = {
    "version": "2.0",
    "rawPath": "/",
    "rawQueryString": "",
    "headers": {},
    "requestContext": {
        "http": {"method": "GET", "path": "/", "protocol": "HTTP/2.0", "sourceIp": "192.0.2.7"}
    },
}
EVENTS = {
    Sender.PAYLOAD_2: PAYLOAD_2,
    Sender.PAYLOAD_1: PAYLOAD_1,
    Sender.LOAD_BALANCER: MULTI,
    Sender.PLAIN_LOAD_BALANCER: BALANCER,
}
SENDERS = pytest.mark.parametrize("sender", Sender, ids=lambda sender: sender.name)


# ---- what an event is ----


@SENDERS
def test_each_sender_is_identified_by_its_events(sender: Sender) -> None:
    assert sender_of(EVENTS[sender]) is sender


@pytest.mark.parametrize(
    "event",
    [
        None,
        "text",
        [],
        {},
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
        {"source": "aws.events", "detail": {}},
        {"requestContext": {"connectionId": "x", "eventType": "CONNECT"}},
        {"httpMethod": "GET", "path": "/"},
        {"manage": ["migrate"]},
    ],
)
def test_an_event_that_is_not_a_request_has_no_sender(event: object) -> None:
    assert sender_of(event) is None


def test_an_event_with_only_the_manage_key_is_a_command() -> None:
    assert command_in({"manage": ["migrate", "--noinput"]}) == ["migrate", "--noinput"]


@pytest.mark.parametrize(
    "event",
    [
        None,
        ["migrate"],
        {},
        {"manage": []},
        {"manage": "migrate"},
        {"manage": ["migrate", 1]},
        {"manage": {"migrate": "x"}},
        {"manage": ["migrate"], "body": ""},
        *({**event, "manage": ["flush", "--noinput"]} for event in EVENTS.values()),
        *({**event, "body": '{"manage": ["flush"]}'} for event in EVENTS.values()),
    ],
)
def test_no_other_event_is_accepted_as_a_command(event: object) -> None:
    assert command_in(event) is None


# ---- requests ----


@SENDERS
def test_a_forged_x_forwarded_for_header_does_not_change_the_client_address(sender: Sender) -> None:
    forged = "203.0.113.9, 192.0.2.7"
    event = EVENTS[sender]
    headers = (
        {"multiValueHeaders": {"X-Forwarded-For": ["203.0.113.9", "203.0.113.8, 192.0.2.7"]}}
        if "multiValueHeaders" in event
        else {"headers": {"X-Forwarded-For": forged}}
    )

    asked = request({**event, **headers}, sender)

    assert asked["requestContext"]["http"]["sourceIp"] == "192.0.2.7"


@SENDERS
def test_a_converted_request_looks_like_payload_2_to_every_adapter(sender: Sender) -> None:
    asked = request(EVENTS[sender], sender)

    assert asked["version"] == "2.0"
    assert "elb" not in asked["requestContext"]
    assert sender_of({k: v for k, v in asked.items() if k != "httpMethod"}) is Sender.PAYLOAD_2


def test_a_converted_request_keeps_the_other_keys_of_its_event() -> None:
    event = {**PAYLOAD_1, "stageVariables": {"a": "b"}}
    event["requestContext"] = {**event["requestContext"], "authorizer": {"user": "ann"}}

    asked = request(event, Sender.PAYLOAD_1)

    assert asked["stageVariables"] == {"a": "b"}
    assert asked["requestContext"]["authorizer"] == {"user": "ann"}


def test_repeated_headers_are_joined_and_cookies_become_one_string() -> None:
    values = {"X-Tag": ["a", "b"], "Cookie": ["a=1", "b=2"], "Host": ["shop.example"]}

    asked = request({**PAYLOAD_1, "multiValueHeaders": values}, Sender.PAYLOAD_1)

    assert asked["headers"] == {"x-tag": "a,b", "host": "shop.example"}
    assert asked["cookies"] == ["a=1; b=2"]


def test_cookies_of_payload_2_also_become_one_string() -> None:
    asked = request({**PAYLOAD_2, "cookies": ["a=1", "b=2"]}, Sender.PAYLOAD_2)

    assert asked["cookies"] == ["a=1; b=2"]


@SENDERS
def test_headers_with_an_underscore_in_their_name_are_dropped(sender: Sender) -> None:
    kind = "multiValueHeaders" if "multiValueHeaders" in EVENTS[sender] else "headers"
    value: Any = ["https"] if kind == "multiValueHeaders" else "https"

    asked = request({**EVENTS[sender], kind: {"X_Forwarded_Proto": value}}, sender)

    assert asked["headers"] == {}


def test_the_decoded_query_string_of_payload_1_is_encoded_again() -> None:
    query = {"a": ["1 %", "ü"], "b&": ["="]}

    asked = request({**PAYLOAD_1, "multiValueQueryStringParameters": query}, Sender.PAYLOAD_1)

    assert asked["rawQueryString"] == "a=1+%25&a=%C3%BC&b%26=%3D"


def test_the_query_string_of_a_load_balancer_is_not_encoded_twice() -> None:
    several = {**MULTI, "multiValueQueryStringParameters": {"a": ["1+%25", "%C3%BC"]}}
    single = {**BALANCER, "queryStringParameters": {"a": "1+%25", "b": "ü"}}

    assert request(several, Sender.LOAD_BALANCER)["rawQueryString"] == "a=1+%25&a=%C3%BC"
    assert request(single, Sender.PLAIN_LOAD_BALANCER)["rawQueryString"] == "a=1+%25&b=%C3%BC"


@pytest.mark.parametrize("path", ["/é%20x/100%", "/%C3%A9 x/100%"])
@SENDERS
def test_a_path_is_encoded_whether_the_sender_has_decoded_it_or_not(
    sender: Sender, path: str
) -> None:
    asked = request({**EVENTS[sender], "path": path, "rawPath": path}, sender)

    assert asked["rawPath"] == asked["requestContext"]["http"]["path"] == "/%C3%A9%20x/100%"


@pytest.mark.parametrize(
    ("path", "base_path", "rest"),
    [
        ("/prod/shop", "/prod", "/shop"),
        ("/prod", "/prod", "/"),
        ("/prod/", "/prod", "/"),
        ("/production/shop", "", "/production/shop"),
        ("/shop/prod", "", "/shop/prod"),
    ],
)
def test_the_base_path_is_split_off_only_at_the_start_of_a_path(
    path: str, base_path: str, rest: str
) -> None:
    asked = request({**PAYLOAD_2, "rawPath": path}, Sender.PAYLOAD_2, "/prod")

    assert (asked[BASE_PATH], asked["rawPath"]) == (base_path, rest)


def test_the_stage_missing_from_a_payload_1_path_is_read_from_the_context() -> None:
    context = {"requestContext": {"path": "/prod/prod/shop", "identity": {}}}

    asked = request({**PAYLOAD_1, "path": "/prod/shop", **context}, Sender.PAYLOAD_1, "/prod")

    assert (asked[BASE_PATH], asked["rawPath"]) == ("/prod", "/prod/shop")


def test_without_a_base_path_the_stage_is_not_added_to_the_path() -> None:
    asked = request({**PAYLOAD_1, "path": "/shop"}, Sender.PAYLOAD_1)

    assert (asked[BASE_PATH], asked["rawPath"]) == ("", "/shop")


def test_null_values_in_a_console_test_event_are_accepted() -> None:
    nothing = dict.fromkeys(
        ["headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters"]
    )
    context = {"requestContext": {"identity": None}}

    asked = request({**PAYLOAD_1, **nothing, **context}, Sender.PAYLOAD_1)

    assert (asked["headers"], asked["cookies"], asked["rawQueryString"]) == ({}, [], "")
    assert asked["requestContext"]["http"]["sourceIp"] == ""


# ---- answers ----

ANSWER = {
    "statusCode": 200,
    "headers": {"content-type": "text/plain", "x-a": "1"},
    "cookies": ["a=1", "b=2", "c=3"],
    "body": "text",
    "isBase64Encoded": False,
}
BODY = {"statusCode": 200, "body": "text", "isBase64Encoded": False}


def test_a_response_to_payload_2_has_its_cookies_in_a_list() -> None:
    headers = {"content-type": "text/plain", "x-a": "1"}
    cookies = ["a=1", "b=2", "c=3"]

    assert response(ANSWER, Sender.PAYLOAD_2, "GET") == {
        **BODY,
        "headers": headers,
        "cookies": cookies,
    }


@pytest.mark.parametrize("sender", [Sender.PAYLOAD_1, Sender.LOAD_BALANCER])
def test_a_response_to_other_senders_has_lists_of_header_values(sender: Sender) -> None:
    headers = {"content-type": ["text/plain"], "x-a": ["1"], "set-cookie": ["a=1", "b=2", "c=3"]}

    assert response(ANSWER, sender, "GET") == {**BODY, "multiValueHeaders": headers}


def test_a_load_balancer_without_multi_value_headers_gets_all_cookies() -> None:
    headers = response(ANSWER, Sender.PLAIN_LOAD_BALANCER, "GET")["headers"]

    cookies = {name: value for name, value in headers.items() if name.lower() == "set-cookie"}
    assert sorted(cookies.values()) == ["a=1", "b=2", "c=3"]
    assert headers["x-a"] == "1"


def test_a_load_balancer_without_multi_value_headers_gets_180_cookies() -> None:
    many = {**ANSWER, "headers": {}, "cookies": [f"c{number}=" for number in range(180)]}

    headers = response(many, Sender.PLAIN_LOAD_BALANCER, "GET")["headers"]

    assert list(headers.values()) == many["cookies"]


@SENDERS
def test_only_binary_bodies_are_sent_as_base64(sender: Sender) -> None:
    text = b64encode("größer".encode()).decode()
    binary = b64encode(b"\x89PNG").decode()
    packed = {**ANSWER, "isBase64Encoded": True}

    sent = [response({**packed, "body": body}, sender, "GET") for body in (text, binary)]

    assert [(one["body"], one["isBase64Encoded"]) for one in sent] == [
        ("größer", False),
        (binary, True),
    ]


def test_an_answer_to_head_has_no_body() -> None:
    assert response(ANSWER, Sender.PAYLOAD_2, "HEAD")["body"] == ""


def test_an_empty_content_type_header_is_dropped() -> None:
    answer = {"statusCode": 304, "headers": {"content-type": "", "x-empty": ""}}

    assert response(answer, Sender.PAYLOAD_2, "GET")["headers"] == {"x-empty": ""}
