"""The lexical row of a stream: TF-IDF and logistic regression on all labelled text so far."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from agentos.learning.config import LifeConfig
from agentos.learning.curriculum import draw_up
from agentos.learning.life import LifeListener
from experiments.studies.cooperation.lexical_labels import probabilities
from experiments.studies.lexical import cut
from protocols.spec import Spec


class Words(Spec):
    """Figures of the lexical model on one stream."""

    values: tuple[tuple[float, ...], ...] = Field(
        description="After each episode, accuracy on the test of each."
    )
    memory_bytes: int = Field(
        ge=0, description="Bytes of the labelled text in UTF-8, cut as it is read."
    )


def lexical_stream(life: LifeConfig) -> Words:
    """Return the accuracy on every test after every episode of a model that keeps all labelled text."""
    curriculum = draw_up(life, LifeListener())
    length = curriculum.config.evaluation.max_length
    tests = [episode.test for episode in curriculum.episodes]
    asked = np.concatenate(tests)
    queries = cut(curriculum.texts(asked), length)
    values, texts, labels, read = [], list[str](), list[str](), list[str]()
    for episode in curriculum.episodes:
        read += cut(curriculum.texts(episode.train), length)
        texts += cut(curriculum.texts(episode.labelled), length)
        labels += [curriculum.names[curriculum.codes[row]] for row in episode.labelled]
        found = probabilities(read, texts, labels, queries, curriculum.names)
        right = found.argmax(axis=1) == curriculum.codes[asked]
        cuts = np.cumsum([len(test) for test in tests])[:-1]
        values.append(tuple(float(part.mean()) for part in np.split(right, cuts)))
    return Words(values=tuple(values), memory_bytes=sum(len(text.encode()) for text in texts))
