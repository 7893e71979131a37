"""Explained texts of a report: none where nothing was recorded, an error by name where that is damaged."""

from __future__ import annotations

import json

import pytest

from agentos.records.layout import EXPLANATIONS
from agentos.reporting.panels.explanation_panel import explained_texts
from protocols.errors import RecordError


def test_a_run_without_a_record_has_none(tmp_path):
    assert explained_texts(tmp_path).texts == ()


def test_pieces_and_neighbours_are_read(tmp_path):
    text = {"target": "class sea", "score": -0.2, "pieces": [["wave", 1.0]], "trust": "by chance"}
    record = {"agent": 2, "texts": [{**text, "near": [[0.5, "a tide"]]}]}
    (tmp_path / EXPLANATIONS).write_text(json.dumps(record))
    found = explained_texts(tmp_path)
    assert (found.agent, found.texts[0].pieces, found.texts[0].near) == (
        2,
        (("wave", 1.0),),
        ((0.5, "a tide"),),
    )


@pytest.mark.parametrize("record", ["{", '{"texts": [{}]}', "[]"])
def test_a_damaged_record_is_named(tmp_path, record):
    (tmp_path / EXPLANATIONS).write_text(record)
    with pytest.raises(RecordError, match=EXPLANATIONS):
        explained_texts(tmp_path)
