"""The supervisor's metrics, for docs/reference/metrics.md.

PYTHONPATH=src python tools/metrics_reference.py           prints the page if it is stale
PYTHONPATH=src python tools/metrics_reference.py --write   updates it
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generated import DOCS, Generated, main, table

from django_prodserver.control.metrics import (
    OF_AUTOSCALING,
    OF_INSTANCES,
    OF_PROCESSES,
    OF_THE_SUPERVISOR,
    PREFIX,
    Metric,
)

PAGE = DOCS / "reference" / "metrics.md"
HEAD = ("metric", "type", "labels", "meaning")


def everything() -> Iterator[Generated]:
    yield Generated(PAGE, table(HEAD, _rows(OF_THE_SUPERVISOR)), "supervisor")
    yield Generated(PAGE, table(HEAD, _rows(OF_PROCESSES, f"{PREFIX}process_")), "processes")
    yield Generated(PAGE, table(HEAD, _rows(OF_AUTOSCALING, f"{PREFIX}process_")), "autoscaling")
    yield Generated(PAGE, table(HEAD, _rows(OF_INSTANCES)), "instances")


def _rows(metrics: Sequence[Metric], prefix: str = PREFIX) -> Iterator[tuple[str, ...]]:
    for one in metrics:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        yield f"`{prefix}{one.name}`", one.kind, labels, one.help


if __name__ == "__main__":
    main(everything())
