"""The server behind the control socket, in the supervisor's own loop: it never waits for anyone."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Mapping
from functools import partial

from django_prodserver.control import documents
from django_prodserver.control.changes import Change, Changes
from django_prodserver.control.requests import Accepted, Refused, no_such_name, understand, wrong
from django_prodserver.control.routes import Route, route
from django_prodserver.logs.formats import SYSTEM
from django_prodserver.logs.recent import Reader, Recent
from django_prodserver.posix.loop import Loop
from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import Asked, Operator
from django_prodserver.supervisor.facts import Fact
from django_prodserver.supervisor.hints import Any, Callable, Optional, Union
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.snapshot import GroupSnapshot
from django_prodserver.supervisor.spec import Ref
from django_prodserver.supervisor.values import Value, replace

from .connection import JSON, LINES, Connection, HttpRequest
from .credentials import peer
from .place import Place

# As many clients are answered at once; others wait to be accepted.
MOST_CLIENTS = 32
# As many of them follow the log: they stay, and others are to be answered beside them.
MOST_FOLLOWERS = 24
# In seconds: how long a client may take to send its request, and to take its answer.
PATIENCE = 5.0
# The longest that a client may wait for the end of a change at once.
LONGEST_WAIT = 60.0
# Where no descriptor is left to accept a client with, another try follows after so many seconds.
RETRY = 1.0
TEXT = "text/plain; charset=utf-8"


class Known(Value):
    """What the server has to ask for when it is asked."""

    about: documents.About
    snapshot: Callable[[], GroupSnapshot]
    pid_of: Callable[[Ref], Optional[int]]
    say: Callable[[Record], None]


class Client:
    """Who is connected."""

    def __init__(self, connection: Connection, operator: Operator, deadline: float) -> None:
        self.connection = connection
        self.operator = operator
        # When it is disconnected, or gets the answer that it has been waiting for.
        self.deadline: Optional[float] = deadline
        self.waits_for: Optional[Change] = None
        self.reader: Optional[Reader] = None
        self.follows = False
        # What is registered with the selector.
        self.events = 0


class Server:
    """Answers all clients of one socket."""

    def __init__(self, place: Place, loop: Loop, recent: Recent, known: Known) -> None:
        self._place = place
        self._loop = loop
        self._recent = recent
        self._known = known
        self._clients: dict[Client, None] = {}
        self._changes = Changes()
        self._accepting = False
        self._retry_at: Optional[float] = None
        # A fact may have ended a change.
        self._unsettled = False
        self._accept_again()

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` has something to do."""
        moments = [client.deadline for client in self._clients]
        return min((at for at in (*moments, self._retry_at) if at is not None), default=None)

    def change(self, about: documents.About) -> None:
        """Clients are told this of the processes from now on; the run is the same."""
        now = self._known.about
        about = replace(about, pid=now.pid, run=now.run, project=now.project)
        self._known = replace(self._known, about=about)

    def observe(self, fact: Fact) -> None:
        """Observe facts: changes end by them."""
        if self._changes.observe(fact):
            self._unsettled = True

    def tick(self) -> None:
        """Do what is due; to be called before each poll."""
        if self._unsettled:
            self._unsettled = False
            self._settle()
        now = self._loop.clock.now()
        for client in [one for one in self._clients if one.deadline is not None]:
            assert client.deadline is not None
            if client.deadline <= now:
                self._expire(client)
        if self._retry_at is not None and self._retry_at <= now:
            self._accept_again()

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        self._place.release()
        for client in self._clients:
            client.connection.close()

    def close(self) -> None:
        """Tell those who wait what has become of their changes, and who follows the last lines.

        As far as they listen: nobody is waited for.
        """
        self._settle()
        for client in list(self._clients):
            if client.reader is not None and not client.connection.pending:
                self._guarded(client, self._feed)
        for client in list(self._clients):
            client.connection.write()
            self._leave(client)
        self._place.close()

    # ---- clients ----

    def _accept_again(self) -> None:
        if not self._accepting and len(self._clients) < MOST_CLIENTS:
            self._retry_at = None
            self._accepting = True
            self._loop.selector.register(self._place.listener, selectors.EVENT_READ, self._accept)

    def _accept_no_more(self) -> None:
        self._accepting = False
        self._loop.selector.unregister(self._place.listener)

    def _accept(self) -> None:
        if not self._accepting:
            return
        try:
            accepted, _ = self._place.listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            # No descriptor is left: others may be given back.
            self._accept_no_more()
            self._retry_at = self._loop.clock.now() + RETRY
            return
        try:
            found = peer(accepted)
            uid, pid = (os.geteuid(), 0) if found is None else found
            client = self._create(accepted, Operator(uid, pid))
        except (OSError, ImportError) as error:
            # A file of Python's own cannot be read any more, or no descriptor is left for it.
            accepted.close()
            self._known.say(report.control_failed(str(error)))
            return
        self._clients[client] = None
        if len(self._clients) >= MOST_CLIENTS:
            self._accept_no_more()
        self._guarded(client, lambda _: None)

    def _create(self, accepted: Any, operator: Operator) -> Client:
        client: Client
        connection = Connection(accepted, lambda request: self._take(client, request))
        client = Client(connection, operator, self._loop.clock.now() + PATIENCE)
        return client

    def _watch(self, client: Client) -> None:
        """Poll for what it waits for, or let it go."""
        connection = client.connection
        if connection.over:
            self._leave(client)
            return
        events = selectors.EVENT_READ if connection.reads else 0
        events |= selectors.EVENT_WRITE if connection.pending else 0
        if events == client.events:
            return
        selector, ready = self._loop.selector, partial(self._ready, client)
        if not client.events:
            selector.register(connection.socket, events, ready)
        elif not events:
            selector.unregister(connection.socket)
        else:
            selector.modify(connection.socket, events, ready)
        client.events = events

    def _ready(self, client: Client) -> None:
        # It may have gone in the same round of the poll.
        if client in self._clients:
            self._guarded(client, self._go_on)

    def _guarded(self, client: Client, serve: Callable[[Client], None]) -> None:
        """Whatever is wrong with an answer, it costs one client, and not the supervisor."""
        try:
            serve(client)
            self._watch(client)
        except Exception as error:
            self._known.say(report.control_failed(f"{type(error).__name__}: {error}"))
            if client in self._clients:
                self._leave(client)

    def _go_on(self, client: Client) -> None:
        connection = client.connection
        if connection.reads:
            connection.read()
            if connection.read_all and client.follows:
                # Even if it still listens: it may be long until a line finds out that it does not.
                connection.gone = True
        if connection.pending:
            connection.write()
        if client.reader is not None and not connection.pending and not connection.over:
            self._feed(client)

    def _leave(self, client: Client) -> None:
        if client.events:
            self._loop.selector.unregister(client.connection.socket)
        if client.reader is not None:
            self._recent.leave(client.reader)
        client.connection.close()
        del self._clients[client]
        if self._retry_at is None:
            self._accept_again()

    def _expire(self, client: Client) -> None:
        if client.waits_for is not None:
            self._guarded(client, self._answer_change)
        else:
            self._leave(client)

    # ---- requests ----

    def _take(self, client: Client, request: Union[HttpRequest, Refused]) -> None:
        client.deadline = self._loop.clock.now() + PATIENCE
        if isinstance(request, Refused):
            self._refuse(client, request)
            return
        found = route(request.method, request.path)
        if isinstance(found, Refused):
            self._refuse(client, found)
        elif found.changes:
            self._change(client, found, request)
        else:
            HANDLERS[found.name](self, client, found, request)

    def _reply(self, client: Client, status: int, document: object) -> None:
        import json

        client.connection.answer(status, json.dumps(document).encode() + b"\n")

    def _refuse(self, client: Client, refused: Refused) -> None:
        error = {"code": refused.code, "message": refused.message}
        self._reply(client, refused.status, {"error": error})

    def _status(self, client: Client, found: Route, request: HttpRequest) -> None:
        known = self._known
        document = documents.status(known.snapshot(), known.about, known.pid_of, _moment)
        self._reply(client, 200, document)

    def _healthz(self, client: Client, found: Route, request: HttpRequest) -> None:
        client.connection.answer(200, b"ok\n", TEXT)

    def _readyz(self, client: Client, found: Route, request: HttpRequest) -> None:
        snapshot, name = self._known.snapshot(), request.query.get("process")
        if name is not None and not documents.named(name, snapshot):
            client.connection.answer(404, f"no process is named {name}\n".encode(), TEXT)
            return
        wrong_ones = documents.not_ready(snapshot, name)
        text = "".join(f"{line}\n" for line in wrong_ones) or "ok\n"
        client.connection.answer(503 if wrong_ones else 200, text.encode(errors="replace"), TEXT)

    def _change(self, client: Client, found: Route, request: HttpRequest) -> None:
        import json

        operator, known = client.operator, self._known
        if operator.uid not in (0, os.geteuid()):
            message = f"the user with the id {operator.uid} may read, and change nothing"
            self._refuse(client, Refused(403, "forbidden", message))
            return
        if request.content_type != JSON:
            self._refuse(client, Refused(415, "wrong_type", f"the body has to be {JSON}"))
            return
        try:
            body = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            self._refuse(client, wrong("the body is not JSON"))
            return
        snapshot = known.snapshot()
        meant = understand(found.name, body, snapshot, known.about.only_one)
        if isinstance(meant, Refused):
            known.say(report.request_refused(found.name, operator, meant.message))
            self._refuse(client, meant)
            return
        self._reply(client, 202, self._begin(found.name, meant, operator, snapshot).document())

    def _begin(
        self, verb: str, meant: Accepted, operator: Operator, snapshot: GroupSnapshot
    ) -> Change:
        change = self._changes.begin(verb, meant.names, meant.targets, snapshot)
        self._loop.emit(Asked(change.number, operator, verb, meant.names, meant.requests))
        return change

    # ---- changes ----

    def _wait(self, client: Client, found: Route, request: HttpRequest) -> None:
        try:
            change = self._changes[int(found.argument[:18])]
            wait = min(max(0.0, float(request.query.get("wait", 0))), LONGEST_WAIT)
        except KeyError:
            message = f"there is no change {found.argument}, or it has been forgotten"
            self._refuse(client, Refused(404, "no_such_change", message))
            return
        except ValueError:
            self._refuse(client, wrong("'wait' has to be a number of seconds"))
            return
        if change.over or not wait:
            self._reply(client, 200, change.document())
            return
        client.waits_for = change
        client.deadline = self._loop.clock.now() + wait

    def _answer_change(self, client: Client) -> None:
        change, client.waits_for = client.waits_for, None
        assert change is not None
        client.deadline = self._loop.clock.now() + PATIENCE
        self._reply(client, 200, change.document())

    def _settle(self) -> None:
        if self._changes.running:
            self._changes.settle(self._known.snapshot())
        for client in list(self._clients):
            if client.waits_for is not None and client.waits_for.over:
                self._guarded(client, self._answer_change)

    # ---- logs ----

    def _logs(self, client: Client, found: Route, request: HttpRequest) -> None:
        query = request.query
        names = [name for name in query.get("names", "").split(",") if name]
        snapshot = self._known.snapshot()
        for name in names:
            if name != SYSTEM and not documents.named(name, snapshot):
                self._refuse(client, no_such_name(name))
                return
        lines = query.get("lines", "")
        if lines and not lines.isdecimal():
            self._refuse(client, wrong("'lines' has to be a number"))
            return
        follows = query.get("follow", "") not in ("", "0", "false")
        if follows and sum(one.follows for one in self._clients) >= MOST_FOLLOWERS:
            message = f"{MOST_FOLLOWERS} clients follow the log already"
            self._refuse(client, Refused(503, "busy", message))
            return
        if request.method == "HEAD":
            client.connection.begin(200, LINES)
            client.connection.finish()
            return
        client.follows = follows
        last = int(lines[:9]) if lines else None
        client.reader = self._recent.read(frozenset(names) if names else None, last)
        client.connection.begin(200, LINES)
        if follows:
            # It may say nothing for a long time.
            client.deadline = None
            self._recent.follow(client.reader, partial(self._wake, client))
        self._feed(client)

    def _wake(self, client: Client) -> None:
        # What comes while it is busy it finds when it is not.
        if not client.connection.pending:
            self._guarded(client, self._feed)

    def _feed(self, client: Client) -> None:
        assert client.reader is not None
        lost, entries = client.reader.take()
        if not client.follows:
            client.deadline = self._loop.clock.now() + PATIENCE
        if lost or entries:
            client.connection.send(_rendered(lost, entries))
        elif not client.follows:
            client.connection.finish()


HANDLERS: Mapping[str, Callable[[Server, Client, Route, HttpRequest], None]] = {
    "status": Server._status,
    "logs": Server._logs,
    "healthz": Server._healthz,
    "readyz": Server._readyz,
    "change": Server._wait,
}


def _rendered(lost: int, entries: Any) -> bytes:
    import json

    lines = [json.dumps({"lost": lost})] if lost else []
    for entry in entries:
        keys = {"time": _text(entry.at), "process": entry.name, "stream": entry.stream}
        # A line may have any other control character in it.
        for line in entry.lines.decode(errors="replace").removesuffix("\n").split("\n"):
            lines.append(json.dumps({**keys, "message": line}, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode(errors="replace")


def _moment(seconds: float) -> str:
    """So many seconds from now."""
    return _text(time.time() + seconds)


def _text(at: float) -> str:
    """RFC 3339, in UTC, with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
