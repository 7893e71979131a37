"""Texts of random words, to serve and to ask; a module that is soon imported."""

from __future__ import annotations

import itertools

from protocols.seeding import generator

_LABELS = ("sea", "farm", "town", "sky")
WORDS = ["".join(letters) for letters in itertools.product("bdfklmnprst", "aeiou", "lmnrst")]
"""Words of one token each."""
LENGTH = 24
"""Words of a text."""


def texts(count: int) -> list[tuple[str, str]]:
    """Return texts of random words, with labels that depend on the words."""
    rng = generator(0, "benchmark", "served texts")
    share = len(WORDS) // len(_LABELS)
    found = []
    for number in range(count):
        label = number % len(_LABELS)
        words = rng.choice(WORDS[label * share : (label + 1) * share], size=LENGTH)
        found.append((" ".join(words), _LABELS[label]))
    return found
