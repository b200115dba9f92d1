"""waitress, serving the project's WSGI application: https://docs.pylonsproject.org/projects/waitress/"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from django_prodserver.posix import notify

from . import application
from .base import Address, BaseServerBackend, Problem
from .parsers import PrintsOnly, meant


class WaitressServer(BaseServerBackend):
    """ARGS are those of `waitress-serve`."""

    requires: ClassVar[Mapping[str, str]] = {"waitress": "waitress"}
    # It ends at once by SIGTERM, in the middle of a response; by SIGINT it finishes.
    stop_signal = "SIGINT"
    notifies = True

    def prep_server_args(self) -> Sequence[str]:
        return [*self.args, application.wsgi()]

    def start_server(self, *args: str) -> None:
        from waitress import runner

        run: Any = runner.run  # It returns an exit status, whatever its stubs say.
        sys.exit(run(["waitress-serve", *args], _serve=_serve))

    def preload(self) -> None:
        from waitress import runner  # noqa: F401

        application.load(application.wsgi())

    def problems(self) -> Iterator[Problem]:
        yield from application.problems(application.wsgi())

    def parse(self) -> Any:
        """Its settings, as it calls them: `Adjustments`."""
        from getopt import GetoptError

        from waitress.adjustments import Adjustments

        try:
            parse: Any = Adjustments.parse_args
            options, _ = parse(list(self.prep_server_args()))
            if options.pop("help"):
                raise PrintsOnly("waitress-serve")
            del options["call"]
            return Adjustments(**options)
        except (GetoptError, ValueError) as error:
            parameters: Any = vars(Adjustments)["_params"]
            known = [f"--{name.replace('_', '-')}" for name, _ in parameters]
            complaint = f"waitress-serve: {error}"
            raise ValueError(f"{complaint}{meant(complaint, known)}") from None

    def addresses(self) -> Sequence[Address]:
        adjustments = self.parse()
        if adjustments.unix_socket is not None:
            return [Address(adjustments.unix_socket)]
        return [Address(info[3][:2]) for info in adjustments.listen]


def _serve(app: Any, **options: Any) -> None:
    import waitress

    waitress.serve(app, _server=_create_and_notify, **options)


def _create_and_notify(app: Any, **options: Any) -> Any:
    from waitress.server import create_server

    server = create_server(app, **options)
    notify.notify()  # It listens from here on; what connects now is served in a moment.
    return server
