"""The text of metrics, as the library of Prometheus reads it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from django_prodserver.control.exposition import COUNTER, GAUGE, Family, rendered

NUMBERS = st.one_of(st.integers(0, 2**53), st.floats(allow_nan=False))


def test_each_metric_has_a_help_and_a_type() -> None:
    family = Family("web_up", GAUGE, "Whether it is up.", [({"name": "web.1"}, 1), ({}, 0.5)])

    assert rendered(family) == (
        '# HELP web_up Whether it is up.\n# TYPE web_up gauge\nweb_up{name="web.1"} 1\nweb_up 0.5\n'
    )


def test_a_metric_without_values_is_left_out() -> None:
    assert rendered(Family("web_up", GAUGE, "Whether it is up.", [])) == ""


@given(
    help=st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r")),
    samples=st.lists(st.tuples(st.text(st.characters(blacklist_categories=("Cs",))), NUMBERS)),
)
def test_the_prometheus_parser_reads_back_every_sample(
    help: str, samples: list[tuple[str, float]]
) -> None:
    by_name = dict(samples)
    family = Family("x_total", COUNTER, help, [({"name": one}, by_name[one]) for one in by_name])

    found = list(text_string_to_metric_families(rendered(family)))

    if not by_name:
        assert found == []
        return
    (read,) = found
    assert (read.name, read.type) == ("x", "counter")
    assert {one.labels["name"]: one.value for one in read.samples} == by_name
