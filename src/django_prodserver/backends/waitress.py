"""waitress, serving the project's WSGI application: https://docs.pylonsproject.org/projects/waitress/"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from getopt import GetoptError
from typing import Any, ClassVar

from .application import ApplicationServer
from .base import BACKLOG, Address
from .parsers import PrintsOnly, refusal


class WaitressServer(ApplicationServer):
    """ARGS are the arguments of `waitress-serve`."""

    requires: ClassVar[Mapping[str, str]] = {"waitress": "waitress"}
    runner = "django_prodserver.backends.hooks.waitress"
    # waitress handles SIGINT itself. Our hook makes SIGTERM do the same.
    stop_signal = "SIGINT"
    notifies = True
    takes_sockets = True
    pings = False
    interface = "wsgi"

    def runner_arguments(self) -> Mapping[str, Any]:
        return {"limit": self.graceful_limit()}

    def preload(self) -> None:
        from .hooks import waitress  # noqa: F401

        super().preload()

    def parse(self) -> Any:
        """Its settings, which waitress calls `Adjustments`."""
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
        # waitress's own default is smaller.
        backlog = vars(adjustments).get("backlog", BACKLOG)
        if adjustments.unix_socket is not None:
            mode = adjustments.unix_socket_perms
            return [Address(adjustments.unix_socket, backlog=backlog, mode=mode)]
        return [Address(info[3][:2], backlog=backlog) for info in adjustments.listen]
