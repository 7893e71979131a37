"""Cards of runs and of model folders, and the library that keeps them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from agentos.tasks.library import Library, read_cards, weights_digest
from protocols.errors import ConfigurationError, RecordError

BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}


def save(folder: Path, tokenizer, seed: int = 0, dtype=torch.float32) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(BertConfig(vocab_size=len(tokenizer), **BERT))
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_card_of_a_model_folder_counts_what_the_model_has(tmp_path: Path, tokenizer) -> None:
    folder = save(tmp_path / "model", tokenizer)
    (folder / "README.md").write_text("---\nlanguage:\n- en\n- no\n---\n# A model\n", "utf-8")
    (card,) = read_cards(folder)
    model = BertModel.from_pretrained(folder)
    assert (card.name, card.architecture, card.run) == ("model", "bert", None)
    assert card.parameters == sum(each.numel() for each in model.parameters())
    assert (card.width, card.layers, card.context) == (32, 2, 40)
    assert card.languages == ("en", "no")
    # By hand: four square matrices, two of the feed-forward network, biases and norms in two layers, a norm.
    layer = 4 * (32 * 32 + 32) + (32 * 48 + 48) + (48 * 32 + 32) + 4 * 32
    assert card.matrix_parameters == 2 * layer + 2 * 32
    assert card.flops(length=10) == 2 * card.matrix_parameters + 4 * 2 * 32 * 10
    assert card.flops_per_token == card.flops(40)


def test_copies_share_an_origin_whatever_their_files(tmp_path: Path, tokenizer) -> None:
    folders = [
        save(tmp_path / "one", tokenizer),
        save(tmp_path / "half", tokenizer, dtype=torch.float16),
        save(tmp_path / "other", tokenizer, seed=1),
    ]
    library = Library().add(card for folder in folders for card in read_cards(folder))
    assert sorted(library.origins().values()) == [("one", "half"), ("other",)]


def test_every_weight_counts_for_the_origin() -> None:
    model = BertModel(BertConfig(vocab_size=10, **BERT))
    before = weights_digest(model)
    assert weights_digest(model) == before
    with torch.no_grad():
        model.pooler.dense.weight.add_(1.0)
    assert weights_digest(model) == before  # no embedding depends on it
    with torch.no_grad():
        model.encoder.layer[1].output.dense.bias[3] += 0.5
    assert weights_digest(model) != before


def test_cards_of_a_run_tell_what_was_measured(finished) -> None:
    cards = read_cards(finished.directory)
    assert [card.agent for card in cards] == [0, 1, 2, 3]
    assert len({card.origin for card in cards}) == 4
    summary = json.loads((finished.directory / "summary.json").read_text("utf-8"))
    for card in cards:
        measured = summary["agents"][f"agent-{card.agent}"]
        assert card.run == str(finished.directory)
        assert card.name == f"{finished.directory.name}/agent-{card.agent}"
        assert card.measured["probe_accuracy"] == measured["probe_accuracy"]
        assert card.measured_on == f"jsonl {finished.config.data.source.path}"


def test_library_survives_its_file_and_names_stand_once(tmp_path: Path, tokenizer) -> None:
    cards = read_cards(save(tmp_path / "model", tokenizer))
    library = Library().add(cards)
    path = tmp_path / "library.json"
    assert Library.load(path) == Library()
    library.save(path)
    assert Library.load(path) == library
    with pytest.raises(ConfigurationError, match="already") as caught:
        library.add(cards)
    assert caught.value.hint
    assert library.remove("model") == Library()
    with pytest.raises(ConfigurationError, match="no model of this name") as caught:
        library.remove("modle")
    assert "model" in str(caught.value.expected)


@pytest.mark.parametrize(
    "text", ["{", '{"cards": [{"name": "x"}]}', '{"cards": [], "more": 1}', "\xff"]
)
def test_damaged_library_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "library.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RecordError, match="damaged") as caught:
        Library.load(path)
    assert caught.value.hint


def test_heads_of_model_cards_that_cannot_be_read_name_no_language(
    tmp_path: Path, tokenizer
) -> None:
    folder = save(tmp_path / "model", tokenizer)
    for text in ("# no head", "---\nlanguage: [en\n---\n", "---\n- en\n---\n", "---\nlanguage: en"):
        (folder / "README.md").write_text(text, "utf-8")
        assert read_cards(folder)[0].languages == ()


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither a run folder nor an encoder") as caught:
        read_cards(tmp_path)
    assert caught.value.hint
