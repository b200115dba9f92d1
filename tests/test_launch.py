"""Launches: what each instance comes after, where it is probed, and its name."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Optional

import pytest

from django_prodserver.backends.base import Address, BaseServerBackend
from django_prodserver.launch.addresses import urls
from django_prodserver.launch.launch import ASK_EVERY, COMMAND_EVERY, Launches
from django_prodserver.launch.resolve import resolve
from django_prodserver.posix.probes.targets import (
    CommandTarget,
    HttpTarget,
    Target,
    TcpTarget,
    Tls,
)
from django_prodserver.posix.program import Program, Programs
from django_prodserver.settings.findings import ConfigurationError
from django_prodserver.settings.load import load
from django_prodserver.supervisor.spec import ReadyProbe, Spec
from django_prodserver.supervisor.values import replace
from tests.inside import GUNICORN, configured, sleeper

LOOPBACK = (socket.AF_INET, ("127.0.0.1", 8000))


class Listening(BaseServerBackend):
    """Listens at the addresses in its arguments."""

    connects = True

    def start_server(self, *args: str) -> None: ...

    def addresses(self) -> list[Address]:
        return [
            Address(
                (word.rpartition(":")[0], int(word.rpartition(":")[2])) if ":" in word else word
            )
            for word in self.args
        ]


class Recycling(BaseServerBackend):
    import_time_variables = frozenset({"READ_AT_IMPORT"})

    def start_server(self, *args: str) -> None: ...

    def recycles(self) -> bool:
        return True


LISTENING = f"{__name__}.Listening"


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ("127.0.0.1:8000", ["http://127.0.0.1:8000/"]),
        (["0.0.0.0:80", ":8001"], ["http://127.0.0.1:80/", "http://127.0.0.1:8001/"]),
        ([":::8000", "2001:db8::1:8000"], ["http://[::1]:8000/", "http://[2001:db8::1]:8000/"]),
        ("/run/app.sock", ["unix:/run/app.sock"]),
        # The kernel chooses the port.
        ("127.0.0.1:0", []),
    ],
)
def test_each_known_address_of_a_server_becomes_a_url(args: Any, found: list[str]) -> None:
    processes = {"web": {"BACKEND": LISTENING, "ARGS": args}, "worker": sleeper()}

    with configured(processes):
        assert list(urls(resolve(load(), processes))) == [(["web.1"], url) for url in found]


def launched(*names: str) -> Launches:
    """The launches of these processes of the settings, which come after no oneshots."""
    return Launches(resolve(load(), names), dict.fromkeys(names, ()))


def planned(
    processes: dict[str, Any], *names: str, **others: Any
) -> tuple[list[Spec], list[Program]]:
    with configured(processes, **others):
        launches = launched(*(names or processes))
    programs = Programs(launches.programs(names or processes))
    return launches.specs, [programs.of(spec.name) for spec in launches.specs]


def target(check: dict[str, Any], entry: Any = None, **others: Any) -> Target:
    _, (program,) = planned({"web": {**(entry or sleeper()), "HEALTHCHECK": check}}, **others)
    assert program.health is not None
    return program.health


def http(check: str, entry: Any = None, **others: Any) -> HttpTarget:
    found = target({"HTTP": check}, entry, **others)
    assert isinstance(found, HttpTarget)
    return found


def gunicorn(bind: str) -> dict[str, Any]:
    return {"BACKEND": GUNICORN, "ARGS": {"bind": bind}}


def test_a_process_without_a_health_check_has_no_probe() -> None:
    (spec,), (program,) = planned({"web": sleeper()})

    assert spec.check is None
    assert program.health is None


def test_a_health_check_command_has_the_environment_of_its_instance() -> None:
    found = target({"COMMAND": ["true", "x"]}, sleeper(ENV={"A": "b"}))

    assert isinstance(found, CommandTarget)
    assert list(found.argv) == ["true", "x"]
    assert found.environ == {"PRODSERVER_PROCESS": "web", "PRODSERVER_INSTANCE": "web.1", "A": "b"}


def test_a_tcp_health_check_resolves_its_host_and_port() -> None:
    assert target({"TCP": "127.0.0.1:8000"}) == TcpTarget("127.0.0.1:8000", (LOOPBACK,))
    ipv6 = target({"TCP": "[::1]:8000"})
    assert isinstance(ipv6, TcpTarget)
    assert ipv6.addresses == ((socket.AF_INET6, ("::1", 8000, 0, 0)),)


def test_an_http_health_check_takes_its_target_from_a_full_url() -> None:
    assert http("http://127.0.0.1:8000/health?a=b") == HttpTarget(
        name="127.0.0.1:8000",
        addresses=(LOOPBACK,),
        url="http://127.0.0.1:8000/health?a=b",
        path="/health?a=b",
        host="127.0.0.1:8000",
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1", "127.0.0.1"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("http://localhost:8080/", "localhost:8080"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("http://[::1]/", "[::1]"),
    ],
)
def test_a_url_is_requested_with_its_own_host(url: str, host: str) -> None:
    assert http(url, ALLOWED_HOSTS=["example.com"]).host == host


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        (["example.com", "other.com"], "example.com"),
        ([".example.com"], "example.com"),
        (["*"], "localhost"),
        (["*", "example.com"], "example.com"),
        (["", "."], "localhost"),
        ([], "localhost"),
    ],
)
def test_a_path_is_requested_with_a_host_that_django_allows(allowed: list[str], host: str) -> None:
    found = http("/health", gunicorn("127.0.0.1:8000"), ALLOWED_HOSTS=allowed)

    assert found.host == host
    assert found.url == "http://127.0.0.1:8000/health"
    assert found.addresses == (LOOPBACK,)


def test_a_server_that_listens_everywhere_is_probed_at_the_loopback() -> None:
    assert http("/", gunicorn("0.0.0.0:8000")).addresses == (LOOPBACK,)
    assert http("/", gunicorn("[::]:8000")).url == "http://[::1]:8000/"


@pytest.mark.parametrize(
    ("key", "check"), [("HTTP", "http://nobody.invalid/"), ("TCP", "nobody.invalid:1")]
)
def test_a_health_check_of_an_unknown_host_is_refused(key: str, check: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        target({key: check})

    where = f"PRODUCTION_PROCESSES['web']['HEALTHCHECK']['{key}']"
    assert f"{where} names the host 'nobody.invalid', which cannot be found: " in str(error.value)


def test_a_connection_proves_readiness_only_at_a_known_address() -> None:
    processes = {
        "web": {"BACKEND": LISTENING, "ARGS": ["127.0.0.1:8000", "/run/x.sock"]},
        "any": {"BACKEND": LISTENING, "ARGS": ["127.0.0.1:0"]},
        "says": gunicorn("127.0.0.1:8001"),
        "worker": sleeper(),
    }
    specs, programs = planned(processes)

    assert [program.serves for program in programs] == [
        (LOOPBACK, (socket.AF_UNIX, "/run/x.sock")),
        (),
        (),
        (),
    ]
    # Without a known address it counts as ready as soon as it is started.
    assert [spec.connects for spec in specs] == [True, False, False, False]


def test_the_ready_setting_determines_how_readiness_is_detected() -> None:
    command = {"COMMAND": ["true"], "TIMEOUT": 5}
    processes = {
        "none": sleeper(),
        "log": sleeper(READY={"LOG": "up$"}),
        "tcp": sleeper(READY={"TCP": ":8000"}),
        "http": sleeper(READY={"HTTP": "https://127.0.0.1/up", "VERIFY": False}),
        "command": sleeper(READY=command, ENV={"A": "b"}),
        "replaced": {"BACKEND": LISTENING, "ARGS": ["127.0.0.1:8000"], "READY": {"TCP": ":8001"}},
    }
    specs, programs = planned(processes)

    assert [spec.reports_ready for spec in specs] == [False, True, True, True, True, True]
    assert [spec.connects for spec in specs] == [False] * 6
    assert [spec.ready_line for spec in specs] == [False, True, *[False] * 4]
    assert [program.ready_line for program in programs] == [None, "up$", *[None] * 4]
    asked = ReadyProbe(timeout=3.0, pause=ASK_EVERY)
    assert [spec.ready_probe for spec in specs] == [
        *(None, None, asked, asked),
        *(ReadyProbe(timeout=5.0, pause=COMMAND_EVERY), asked),
    ]
    assert [program.ready for program in programs] == [
        None,
        None,
        TcpTarget(":8000", (LOOPBACK,)),
        HttpTarget(
            name="127.0.0.1:443",
            addresses=((socket.AF_INET, ("127.0.0.1", 443)),),
            url="https://127.0.0.1:443/up",
            path="/up",
            host="127.0.0.1",
            tls=Tls("127.0.0.1"),
        ),
        CommandTarget(["true"], {**programs[4].environ, "A": "b"}),
        TcpTarget(":8001", ((socket.AF_INET, ("127.0.0.1", 8001)),)),
    ]


def test_a_health_check_path_uses_the_tls_or_unix_socket_of_the_server() -> None:
    tls = {"bind": "127.0.0.1:8443", "certfile": "c.pem", "keyfile": "k.pem"}
    allowed = {"ALLOWED_HOSTS": ["example.com"]}

    over_tls = http("/up", {"BACKEND": GUNICORN, "ARGS": tls}, **allowed)
    at_socket = http("/up", gunicorn("unix:/run/x.sock"), **allowed)
    named = http("unix:x.sock:/up", **allowed)

    assert (over_tls.url, over_tls.tls) == ("https://127.0.0.1:8443/up", Tls("example.com"))
    assert at_socket == HttpTarget(
        name="unix:/run/x.sock",
        addresses=((socket.AF_UNIX, "/run/x.sock"),),
        url="unix:/run/x.sock:/up",
        path="/up",
        host="example.com",
    )
    assert (named.addresses, named.host) == (((socket.AF_UNIX, "x.sock"),), "example.com")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_refused(
    tmp_path: Path, content: Optional[str]
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigurationError) as error:
        target({"HTTP": "https://127.0.0.1/", "VERIFY": str(path)})

    assert str(error.value).startswith(
        f"PRODUCTION_PROCESSES['web']['HEALTHCHECK']['VERIFY'] is '{path}', which cannot be used: "
    )


def test_an_instance_starts_after_all_selected_instances_named_in_after() -> None:
    processes = {
        "web": sleeper(AFTER=["db", "cache"]),
        "db": sleeper(REPLICAS=2),
        "cache": sleeper(),
    }

    everybody, _ = planned(processes)
    some, _ = planned(processes, "web", "cache")

    assert everybody[0].after == {"db.1", "db.2", "cache.1"}
    assert some[0].after == {"cache.1"}


def test_recycling_is_not_queried_if_env_sets_an_import_time_variable() -> None:
    asked = {"BACKEND": f"{__name__}.Recycling"}
    elsewhere = {**asked, "ENV": {"READ_AT_IMPORT": "1"}}

    assert planned({"worker": asked})[0][0].recycles
    assert not planned({"worker": elsewhere})[0][0].recycles


class Counting(Listening):
    """Counts how often its options are parsed."""

    asked = 0

    def parse(self) -> None:
        type(self).asked += 1

    def recycles(self) -> bool:
        type(self).asked += 1
        return False


def test_an_instance_that_scaling_adds_is_launched_like_the_others() -> None:
    check = {"COMMAND": ["true"]}
    entry = {"BACKEND": LISTENING, "ARGS": ["127.0.0.1:0"], "HEALTHCHECK": check}
    with configured({"web": entry, "other": sleeper()}):
        launches = launched("web", "other")
    programs = Programs(launches.programs(["web", "other"]))

    first, third = programs.of("web.1"), programs.of("web.3")

    assert [spec.name for spec in launches.specs] == ["web.1", "other.1"]
    assert third is programs.of("web.3")
    environ = {"PRODSERVER_PROCESS": "web", "PRODSERVER_INSTANCE": "web.3"}
    assert third.environ == environ
    assert third.health == CommandTarget(["true"], environ)
    assert replace(third, name="web.1", environ=first.environ, health=first.health) == first
    with pytest.raises(KeyError):
        programs.of("no.1")


def test_only_shell_commands_and_spawned_processes_are_executed() -> None:
    processes = {"code": {"BACKEND": LISTENING, "ARGS": ["127.0.0.1:0"]}, "other": sleeper()}
    with configured(processes):
        launches = launched("code", "other")

        forked = launches.programs(["code", "other"])
        spawned = launches.programs(["code", "other"], ["code", "other"])
        code = launches.code_of("code.3")

    assert [forked["code"].execute, forked["other"].execute] == [(), ["sleep", "1000"]]
    assert "prodserver code" in " ".join(spawned["code"].execute)
    assert spawned["other"] == forked["other"]
    assert code.argv[1:] == ["prodserver", "code"]


def test_backend_options_are_parsed_once_for_all_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "asked", 0)
    entry = {"BACKEND": f"{__name__}.Counting", "REPLICAS": 3}
    with configured({"web": entry}):
        launches = launched("web")

    assert len(launches.specs) == 3
    programs = Programs(launches.programs(["web"]))
    assert [programs.of(f"web.{n}").name for n in (1, 4)] == ["web.1", "web.4"]

    assert Counting.asked == 2
