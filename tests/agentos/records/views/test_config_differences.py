"""The fields in which runs differ: every one of them, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos.records.views.config_differences import differing_fields, setting_text

RING, WIDE = {"kind": "ring", "hops": 1}, {"kind": "ring", "hops": 2}
COMPLETE = {"kind": "complete"}


def paths(*configs: dict[str, Any]) -> list[str]:
    (first, *_) = found = differing_fields(configs)
    assert all(list(fields) == list(first) for fields in found)
    return list(first)


def test_nothing_differs_between_equals() -> None:
    assert paths({"topology": RING}, {"topology": RING}) == []


def test_parameters_differ_within_a_kind_alone() -> None:
    assert paths({"topology": RING}, {"topology": COMPLETE}) == ["topology.kind"]
    three = [{"topology": RING}, {"topology": WIDE}, {"topology": COMPLETE}]
    assert paths(*three) == ["topology.kind", "topology.hops"]
    assert [fields["topology.hops"] for fields in differing_fields(three)] == [1, 2, None]


def test_lists_of_one_length_are_compared_item_by_item() -> None:
    first = {"objectives": [{"kind": "info_nce", "temperature": 0.1}]}
    second = {"objectives": [{"kind": "info_nce", "temperature": 0.2}]}
    assert paths(first, second) == ["objectives.0.temperature"]
    assert paths(first, {"objectives": []}) == ["objectives"]


def test_a_part_that_one_run_lacks_differs_as_a_whole() -> None:
    assert paths({"clock": None}, {"clock": {"mode": {"kind": "rounds"}}}) == ["clock"]


def test_names_do_not_count() -> None:
    assert paths({"name": "a", "seed": 1}, {"name": "b", "seed": 2}) == ["seed"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(RING, "ring"), ([], "none"), ([RING, COMPLETE], "ring, complete"), ({"a": 1}, '{"a": 1}')],
)
def test_a_setting_is_told_in_a_few_words(value: Any, text: str) -> None:
    assert setting_text(value) == text


LEAVES = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["x", "y"]))
CONFIGS = st.dictionaries(
    st.sampled_from("abc"),
    st.one_of(LEAVES, st.dictionaries(st.sampled_from("de"), LEAVES, min_size=2)),
)


@given(st.lists(CONFIGS, min_size=1, max_size=4))
def test_configurations_are_equal_where_their_fields_are(configs: list[dict[str, Any]]) -> None:
    whole = [{name: config.get(name) for name in "abc"} for config in configs]
    fields = differing_fields(whole)
    for one, other in zip(whole, fields, strict=True):
        for second, second_fields in zip(whole, fields, strict=True):
            assert (one == second) == (other == second_fields)
