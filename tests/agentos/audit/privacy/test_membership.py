"""Membership attacks where they must win, where they must lose, and against a slow count."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from agentos.audit.privacy.membership import Shadow, membership

WORDS = [
    "sea",
    "wave",
    "tide",
    "ship",
    "farm",
    "field",
    "crop",
    "barn",
    "town",
    "street",
    "shop",
    "bank",
    "sky",
    "star",
    "moon",
    "cloud",
]


def texts(count: int, seed: int) -> list[str]:
    draws = np.random.default_rng(seed)
    return [" ".join(draws.choice(WORDS, 10)) for _ in range(count)]


MEMBERS, OTHERS, ANCHORS = texts(40, 1), texts(40, 2), texts(60, 3)
MATRIX = np.random.default_rng(4).normal(size=(len(WORDS), 6))


def bag(crops):
    """Embed by words alone: nothing is remembered."""
    rows = np.array([[text.split().count(word) for word in WORDS] for text in crops], dtype=float)
    return (rows @ MATRIX).astype(np.float32)


def remembering(crops):
    """Embed as `bag` does, but the crops of a member all alike."""
    rows = bag(crops)
    for row, crop in enumerate(crops):
        owner = next((text for text in MEMBERS if crop in text), None)
        if owner is not None:
            rows[row] = np.random.default_rng(zlib.crc32(owner.encode())).normal(size=6) * 5
    return rows


def by_view(victim, **more):
    found = membership(victim, bag, MEMBERS, OTHERS, ANCHORS, **more)
    return {attack.view: attack for attack in found}


def test_an_encoder_that_remembers_its_texts_is_found_out_by_its_parameters_alone():
    found = by_view(remembering)
    assert found["parameters"].auc > 0.95
    assert found["parameters"].hits > 0.5
    assert found["parameters"].low <= found["parameters"].auc <= found["parameters"].high
    # Of the anchors nothing is remembered, so they give nothing away.
    assert found["anchors"].low < 0.5 < found["anchors"].high
    assert found["text alone"].low < 0.5 < found["text alone"].high


def test_an_encoder_that_equals_the_attackers_gives_nothing_away():
    assert by_view(bag)["parameters"].auc == pytest.approx(0.5)


def test_the_area_equals_a_count_of_pairs():
    def slow_alignment(crop_rows):
        units = crop_rows / np.linalg.norm(crop_rows, axis=1, keepdims=True)
        pairs = [units[i] @ units[j] for i in range(4) for j in range(4) if i != j]
        return np.mean(pairs)

    seen = []

    def watched(given):
        if len(given) != len(ANCHORS):
            seen.extend(given)
        return bag(given)

    found = {a.view: a for a in membership(bag, watched, MEMBERS, OTHERS, ANCHORS)}
    crops = seen[: 4 * 80]
    rows = bag(crops).astype(float) - bag(ANCHORS).mean(axis=0)
    scores = [slow_alignment(rows[4 * i : 4 * i + 4]) for i in range(80)]
    wins = [(a > b) + 0.5 * (a == b) for a in scores[:40] for b in scores[40:]]
    assert found["text alone"].auc == pytest.approx(np.mean(wins), abs=1e-3)


def test_short_and_equal_texts_are_attacked_without_an_error():
    found = membership(bag, remembering, ["sea"] * 20, ["sea wave"] * 20, ANCHORS)
    assert all(0 <= attack.auc <= 1 for attack in found)


def shadow(seed: int, read=()) -> Shadow:
    """An agent of another society: it knows other features of the words, and remembers nothing."""
    matrix = np.random.default_rng(seed).normal(size=(len(WORDS), 6))

    def embed(crops):
        rows = [[text.split().count(word) for word in WORDS] for text in crops]
        return (np.array(rows, dtype=float) @ matrix).astype(np.float32)

    return Shadow(embed, frozenset(read))


def test_shadows_find_members_that_are_remembered_and_none_where_nothing_is():
    shadows = [shadow(seed) for seed in range(5, 10)]
    assert by_view(remembering, shadows=shadows)["shadows"].auc > 0.95
    forgetful = by_view(bag, shadows=shadows)["shadows"]
    assert forgetful.low < 0.5 < forgetful.high


def test_shadows_that_have_read_a_text_say_nothing_about_it():
    """An encoder that remembers as the victim does would hide what the victim remembers."""
    read = Shadow(remembering, frozenset(MEMBERS))
    honest = [shadow(seed) for seed in range(5, 10)]
    with_it = by_view(remembering, shadows=[*honest, read])["shadows"]
    assert with_it.auc > 0.95
    every = [shadow(seed, [*MEMBERS, *OTHERS]) for seed in range(5, 10)]
    assert by_view(remembering, shadows=every)["shadows"].auc == 0.5
