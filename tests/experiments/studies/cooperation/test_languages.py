"""The study of agents of unlike languages: tokenizers, sweep, and made-up rows to a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentos.data.config import TokenizerConfig
from agentos.data.tokenization.tokenizer import SPECIAL_TOKENS, train
from experiments.studies.cooperation import languages as study
from protocols.seeding import generator

NOISE = (0.0, 0.01, -0.01)
QUALITY = {"self_training": 0.3, "shuffled": 0.25, "pseudo_labels": 0.4}
WORDS = ("array", "tensor", "frame", "index", "matrix", "solve", "plot", "Élan")
CONFIG = TokenizerConfig(vocabulary_size=300)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rng = generator(0, "texts")
    return [" ".join(rng.choice(WORDS, size=12)) + "." for _ in range(60)]


def row(cell: str, arm: str, seed: int, **changes: Any) -> dict[str, Any]:
    quality = QUALITY[arm] + NOISE[seed]
    agents = [quality + 0.1, quality + 0.1, quality - 0.1, quality - 0.1]
    found = {"payload_bytes": 0, "tokens": 1000, "flops": 1e9, "status": "finished"}
    for metric in (study.LABELS, study.PROBE):
        found |= {
            f"{metric}.agents": agents,
            f"{metric}.mean": quality,
            f"{metric}.worst": quality - 0.1,
            f"joint_{metric}.mean": quality + 0.2,
            f"joint_{metric}.worst": quality + 0.2,
        }
    return {**found, "arm": arm, "seed": seed, "axis.cell": cell, **changes}


def test_tokenizer_of_a_cipher_encodes_a_text_as_it_would_its_cipher(texts: list[str]) -> None:
    cipher = study.cipher_of(0, 1)
    assert cipher != study.cipher_of(0, 2)
    enciphered = [text.lower().replace("é", "e").translate(cipher) for text in texts]
    reference = train(enciphered, CONFIG)
    ours = study.ciphered(texts, CONFIG, cipher)
    assert ours(texts)["input_ids"] == reference(enciphered)["input_ids"]
    assert ours.get_vocab() != train(texts, CONFIG).get_vocab()


def test_tokenizer_of_characters_knows_nothing_longer(texts: list[str]) -> None:
    tokenizer = study.characters(texts, CONFIG)
    assert tokenizer.tokenize("Index. élan") == [
        "i",
        "##n",
        "##d",
        "##e",
        "##x",
        ".",
        "e",
        "##l",
        "##a",
        "##n",
    ]
    named = set(tokenizer.get_vocab()) - set(SPECIAL_TOKENS.values())
    assert max(len(piece.removeprefix("##")) for piece in named) == 1
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))


def test_agents_of_a_cell_read_their_own_tokens(
    tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Corpus:
        shards = tuple(range(agent, 60, 4) for agent in range(4))
        anchors = range(0)

        def texts(self, rows: Any) -> list[str]:
            return [texts[each] for each in rows.astype(int)]

    monkeypatch.setattr(study, "prepare_corpus", lambda *_: Corpus())
    runs = study.runs_of(10, tmp_path)
    assert len(runs) == 9
    assert {run.seed for run in runs} == {10}
    paths = {
        run.axes["cell"]: [
            group.encoder.path for group in run.config.agents.resolved for _ in range(group.count)
        ]
        for run in runs
    }
    assert paths["alike"] == [None] * 4
    assert paths["characters"][:2] == [None] * 2
    own = [*paths["characters"][2:], *paths["ciphers"]]
    assert None not in own
    assert len(set(own)) == 6
    (tmp_path / "seed-10" / "ciphers" / "0" / "kept").touch()
    monkeypatch.delattr(study, "build_backbone")  # what was written is not written again
    assert [run.id for run in study.runs_of(10, tmp_path)] == [run.id for run in runs]


def test_page_compares_within_cells_and_tells_halves_of_the_agents(tmp_path: Path) -> None:
    rows = [
        row(cell, arm, seed)
        for cell in (study.ALIKE, study.CHARACTERS)
        for arm in QUALITY
        for seed in range(3)
    ]
    # A run that failed, and a seed that the control lacks, stay out.
    rows += [row(study.ALIKE, "pseudo_labels", 0, status="failed")]
    rows = [
        each
        for each in rows
        if (each["axis.cell"], each["arm"], each["seed"]) != ("characters", "self_training", 1)
    ]
    text = study.write_results(rows, "the command", tmp_path).read_text("utf-8")
    assert "`the command`" in text
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    (taught,) = (each for each in lines if each[:2] == ["alike", "pseudo_labels"])
    assert taught[2:5] == ["0.400 ± 0.025", "0.300 ± 0.025", "+0.100 ± 0.000"]
    joint = [each for each in lines if each[:2] == ["characters", "self_training, asked"]]
    assert [each[4] for each in joint] == ["+0.200 ± 0.000"] * 2
    (halves,) = (each for each in lines if each[0] == "characters" and len(each) == 7)
    assert halves[3] == halves[6] == "+0.100 ± 0.000"
    assert halves[1].startswith("0.395 ±")
    assert halves[4].startswith("0.195 ±")
    assert not any(each[0] == study.CIPHERS for each in lines)
