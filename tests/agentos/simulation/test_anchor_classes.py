"""The classes of public anchors: clusters of their text, or their true labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentos import RunConfig
from agentos.data.corpus import Corpus
from agentos.events import Listener
from agentos.simulation.preparation import blueprint_of, prepare_corpus
from agents.training.blueprint import Anchors
from protocols.errors import ConfigurationError

Draw = Callable[..., tuple[Corpus, Anchors]]


@pytest.fixture
def anchors_of(small: Callable[..., RunConfig], cache: Path) -> Draw:
    """Draw up a run under an exchange; return its corpus and its anchors."""

    def make(exchange: dict[str, object], **changes: object) -> tuple[Corpus, Anchors]:
        config = small(exchange=exchange, **changes)
        corpus = prepare_corpus(config, Listener(), cache)
        return corpus, blueprint_of(config, corpus, Listener(), cache).anchors

    return make


def test_true_labels_are_numbered_in_the_order_of_their_names(anchors_of: Draw) -> None:
    corpus, anchors = anchors_of({"kind": "fedmd", "classes": 4, "labels": "true"})
    names = sorted({"sea", "farm", "town", "sky"})
    labels = corpus.labels(corpus.anchors)
    assert [names[code] for code in anchors.clusters] == labels
    assert anchors.clusters.dtype == np.int64
    assert len(set(labels)) > 1


def test_clusters_are_drawn_where_nothing_is_said_of_labels(anchors_of: Draw) -> None:
    _, anchors = anchors_of({"kind": "fedmd", "classes": 3})
    assert set(anchors.clusters.tolist()) <= {0, 1, 2}


def test_another_number_of_classes_than_labels_is_refused(anchors_of: Draw) -> None:
    with pytest.raises(ConfigurationError, match=r"set exchange\.classes to 4"):
        anchors_of({"kind": "dsfl", "classes": 5, "labels": "true"})


def test_data_without_labels_is_refused(anchors_of: Draw, corpus_file: Path) -> None:
    data = {
        "source": {"kind": "jsonl", "path": str(corpus_file)},
        "anchors": 32,
        "tokenizer": {"vocabulary_size": 400},
    }
    partition = {"partition": "iid"}
    exchange = {"kind": "pseudo_labels", "classes": 4, "labels": "true"}
    with pytest.raises(ConfigurationError, match=r"some documents have no label"):
        anchors_of(exchange, data=data | partition, evaluation={"tasks": ["retrieval"]})
