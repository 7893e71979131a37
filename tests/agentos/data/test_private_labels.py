"""Labels that agents have of their own: which documents, whose, and what else is read of them."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos import RunConfig
from agentos.data.config import DataConfig
from agentos.data.corpus import Corpus, prepare
from agentos.data.partition import ByLabel, Dirichlet, Iid
from agentos.data.private_labels import PrivateLabels
from agentos.data.sources import Jsonl
from agentos.events import Listener
from agentos.preflight.inputs import require_inputs
from agentos.simulation.preparation import blueprint_of, prepare_corpus
from protocols.errors import ConfigurationError

Draw = Callable[..., Corpus]
AGENTS = 3


@pytest.fixture
def draw(corpus_file: Path, cache: Path) -> Draw:
    """Prepare the text of three agents, 240 documents of four labels, under some private labels."""

    def make(seed: int = 0, **changes: Any) -> Corpus:
        source = Jsonl(path=str(corpus_file), label="label")
        config = DataConfig(source=source, **{"anchors": 32, "heldout": 0.25, **changes})
        return prepare(config, agents=AGENTS, seed=seed, cache=cache)

    return make


def per_label(corpus: Corpus, rows: Sequence[int]) -> Counter[str | None]:
    return Counter(corpus.labels(rows))


def test_labelled_documents_of_all_classes_are_nobody_elses_in_any_way(draw: Draw) -> None:
    corpus = draw(private_labels=PrivateLabels(per_class=3))
    unlabelled = draw()
    owned: list[int] = []
    for rows in corpus.labelled:
        assert per_label(corpus, rows) == dict.fromkeys(("sea", "farm", "town", "sky"), 3)
        assert (np.diff(rows) > 0).all()
        owned += rows.tolist()
    assert len(set(owned)) == AGENTS * 4 * 3
    read = {*corpus.train, *corpus.anchors, *corpus.heldout}
    assert not set(owned) & read
    assert set(np.concatenate(corpus.shards).tolist()) == set(corpus.train.tolist())
    # What is set aside for all is that of the run without labels, so that their figures compare.
    np.testing.assert_array_equal(corpus.anchors, unlabelled.anchors)
    np.testing.assert_array_equal(corpus.heldout, unlabelled.heldout)
    assert {*corpus.train, *owned} == set(unlabelled.train.tolist())
    assert corpus.counts["train"] == len(corpus.train)


def test_labelled_documents_of_own_classes_lie_in_the_shard(draw: Draw) -> None:
    private = PrivateLabels(per_class=2, classes="own")
    corpus, unlabelled = (
        draw(private_labels=private, partition=ByLabel()),
        draw(partition=ByLabel()),
    )
    for rows, shard, before in zip(corpus.labelled, corpus.shards, unlabelled.shards, strict=True):
        np.testing.assert_array_equal(shard, before)
        assert set(rows.tolist()) <= set(shard.tolist())
        assert per_label(corpus, rows) == dict.fromkeys(per_label(corpus, shard), 2)
    classes = [set(per_label(corpus, rows)) for rows in corpus.labelled]
    assert any(one != other for one in classes for other in classes)


def test_rare_class_of_a_shard_gives_all_it_has(draw: Draw) -> None:
    private = PrivateLabels(per_class=20, classes="own")
    corpus = draw(private_labels=private, partition=Dirichlet(alpha=0.3))
    fewer = 0
    for rows, shard in zip(corpus.labelled, corpus.shards, strict=True):
        there = per_label(corpus, shard)
        assert per_label(corpus, rows) == {name: min(20, count) for name, count in there.items()}
        fewer += sum(count < 20 for count in there.values())
    assert fewer > 0


@pytest.mark.parametrize("classes", ["all", "own"])
def test_pooled_labels_are_those_of_all_agents(draw: Draw, classes: str) -> None:
    apart = draw(private_labels=PrivateLabels(classes=classes))
    pooled = draw(private_labels=PrivateLabels(classes=classes, pooled=True))
    union = np.unique(np.concatenate(apart.labelled))
    for rows in pooled.labelled:
        np.testing.assert_array_equal(rows, union)
    for one, other in zip(apart.shards, pooled.shards, strict=True):
        np.testing.assert_array_equal(one, other)


def test_too_few_documents_of_a_class_are_refused_with_the_numbers(draw: Draw) -> None:
    with pytest.raises(ConfigurationError) as caught:
        draw(private_labels=PrivateLabels(per_class=20))
    text = str(caught.value)
    assert "has too few training documents for private labels" in text
    assert "more than 60: data.private_labels.per_class 20 for each of 3 agents" in text
    assert "lower data.private_labels.per_class or agents.count" in text


def test_draw_is_the_same_again_and_another_under_another_seed_or_number(draw: Draw) -> None:
    first, again = (draw(private_labels=PrivateLabels()) for _ in range(2))
    assert [rows.tolist() for rows in first.labelled] == [rows.tolist() for rows in again.labelled]
    assert first.digest == again.digest == pickle.loads(pickle.dumps(first)).digest
    others = [
        draw(),
        draw(private_labels=PrivateLabels(per_class=2)),
        draw(private_labels=PrivateLabels(classes="own")),
        draw(private_labels=PrivateLabels(pooled=True)),
        draw(seed=1, private_labels=PrivateLabels()),
    ]
    assert len({each.digest for each in (first, *others)}) == 6


def test_digest_names_whose_label_is_whose(draw: Draw) -> None:
    corpus = draw(private_labels=PrivateLabels())
    assert replace(corpus, labelled=corpus.labelled[::-1]).digest != corpus.digest


@pytest.mark.parametrize("classes", ["all", "own"])
def test_data_without_labels_are_refused(tmp_path: Path, classes: str) -> None:
    path = tmp_path / "plain.jsonl"
    lines = (json.dumps({"text": f"{i} number {i} of some texts {i * i}"}) for i in range(60))
    path.write_text("\n".join(lines), encoding="utf-8")
    data = DataConfig(
        source=Jsonl(path=str(path)),
        partition=Iid(),
        anchors=4,
        near_duplicates=None,
        private_labels=PrivateLabels(classes=classes),
    )
    with pytest.raises(
        ConfigurationError, match=r"data\.private_labels is set, and some documents"
    ):
        prepare(data, agents=2, seed=0, cache=tmp_path / "cache")
    with pytest.raises(ConfigurationError, match=r"data\.private_labels is set, and the documents"):
        require_inputs(data, 2, RunConfig().evaluation, RunConfig().objectives, wants_labels=False)


def with_labels(
    small: Callable[..., RunConfig], small_values: dict[str, Any], **fields: Any
) -> Any:
    classes = fields.pop("classes", 4)
    return small(
        data={**small_values["data"], "private_labels": {}},
        objectives=["info_nce", {"kind": "labelled", "classes": classes}],
        **fields,
    )


def test_members_know_the_class_of_their_own_labelled_documents(
    small: Callable[..., RunConfig], small_values: dict[str, Any], cache: Path
) -> None:
    config = with_labels(small, small_values)
    corpus = prepare_corpus(config, Listener(), cache)
    blueprint = blueprint_of(config, corpus, Listener(), cache)
    assert blueprint.labels == ("farm", "sea", "sky", "town")
    for member, rows in zip(blueprint.members, corpus.labelled, strict=True):
        np.testing.assert_array_equal(member.labelled, rows)
        assert [blueprint.labels[code] for code in member.classes] == corpus.labels(rows)
        assert member.classes.dtype == np.int64


@pytest.mark.parametrize("exchange", ["fedavg", {"kind": "fedmd", "labels": "own", "classes": 5}])
def test_another_number_of_classes_than_labels_is_refused_with_every_field(
    small: Callable[..., RunConfig], small_values: dict[str, Any], cache: Path, exchange: Any
) -> None:
    config = with_labels(small, small_values, classes=5, exchange=exchange)
    corpus = prepare_corpus(config, Listener(), cache)
    fields = "objectives.1.classes" + (" and exchange.classes" if exchange != "fedavg" else "")
    with pytest.raises(ConfigurationError) as caught:
        blueprint_of(config, corpus, Listener(), cache)
    assert f"the data has 4 labels, and {fields}" in str(caught.value)
    assert f"set {fields} to 4" in str(caught.value)
