from __future__ import annotations

from django_prodserver.backends.base import BaseServerBackend
from project import member


class Member(BaseServerBackend):
    """A third-party backend with only `start_server`."""

    def start_server(self, *args: str) -> None:
        member.main(args[0])
