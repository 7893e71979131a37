from __future__ import annotations

import numpy as np

from agentos.learning.streams import ByTime, StreamText, cut


def words(seed: int) -> list[str]:
    return [f"word{number}" for number in np.random.default_rng(seed).integers(0, 9999, 40)]


def test_near_duplicates_are_left_out_and_a_share_of_those_of_training_text_is_told() -> None:
    originals = [words(seed) for seed in range(40)]
    copies = [[*text[:-1], "another"] for text in originals]  # one word of forty differs
    texts = [" ".join(text) for text in (*originals, *copies)]
    documents = StreamText([str(n) for n in range(80)], texts, ["a", "b"] * 40)
    stream = ByTime(episodes=4, test=0.25)
    episodes, repeated = cut(stream, documents, seed=0)
    assert len(episodes) == 2  # the second half only repeats the first
    assert repeated == 40
    assert [len(episode.repeats) for episode in episodes] == [0, 0]

    mixed = StreamText(
        documents.ids,
        [t for pair in zip(texts[:40], texts[40:], strict=True) for t in pair],
        ["a"] * 80,
    )
    episodes, repeated = cut(stream, mixed, seed=0)
    assert repeated == 40
    for episode in episodes:
        parts = np.concatenate([episode.train, episode.gate, episode.test])
        assert not set(parts.tolist()) & set(episode.repeats.tolist())
        assert set((episode.repeats - 1).tolist()) <= set(episode.train.tolist())
        assert len(episode.repeats) == np.ceil(stream.test * len(episode.train))
