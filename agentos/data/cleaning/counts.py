"""Counts of the documents read and left out, and their wording."""

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
"""Reasons for leaving out a document: name in the counts, and wording."""

BAD = "bad_"
"""Prefix of the counts of bad records by reason; they add up to ``bad``."""


def left_out(counts: Mapping[str, int]) -> str:
    """Return how many documents were left out and why, as text.

    Example:
        >>> left_out({"duplicates": 1200, "too_short": 0, "bad": 3, "bad_json": 3})
        '1,200 duplicates, 3 bad (3 json)'
        >>> left_out({})
        'none'
    """
    parts = [f"{counts[name]:,} {words}" for name, words in OUTCOMES.items() if counts.get(name)]
    reasons = ", ".join(
        f"{count:,} {name[len(BAD) :].replace('_', ' ')}"
        for name, count in counts.items()
        if name.startswith(BAD)
    )
    return (", ".join(parts) + (f" ({reasons})" if reasons else "")) or "none"


def repeats_across(counts: Mapping[str, int], sizes: Mapping[str, int]) -> int:
    """Return the expected number of duplicates that would have leaked across the split.

    The split assigns documents to parts at random, in proportion to the sizes p of the parts, so a
    document and its duplicate would be in different parts with probability 1 - sum of p squared.

    Args:
        counts: documents left out; ``duplicates`` and ``near_duplicates`` count.
        sizes: sizes of train, anchors and held-out.

    Example:
        >>> repeats_across({"duplicates": 30, "near_duplicates": 20}, {"train": 80, "heldout": 20})
        16
    """
    total = sum(sizes.values())
    apart = 1 - sum((size / total) ** 2 for size in sizes.values())
    return round(apart * (counts["duplicates"] + counts["near_duplicates"]))
