"""Peers get what the agents answer, and nothing of the test labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.answering import Examples, out_of_fold
from agents.answering.adapt import Linear
from experiments.studies.tasks import fusion_peers
from experiments.studies.tasks.fusion_peers import PEERS, Said, mapie_deferral, peers

CLASSES, SIZES = 3, {"fit": 60, "calibrate": 90, "test": 120}


@pytest.fixture(scope="module")
def said() -> Said:
    """Three agents, each of which tells one class from the others."""
    rng = np.random.default_rng(0)
    labels, rows, start = {}, {}, 0
    for split, count in SIZES.items():
        labels[split] = rng.permutation(np.arange(count) % CLASSES)
        told = np.stack([labels[split] == agent for agent in range(CLASSES)])
        rows[split] = 2.5 * told[:, :, None] * np.ones(4) + rng.normal(size=(CLASSES, count, 4))
    heads, answers = [], []
    for agent in range(CLASSES):
        ids = {split: start + np.arange(count) for split, count in SIZES.items()}
        ids["calibrate"], ids["test"] = ids["calibrate"] + 1000, ids["test"] + 2000
        known = Examples("fit", ids["fit"], rows["fit"][agent])
        head = Linear().fit(known, labels["fit"], CLASSES)
        origin = f"{agent:032x}"
        mine = {"fit": out_of_fold(Linear(), known, labels["fit"], CLASSES, origin).answers}
        for split in ("calibrate", "test"):
            asked = Examples(split, ids[split], rows[split][agent])  # type: ignore[arg-type]
            mine[split] = head.answer(asked, origin)
        heads.append(head)
        answers.append(mine)
    return Said(
        {split: np.concatenate(list(each), axis=1) for split, each in rows.items()},
        (4,) * CLASSES,
        labels,
        *(tuple(each[split] for each in answers) for split in SIZES),
        tuple(heads),
    )


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.filterwarnings("ignore")
def test_peer_gains_from_several_agents_and_sees_no_test_label(name: str, said: Said) -> None:
    module, answer = PEERS[name]
    pytest.importorskip(module)
    found, labels = answer(said, 0.5), said.labels["test"]
    assert (found == labels).mean() > max(each.right(labels).mean() for each in said.test) + 0.03
    strange = replace(said, labels={**said.labels, "test": np.roll(labels, 1)})
    np.testing.assert_array_equal(answer(strange, 0.5), found)


def test_deferral_passes_on_no_more_than_its_budget(said: Said) -> None:
    pytest.importorskip("mapie")
    own = said.test[0].probabilities.argmax(axis=1)
    fused = mapie_deferral(said, 1.0)
    assert (fused == said.labels["test"]).mean() > (own == said.labels["test"]).mean()
    some = mapie_deferral(said, 0.25)
    assert 0 < (some != own).sum() <= 0.25 * len(own)
    assert ((some == own) | (some == fused)).all()


def test_peers_that_are_not_installed_are_left_out(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion_peers, "installed", lambda module: module == "sklearn")
    assert list(peers(said, 0.3)) == ["scikit-learn, stacking"]
