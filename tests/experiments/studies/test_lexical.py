from __future__ import annotations

from collections.abc import Callable

from agentos import RunConfig
from experiments.studies.lexical import lexical_scores


def test_words_alone_find_the_body_of_a_first_line(small: Callable[..., RunConfig]) -> None:
    config = small(evaluation={"tasks": ["retrieval", "geometry"], "documents": 40})
    scores = lexical_scores(config)
    assert set(scores) >= {"mrr", "rankme"}
    assert scores["mrr"] > 2 / 40
    assert lexical_scores(config) == scores
