"""The log of one instance: its last lines, and then each new one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from queue import Empty, Queue
from threading import Event, Thread
from typing import ClassVar, Optional
from urllib.parse import quote

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Log, Static

from django_prodserver.posix.control.client import Client, Failure
from django_prodserver.prodctl.verbs import Find
from django_prodserver.supervisor.text import printable

from .queries import TIMEOUT, line

# In seconds: the pause between two checks for new lines, and between two tries to connect.
REDRAW, RETRY = 0.1, 1.0
# In lines: how many earlier ones are shown, how many are kept, and how many may wait in the queue.
# While the queue is full, no more are read, and the supervisor counts the lines that it drops.
LAST, KEPT, WAITING = 1000, 10_000, 1000


class LogOf(Screen[None]):
    """Follows the log in a thread; if the supervisor exits, the log of the next one."""

    CSS = """
    #title { height: 1; background: $primary; color: $text; }
    Log { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,l", "dismiss(None)", "Back"),
    ]

    def __init__(self, name: str, find: Find) -> None:
        super().__init__()
        self._instance = name
        self._find = find
        self._client: Optional[Client] = None
        self._left = Event()
        self._lines: Queue[str] = Queue(WAITING)

    def compose(self) -> ComposeResult:
        yield Static(printable(f"Log of {self._instance}"), id="title", markup=False)
        yield Log(max_lines=KEPT)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Log).focus()
        self.set_interval(REDRAW, self._write)
        Thread(target=self._follow, daemon=True).start()

    def on_unmount(self) -> None:
        self._left.set()
        if self._client is not None:
            self._client.hang_up()
        list(self._waiting())  # The thread may be waiting for room in the queue.

    def _write(self) -> None:
        log = self.query_one(Log)
        lines = list(self._waiting())
        if lines:
            # Do not scroll to the end while the user is reading further up.
            log.write_lines(lines, scroll_end=log.is_vertical_scroll_end)

    def _waiting(self) -> Iterator[str]:
        for _ in range(WAITING):
            try:
                yield self._lines.get_nowait()
            except Empty:
                return

    # ---- in the thread ----

    def _follow(self) -> None:
        said = ""
        while not self._left.is_set():
            try:
                for text in self._read():
                    said = ""
                    self._lines.put(text)
                failure = "the supervisor has ended"
            except (Failure, OSError) as error:
                failure = str(error)
            if failure != said and not self._left.is_set():
                said = failure
                self._lines.put(printable(f"... {failure} ..."))
            self._left.wait(RETRY)

    def _read(self) -> Iterator[str]:
        self._client = client = self._find(TIMEOUT)
        target = f"/v1/logs?names={quote(self._instance, safe='')}&lines={LAST}&follow=1"
        for text in client.lines(target):
            if self._left.is_set():
                return
            yield line(json.loads(text))
