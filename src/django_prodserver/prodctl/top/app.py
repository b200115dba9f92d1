"""The live table, the selected instance in full, and the results of requests."""

from __future__ import annotations

from asyncio import get_running_loop
from functools import partial
from signal import SIGINT, SIGTERM
from threading import Lock, Thread
from typing import Any, Callable, ClassVar, Optional, TypeVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from django_prodserver.prodctl import table
from django_prodserver.prodctl.usage import CpuShares
from django_prodserver.prodctl.verbs import REFRESH, Find
from django_prodserver.supervisor.text import printable

from .dialogs import Help, Question
from .log import LogOf
from .queries import Overview, Request, RequestResult, Row, query, send

# ANSI colour of a state in `prodctl status` -> style of rich.
STYLES = {"32": "green", "33": "yellow", "31": "bold red"}

T = TypeVar("T")


class Top(App[None]):
    """The application; its first screen is the table."""

    TITLE = "prodctl top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #summary { height: auto; max-height: 2; background: $primary; color: $text; }
    DataTable { height: 1fr; scrollbar-size-horizontal: 0; }
    #selected { height: auto; max-height: 2; }
    #said { height: auto; max-height: 2; color: $text-warning; }
    Instances.gone DataTable { opacity: 50%; }
    Instances.gone #summary { background: $error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", show=False, priority=True)]

    def __init__(self, find: Find) -> None:
        super().__init__()
        self._find = find

    def on_mount(self) -> None:
        # Restore the terminal before exiting. (Before Python 3.11 an interrupt while the loop waits
        # would not end the loop at all.)
        for number in (SIGINT, SIGTERM):
            end = partial(self.exit, return_code=128 + number)
            get_running_loop().add_signal_handler(number, end)

    def get_default_screen(self) -> Screen[None]:
        return Instances(self._find)


class Instances(Screen[None]):
    """A row for each instance, the selected one in full, and the results of requests."""

    # The most important first: a narrow terminal shows only the first few.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
        Binding("r", "request('restart')", "Restart"),
        Binding("s", "stop", "Stop"),
        Binding("a", "request('start')", "Start"),
        Binding("plus", "scale(1)", "More", key_display="+"),
        Binding("minus", "scale(-1)", "Fewer", key_display="-"),
        Binding("l", "log", "Log"),
    ]

    def __init__(self, find: Find) -> None:
        super().__init__()
        self._find = find
        # Whether no supervisor answered the last query.
        self._gone = True
        # The run of the last supervisor that answered.
        self._run: Optional[str] = None
        self._querying = False
        self._request_lock = Lock()
        # Number of a change that is not done -> the words that requested it.
        self._changes: dict[int, str] = {}
        self._cpu = CpuShares()
        # The rows on the screen, by instance name.
        self._rows: dict[str, Row] = {}

    def compose(self) -> ComposeResult:
        yield Static("asking the supervisor ...", id="summary", markup=False)
        yield DataTable[Text](cursor_type="row")
        yield Static(id="selected", markup=False)
        yield Static(id="said", markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        for column in table.COLUMNS:
            self._table.add_column(_cell(column, column), key=column)
        self.set_interval(REFRESH, self._query_status)
        self._query_status()

    # ---- the status ----

    def _query_status(self) -> None:
        if not self._querying:  # The last query may still be waiting for an answer.
            self._querying = True
            find_out = partial(query, self._find, list(self._changes), self._cpu)
            self._in_a_thread(find_out, self._show_overview)

    def _show_overview(self, found: Overview) -> None:
        self._querying = False
        self._gone = bool(found.failure)
        self.set_class(self._gone, "gone")
        if self._gone:
            self._show("summary", f"{found.failure}; trying again every second")
            return
        self._show("summary", found.summary)
        if self._run not in (None, found.run):
            self._changes.clear()
            self._say("the supervisor was replaced by another one")
        self._run = found.run
        for number, became in found.outcomes.items():
            if number in self._changes:
                self._say(f"{self._changes.pop(number)}: {became}")
        self._show_rows(found.rows)

    def _show_rows(self, rows: dict[str, Row]) -> None:
        """Update only the cells that differ: redrawing all of them takes a lot of CPU."""
        before, self._rows = self._rows, rows
        if list(rows) == list(before):
            for name, row in rows.items():
                for column, old, new in zip(table.COLUMNS, before[name].cells, row.cells):
                    if old != new:
                        cell = _cell(column, new)
                        self._table.update_cell(name, column, cell, update_width=True)
        else:
            selected = self._selected
            self._table.clear()
            for name, row in rows.items():
                self._table.add_row(*map(_cell, table.COLUMNS, row.cells), key=name)
            if selected in rows:
                self._table.move_cursor(row=list(rows).index(selected), animate=False)
        self._describe()

    def _describe(self) -> None:
        """Show the INFO of the selected instance in full: its column may be too narrow."""
        row = self._rows.get(self._selected or "")
        if row is None:
            self._show("selected", "")
        else:
            name, state, *_, info = row.cells
            self._show("selected", f"{name} {state}: {info}" if info else f"{name} {state}")

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one(DataTable)

    @property
    def _selected(self) -> Optional[str]:
        """The name of the instance under the cursor."""
        if not self._table.row_count:
            return None
        return self._table.coordinate_to_cell_key(self._table.cursor_coordinate).row_key.value

    def _say(self, text: str) -> None:
        self._show("said", text)

    def _show(self, where: str, text: str) -> None:
        self.query_one(f"#{where}", Static).update(printable(text))

    def on_data_table_row_highlighted(self) -> None:
        self._describe()

    # ---- requests ----

    def action_request(self, verb: str) -> None:
        name = self._target()
        if name is not None:
            self._request(Request(verb, name))

    def action_stop(self) -> None:
        name = self._target()
        if name is not None:
            self._request_after(f"Stop {name}?", Request("stop", name))

    def action_scale(self, more: int) -> None:
        name = self._target()
        if name is None:
            return
        row = self._rows[name]
        request = Request("scale", row.process, more)
        if row.replicas + more == 0:
            self._request_after(f"Stop the only instance of {row.process}?", request)
        else:
            self._request(request)

    def action_log(self) -> None:
        name = self._target()
        if name is not None:
            self.app.push_screen(LogOf(name, self._find))

    def on_data_table_row_selected(self) -> None:
        self.action_log()

    def action_help(self) -> None:
        self.app.push_screen(Help())

    def _target(self) -> Optional[str]:
        """Return the selected instance; None, with a message, if there is no supervisor."""
        if self._gone:
            self._say("there is no supervisor to ask")
            return None
        return self._selected

    def _request_after(self, question: str, request: Request) -> None:
        def answered(yes: Optional[bool]) -> None:
            if yes:
                self._request(request)

        self.app.push_screen(Question(question), answered)

    def _request(self, request: Request) -> None:
        def one_at_a_time() -> RequestResult:
            # `scale` requests a number that depends on the requests before it.
            with self._request_lock:
                return send(self._find, request)

        self._say(f"{request.verb} {request.name} ...")
        self._in_a_thread(one_at_a_time, self._show_result)

    def _show_result(self, result: RequestResult) -> None:
        if result.change is None:
            self._say(f"{result.words} failed: {result.failure}")
        else:
            self._changes[result.change] = result.words
            self._say(f"{result.words} ...")
            self._query_status()

    def _in_a_thread(self, find_out: Callable[[], T], then: Callable[[T], None]) -> None:
        """Run `find_out` in a thread that does not delay exit: an answer may never come."""

        def run() -> None:
            found = find_out()
            self.call_later(then, found)

        Thread(target=run, daemon=True).start()


def _cell(column: str, text: str) -> Text:
    style = STYLES.get(table.COLORS.get(text, ""), "") if column == "STATE" else ""
    justify: Any = "right" if column in table.RIGHT else "left"
    return Text(text, style=style, justify=justify, no_wrap=True)
