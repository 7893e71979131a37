"""Success of a poisoning: how often is the wished class given, with the trigger and without it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agents.models.text_encoder import LabelScores

Classify = Callable[[Sequence[str]], "LabelScores | None"]


@dataclass(frozen=True)
class Backdoor:
    """A poisoning as seen at one agent.

    Attributes:
        success: share of the texts of other classes that get the wished class with the trigger in front; in
            an attack without a trigger, the same as `untriggered`.
        untriggered: share of them that get it anyway: the floor.
        accuracy: share of all texts that get their own class, without the trigger.
        texts: number of texts of other classes.
    """

    success: float
    untriggered: float
    accuracy: float
    texts: int


def backdoor(
    classify: Classify,
    texts: Sequence[str],
    labels: Sequence[str],
    wished: str,
    trigger: str | None,
) -> Backdoor | None:
    """Measure a poisoning on clean texts that no agent has read; None for an agent without a classifier.

    Args:
        classify: the agent's own classifier.
        texts: held-out texts.
        labels: their classes.
        wished: class that the poisoned texts carry.
        trigger: phrase that they begin with; None for labels flipped without one.

    Source: Gu et al., BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain, 2017;
    for federated learning Bagdasaryan et al., How To Backdoor Federated Learning, 2020.
    """
    clean = _classes(classify(texts))
    if clean is None:
        return None
    other = np.array(labels) != wished
    attacked = [text for text, is_other in zip(texts, other, strict=True) if is_other]
    triggered = clean[other]
    if trigger is not None:
        found = _classes(classify([f"{trigger} {text}" for text in attacked]))
        assert found is not None  # it classified the clean texts
        triggered = found
    return Backdoor(
        success=_share(triggered == wished),
        untriggered=_share(clean[other] == wished),
        accuracy=_share(clean == np.array(labels)),
        texts=len(attacked),
    )


def _classes(scores: LabelScores | None) -> np.ndarray | None:
    if scores is None:
        return None
    named: np.ndarray = np.array(scores.names)[scores.probabilities.argmax(axis=1)]
    return named


def _share(hits: np.ndarray) -> float:
    return float(hits.mean()) if len(hits) else 0.0
