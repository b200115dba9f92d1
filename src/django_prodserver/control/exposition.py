"""The text format of Prometheus, version 0.0.4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django_prodserver.supervisor.hints import Union
from django_prodserver.supervisor.values import Value

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
GAUGE, COUNTER = "gauge", "counter"

Number = Union[int, float]
Labels = Mapping[str, str]


class Family(Value):
    """All values of one metric, by their labels."""

    name: str
    kind: str
    # A sentence.
    help: str
    samples: Sequence[tuple[Labels, Number]]


def rendered(family: Family) -> str:
    """The lines of a metric; empty if it has no values."""
    if not family.samples:
        return ""
    lines = [
        f"# HELP {family.name} {_escaped(family.help)}",
        f"# TYPE {family.name} {family.kind}",
        *(f"{family.name}{_labels(labels)} {value!r}" for labels, value in family.samples),
    ]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (
        f'{name}="{_escaped(value).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in labels.items()
    )
    return f"{{{','.join(pairs)}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
