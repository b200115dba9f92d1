"""Backends that no project should have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django_prodserver.backends.base import Address, BaseServerBackend


class Odd(BaseServerBackend):
    def start_server(self, *args: str) -> None:
        raise AssertionError("nothing is started here")


class NotInstalled(Odd):
    requires: ClassVar[Mapping[str, str]] = {"no_such_module": "no-such-package"}


class PartNotInstalled(Odd):
    requires: ClassVar[Mapping[str, str]] = {"no_such_module.part": "no-such-package[part]"}


class CannotBeCreated(Odd):
    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.app = config["APP"]


class Homeless(Odd):
    def addresses(self) -> Sequence[Address]:
        raise RuntimeError("nowhere")
