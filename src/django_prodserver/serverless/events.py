"""HTTP in Lambda: converts requests of four senders to one form, and answers to each sender's form.

Every request becomes payload 2.0: only that form has the query string as it was sent, separate
cookies, and the client's address as the sender knows it. The adapters see only this form, so they
behave alike for every sender. An answer in payload 2.0 becomes the form that the sender reads.

Pure: events and answers consist of JSON types.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import product
from string import punctuation
from typing import Any, Optional
from urllib.parse import quote, urlencode

Event = Mapping[str, Any]
# Lower-case name -> values.
Headers = Mapping[str, list[str]]

# Our own key in a request in payload 2.0: the prefix of its path that is not part of the site's
# URLs. AWS has no such key.
BASE_PATH = "prodserverBasePath"


class Sender(Enum):
    """What sends an event and reads the answer."""

    # https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html, and API Gateway.
    PAYLOAD_2 = "API Gateway, payload 2.0, or a function URL"
    PAYLOAD_1 = "API Gateway, payload 1.0"
    LOAD_BALANCER = "a load balancer with multi-value headers"
    PLAIN_LOAD_BALANCER = "a load balancer without multi-value headers"


def sender_of(event: object) -> Optional[Sender]:
    """Return the sender of an event; None if it is not an HTTP request."""
    context = event.get("requestContext") if isinstance(event, Mapping) else None
    if not isinstance(event, Mapping) or not isinstance(context, Mapping):
        return None
    if "httpMethod" in event and "path" in event:
        if "elb" not in context:
            return Sender.PAYLOAD_1
        several = "multiValueHeaders" in event
        return Sender.LOAD_BALANCER if several else Sender.PLAIN_LOAD_BALANCER
    if "rawPath" in event and isinstance(context.get("http"), Mapping):
        return Sender.PAYLOAD_2
    return None


def command_in(event: object) -> Optional[list[str]]:
    """Return the management command in an event such as `{"manage": ["migrate", "--noinput"]}`.

    `manage` must be its only key. The events of all senders have more keys, whatever a client
    sends, so no request can be mistaken for a command.
    """
    if not isinstance(event, Mapping) or set(event) != {"manage"}:
        return None
    words = event["manage"]
    if not isinstance(words, list) or not words:
        return None
    return words if all(isinstance(word, str) for word in words) else None


# ---- requests ----


def request(event: Event, sender: Sender, base_path: str = "") -> dict[str, Any]:
    """Convert a request to payload 2.0, and move `base_path` from its path to a key of its own."""
    context = event["requestContext"]
    headers = _headers(event)
    cookies = "; ".join([*(event.get("cookies") or ()), *headers.pop("cookie", ())])
    own = context.get("http") or {}
    base_path, path = _mounted(_path(event, sender, base_path), base_path)
    http = {
        "protocol": "HTTP/1.1",
        **own,
        "method": own.get("method") or event["httpMethod"],
        "path": path,
        "sourceIp": _client(context, sender, headers),
    }
    return {
        **event,
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": _query(event, sender),
        # One string, because each adapter joins several cookies in another way.
        "cookies": [cookies] if cookies else [],
        "headers": {name: ",".join(values) for name, values in headers.items()},
        # The adapters take an event with "elb" for one of a load balancer, which this no longer is.
        "requestContext": {**{k: v for k, v in context.items() if k != "elb"}, "http": http},
        BASE_PATH: base_path,
    }


def _headers(event: Event) -> dict[str, list[str]]:
    """Drop names with a `_`: Django reads X_Real_User as X-Real-User, which proxies set."""
    single = {name: [value] for name, value in (event.get("headers") or {}).items()}
    headers: dict[str, list[str]] = {}
    for name, values in (event.get("multiValueHeaders") or single).items():
        if "_" not in name:
            headers.setdefault(name.lower(), []).extend(values)
    return headers


def _path(event: Event, sender: Sender, base_path: str) -> str:
    """Return the path percent-encoded, even if the sender decoded it: the adapters decode it."""
    if sender is Sender.PAYLOAD_2:
        path = event["rawPath"]
    elif base_path:
        # Without a custom domain, this is the only path in which API Gateway includes the stage.
        path = event["requestContext"].get("path") or event["path"]
    else:
        path = event["path"]
    return _ascii(path)


def _mounted(path: str, base_path: str) -> tuple[str, str]:
    """Split a path into the base path and the rest; "" if it does not begin with the base path."""
    if base_path and f"{path}/".startswith(f"{base_path}/"):
        return base_path, path[len(base_path) :] or "/"
    return "", path or "/"


def _query(event: Event, sender: Sender) -> str:
    if sender is Sender.PAYLOAD_2:
        return str(event.get("rawQueryString") or "")
    single = event.get("queryStringParameters") or {}
    several = event.get("multiValueQueryStringParameters") or {k: [v] for k, v in single.items()}
    if sender is Sender.PAYLOAD_1:
        return urlencode(several, doseq=True)
    # Load balancers do not decode the query string.
    return _ascii("&".join(f"{key}={value}" for key in several for value in several[key]))


def _ascii(text: str) -> str:
    return quote(text, safe=punctuation)


def _client(context: Event, sender: Sender, headers: Headers) -> str:
    """Return the address at the other end of the connection to the sender.

    It comes last in X-Forwarded-For. Clients may send that header, too, so anything may precede it.
    """
    if sender is Sender.PAYLOAD_2:
        return str(context["http"].get("sourceIp") or "")
    if sender is Sender.PAYLOAD_1:
        return str((context.get("identity") or {}).get("sourceIp") or "")
    return headers.get("x-forwarded-for", [""])[-1].rpartition(",")[2].strip()


# ---- answers ----


def response(answer: Event, sender: Sender, method: str) -> dict[str, Any]:
    """Convert an answer from payload 2.0 to the sender's form, without a body if it is for HEAD."""
    body = "" if method == "HEAD" else answer.get("body") or ""
    content = b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    # An empty Content-Type means none; see `adapters`.
    given = answer.get("headers") or {}
    headers = {name: value for name, value in given.items() if value or name != "content-type"}
    cookies = answer.get("cookies") or []
    shaped = {"statusCode": answer["statusCode"], **_body(content)}
    if sender is Sender.PAYLOAD_2:
        return {**shaped, "headers": headers, "cookies": cookies}
    if sender is Sender.PLAIN_LOAD_BALANCER:
        # It takes one value for each name, but treats names that differ in case as different.
        return {**shaped, "headers": {**headers, **dict(zip(_spellings("set-cookie"), cookies))}}
    several = {name: [value] for name, value in headers.items()}
    if cookies:
        several["set-cookie"] = cookies
    return {**shaped, "multiValueHeaders": several}


def _body(content: bytes) -> dict[str, Any]:
    """Return it as text if possible: Base64 is a third longer, and Lambda's limit is 6 MB."""
    try:
        return {"body": content.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": b64encode(content).decode(), "isBase64Encoded": True}


def _spellings(name: str) -> Iterator[str]:
    """Yield every mix of lower and upper case: 512 spellings of set-cookie."""
    return map("".join, product(*(sorted({letter, letter.upper()}) for letter in name)))
