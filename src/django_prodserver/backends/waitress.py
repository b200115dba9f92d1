"""waitress, serving the project's WSGI application: https://docs.pylonsproject.org/projects/waitress/"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from getopt import GetoptError
from typing import Any, ClassVar

from .application import ApplicationServer
from .base import Address
from .parsers import PrintsOnly, refusal


class WaitressServer(ApplicationServer):
    """ARGS are those of `waitress-serve`."""

    requires: ClassVar[Mapping[str, str]] = {"waitress": "waitress"}
    # SIGTERM ends it at once, in the middle of a response; SIGINT lets it finish.
    stop_signal = "SIGINT"
    notifies = True
    pings = False
    interface = "wsgi"

    def start_server(self, *args: str) -> None:
        from .hooks import waitress as hooks

        sys.exit(hooks.run(args))

    def preload(self) -> None:
        from .hooks import waitress  # noqa: F401

        super().preload()

    def parse(self) -> Any:
        """Its settings, as it calls them: `Adjustments`."""
        from .hooks import waitress as hooks

        try:
            adjustments = hooks.adjustments(self.prep_server_args())
        except (GetoptError, ValueError) as error:
            raise refusal(f"waitress-serve: {error}", hooks.options()) from None
        if adjustments is None:
            raise PrintsOnly("waitress-serve")
        return adjustments

    def addresses(self) -> Sequence[Address]:
        adjustments = self.parse()
        if adjustments.unix_socket is not None:
            return [Address(adjustments.unix_socket)]
        return [Address(info[3][:2]) for info in adjustments.listen]
