"""The study of automatic labels: draws apart, agents on their shares, and one calibration for all ways."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.studies.learning import label_coverage
from experiments.studies.learning.label_coverage import Material, agents_answers, drawn, table, ways
from protocols.seeding import generator

AGENTS, CLASSES, BUDGET = 3, 4, 160


@pytest.fixture(scope="module")
def material() -> Material:
    """Texts of words of their class, as agents of unlike noise see them."""
    rng = generator(0, "label study")
    truth = np.repeat(np.arange(CLASSES), BUDGET + label_coverage.ASKED)
    texts = [f"word{label} word{label} common {rng.integers(50)}" for label in truth]
    centres = 3 * rng.standard_normal((CLASSES, 8))
    seen = [
        (centres[truth] + noise * rng.standard_normal((len(truth), 8))).astype(np.float32)
        for noise in (1.0, 2.0, 4.0)
    ]
    return Material(texts, truth, tuple("abcd"), seen)


def test_parts_of_a_draw_do_not_meet(material: Material) -> None:
    draw = drawn(material, BUDGET, 0)
    parts = (draw.fit, draw.calibrate, draw.asked)
    assert [len(part) for part in parts] == [CLASSES * n for n in (80, 80, label_coverage.ASKED)]
    assert len(np.unique(np.concatenate(parts))) == sum(map(len, parts))
    assert not np.array_equal(draw.asked, drawn(material, BUDGET, 1).asked)


def test_agents_learn_from_their_own_share(material: Material) -> None:
    draw = drawn(material, BUDGET, 0)
    found = agents_answers(material, draw, "fit", draw.fit)
    shares = np.stack([each.in_sample for each in found])
    assert (shares.sum(axis=0) == 1).all()
    assert {each.origins for each in found} == {(f"agent-{n}",) for n in range(AGENTS)}


def test_table_has_a_row_for_each_way_and_what_is_sure_is_right(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_coverage, "BUDGETS", (BUDGET,))
    rows = [line.split(" | ") for line in table(material, 2, ways(False)).splitlines()[2:]]
    found = {row[1]: row for row in rows}
    assert list(found) == ["committee", "own", "words", "committee with words"]
    coverage = {name: float(row[2].split()[0]) for name, row in found.items()}
    assert coverage["words"] == 1.0  # its words tell every class
    assert coverage["committee"] > 0.5
    assert all(float(row[3].split()[0]) >= 0.95 for name, row in found.items() if coverage[name])
