"""Values that the settings give as text: sizes, targets of health checks."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from django_prodserver.settings.texts import (
    memory_size,
    path_or_url,
    program_and_arguments,
    tcp_address,
)


def refusal(reader: Callable[[Any], object], given: Any) -> str:
    with pytest.raises(ValueError, match=r"\w") as error:
        reader(given)
    return str(error.value)


SIZES = [
    ("512MB", 512_000_000),
    ("512mb", 512_000_000),
    ("512 MB", 512_000_000),
    ("1kB", 1000),
    ("1KB", 1000),
    ("1.5GB", 1_500_000_000),
    ("2TB", 2 * 10**12),
    ("1KiB", 1024),
    ("512MiB", 512 * 2**20),
    ("0.5gib", 2**29),
    ("1TiB", 2**40),
    ("1048576", 2**20),
    ("1048576B", 2**20),
    ("1.0001kB", 1000),
    (7, 7),
]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_a_size_is_read(text: Any, size: int) -> None:
    assert memory_size(text) == size


NO_SIZES = ["", "MB", "512M", "512Mi", "-1MB", "1e3", "1,5GB", "1.GB", ".5GB", "1 MB\n", "1  MB"]


@pytest.mark.parametrize("text", NO_SIZES)
def test_an_invalid_size_is_refused(text: str) -> None:
    assert refusal(memory_size, text) == f"{text!r} is not a size"


TOO_SMALL = ["0", "0MB", "0.0GB", "0.9B", "0.0001kB"]


@pytest.mark.parametrize("text", TOO_SMALL)
def test_a_size_below_one_byte_is_refused(text: str) -> None:
    assert refusal(memory_size, text) == f"{text!r} is less than one byte"


def test_a_size_with_too_many_digits_is_refused() -> None:
    assert refusal(memory_size, "9" * 100_000).endswith("is not a size")
    assert memory_size("9" * 15 + "TB") == (10**15 - 1) * 10**12


TARGETS = [
    ("/", (None, "/", False)),
    ("/health?deep=1", (None, "/health?deep=1", False)),
    ("/caf%C3%A9", (None, "/caf%C3%A9", False)),
    ("http://localhost", (("localhost", 80), "/", False)),
    ("http://localhost:8000", (("localhost", 8000), "/", False)),
    ("HTTP://localhost:8000/a/b", (("localhost", 8000), "/a/b", False)),
    ("http://localhost?a=b", (("localhost", 80), "/?a=b", False)),
    ("http://127.0.0.1:8000/?a=x@y:1", (("127.0.0.1", 8000), "/?a=x@y:1", False)),
    ("http://[::1]:8000/health", (("::1", 8000), "/health", False)),
    ("http://[::1]/", (("::1", 80), "/", False)),
    ("https://localhost/health", (("localhost", 443), "/health", True)),
    ("HTTPS://[::1]:8443", (("::1", 8443), "/", True)),
    ("unix:/run/app.sock:/health?a=http://b", ("/run/app.sock", "/health?a=http://b", False)),
    ("unix:/run/app.sock", ("/run/app.sock", "/", False)),
    ("unix:run/a:b é.sock:/", ("run/a:b é.sock", "/", False)),
]


@pytest.mark.parametrize(("text", "target"), TARGETS)
def test_the_target_of_a_health_check_is_read(text: str, target: Any) -> None:
    assert path_or_url(text) == target


NEITHER = "{!r} is neither a path nor an http:// URL"
ENCODE = "it has a character that has to be percent-encoded, such as a space"


NO_TARGETS = [
    ("", NEITHER),
    ("health", NEITHER),
    ("localhost:8000/health", NEITHER),
    ("ftp://localhost/", NEITHER),
    ("http:/localhost/", NEITHER),
    ("http://", NEITHER),
    ("http:///health", NEITHER),
    ("http://:8000/", NEITHER),
    ("http://localhost:/", NEITHER),
    ("http://localhost:high/", NEITHER),
    ("http://::1/", NEITHER),
    ("http://[::1/", NEITHER),
    ("http://[::1]x/", NEITHER),
    ("http://a*b/", NEITHER),
    ("https://", NEITHER),
    ("unix:", "it does not name the path of a Unix socket"),
    ("unix::/health", "it does not name the path of a Unix socket"),
    ("unix:/run/a\0b", "it does not name the path of a Unix socket"),
    ("unix:/run/app.sock:/a b", ENCODE),
    ("unix:/run/app.sock:/#top", "'/#top' has a fragment (#), which is never sent"),
    (f"unix:/{'a' * 107}", "its path has 108 bytes; that of a Unix socket has up to 107"),
    ("http://localhost:0/", "0 is not a port from 1 to 65535"),
    ("http://localhost:65536/", "65536 is not a port from 1 to 65535"),
    (
        "http://localhost:00000000000000000080/",
        "00000000000000000080 is not a port from 1 to 65535",
    ),
    ("http://[localhost]/", "'[localhost]' is not an IPv6 address"),
    ("http://[]/", "'[]' is not an IPv6 address"),
    ("/#top", "'/#top' has a fragment (#), which is never sent"),
    (
        "http://localhost/#top",
        "'http://localhost/#top' has a fragment (#), which is never sent",
    ),
    ("/a b", ENCODE),
    ("/a\r\nHost: b", ENCODE),
    ("/\0", ENCODE),
    ("/\x7f", ENCODE),
    ("/café", ENCODE),
    ("http://localhost/\n", ENCODE),
    ("http://me@localhost/", "it has a user name or a password, which would not be sent"),
    ("http://me:secret@a/", "it has a user name or a password, which would not be sent"),
]


@pytest.mark.parametrize(("text", "message"), NO_TARGETS)
def test_an_invalid_health_check_target_is_refused(text: str, message: str) -> None:
    assert refusal(path_or_url, text) == message.format(text)


ADDRESSES = [
    ("localhost:8000", ("localhost", 8000)),
    ("127.0.0.1:1", ("127.0.0.1", 1)),
    ("my-db_1.internal:65535", ("my-db_1.internal", 65535)),
    ("[::1]:8000", ("::1", 8000)),
    (":8000", ("127.0.0.1", 8000)),
    ("unix:/run/app.sock", "/run/app.sock"),
    ("unix:app.sock", "app.sock"),
]


@pytest.mark.parametrize(("text", "address"), ADDRESSES)
def test_a_tcp_address_is_read(text: str, address: tuple[str, int]) -> None:
    assert tcp_address(text) == address


NO_ADDRESSES = [
    ("", "{!r} is not host:port"),
    ("localhost", "{!r} is not host:port"),
    ("8000", "{!r} is not host:port"),
    ("localhost:", "{!r} is not host:port"),
    ("localhost:http", "{!r} is not host:port"),
    ("localhost:-1", "{!r} is not host:port"),
    ("::1:8000", "{!r} is not host:port"),
    ("tcp://localhost:8000", "{!r} is not host:port"),
    ("local host:8000", "{!r} is not host:port"),
    ("localhost:8000\n", "{!r} is not host:port"),
    ("localhost:²", "{!r} is not host:port"),
    ("localhost:0", "0 is not a port from 1 to 65535"),
    ("localhost:65536", "65536 is not a port from 1 to 65535"),
    ("[1.2.3.4]:80", "'[1.2.3.4]' is not an IPv6 address"),
    ("unix:", "it does not name the path of a Unix socket"),
    (f"unix:{'é' * 54}", "its path has 108 bytes; that of a Unix socket has up to 107"),
]


@pytest.mark.parametrize(("text", "message"), NO_ADDRESSES)
def test_an_invalid_tcp_address_is_refused(text: str, message: str) -> None:
    assert refusal(tcp_address, text) == message.format(text)


def test_a_valid_command_is_unchanged_and_an_invalid_command_is_refused() -> None:
    assert program_and_arguments(["test", "-e", ""]) == ["test", "-e", ""]
    assert refusal(program_and_arguments, ["", "x"]) == "the name of the program is empty"
    assert refusal(program_and_arguments, ["x", "a\0b"]) == "it contains a null character"
