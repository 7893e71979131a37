"""Exported encoders: read by sentence-transformers, and taken up again by a later run."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from agents.config import EncoderConfig
from agents.exchange.base import Heads
from agents.exchange.isolated import Isolated
from agents.models.pretrained import load_tokenizer
from agents.models.sentence_transformer import read_settings, stored_map
from agents.models.text_encoder import EmbeddingMap
from agents.training.blueprint import Arm, Group
from protocols.errors import ModelError

TEXTS = ["wave tide ship", "field", "moon wind comet orbit planet dawn light " * 4, "the tide"]


@pytest.fixture
def export(make_host, tmp_path):
    """Train an agent a little and export it; return the agent and the folder."""

    def make(heads=None, fit_maps=None, **encoder):
        config = EncoderConfig(preset="nano", dropout=0.0, **encoder)
        host = make_host(1, encoders=(config,), heads=heads or Heads(), fit_maps=fit_maps)
        host.begin(Arm(Isolated(), 0.25))
        host.train(1)
        folder = tmp_path / "agent-0"
        host.save({0: folder})
        return host.agents[0], folder

    return make


@pytest.fixture
def host_from(make_host, make_blueprint, sentences, documents):
    """Make a host whose fresh agents begin as the encoder in a folder."""

    def make(folder, agents=1, heads=None, **encoder):
        config = EncoderConfig(path=str(folder), **encoder)
        own = load_tokenizer(config)
        encoded = own(list(sentences), add_special_tokens=False)["input_ids"]
        group = Group(config, own, type(documents)(np.asarray(ids) for ids in encoded))
        host = make_host(1)
        host.build(make_blueprint(agents, groups=(group,), heads=heads or Heads()))
        host.begin(Arm(Isolated(), 0.25))
        return host

    return make


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_sentence_transformers_embeds_an_export_as_the_agent_does(export, host_from, pooling):
    library = pytest.importorskip("sentence_transformers")
    agent, folder = export(pooling=pooling)
    model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert model.max_seq_length == 16
    found = model.encode(TEXTS, batch_size=2)
    np.testing.assert_allclose(found, agent.embed(TEXTS), rtol=1e-4, atol=1e-5)
    again = host_from(folder).agents[0]
    np.testing.assert_allclose(found, again.embed(TEXTS), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
def test_decoders_are_padded_on_the_right_whatever_their_tokenizer_says(
    host_from, tokenizer, tmp_path, side
):
    library = pytest.importorskip("sentence_transformers")
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(vocab_size=len(tokenizer), n_positions=34, n_embd=32, n_layer=1, n_head=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        GPT2Model(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    file = tmp_path / "gpt2" / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "padding_side": side}))
    host = host_from(tmp_path / "gpt2", pooling="last")
    host.save({0: tmp_path / "saved"})
    model = library.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    found = model.encode(TEXTS, batch_size=4)
    np.testing.assert_allclose(found, host.agents[0].embed(TEXTS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_fresh_agents_of_a_later_run_begin_as_the_exported_encoder(export, host_from, pooling):
    agent, folder = export(pooling=pooling)
    later = host_from(folder, agents=3)
    for fresh in later.agents.values():
        np.testing.assert_array_equal(fresh.embed(TEXTS), agent.embed(TEXTS))
    later.train(1)
    assert not np.allclose(later.agents[1].embed(TEXTS), agent.embed(TEXTS))


def test_projection_is_taken_up_again_but_no_head_of_an_exchange(export, host_from):
    heads = Heads(exchange_dimension=4, classes=3)
    _, folder = export(heads=heads, projection=8)
    saved = load_file(folder / "heads.safetensors")
    own = host_from(folder, heads=heads, projection=8).agents[0].encoder.state_dict()
    for name in ("projection.0.weight", "projection.2.bias"):
        assert torch.equal(own[name], saved[name])
    for name in ("exchange_head.weight", "classifier.weight"):
        assert not torch.equal(own[name], saved[name])
    other = host_from(folder, heads=Heads(exchange_dimension=5), projection=8)
    assert other.agents[0].encoder.state_dict()["exchange_head.weight"].shape == (5, 64)


def test_a_pooling_other_than_the_saved_one_is_respected_and_said(export, host_from, caplog):
    _, folder = export(pooling="last")
    with caplog.at_level(logging.WARNING):
        assert host_from(folder, pooling="cls").agents[0].encoder.pooling == "cls"
    assert "was saved with last" in caplog.text


def test_damaged_settings_and_heads_are_named(export, host_from, tmp_path):
    _, folder = export()
    assert read_settings(EncoderConfig(path=str(folder))).max_length == 16
    assert read_settings(EncoderConfig(path=str(tmp_path))).max_length is None
    save_file({"other": torch.zeros(1)}, folder / "heads.safetensors")
    host_from(folder)
    (folder / "heads.safetensors").write_bytes(b"garbage")
    with pytest.raises(ModelError, match="heads"):
        host_from(folder)
    (folder / "1_Pooling" / "config.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        host_from(folder)


def test_exported_files_have_the_mode_of_new_files_and_change_no_second_name(export, tmp_path):
    (tmp_path / "new").touch()
    mode = (tmp_path / "new").stat().st_mode
    agent, folder = export()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode for path in files} == {mode}
    second = tmp_path / "second"
    second.hardlink_to(folder / "model.safetensors")
    (folder / "model.safetensors").write_bytes(b"earlier")
    agent.save(folder)
    assert second.read_bytes() == b"earlier"
    assert (folder / "model.safetensors").stat().st_size > 1000


class Fit:
    """Fits maps by name on the embeddings of every document of an agent."""

    documents = 100
    text = "documents"
    measured = ()

    def __init__(self, **maps):
        self.maps = maps

    def __call__(self, rows):
        return {name: fit(rows) for name, fit in self.maps.items()}


def centred(rows):
    return EmbeddingMap(None, -rows.mean(axis=0))


def halved(rows):
    weight = np.random.default_rng(0).normal(size=(32, rows.shape[1])).astype(np.float32)
    return EmbeddingMap(weight, (-weight @ rows.mean(axis=0)).astype(np.float32))


MAPPED = {"centered": {"centered": centred}, "whitened": {"centered": centred, "whitened": halved}}


@pytest.fixture
def mapped_export(export):
    def make(name):
        agent, folder = export(fit_maps=Fit(**MAPPED[name]))
        return agent, folder, agent.fitted_maps()[name](agent.embed(TEXTS))

    return make


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPPED)
def test_sentence_transformers_applies_the_map_that_an_agent_exports_last(mapped_export, name):
    library = pytest.importorskip("sentence_transformers")
    _, folder, expected = mapped_export(name)
    model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert expected.shape == (len(TEXTS), 64 if name == "centered" else 32)
    np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MAPPED)
def test_stored_map_is_read_back_as_it_was_in_the_run(mapped_export, name):
    agent, folder, expected = mapped_export(name)
    config = EncoderConfig(path=str(folder))
    assert read_settings(config).map == name
    found = stored_map(config, name, 64)
    np.testing.assert_array_equal(found(agent.embed(TEXTS)), expected)
    assert (found.weight is None) == (name == "centered")


def test_agents_of_a_later_run_begin_without_the_map(mapped_export, host_from):
    agent, folder, _ = mapped_export("centered")
    fresh = host_from(folder).agents[0]
    np.testing.assert_array_equal(fresh.embed(TEXTS), agent.embed(TEXTS))


def spoil_weights(folder, **values):
    path = folder / "2_Centering" / "model.safetensors"
    save_file({**load_file(path), **values}, path)


def spoil_settings(folder, **values):
    path = folder / "2_Centering" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda f: spoil_weights(f, **{"linear.bias": torch.full((64,), torch.nan)}), "damaged"),
        (lambda f: spoil_weights(f, **{"linear.bias": torch.zeros(63)}), "damaged"),
        (lambda f: spoil_weights(f, **{"linear.weight": torch.zeros(64, 3)}), "damaged"),
        (lambda f: (f / "2_Centering" / "model.safetensors").write_bytes(b"x"), "damaged"),
        (lambda f: (f / "2_Centering" / "model.safetensors").unlink(), "damaged"),
        (lambda f: spoil_settings(f, activation_function="torch.nn.Tanh"), "activation_function"),
        (lambda f: spoil_settings(f, use_residual=True), "use_residual"),
    ],
)
def test_map_that_cannot_be_applied_is_refused(mapped_export, spoil, named):
    _, folder, _ = mapped_export("centered")
    spoil(folder)
    with pytest.raises(ModelError, match=named) as caught:
        stored_map(EncoderConfig(path=str(folder)), "centered", 64)
    assert caught.value.hint
