"""A visitor to the admin: a browser without scripts."""

from __future__ import annotations

import http.cookiejar
import json
import re
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, Request, build_opener

PROCESSES = "/admin/django_prodserver/process/"
ASK = f"{PROCESSES}ask/"


class Page(NamedTuple):
    """A response: its status, its URL after redirects, and its source."""

    status: int
    url: str
    source: str

    @property
    def json(self) -> Any:
        return json.loads(self.source)

    @property
    def text(self) -> str:
        """The visible text, without tags, and with single spaces."""
        reader = _Text()
        reader.feed(self.source)
        return " ".join(" ".join(reader.parts).split())

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Django's messages, with their levels."""
        found = re.search(r'<ul class="messagelist">(.*?)</ul>', self.source, re.DOTALL)
        items = re.findall(r'<li class="(\w+)">(.*?)</li>', found[1]) if found else []
        return [(level, Page(200, "", text).text) for level, text in items]

    @property
    def problem(self) -> str:
        """Why the page has nothing to show, or ""."""
        found = re.search(r'id="prodserver-problem">(.*?)</p>', self.source, re.DOTALL)
        return Page(200, "", found[1]).text if found else ""

    @property
    def rows(self) -> dict[str, str]:
        """The text of each row of the table, by name."""
        rows = re.findall(r'<tr data-name="([^"]*)".*?</tr>', self.source, re.DOTALL)
        parts = self.source.split("<tr data-name=")[1:]
        return {
            name: Page(200, "", f"<tr {part}".partition("</tr>")[0]).text
            for name, part in zip(rows, parts)
        }

    def buttons(self, name: str) -> list[str]:
        """The enabled buttons of a row."""
        row = re.search(rf'<tr data-name="{re.escape(name)}".*?</tr>', self.source, re.DOTALL)
        assert row is not None, name
        found = re.findall(r"<button ([^>]*)>", row[0])
        return [re.findall(r'value="(\w+)"', one)[0] for one in found if "disabled" not in one]


class Visitor:
    """Keeps cookies, follows redirects, and sends the CSRF token of forms, unless told not to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._cookies = http.cookiejar.CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self._cookies))

    def log_in(self, name: str, site: str = "/admin/") -> Visitor:
        self.get(f"{site}login/")
        page = self.post(f"{site}login/", username=name, password=name, next=site)
        assert page.status == 200
        assert "Log out" in page.text
        return self

    def get(self, path: str) -> Page:
        return self._open(Request(self._url(path)))

    def post(self, path: str, token: str = "", **fields: Any) -> Page:
        given = token or self._token()
        form = {"csrfmiddlewaretoken": given, **fields}
        data = urlencode(form, doseq=True).encode()
        return self._open(Request(self._url(path), data))

    def ask(self, verb: str, name: str, **fields: Any) -> Page:
        return self.post(ASK, verb=verb, name=name, **fields)

    def _token(self) -> str:
        return next((one.value or "" for one in self._cookies if one.name == "csrftoken"), "")

    def _url(self, path: str) -> str:
        return urljoin(self.address, path)

    def _open(self, request: Request) -> Page:
        try:
            with self._opener.open(request, timeout=60) as response:
                return Page(response.status, response.url, response.read().decode())
        except HTTPError as error:
            with error:
                return Page(error.code, error.url or "", error.read().decode())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
