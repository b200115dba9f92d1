"""Messages between a template and the supervisor arrive as they were sent."""

from __future__ import annotations

import os
import socket
from signal import SIGINT, SIGUSR1
from types import MappingProxyType
from typing import Any

import pytest
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe

from django_prodserver.posix.context import Context
from django_prodserver.posix.log_formats import LogSettings
from django_prodserver.posix.probes.targets import CommandTarget, HttpTarget, TcpTarget, Tls
from django_prodserver.posix.program import Program, Programs
from django_prodserver.posix.template.channel import PACKET, Channel, Closed, pair
from django_prodserver.posix.template.plan import Loaded, Plan
from django_prodserver.posix.template.wire import pack, unpack
from django_prodserver.supervisor import report
from django_prodserver.supervisor.spec import CheckSchedule, ReadyProbe, RestartPolicy, Spec

ADDRESSES = ((socket.AF_INET, ("127.0.0.1", 8000)), (socket.AF_UNIX, "/run/app.sock"))
SPEC = Spec(
    "web.1",
    after=frozenset({"migrate.1"}),
    stop_signal=SIGINT,
    ready_probe=ReadyProbe(1.0),
    success_exit_statuses=frozenset({1, 3}),
    forwards=frozenset({SIGUSR1}),
    restart=RestartPolicy.ALWAYS,
    check=CheckSchedule(retries=2),
)
PROGRAM = Program(
    "web",
    environ={"A": "ä"},
    context=Context(uid=1, groups=(1, 2), login={"HOME": "/"}, umask=0o27),
    execute=("sh", "-c", "true"),
    stage=("migrate", "static"),
    serves=ADDRESSES,
    ready=TcpTarget("localhost:8000", ADDRESSES),
    health=HttpTarget("localhost", ADDRESSES, "https://localhost/", "/", "h", Tls("h", True)),
)
PLAN = Plan(
    specs=(SPEC,),
    programs={"web": PROGRAM, "other": Program("other", stage=None)},
    log=LogSettings("text", True, "auto", "merge", 100),
    environ={"PATH": "/bin"},
    python="3",
    django="4",
    settings="mysite.settings",
    debug=False,
    began=1.5,
    loaded_in=0.25,
    records=(report.preload_warning("so"),),
    urls=((("web.1",), "http://localhost/"),),
)


@pytest.mark.parametrize(
    "message",
    [
        *(None, True, -1, 1.5, "ä\udc80", b"\xff", (), ("a", ("b",)), frozenset({1}), {"": 1}),
        *(SPEC, PROGRAM, PLAN, Loaded({"web": PROGRAM}), CommandTarget(("true",))),
    ],
    ids=lambda message: type(message).__name__,
)
def test_plain_data_arrives_unchanged(message: Any) -> None:
    assert unpack(pack(message)) == message


def test_subclasses_arrive_as_plain_data() -> None:
    sent = {mark_safe("a"): [mark_safe("b"), socket.AF_INET], "c": MappingProxyType({"d": []})}
    (text, family) = unpack(pack(sent))["a"]

    assert unpack(pack(sent)) == {"a": ("b", 2), "c": {"d": ()}}
    assert (type(text), type(family)) == (str, int)


@pytest.mark.parametrize("value", [object(), print, lazystr("text")])
def test_a_value_that_is_not_plain_data_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not plain data"):
        pack(("word", value))


def test_an_instance_has_the_program_of_its_process() -> None:
    process = Program("web", environ={"A": "1"}, health=CommandTarget(("true",)))
    programs = Programs({"web": process})
    program = programs.of("web.3")

    marks = {"PRODSERVER_PROCESS": "web", "PRODSERVER_INSTANCE": "web.3"}
    assert program.environ == {**marks, "A": "1"}
    assert program.health == CommandTarget(("true",), environ=program.environ)
    programs.update({"web": Program("web", execute=("true",))})
    assert programs.of("web.3").execute == ("true",)


# ---- the channel ----


def test_a_message_of_any_size_arrives_whole_with_its_descriptors() -> None:
    one, other = (Channel(end) for end in pair())
    read, write = os.pipe()
    large = "x" * (3 * PACKET)
    other.set_blocking(False)
    one.set_blocking(False)
    one.send("word", large, fds=[write])
    os.close(write)
    received = None
    while received is None:
        one.flush()
        received = other.receive()

    assert received == ("word", large)
    (copy,) = received.fds
    assert not os.get_inheritable(copy)
    os.write(copy, b"through")
    os.close(copy)
    assert os.read(read, 100) == b"through"
    assert os.read(read, 100) == b""
    os.close(read)
    one.close()
    other.close()


def test_messages_that_exceed_the_socket_buffer_are_sent_later() -> None:
    one, other = (Channel(end) for end in pair())
    one.set_blocking(False)
    other.set_blocking(False)
    sent = 0
    while not one.waiting:
        one.send("number", sent, "x" * 1000)
        sent += 1
    received = []
    while len(received) < sent:
        message = other.receive()
        if message is None:
            one.flush()
        else:
            received.append(message[1])

    assert received == list(range(sent))
    one.close()
    other.close()


def test_a_closed_peer_raises_an_error_on_receive_but_not_on_send() -> None:
    one, other = (Channel(end) for end in pair())
    other.send("last")
    other.close()
    one.send("in vain")

    assert one.receive() == ("last",)
    with pytest.raises(Closed):
        one.receive()
    one.close()
