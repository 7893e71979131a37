"""Lexical models with few labels: TF-IDF and logistic regression on the labelled documents of the agents.

Shapes: N documents, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from agentos.config.run import RunConfig
from agentos.evaluation.classification import classification_scores
from agentos.events import Listener
from agentos.simulation.preparation import heldout_of, prepare_corpus
from agentos.sweep.rows import Row
from experiments.studies.lexical import cut

ALONE, VOTE, POOLED = "words", "words_vote", "words_pooled"


def label_rows(config: RunConfig) -> list[Row]:
    """Return a row for each agent's own labels alone, for the vote of these models, and for all labels.

    A model alone takes the weights of words from the agent's text and the anchors, the pooled one from the
    text of all agents.
    """
    corpus, words = prepare_corpus(config, Listener()), config.evaluation.max_length
    heldout = heldout_of(config, corpus)
    tests, truth = cut(heldout.texts, words), heldout.labels or ()
    names = sorted({str(label) for label in corpus.labels(corpus.train)})

    def answers(text: NDArray[np.int64], labelled: NDArray[np.int64]) -> NDArray[np.float64]:
        given = [str(label) for label in corpus.labels(labelled)]
        read = cut(corpus.texts(np.union1d(text, labelled)), words)
        return probabilities(read, cut(corpus.texts(labelled), words), given, tests, names)

    owned = list(zip(corpus.shards, corpus.labelled, strict=True))
    alone = [answers(np.union1d(shard, corpus.anchors), own) for shard, own in owned]
    everything = answers(
        np.union1d(corpus.train, corpus.anchors), np.unique(np.concatenate(corpus.labelled))
    )
    found = {ALONE: alone, VOTE: [np.mean(alone, axis=0)], POOLED: [everything]}
    return [{"arm": arm, **_scores(each, names, truth)} for arm, each in found.items()]


def probabilities(
    text: Sequence[str],
    labelled: Sequence[str],
    labels: Sequence[str],
    tests: Sequence[str],
    names: Sequence[str],
) -> NDArray[np.float64]:
    """Return class probabilities `[N, K]` of some documents, 0 for classes that have no label.

    Args:
        text: documents that weights of words come from.
        labelled, labels: documents to learn, and the label of each.
        tests: documents to classify.
        names: names of the classes.
    """
    vectorizer = TfidfVectorizer(sublinear_tf=True).fit(text)
    known = sorted(set(labels))
    found_NK = np.zeros((len(tests), len(names)))
    columns = [names.index(label) for label in known]
    if len(known) == 1:  # nothing to tell apart
        found_NK[:, columns] = 1.0
        return found_NK
    model = LogisticRegression(max_iter=1000)
    model.fit(vectorizer.transform(labelled), labels)
    found_NK[:, columns] = model.predict_proba(vectorizer.transform(tests))
    return found_NK


def _scores(
    found: Sequence[NDArray[np.float64]], names: Sequence[str], truth: Sequence[str]
) -> Row:
    scores = [
        classification_scores(truth, [names[i] for i in each.argmax(axis=1)]) for each in found
    ]
    row: Row = {}
    for name in scores[0]:
        values = [score[name] for score in scores]
        row[f"own_labels_{name}.mean"] = float(np.mean(values))
        row[f"own_labels_{name}.worst"] = float(np.min(values))
    return row
