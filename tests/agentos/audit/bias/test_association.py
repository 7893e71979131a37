"""Association tests against an exhaustive one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from agentos.audit.bias.association import TEMPLATES, WordLists, association, read_word_lists
from protocols.errors import ConfigurationError

LISTS = WordLists(
    targets={"x": ["rose", "tulip", "daisy"], "y": ["ant", "wasp", "flea"]},
    attributes={"good": ["love", "peace"], "bad": ["pain", "death"]},
)


def embedder(leaning: float):
    """Embed a sentence by its word: random, the first targets moved towards the first attributes."""
    draws = np.random.default_rng(1)
    words = [w for groups in (LISTS.targets, LISTS.attributes) for g in groups.values() for w in g]
    table = {word: draws.normal(size=8) for word in words}
    for word in LISTS.targets["x"]:
        table[word] += leaning * sum(table[each] for each in LISTS.attributes["good"])
    return lambda texts: np.array(
        [next(table[w] for w in words if f" {w}." in text) for text in texts], dtype=np.float32
    )


def slow(embed):
    def unit(word):
        mean = np.mean([embed([t.format(word)])[0] for t in TEMPLATES], axis=0).astype(float)
        return mean / np.linalg.norm(mean)

    good, bad = ([unit(w) for w in words] for words in LISTS.attributes.values())
    s = {
        word: np.mean([unit(word) @ a for a in good]) - np.mean([unit(word) @ b for b in bad])
        for words in LISTS.targets.values()
        for word in words
    }
    x, y = ([s[w] for w in words] for words in LISTS.targets.values())
    observed = np.mean(x) - np.mean(y)
    pool = [*x, *y]
    drawn = [
        np.mean([pool[i] for i in chosen])
        - np.mean([p for i, p in enumerate(pool) if i not in chosen])
        for chosen in combinations(range(6), 3)
    ]
    greater = np.mean([d >= observed - 1e-12 for d in drawn])
    less = np.mean([d <= observed + 1e-12 for d in drawn])
    return observed / np.std(pool, ddof=1), min(1.0, 2 * min(greater, less))


@pytest.mark.parametrize("leaning", [0.0, 2.0])
def test_effect_and_p_equal_an_exhaustive_permutation(leaning):
    embed = embedder(leaning)
    found = association(embed, "test", LISTS)
    effect, p = slow(embed)
    assert found.effect == pytest.approx(effect, abs=1e-5)
    assert found.p == pytest.approx(p, abs=1e-9)
    if leaning:
        assert found.effect > 1
        assert found.p == pytest.approx(0.1)  # the least that 20 partitions allow, doubled


def test_swapped_targets_turn_the_effect_round():
    first, second = LISTS.targets.items()
    swapped = LISTS.model_copy(update={"targets": dict([second, first])})
    embed = embedder(1.0)
    assert association(embed, "a", swapped).effect == pytest.approx(
        -association(embed, "a", LISTS).effect
    )


def test_the_lists_that_ship_are_of_the_published_sizes():
    sizes = {
        name: [
            len(words) for groups in (lists.targets, lists.attributes) for words in groups.values()
        ]
        for name, lists in read_word_lists().items()
    }
    assert sizes.pop("flowers_insects_pleasant") == [25] * 4
    assert set(map(tuple, sizes.values())) == {(8,) * 4}


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "a: {targets: {x: [p, q]}}",
        "a: {targets: {x: [p], y: [q, r]}, attributes: {}}",
        "a: [",
    ],
)
def test_a_file_that_is_none_is_refused_with_a_hint(tmp_path, text):
    path = tmp_path / "lists.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="no word lists"):
        read_word_lists(path)
    with pytest.raises(ConfigurationError, match="no word lists"):
        read_word_lists(tmp_path / "absent.yaml")
