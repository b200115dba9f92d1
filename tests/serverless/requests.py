"""Requests as clients send them, and the Lambda event that each sender makes of one."""

from __future__ import annotations

import random
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any
from urllib.parse import quote_plus, urlencode

from django_prodserver.serverless.events import Sender

# The client's address for every sender, and the peer address that gunicorn sees.
CLIENT = "127.0.0.1"
ADDED = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "443")]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    # Not URL-encoded; repeated keys are adjacent.
    query: Sequence[tuple[str, str]] = ()
    headers: Sequence[tuple[str, str]] = ()
    cookies: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """The headers that the application must see, whichever sender passes the request on."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies)
        return [
            ("Host", "shop.example"),
            *(pair for pair in self.headers if pair[0] != "X-Forwarded-For"),
            *([("Cookie", cookie)] if cookie else []),
            *([("Content-Length", str(len(self.body)))] if self.body else []),
            ("X-Forwarded-For", forwarded(self)),
            *ADDED,
        ]


def forwarded(request: Request) -> str:
    """The sender appends the client's address to what the client itself has sent."""
    written = [value for name, value in request.headers if name == "X-Forwarded-For"]
    return ", ".join([*written, CLIENT])


def as_far_as_sent(request: Request, sender: Sender) -> Request:
    """Drop what the sender loses: a plain load balancer passes on the last of repeated values."""
    if sender is not Sender.PLAIN_LOAD_BALANCER:
        return request
    query, headers = dict(request.query), dict(request.headers)
    return replace(request, query=[*query.items()], headers=[*headers.items()])


# ---- random requests ----

TEXT = "Größe 100 % & mehr + \U0001f40d"
KEYS = ["a", "b c", "ü", "per%cent", "e=q&l"]
VALUES = ["", "1", "x y", "50%", "%41", "a+b", "a&b=c", TEXT]
PATHS = ["/", "/echo/a", "/echo/a%20b/", "/echo/%C3%A9t%C3%A9", "/echo/a+b;c,d", "/echo/100%25"]
METHODS = ["GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]
STATUSES = ["200", "200", "201", "400", "404", "418", "500", "503"]
OTHERS = ["/image", "/latin", "/streamed", "/compressed", "/unchanged", "/fails", "/nowhere"]


def some_request(chance: random.Random) -> Request:
    if chance.random() < 0.3:
        return Request(chance.choice(["GET", "HEAD"]), chance.choice(OTHERS))
    query = [("status", chance.choice(STATUSES)), ("cookies", str(chance.randrange(4)))]
    for key in chance.sample(KEYS, chance.randrange(4)):
        query += [(key, chance.choice(VALUES)) for _ in range(chance.randrange(1, 4))]
    method = chance.choice(METHODS)
    headers = [("X-Tag", "one"), ("X-Tag", "two"), ("X_Tag", "forged"), ("X-Empty", "")]
    if chance.random() < 0.5:
        headers.append(("X-Forwarded-For", "203.0.113.9"))
    body = b""
    if method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
        kind, body = chance.choice(
            [
                ("application/octet-stream", chance.randbytes(chance.randrange(2000))),
                ("text/plain; charset=utf-8", (TEXT * chance.randrange(40)).encode()),
                ("application/json", b'{"manage": ["flush", "--noinput"]}'),
                ("application/x-www-form-urlencoded", b"a=1&a=%25"),
            ]
        )
        headers.append(("Content-Type", kind))
    cookies = [(f"k{number}", f"v{number}") for number in range(chance.randrange(4))]
    return Request(method, chance.choice(PATHS), query, headers, cookies, body)


# ---- events ----


def event(request: Request, sender: Sender, *, function_url: bool = False) -> dict[str, Any]:
    """Return the event; with payload 2.0, from API Gateway or from a function URL."""
    headers = request.all_headers
    if sender is Sender.PAYLOAD_2:
        return _payload_2(request, headers, FUNCTION_URL if function_url else HTTP_API)
    encoded = sender is not Sender.PAYLOAD_1
    several = {
        quote_plus(key) if encoded else key: [
            quote_plus(value) if encoded else value for _, value in pairs
        ]
        for key, pairs in groupby(request.query, lambda pair: pair[0])
    }
    found: dict[str, Any] = {
        "httpMethod": request.method,
        "path": request.path,
        **_body(request),
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
    }
    if sender is Sender.PAYLOAD_1:
        found["resource"] = "/{proxy+}"
        found["requestContext"] = {
            "stage": "prod",
            "path": f"/prod{request.path}",
            "identity": {"sourceIp": CLIENT},
        }
    if sender is not Sender.PLAIN_LOAD_BALANCER:
        found["multiValueHeaders"] = _lists(headers)
        found["multiValueQueryStringParameters"] = several or None
    if sender is not Sender.LOAD_BALANCER:
        found["headers"] = dict(headers)
        found["queryStringParameters"] = {key: values[-1] for key, values in several.items()}
    return found


HTTP_API = {"accountId": "123456789012", "domainName": "x.execute-api.eu-west-1.amazonaws.com"}
FUNCTION_URL = {
    "accountId": "anonymous",
    "authentication": None,
    "authorizer": None,
    "domainName": "x.lambda-url.eu-west-1.on.aws",
}


def _payload_2(
    request: Request, headers: list[tuple[str, str]], context: Mapping[str, Any]
) -> dict[str, Any]:
    others = [(name.lower(), value) for name, value in headers if name != "Cookie"]
    query = request.target.partition("?")[2]
    cookies = [f"{name}={value}" for name, value in request.cookies]
    # Cookies and body are left out when they are empty.
    given = {"cookies": cookies} if cookies else {}
    body = _body(request) if request.body else {"isBase64Encoded": False}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": query,
        "headers": {name: ",".join(values) for name, values in _lists(others).items()},
        "requestContext": {
            **context,
            "stage": "$default",
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": CLIENT,
            },
        },
        **given,
        **body,
    }


def _lists(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _body(request: Request) -> dict[str, Any]:
    try:
        return {"body": request.body.decode() or None, "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": b64encode(request.body).decode(), "isBase64Encoded": True}


# ---- answers ----

# Headers of the connection or of the server.
NOT_COMPARED = {"date", "server", "connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


def answer(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
    kept = [(name.lower(), value) for name, value in headers]
    return Answer(status, sorted(pair for pair in kept if pair[0] not in NOT_COMPARED), body)


def received(document: dict[str, Any], sender: Sender) -> Answer:
    """What the client receives, made only from the fields that this sender reads."""
    if sender is Sender.PAYLOAD_2:
        headers = [*document["headers"].items()]
        headers += [("set-cookie", cookie) for cookie in document["cookies"]]
    elif sender is Sender.PLAIN_LOAD_BALANCER:
        headers = [*document["headers"].items()]
    else:
        several = document["multiValueHeaders"]
        headers = [(name, value) for name, values in several.items() for value in values]
    text = document["body"]
    body = b64decode(text) if document["isBase64Encoded"] else text.encode()
    return answer(document["statusCode"], headers, body)
