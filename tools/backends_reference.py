"""The declarations of the backend classes, for docs/reference/backends.md and its pages, and the
template of a backend package, for docs/extend/own-backend.md.

PYTHONPATH=src python tools/backends_reference.py           prints the pages that are stale
PYTHONPATH=src python tools/backends_reference.py --write   updates them
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import loading
from django.utils.module_loading import import_string
from generated import DOCS, ROOT, Generated, main, table

from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.base import BaseServerBackend

OVERVIEW = DOCS / "reference" / "backends.md"
PAGES = DOCS / "reference" / "backends"
HOWTO = DOCS / "extend" / "own-backend.md"
TEMPLATE = ROOT / "examples" / "backend-package" / "src" / "prodserver_wsgiref" / "__init__.py"

Backend = type[BaseServerBackend]

# By the value of `takes_sockets`.
SOCKETS = {
    True: "`held` by default: the supervisor binds its addresses",
    False: "`own`: it cannot take sockets",
}

# By the value of `pings`.
WATCHDOG = {
    True: "it sends `WATCHDOG=1`",
    False: "refused: it does not send `WATCHDOG=1`",
    None: "only for programs that send `WATCHDOG=1`; a warning says so",
}


def backends() -> dict[str, Backend]:
    return {name: import_string(path) for name, path in BUILT_IN.items()}


def overview() -> str:
    header = ("short name", "class path", "stop signal", "ready", "sockets", "replicas")
    rows = (
        (
            f"[`{name}`](backends/{name}.md)",
            f"`{BUILT_IN[name]}`",
            backend.stop_signal,
            _ready(backend),
            _sockets(backend) or "-",
            _replicas(backend),
        )
        for name, backend in backends().items()
    )
    return table(header, rows)


def facts(name: str) -> str:
    """Return the table at the top of a backend's page."""
    return table((f"`{name}`", ""), _facts(name, backends()[name]))


def starts(name: str) -> str:
    """Return the table of what the process is, and where it loads the project, by start method."""
    rows = loading.rows(name, own_program=bool(backends()[name].runner))
    return f"{table(loading.header(name), rows)}\n\n{loading.workers(name)}"


def template() -> str:
    return f"```python\n{TEMPLATE.read_text(encoding='utf-8')}```"


def everything() -> Iterator[Generated]:
    yield Generated(HOWTO, template(), "template")
    yield Generated(OVERVIEW, overview(), "backends")
    for name in BUILT_IN:
        yield Generated(PAGES / f"{name}.md", facts(name), "facts")
        if name in loading.LOADING:
            yield Generated(PAGES / f"{name}.md", starts(name), "starts")


def _facts(name: str, backend: Backend) -> Iterator[tuple[str, str]]:
    to = "process group" if backend.stop_group else "leader only"
    statuses = [0, *sorted(backend.success_exit_statuses)]
    yield "class path", f"`{BUILT_IN[name]}`"
    otherwise = getattr(backend, "comes_with", "no other package").rstrip(".")
    yield "needs", _listed(backend.requires.values(), otherwise)
    yield "ready", _ready(backend)
    yield "stop signal", f"{backend.stop_signal}, to the {to}"
    if backend.escalation_signal:
        yield "escalation signal", f"{backend.escalation_signal}, after 70 % of the stop timeout"
    yield "success exit statuses", f"{', '.join(map(str, statuses))}, or death by the stop signal"
    yield "signals passed on", ", ".join(sorted(backend.forwards)) or "none"
    yield "`WATCHDOG`", WATCHDOG[backend.pings]
    if _sockets(backend):
        yield "`SOCKETS`", SOCKETS[backend.takes_sockets]
    yield "`REPLICAS`", _replicas(backend)
    yield "import-time variables", _listed(sorted(backend.import_time_variables), "none")


def _ready(backend: Backend) -> str:
    if backend.notifies:
        return "when it reports readiness"
    if backend.connects and backend.takes_sockets:
        return "when it reports readiness; with sockets of its own, when it accepts a connection"
    return "when it accepts a connection" if backend.connects else "once it is started"


def _sockets(backend: Backend) -> str:
    """Return who binds its sockets: "held" or "own"; "" if it does not listen."""
    if backend.addresses is BaseServerBackend.addresses:
        return ""
    return "held" if backend.takes_sockets else "own"


def _replicas(backend: Backend) -> str:
    if backend.singleton:
        return "1"
    if backend.singleton_options:
        return f"any number, but 1 with {_listed(backend.singleton_options, '')}"
    if backend.takes_sockets:
        return "any number"
    listens = _sockets(backend)
    if backend.shares_port_with:
        return f"1, or any number with `{backend.shares_port_with}`"
    one = listens and backend.shares_port_with is None
    return "1: two instances cannot share a port" if one else "any number"


def _listed(words: Iterable[str], otherwise: str) -> str:
    return ", ".join(f"`{word}`" for word in words) or otherwise


if __name__ == "__main__":
    main(everything())
