"""Dialogs in front of the table: a question before something is stopped, and the keys."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from django_prodserver.supervisor.text import printable

KEYS = (
    ("Up, Down", "select an instance"),
    ("r", "restart it"),
    ("s", "stop it; asks first"),
    ("a", "start it"),
    ("+ or -", "run one more or one fewer"),
    ("l, Enter", "follow its log"),
    ("?", "show this help"),
    ("q", "quit; everything keeps running"),
)

# In a narrow terminal lines wrap, and in a low one they can be scrolled.
CSS = """
Question, Help { align: center middle; }
Question > VerticalScroll, Help > VerticalScroll {
    width: 64; max-width: 100%; height: auto; max-height: 100%; padding: 0 1; background: $panel;
}
"""


class Question(ModalScreen[bool]):
    """A question to be answered with yes or no."""

    CSS = CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,Y", "dismiss(True)"),
        Binding("n,N,escape,q", "dismiss(False)"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = printable(question)

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(f"{self._question}\n\ny  yes\nn  no", markup=False)


class Help(ModalScreen[None]):
    """What the keys do."""

    CSS = CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss(None)")
    ]

    def compose(self) -> ComposeResult:
        lines = [f"{key:<11}{what}" for key, what in KEYS]
        with VerticalScroll():
            yield Static("\n".join([*lines, "", "Escape closes this."]), markup=False)
