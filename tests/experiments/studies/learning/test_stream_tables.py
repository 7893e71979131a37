"""Tables of learners on streams, on made-up figures."""

from __future__ import annotations

import numpy as np

from experiments.studies.learning.measured_stream import Measured
from experiments.studies.learning.peer_streams import Words
from experiments.studies.learning.stream_tables import avalanche_section, page


def measured(last: tuple[float, float], memory: int) -> Measured:
    rows = ((0.8, 0.1), last)
    return Measured(
        values={"trained": rows, "ridge": rows},
        before={"trained": (0.1, 0.1), "ridge": (0.1, 0.1)},
        spent={"tokens": 1000, "message_bytes": 0, "memory_bytes": memory},
    )


FOUND = {
    "frozen": [measured((0.8, 0.0), 4000)] * 2,
    "er": [measured((0.6, 0.7), 24_000), measured((0.5, 0.6), 24_000)],
    "none": [measured((0.1, 0.8), 4000), measured((0.05, 0.75), 4000)],
}
WORDS = [Words(values=((0.9, 0.0), (0.8, 0.7)), memory_bytes=5000)] * 2


def cells(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_differences_are_paired_with_replay() -> None:
    none = cells(page("Streams", "the command", FOUND, WORDS, agents=2), "none")
    assert none[1].startswith("0.425")  # (0.1 + 0.8) / 2 and (0.05 + 0.75) / 2
    assert none[2].startswith("-0.725")  # 0.1 - 0.8 and 0.05 - 0.8
    assert none[5].startswith("-0.175")  # 0.45 - 0.65 and 0.4 - 0.55
    assert 0.0 < float(none[6]) <= 1.0


def test_memory_is_what_the_learner_adds_to_the_ridge_head() -> None:
    text = page("Streams", "the command", FOUND, WORDS, agents=2)
    assert cells(text, "er")[9] == "10.0 kB"
    assert cells(text, "frozen")[9] == "0 (unequal)"
    assert "the ridge head keeps 2.00 kB more" in text


def test_comparison_at_unequal_memory_is_marked() -> None:
    found = {**FOUND, "close": [measured((0.5, 0.5), 25_500)] * 2}  # 10.75 kB beside 10
    text = page("Streams", "the command", found, WORDS, agents=2)
    marked = {name for name in found if cells(text, name)[9].endswith("(unequal)")}
    assert marked == {"frozen", "none"}
    assert "not at equal memory" in text


def test_words_have_a_row_without_a_test() -> None:
    words = cells(page("Streams", "the command", FOUND, WORDS, agents=2), "words")
    assert words[1].startswith("0.750")
    assert words[9] == "5.00 kB in all"


def test_one_seed_is_not_tested() -> None:
    one = {arm: runs[:1] for arm, runs in FOUND.items()}
    none = cells(page("Streams", "the command", one, WORDS[:1], agents=2), "none")
    assert none[6] == none[8] == "–"
    assert not np.isnan(float(none[1].split()[0]))


def test_avalanche_is_compared_seed_by_seed() -> None:
    theirs = {"er": [np.array([[0.8, 0.1], [0.5, 0.6]]), np.array([[0.8, 0.1], [0.3, 0.5]])]}
    er = cells(avalanche_section(FOUND, theirs), "er")
    assert er[1].startswith("0.600")  # 0.65 and 0.55
    assert er[2].startswith("0.475")  # 0.55 and 0.4
    assert er[3].startswith("+0.125")
    assert er[7].startswith("+0.150")  # -0.2 and -0.3, less -0.3 and -0.5
    assert avalanche_section(FOUND, {}) == ""
