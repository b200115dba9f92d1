"""The server behind the control socket: it routes requests, and answers them."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain

from django_prodserver.control import documents
from django_prodserver.control.changes import Change, Changes
from django_prodserver.control.events import Event, RecentEvents
from django_prodserver.control.requests import Accepted, Refused, no_such_name, understand, wrong
from django_prodserver.control.routes import Route, route
from django_prodserver.logs.formats import SYSTEM
from django_prodserver.logs.recent import Entry, K, Memory, Reader, Recent
from django_prodserver.posix.clock import in_utc
from django_prodserver.posix.loop import Loop
from django_prodserver.posix.startup import TimedStartups
from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import ChangeRequest, Operator
from django_prodserver.supervisor.facts import Fact
from django_prodserver.supervisor.hints import Any, Callable, Optional, Union
from django_prodserver.supervisor.snapshot import GroupSnapshot
from django_prodserver.supervisor.values import Value

from .answers import ANSWERS, Known, refuse, reply
from .clients import Client, Clients
from .connection import JSON, LINES, HttpRequest
from .place import Place

# The most clients that follow the log or the events at once: they stay connected, and others have
# to be answered beside them.
MOST_FOLLOWERS = 24
# The longest that one request may wait for the end of a change, in seconds.
LONGEST_WAIT = 60.0


class Kept(Value):
    """Recent lines of the log, and recent events."""

    recent: Recent
    events: RecentEvents


Names = Optional[Collection[str]]


class Server:
    """Answers all clients of one socket."""

    def __init__(
        self, place: Place, loop: Loop, kept: Kept, known: Known, startups: TimedStartups
    ) -> None:
        self._place = place
        self._loop = loop
        self._kept = kept
        self._known = known
        self._startups = startups
        self._clients = Clients(place.listener, loop, self._take, known.say)
        self._changes = Changes()
        # Clients that wait for the end of a change.
        self._waiting: dict[Client, Change] = {}
        # A fact may have ended a change.
        self._unsettled = False

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` has something to do."""
        return self._clients.deadline

    def observe(self, fact: Fact) -> None:
        """Take note of a fact, which may end changes."""
        if self._changes.observe(fact):
            self._unsettled = True

    def tick(self) -> None:
        """Do what is due; to be called before each poll."""
        if self._unsettled:
            self._unsettled = False
            self._settle()
        self._clients.tick()

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        self._place.release()
        self._clients.release()

    def close(self) -> None:
        """Answer the clients that wait for a change, and send followers the last lines.

        Only what their sockets take at once is sent: this never blocks.
        """
        self._settle()
        self._clients.close()
        self._place.close()

    # ---- requests ----

    def _take(self, client: Client, request: Union[HttpRequest, Refused]) -> None:
        if isinstance(request, Refused):
            refuse(client, request)
            return
        found = route(request.method, request.path)
        if isinstance(found, Refused):
            refuse(client, found)
        elif found.changes:
            self._change(client, found, request)
        elif found.name in ANSWERS:
            ANSWERS[found.name](self._known, self._clients, client, request)
        else:
            HANDLERS[found.name](self, client, found, request)

    def _status(self, client: Client, found: Route, request: HttpRequest) -> None:
        known = self._known
        document = documents.status(known.snapshot(), known.about, known.pid_of, _moment)
        reply(client, 200, document)

    def _analyze(self, client: Client, found: Route, request: HttpRequest) -> None:
        known = self._known
        reply(client, 200, self._startups.document(known.snapshot(), known.about, _moment))

    def _change(self, client: Client, found: Route, request: HttpRequest) -> None:
        import json

        operator, known = client.operator, self._known
        if operator.uid not in (0, os.geteuid()):
            message = f"the user with id {operator.uid} may only read"
            refuse(client, Refused(403, "forbidden", message))
            return
        if request.content_type != JSON:
            refuse(client, Refused(415, "wrong_type", f"the body must be {JSON}"))
            return
        try:
            body = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            refuse(client, wrong("the body is not JSON"))
            return
        snapshot = known.snapshot()
        meant = understand(found.name, body, snapshot, known.about.only_one)
        if isinstance(meant, Refused):
            known.say(report.request_refused(found.name, operator, meant.message))
            refuse(client, meant)
            return
        reply(client, 202, self._begin(found.name, meant, operator, snapshot).document())

    def _begin(
        self, verb: str, meant: Accepted, operator: Operator, snapshot: GroupSnapshot
    ) -> Change:
        change = self._changes.begin(verb, meant.names, meant.targets, snapshot)
        self._loop.emit(ChangeRequest(change.number, operator, verb, meant.names, meant.requests))
        return change

    # ---- changes ----

    def _wait(self, client: Client, found: Route, request: HttpRequest) -> None:
        try:
            change = self._changes[int(found.argument[:18])]
            wait = min(max(0.0, float(request.query.get("wait", 0))), LONGEST_WAIT)
        except KeyError:
            message = f"there is no change {found.argument}, or it has been forgotten"
            refuse(client, Refused(404, "no_such_change", message))
            return
        except ValueError:
            refuse(client, wrong("'wait' must be a number of seconds"))
            return
        if change.over or not wait:
            reply(client, 200, change.document())
            return
        self._waiting[client] = change
        client.deadline = self._loop.clock.now() + wait
        client.late = partial(self._answer_change, client)
        client.left = lambda: self._waiting.pop(client, None)

    def _answer_change(self, client: Client) -> None:
        client.late = None
        self._clients.extend_deadline(client)
        reply(client, 200, self._waiting.pop(client).document())

    def _settle(self) -> None:
        if self._changes.running:
            self._changes.settle(self._known.snapshot())
        for client in [one for one, change in self._waiting.items() if change.over]:
            self._clients.guarded(client, partial(self._answer_change, client))

    # ---- what is kept, and may be followed ----

    def _logs(self, client: Client, found: Route, request: HttpRequest) -> None:
        lines = request.query.get("lines", "")
        if lines and not lines.isdecimal():
            refuse(client, wrong("'lines' must be a number"))
            return
        last = int(lines[:9]) if lines else None
        recent = self._kept.recent
        self._answer_with_kept(
            client, request, recent, lambda names: recent.read(names, last), _lines
        )

    def _events(self, client: Client, found: Route, request: HttpRequest) -> None:
        events, run, since = self._kept.events, self._known.about.run, request.query.get("since")
        if since is not None and not since.isdecimal():
            refuse(client, wrong("'since' must be the id of an event"))
            return
        # The id of an event of another run means nothing here.
        last = int(since[:18]) if since and request.query.get("run", run) == run else None

        def read(names: Names) -> Reader[Event]:
            return events.read(names) if last is None else events.since(last, names)

        self._answer_with_kept(client, request, events, read, partial(_documents, run))

    def _answer_with_kept(
        self,
        client: Client,
        request: HttpRequest,
        memory: Memory[K],
        read: Callable[[Names], Reader[K]],
        rendered: Callable[[K], Iterable[Mapping[str, Any]]],
    ) -> None:
        """Answer with what is kept of some names or of all, and follow it if the client asks to."""
        names = [name for name in request.query.get("names", "").split(",") if name]
        snapshot = self._known.snapshot()
        for name in names:
            if name != SYSTEM and not documents.named(name, snapshot):
                refuse(client, no_such_name(name))
                return
        follows = request.query.get("follow", "") not in ("", "0", "false")
        if follows and sum(one.follows for one in self._clients) >= MOST_FOLLOWERS:
            message = f"{MOST_FOLLOWERS} clients follow the log or the events already"
            refuse(client, Refused(503, "busy", message))
            return
        if request.method == "HEAD":
            client.connection.begin(200, LINES)
            client.connection.finish()
            return
        client.follows = follows
        reader = read(frozenset(names) if names else None)
        client.feed = feed = partial(self._feed, client, reader, rendered)
        client.connection.begin(200, LINES)
        if follows:
            # There may be nothing to send for a long time.
            client.deadline = None
            memory.follow(reader, partial(self._wake, client, feed))
            client.left = lambda: memory.leave(reader)
        feed()

    def _wake(self, client: Client, feed: Callable[[], None]) -> None:
        # If output is pending, `feed` is called once that is written.
        if not client.connection.pending:
            self._clients.guarded(client, feed)

    def _feed(
        self,
        client: Client,
        reader: Reader[K],
        rendered: Callable[[K], Iterable[Mapping[str, Any]]],
    ) -> None:
        lost, batch = reader.take()
        if not client.follows:
            self._clients.extend_deadline(client)
        if lost or batch:
            gap: list[Mapping[str, Any]] = [{"lost": lost}] if lost else []
            client.connection.send(_ndjson([*gap, *chain.from_iterable(map(rendered, batch))]))
        elif not client.follows:
            client.connection.finish()


HANDLERS: Mapping[str, Callable[[Server, Client, Route, HttpRequest], None]] = {
    "status": Server._status,
    "analyze": Server._analyze,
    "logs": Server._logs,
    "events": Server._events,
    "change": Server._wait,
}


def _lines(entry: Entry) -> Iterator[Mapping[str, Any]]:
    keys = {"time": in_utc(entry.at), "process": entry.name, "stream": entry.stream}
    # Not by `splitlines`: a line may contain any other control character.
    for line in entry.lines.decode(errors="replace").removesuffix("\n").split("\n"):
        yield {**keys, "message": line}


def _documents(run: str, event: Event) -> Iterator[Mapping[str, Any]]:
    yield event.document(run, in_utc(event.at))


def _ndjson(documents: Iterable[Mapping[str, Any]]) -> bytes:
    import json

    lines = [json.dumps(one, ensure_ascii=False) for one in documents]
    return ("\n".join(lines) + "\n").encode(errors="replace")


def _moment(seconds: float) -> str:
    """The time this many seconds from now."""
    return in_utc(time.time() + seconds)
