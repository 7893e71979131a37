"""The last layer at the first token alone: the same vectors and gradients as of the whole layer."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModel

from agents.config import LoRAConfig
from agents.models.adapters import add_lora
from agents.models.cpu.first_token import FAMILIES, supports_first_token
from agents.models.encoder import Encoder, pool
from agents.training.shared_model import _checkpoint_activations

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 20,
}


def encoder(family: str = "bert", pooling: str = "cls", **sizes) -> Encoder:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **{**SIZES, **sizes})
    backbone = AutoModel.from_config(config)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # biases too
    return Encoder(backbone, pooling).eval()


def batch():
    rng = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 50, (6, 9), generator=rng)
    mask = (torch.arange(9) < torch.tensor([[9], [1], [4], [9], [2], [7]])).long()
    return ids, mask


def trained(encoder: Encoder) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, each) for name, each in encoder.named_parameters() if each.requires_grad]


def gradients(encoder: Encoder, pooled: torch.Tensor) -> list[torch.Tensor | None]:
    parameters = [each for _, each in trained(encoder)]
    return list(torch.autograd.grad(pooled.sin().sum(), parameters, allow_unused=True))


def assert_as_the_whole(cut: Encoder) -> None:
    ids, mask = batch()
    whole = pool(cut.states(ids, mask), mask, "cls")
    found = cut(ids, mask)
    torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-5)
    for name, ours, theirs in zip(
        [name for name, _ in trained(cut)],
        gradients(cut, found),
        gradients(cut, whole),
        strict=True,
    ):
        if theirs is None:
            assert ours is None, name
        else:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_vectors_and_gradients_are_those_of_the_whole_layer(family, layers):
    cut = encoder(family, num_hidden_layers=layers)
    assert supports_first_token(cut.backbone)
    assert_as_the_whole(cut)


@pytest.mark.parametrize("place", ["query", "key", "value"])
def test_adapters_of_the_last_layer_count(place):
    cut = encoder()
    add_lora(cut.backbone, LoRAConfig(rank=2, targets=(place,)), "bert")
    for name, parameter in cut.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    assert len(trained(cut)) == 4
    assert_as_the_whole(cut)


def test_recomputed_activations_change_nothing():
    cut = encoder(num_hidden_layers=3).train()
    for module in cut.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    _checkpoint_activations(cut.backbone)
    assert_as_the_whole(cut)


@pytest.mark.parametrize("family", ["gpt2", "distilbert"])
def test_other_families_run_whole(family):
    names = {"n_embd": 16, "n_layer": 2, "n_head": 2, "dim": 16, "n_layers": 2, "n_heads": 2}
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, vocab_size=50, hidden_dim=32, **names)
    other = Encoder(AutoModel.from_config(config), "cls").eval()
    assert not supports_first_token(other.backbone)
    ids, mask = batch()
    assert torch.equal(other(ids, mask), other.states(ids, mask)[:, 0])


def test_a_decoder_and_attention_to_distances_run_whole():
    assert not supports_first_token(encoder(is_decoder=True).backbone)
    distances = encoder().backbone
    distances.config.position_embedding_type = "relative_key"
    assert not supports_first_token(distances)


@pytest.mark.parametrize("place", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_dropout_is_drawn_in_the_last_layer_too(place):
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    cut = encoder(num_hidden_layers=1, **{**none, place: 0.5}).train()
    cut.backbone.embeddings.dropout.p = 0.0
    ids, mask = batch()
    first, second = cut(ids, mask), cut(ids, mask)
    assert not torch.allclose(first, second)
    torch.manual_seed(3)
    first = cut(ids, mask)
    torch.manual_seed(3)
    assert torch.equal(cut(ids, mask), first)


def test_only_pooling_by_the_first_token_is_cut(monkeypatch):
    ids, mask = batch()
    assert encoder().states(ids, mask).shape == (6, 9, 16)
    monkeypatch.setattr("agents.models.encoder.at_first_token", None)
    for pooling in ("mean", "last"):
        assert encoder(pooling=pooling)(ids, mask).shape == (6, 16)


def test_the_last_layer_is_back_whatever_happens():
    cut = encoder()
    layers = cut.backbone.encoder.layer
    names = list(cut.state_dict())
    with pytest.raises(IndexError):
        cut(torch.full((1, 3), 99), torch.ones(1, 3))
    assert cut.backbone.encoder.layer is layers
    assert list(cut.state_dict()) == names
