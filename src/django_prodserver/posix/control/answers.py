"""The answers that the control socket and MONITOR share: liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from django_prodserver.control import documents
from django_prodserver.control.exposition import CONTENT_TYPE
from django_prodserver.control.requests import Refused
from django_prodserver.posix.metrics import Measured, Metrics
from django_prodserver.posix.project_metrics import ProjectMetrics
from django_prodserver.supervisor.hints import Callable, Optional
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.snapshot import GroupSnapshot
from django_prodserver.supervisor.spec import Ref
from django_prodserver.supervisor.values import replace

from .clients import Client, Clients
from .connection import HttpRequest

TEXT = "text/plain; charset=utf-8"


class Known:
    """What answers are made from, read when a client asks."""

    def __init__(
        self,
        about: documents.About,
        snapshot: Callable[[], GroupSnapshot],
        pid_of: Callable[[Ref], Optional[int]],
        say: Callable[[Record], None],
        metrics: Metrics,
        of_project: ProjectMetrics,
    ) -> None:
        self.about = about
        self.snapshot = snapshot
        self.pid_of = pid_of
        self.say = say
        self.metrics = metrics
        self.of_project = of_project

    def change(self, about: documents.About) -> None:
        """Replace what is known of the processes; the pid, the run and the project stay."""
        now = self.about
        self.about = replace(about, pid=now.pid, run=now.run, project=now.project)


Answer = Callable[[Known, Clients, Client, HttpRequest], None]


def refuse(client: Client, refused: Refused) -> None:
    error = {"code": refused.code, "message": refused.message}
    reply(client, refused.status, {"error": error})


def reply(client: Client, status: int, document: object) -> None:
    import json

    client.connection.answer(status, json.dumps(document).encode() + b"\n")


def _healthz(known: Known, clients: Clients, client: Client, request: HttpRequest) -> None:
    client.connection.answer(200, b"ok\n", TEXT)


def _readyz(known: Known, clients: Clients, client: Client, request: HttpRequest) -> None:
    snapshot, name = known.snapshot(), request.query.get("process")
    if name is not None and not documents.named(name, snapshot):
        text = f"no process is named {name}\n"
        client.connection.answer(404, text.encode(errors="replace"), TEXT)
        return
    wrong_ones = documents.not_ready(snapshot, name)
    text = "".join(f"{line}\n" for line in wrong_ones) or "ok\n"
    client.connection.answer(503 if wrong_ones else 200, text.encode(errors="replace"), TEXT)


def _metrics(known: Known, clients: Clients, client: Client, request: HttpRequest) -> None:
    def answer(of_project: bytes, measured: Measured) -> Iterator[None]:
        text = b""
        for piece in known.metrics.text(known.about, measured):
            text += piece.encode(errors="replace")
            yield
        client.connection.answer(200, text + of_project, CONTENT_TYPE)

    def measure(of_project: Optional[bytes], why: str = "") -> None:
        answer_with = partial(answer, of_project or b"")
        known.metrics.measure(lambda found: clients.work(client, answer_with(found)))

    if known.of_project.exist:
        known.of_project.collect(measure)
    else:
        measure(b"")


ANSWERS: Mapping[str, Answer] = {"healthz": _healthz, "readyz": _readyz, "metrics": _metrics}
