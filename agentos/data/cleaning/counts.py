"""What became of the documents of a source, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping

OUTCOMES = {
    "duplicates": "duplicates",
    "near_duplicates": "near duplicates",
    "too_short": "too short",
    "too_long": "too long",
    "repetitive": "repetitive",
    "other_language": "in another language",
    "bad": "bad",
}
"""Why documents are left out: the name in the counts, and the words for it."""

BAD = "bad_"
"""Beginning of the names of counts that say why records were bad; they add up to ``bad``."""


def left_out(counts: Mapping[str, int]) -> str:
    """Tell how many documents were left out and why, the commonest reasons and all.

    Example:
        >>> left_out({"duplicates": 1200, "too_short": 0, "bad": 3, "bad_json": 3})
        '1,200 duplicates, 3 bad (3 json)'
        >>> left_out({})
        'none'
    """
    told = [f"{counts[name]:,} {words}" for name, words in OUTCOMES.items() if counts.get(name)]
    reasons = ", ".join(
        f"{count:,} {name[len(BAD) :].replace('_', ' ')}"
        for name, count in counts.items()
        if name.startswith(BAD)
    )
    return (", ".join(told) + (f" ({reasons})" if reasons else "")) or "none"


def repeats_across(counts: Mapping[str, int], sizes: Mapping[str, int]) -> int:
    """Return how many left-out duplicates would have lain in another part than what they repeat.

    That is what is to be expected had they stayed: the split puts every document into a part by
    chance, in proportion to the sizes p of the parts, so a document and its repetition are apart with
    probability 1 - sum of p squared.

    Args:
        counts: of which ``duplicates`` and ``near_duplicates`` are added up.
        sizes: of train, anchors and held-out.

    Example:
        >>> repeats_across({"duplicates": 30, "near_duplicates": 20}, {"train": 80, "heldout": 20})
        16
    """
    total = sum(sizes.values())
    apart = 1 - sum((size / total) ** 2 for size in sizes.values())
    return round(apart * (counts["duplicates"] + counts["near_duplicates"]))
