r"""Extractive summary: the sentences that say most of a text, without saying it twice.

Sentences are chosen one by one: each time the one of the highest

\[ \lambda \cos(s, c) - (1 - \lambda) \max_{t \in S} \cos(s, t) \]

where c is the mean of all sentences and S are those chosen so far. Several agents judge together: the cosine
of their unit embeddings, side by side, is the mean of their cosines.

Source: Carbonell and Goldstein, The use of MMR, diversity-based reranking for reordering documents and
producing summaries, 1998; Radev et al., Centroid-based summarization of multiple documents, 2004.

Legend: S sentences, D embedding width of an agent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.answering.answers import Labels
from agents.answering.ranking.search import unit_rows
from protocols.errors import ConfigurationError


def summarise(
    embeddings: Sequence[NDArray[np.floating]], count: int, relevance: float = 0.7
) -> Labels:
    """Return the places of the sentences of a summary, in the order of the text.

    Args:
        embeddings: `[S, D]` of each agent, whose widths may differ; one for each distinct origin.
        count: sentences of the summary; all where the text has fewer.
        relevance: the factor lambda; 1 chooses the sentences nearest to the mean alone.

    Raises:
        ConfigurationError: agents disagree on the number of sentences, or there are none.

    Example:
        >>> rows = np.array([[1.0, 0.2], [1.0, 0.1], [0.2, 1.0]])
        >>> summarise([rows], 2).tolist(), summarise([rows], 2, relevance=1.0).tolist()
        ([0, 2], [0, 1])
    """
    lengths = {len(each) for each in embeddings}
    if len(lengths) != 1 or 0 in lengths or count < 1 or not 0.0 <= relevance <= 1.0:
        raise ConfigurationError(
            "there is nothing to summarise",
            expected="embeddings of the same sentences, a count of at least 1, a relevance from 0 to 1",
            actual=f"{sorted(lengths)} sentences, count {count}, relevance {relevance}",
            hint="let every agent embed all sentences of the text",
        )
    joint_SD = unit_rows(np.concatenate([unit_rows(each) for each in embeddings], axis=1))
    central_S = joint_SD @ unit_rows(joint_SD.mean(axis=0, keepdims=True))[0]
    cosines_SS = joint_SD @ joint_SD.T
    chosen: list[int] = []
    nearest_S = np.zeros(len(joint_SD))  # nothing is chosen that the first could repeat
    while len(chosen) < min(count, len(joint_SD)):
        gains_S = relevance * central_S - (1 - relevance) * nearest_S
        gains_S[chosen] = -np.inf
        chosen.append(int(gains_S.round(12).argmax()))  # ties go to the earlier sentence
        nearest_S = cosines_SS[:, chosen].max(axis=1)
    return np.sort(np.array(chosen, dtype=np.int64))
