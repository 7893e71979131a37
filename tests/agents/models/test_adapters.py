"""Low-rank adapters and frozen layers: what is trained, exchanged and stored, and what stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModel, BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, GPT2Model

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.config import EncoderConfig
from agents.models.build import build_backbone
from agents.models.generation import Decoding, generate
from agents.models.heads.saved_heads import head_tensors
from agents.objectives import CausalLM, MaskedLM
from protocols.errors import ModelError

TEXTS = ["wave tide ship", "field", "moon wind comet orbit planet dawn light"]
LORA = {"rank": 2, "alpha": 4}


@pytest.fixture(scope="module")
def bert(tmp_path_factory, tokenizer):
    """A folder with a BERT of two layers."""
    folder = tmp_path_factory.mktemp("bert")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), intermediate_size=48, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def adapted(host_of, bert):
    return host_of(bert, encoder={"lora": LORA})


def test_adapters_alone_are_trained_and_held_by_the_agent(adapted):
    agent = adapted.agents[0]
    slots = agent.resident.binding.layout.slots
    assert slots
    assert all("lora_" in slot.name for slot in slots)
    # Two layers, query and value, two matrices of rank 2 and width 32 each.
    assert agent.resident.binding.layout.parameter_count == 2 * 2 * 2 * 2 * 32
    frozen = {
        name: value.clone()
        for name, value in agent.encoder.backbone.state_dict().items()
        if "lora_" not in name
    }
    before = agent.embed(TEXTS)
    for round in (1, 2):
        assert np.isfinite(adapted.train(round)[0]["loss"])
    assert np.abs(agent.embed(TEXTS) - before).max() > 1e-5
    after = agent.encoder.backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in frozen.items())


def test_untrained_adapters_change_nothing(adapted, host_of, bert):
    plain = host_of(bert).agents[0].embed(TEXTS)
    np.testing.assert_allclose(adapted.agents[0].embed(TEXTS), plain, rtol=1e-6)


# peft asks transformers by a name that transformers has deprecated.
PEFT_ITSELF = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@PEFT_ITSELF
def test_adapter_computes_what_peft_computes(adapted, bert):
    adapted.train(1)
    backbone = adapted.agents[0].encoder.backbone.eval()
    reference = get_peft_model(
        AutoModel.from_pretrained(bert),
        LoraConfig(r=2, lora_alpha=4, target_modules=["query", "value"]),
    ).eval()
    own = {f"base_model.model.{name}": value for name, value in backbone.state_dict().items()}
    reference.load_state_dict(own)
    ids = torch.tensor([[2, 60, 61, 3]])
    with torch.no_grad():
        expected = reference(input_ids=ids).last_hidden_state
        torch.testing.assert_close(backbone(input_ids=ids).last_hidden_state, expected)


@PEFT_ITSELF
def test_saved_folder_holds_adapters_alone_and_loads_in_peft_and_here(
    adapted, host_of, bert, tmp_path
):
    adapted.train(1)
    agent = adapted.agents[0]
    trained = agent.embed(TEXTS)
    agent.save(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    assert (tmp_path / "adapter_model.safetensors").stat().st_size < 8_000
    merged = host_of(tmp_path).agents[0]
    np.testing.assert_allclose(merged.embed(TEXTS), trained, rtol=1e-4, atol=1e-5)
    assert len(merged.parameters) > 20 * len(agent.parameters)
    going_on = host_of(tmp_path, encoder={"lora": LORA}).agents[0]
    np.testing.assert_array_equal(going_on.embed(TEXTS), trained)
    assert len(going_on.parameters) == len(agent.parameters)
    peft = PeftModel.from_pretrained(AutoModel.from_pretrained(bert), str(tmp_path)).eval()
    ids = torch.tensor([[2, 60, 61, 3]])
    with torch.no_grad():
        expected = peft(input_ids=ids).last_hidden_state
        own = agent.encoder.backbone.eval()(input_ids=ids).last_hidden_state
    torch.testing.assert_close(own, expected)


@PEFT_ITSELF
def test_transformers_and_sentence_transformers_load_a_saved_folder_of_adapters(adapted, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    adapted.train(1)
    agent = adapted.agents[0]
    agent.save(tmp_path)
    model = library.SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True)
    np.testing.assert_allclose(model.encode(TEXTS), agent.embed(TEXTS), rtol=1e-4, atol=1e-5)
    ids = torch.tensor([[2, 60, 61, 3]])
    with torch.no_grad():
        own = agent.encoder.backbone.eval()(input_ids=ids).last_hidden_state
        loaded = AutoModel.from_pretrained(tmp_path).eval()(input_ids=ids).last_hidden_state
    torch.testing.assert_close(loaded, own)


def test_language_model_head_trained_beside_adapters_is_loaded_with_them(host_of, bert, tmp_path):
    host = host_of(bert, encoder={"lora": LORA}, objectives=(MaskedLM(),))
    host.train(1)
    host.agents[0].save(tmp_path)
    loaded = LoadedEncoder.load(str(tmp_path))
    assert loaded.head == "masked"
    trained = head_tensors(host.agents[0].encoder)
    for name, value in head_tensors(loaded.encoder).items():
        assert torch.equal(value, trained[name]), name


def test_adapters_of_a_causal_model_go_on_with_a_text(host_of, tmp_path, tokenizer):
    sizes = {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 64}
    config = GPT2Config(vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=None, **sizes)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "whole")
    tokenizer.save_pretrained(tmp_path / "whole")
    fields = {"encoder": {"lora": LORA}, "objectives": (CausalLM(),)}
    host = host_of(tmp_path / "whole", **fields)
    host.agents[0].save(tmp_path / "adapters")
    # Untrained adapters change nothing.
    texts = [
        generate(tmp_path / kind, "wave tide", Decoding(max_new_tokens=8))
        for kind in ("whole", "adapters")
    ]
    assert texts[0] == texts[1]


def test_adapters_of_another_rank_are_refused(adapted, host_of, tmp_path):
    adapted.agents[0].save(tmp_path)
    with pytest.raises(ModelError, match="do not fit") as error:
        host_of(tmp_path, encoder={"lora": {"rank": 3}})
    assert error.value.expected == "8 matrices of rank 2"
    assert error.value.actual == "8 matrices of rank 3"


def test_layers_that_the_backbone_lacks_are_named(host_of, bert):
    with pytest.raises(ModelError, match="no adapters can be added") as error:
        host_of(bert, encoder={"lora": {"targets": ["c_attn"]}})
    assert "query" in error.value.expected
    assert "lora.targets" in error.value.hint


def test_adapters_need_a_pretrained_encoder_and_exclude_frozen_layers():
    with pytest.raises(ValueError, match="pretrained encoder"):
        EncoderConfig(preset="nano", lora=LORA)
    with pytest.raises(ValueError, match="already"):
        EncoderConfig(path="x", lora=LORA, frozen_layers=1)


def trained_names(config: EncoderConfig) -> set[str]:
    backbone = build_backbone(config, 60, 0, seed=0)
    from agents.models.adapters import freeze_below

    freeze_below(backbone, config.frozen_layers, config.origin)
    return {name for name, p in backbone.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("preset", "layer", "last"),
    [("nano", "encoder.layer", "pooler"), ("nano-decoder", "h", "ln_f")],
)
def test_embeddings_and_first_layers_are_frozen(preset, layer, last):
    def heads(frozen):
        names = trained_names(EncoderConfig(preset=preset, frozen_layers=frozen))
        return {name for name in (f"{layer}.0", f"{layer}.1", last) if has(names, name)}, names

    def has(names, prefix):
        return any(name.startswith(prefix) for name in names)

    assert heads(0)[0] == {f"{layer}.0", f"{layer}.1", last}
    assert heads(1)[0] == {f"{layer}.1", last}
    assert heads(2)[1] == set()
    for frozen in (0, 1):
        names = heads(frozen)[1]
        assert not any("embeddings" in name or name.startswith("wt") for name in names)


def test_more_frozen_layers_than_there_are_is_refused():
    with pytest.raises(ModelError, match="frozen_layers") as error:
        trained_names(EncoderConfig(preset="nano", frozen_layers=3))
    assert error.value.expected == "at most 2 layers"


def test_frozen_layers_stay_and_others_train(make_host):
    host = make_host(1, encoders=(EncoderConfig(preset="nano", frozen_layers=1, dropout=0.0),))
    from agents.exchange.isolated import Isolated
    from agents.training.blueprint import Arm

    host.begin(Arm(Isolated(), 0.25))
    backbone = host.agents[0].encoder.backbone
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    host.train(1)
    changed = {n for n, v in backbone.state_dict().items() if not torch.equal(v, before[n])}
    assert changed
    assert all(name.startswith("encoder.layer.1.") for name in changed)


def test_gpt2_gets_adapters_where_peft_puts_them(tmp_path, tokenizer):
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=64)
    GPT2Model(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    from agents.models.build import build_encoder

    encoder = build_encoder(EncoderConfig(path=str(tmp_path), lora=LORA), tokenizer, seed=0)
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained
    assert all("c_attn.lora_" in name for name in trained)
