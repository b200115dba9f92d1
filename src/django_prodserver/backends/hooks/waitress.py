"""waitress's command line with our hook; imports waitress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import waitress
from waitress import runner
from waitress.adjustments import Adjustments
from waitress.server import create_server

from django_prodserver.posix import notify


def run(args: Sequence[str]) -> Any:
    """Run `waitress-serve` with these arguments; return its exit status."""
    main: Any = runner.run  # Its stubs lack the argument, and say that it returns nothing.
    return main(["waitress-serve", *args], _serve=_serve)


def adjustments(args: Sequence[str]) -> Optional[Adjustments]:
    """What its command line makes of the arguments; None for `--help`."""
    parse: Any = Adjustments.parse_args
    options, _ = parse(list(args))
    if options.pop("help"):
        return None
    del options["call"]
    return Adjustments(**options)


def options() -> list[str]:
    parameters: Any = vars(Adjustments)["_params"]
    return [f"--{name.replace('_', '-')}" for name, _ in parameters]


def _serve(app: Any, **options: Any) -> None:
    waitress.serve(app, _server=_create_and_notify, **options)


def _create_and_notify(app: Any, **options: Any) -> Any:
    server = create_server(app, **options)
    notify.notify()  # It listens from here on; a connection is served a moment later.
    return server
