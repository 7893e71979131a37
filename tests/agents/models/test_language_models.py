"""Language models of every family against transformers: logits, losses, gradients, what is saved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tokenizers import processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from agents.config import EncoderConfig
from agents.exchange.base import Heads
from agents.exchange.isolated import Isolated
from agents.models.build import build_encoder
from agents.models.pretrained import load_tokenizer, quietly
from agents.objectives import CausalLM, InfoNCE, MaskedLM, RawBatch, Step
from agents.text.masking import IGNORED
from agents.text.tokens import Text
from agents.training.blueprint import Arm, Group
from protocols.errors import ModelError

SMALL = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2}
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
CONFIGS = {
    "bert": lambda size: BertConfig(vocab_size=size, intermediate_size=48, **SMALL),
    "roberta": lambda size: RobertaConfig(
        vocab_size=size, intermediate_size=48, max_position_embeddings=40, **SMALL, **IDS
    ),
    "distilbert": lambda size: DistilBertConfig(
        vocab_size=size, dim=32, n_layers=2, n_heads=2, hidden_dim=48
    ),
    "gpt2": lambda size: GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=40, **IDS
    ),
    "llama": lambda size: LlamaConfig(
        vocab_size=size, intermediate_size=48, tie_word_embeddings=False, **SMALL, **IDS
    ),
}
CAUSAL = ("gpt2", "llama")
TEXTS = ["wave tide ship", "field", "moon wind comet orbit planet dawn light", "wave tide ship xyz"]


def auto_of(family):
    return AutoModelForCausalLM if family in CAUSAL else AutoModelForMaskedLM


def objective_of(family):
    return CausalLM() if family in CAUSAL else MaskedLM(rate=0.3)


@pytest.fixture(scope="module", params=list(CONFIGS))
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory, tokenizer):
    """A language model with its head; GPT-2's tokenizer frames no text, and ends one with [SEP]."""
    path = tmp_path_factory.mktemp(family)
    config = CONFIGS[family](len(tokenizer))
    own = tokenizer
    if family == "gpt2":
        backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
        own = PreTrainedTokenizerFast(
            tokenizer_object=backend, unk_token="[UNK]", eos_token="[SEP]", pad_token="[PAD]"
        )
    with torch.random.fork_rng(devices=[]), quietly():
        torch.manual_seed(0)
        model = auto_of(family).from_config(config)
        for parameter in model.parameters():  # no bias at zero, no norm at one
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
        model.save_pretrained(path)
    own.save_pretrained(path)
    return path


@pytest.fixture
def agent_of(make_blueprint, make_host, sentences, documents):
    """Make an agent whose encoder lies in a folder."""

    def make(path, *objectives, **fields):
        config = EncoderConfig(path=str(path), dropout=0.0)
        own = load_tokenizer(config)
        encoded = own(list(sentences), add_special_tokens=False)["input_ids"]
        group = Group(config, own, type(documents)(np.asarray(ids) for ids in encoded))
        training = {"max_length": 16}
        blueprint = make_blueprint(
            1, groups=(group,), training=training, objectives=objectives, **fields
        )
        host = make_host(1)
        host.build(replace(blueprint, evaluation_length=32))
        host.begin(Arm(Isolated(), 0.25))
        return host.agents[0]

    return make


def load_quietly(auto, path):
    with quietly():
        return auto.from_pretrained(path, dtype=torch.float32).eval()


def look(objective, agent, **fields):
    """Return what an objective makes of six short and long documents, and its inputs."""
    texts = [Text.row(agent.resident.group.tokens, row) for row in range(6)]
    raw = RawBatch(texts, agent.resident.collate, agent.setting, np.random.default_rng(2))
    inputs = agent.resident.to_device(objective.prepare(raw))
    encoder = agent.encoder.train()
    agent.resident.binding.gradient.zero_()
    step = Step(encoder, inputs, np.random.default_rng(0), state=objective.state_type(), **fields)
    result = objective.loss(step)
    result.loss.backward()
    return result, inputs


def unshifted(ids, mask, labels):
    """Return the inputs that transformers expects of a causal model: it shifts the labels itself."""
    ids, mask = (torch.nn.functional.pad(x, (0, 1)) for x in (ids, mask))
    moved = torch.nn.functional.pad(labels, (1, 0), value=IGNORED)
    predicted = moved != IGNORED
    return torch.where(predicted, moved, ids), mask | predicted.long(), moved


def test_logits_of_states_are_those_of_the_whole_model(family, folder, agent_of):
    agent = agent_of(folder, objective_of(family))
    encoder = agent.encoder.eval()
    ids = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states = encoder.states(ids, torch.ones_like(ids))
        actual = encoder.language_head(states.flatten(0, 1)).unflatten(0, (3, 9))
        expected = load_quietly(auto_of(family), folder)(input_ids=ids).logits
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("micro_batch_tokens", [None, 30])
def test_loss_and_gradients_are_those_of_transformers(family, folder, agent_of, micro_batch_tokens):
    objective = objective_of(family)
    agent = agent_of(folder, objective)
    result, inputs = look(objective, agent, micro_batch_tokens=micro_batch_tokens)
    batch, labels = next(iter(inputs.values())), inputs["labels"]
    ids, mask = batch.input_ids, batch.attention_mask
    if family in CAUSAL:
        ids, mask, labels = unshifted(ids, mask, labels)
    model = load_quietly(auto_of(family), folder)
    expected = model(input_ids=ids, attention_mask=mask, labels=labels)
    expected.loss.backward()
    torch.testing.assert_close(result.loss, expected.loss)
    theirs = dict(model.named_parameters())
    for slot in agent.resident.binding.layout.slots:
        name = slot.name.replace("language_head.model.", "")
        name = name.replace("backbone.", model.base_model_prefix + ".")
        torch.testing.assert_close(
            slot.view(agent.resident.binding.gradient), theirs[name].grad, rtol=1e-4, atol=1e-6
        )


def test_metrics_are_perplexity_and_accuracy_of_what_was_guessed(family, folder, agent_of):
    objective = objective_of(family)
    agent = agent_of(folder, objective)
    result, inputs = look(objective, agent)
    batch, labels = next(iter(inputs.values())), inputs["labels"]
    with torch.no_grad():
        states = agent.encoder.eval().states(batch.input_ids, batch.attention_mask)
        predictions = (
            agent.encoder.language_head(states.flatten(0, 1)).argmax(-1).view(labels.shape)
        )
    right = int((predictions == labels).sum())
    accuracy, perplexity = result.metrics.values()
    assert list(result.metrics) == (
        ["next_token_accuracy", "next_token_perplexity"]
        if family in CAUSAL
        else ["masked_token_accuracy", "masked_perplexity"]
    )
    assert perplexity.exponential
    assert (int(accuracy.total), int(accuracy.count)) == (right, int((labels != IGNORED).sum()))
    torch.testing.assert_close(perplexity.total / perplexity.count, result.loss.detach())


def test_saved_language_model_loads_with_its_head_and_without(family, folder, agent_of, tmp_path):
    objective = objective_of(family)
    agent = agent_of(folder, InfoNCE(), objective, heads=Heads(classes=3))
    agent.train(Arm(Isolated(), 0.25), 1)
    agent.save(tmp_path)
    own = AutoTokenizer.from_pretrained(tmp_path)
    text = own(TEXTS[2], return_tensors="pt")["input_ids"]

    model = load_quietly(auto_of(family), tmp_path)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == (family != "llama")
    encoder = agent.encoder.eval()
    with torch.no_grad():
        states = encoder.states(text, torch.ones_like(text))
        logits = model(input_ids=text).logits[0]
        torch.testing.assert_close(encoder.language_head(states[0]), logits, rtol=0, atol=0)
        backbone = load_quietly(AutoModel, tmp_path)(input_ids=text).last_hidden_state
    np.testing.assert_allclose(agent.embed([TEXTS[2]])[0], backbone[0].mean(0), rtol=1e-5)

    with safe_open(tmp_path / "heads.safetensors", "pt") as heads:
        assert sorted(heads.keys()) == ["classifier.bias", "classifier.weight"]
    with safe_open(tmp_path / "model.safetensors", "pt") as saved:
        shapes = [tuple(saved.get_slice(key).get_shape()) for key in saved.keys()]  # noqa: SIM118
    tables = shapes.count((len(own.get_vocab()), 32))
    assert tables == (2 if family == "llama" else 1)

    again = agent_of(tmp_path, InfoNCE(), objective, heads=Heads(classes=3))
    for slot in agent.resident.binding.layout.slots:
        if "classifier" not in slot.name:
            assert torch.equal(slot.view(again.parameters), slot.view(agent.parameters)), slot.name


def test_output_embedding_is_trained_with_the_input_embedding(family, folder, agent_of):
    agent = agent_of(folder, objective_of(family))
    before = agent.parameters.clone()
    agent.train(Arm(Isolated(), 0.25), 1)
    assert not torch.equal(agent.parameters, before)
    encoder = agent.encoder
    table = encoder.backbone.get_input_embeddings().weight
    output = encoder.language_head.attached(encoder.backbone).get_output_embeddings().weight
    encoder.language_head.detach()
    assert (output.data_ptr() == table.data_ptr()) == (family != "llama")
    names = [slot.name for slot in agent.resident.binding.layout.slots]
    shapes = [slot.shape for slot in agent.resident.binding.layout.slots]
    assert shapes.count(tuple(table.shape)) == (2 if family == "llama" else 1), names


def test_head_that_the_folder_lacks_is_drawn_from_the_seed_without_a_word(
    family, folder, tokenizer, tmp_path, capfd
):
    load_quietly(AutoModel, folder).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    capfd.readouterr()
    config = EncoderConfig(path=str(tmp_path))
    heads = []
    for seed in (0, 0, 1):
        encoder = build_encoder(config, tokenizer, seed, objectives=[objective_of(family)])
        own = [p.detach() for p in encoder.language_head.parameters()]
        heads.append(torch.cat([p.reshape(-1) for p in own]))
    assert capfd.readouterr() == ("", "")
    assert torch.equal(heads[0], heads[1])
    if family != "gpt2":  # all of it is tied
        assert not torch.equal(heads[0], heads[2])


def test_language_model_of_the_wrong_kind_is_refused(family, folder, tokenizer):
    wrong = MaskedLM() if family in CAUSAL else CausalLM()
    config = EncoderConfig(path=str(folder))
    with pytest.raises(ModelError, match=AutoConfig.from_pretrained(folder).model_type) as error:
        build_encoder(config, tokenizer, 0, objectives=[wrong])
    assert error.value.hint


def test_two_kinds_of_language_model_and_a_tokenizer_without_mask_are_refused(tokenizer):
    nano = EncoderConfig(preset="nano")
    with pytest.raises(ModelError, match="masked and a causal"):
        build_encoder(nano, tokenizer, 0, objectives=[MaskedLM(), CausalLM()])
    bare = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, unk_token="[UNK]", pad_token="[PAD]"
    )
    with pytest.raises(ModelError, match="mask token"):
        build_encoder(nano, bare, 0, objectives=[MaskedLM()])


# --- scores for evaluation -------------------------------------------------------------------------


def test_token_scores_are_those_of_one_text_after_another(family, folder, agent_of):
    agent = agent_of(folder, objective_of(family))
    texts = [*TEXTS, "", TEXTS[0], " ".join(["tide"] * 50)]
    scores = agent.token_scores(texts, seed=5)
    assert scores.kind == ("causal" if family in CAUSAL else "masked")
    assert (scores.count[0], scores.count[4]) == (scores.count[5], 0)
    backwards = agent.token_scores(texts[::-1], seed=5)
    np.testing.assert_allclose(backwards.nll[::-1], scores.nll, rtol=1e-5)
    np.testing.assert_array_equal(backwards.count[::-1], scores.count)
    np.testing.assert_array_equal(backwards.correct[::-1], scores.correct)
    if family not in CAUSAL:
        assert (scores.count[:4] > 0).all()
        return
    model, own = load_quietly(AutoModelForCausalLM, folder), load_tokenizer(agent_config(folder))
    for row, text in enumerate(texts):
        ids = own(text, add_special_tokens=False)["input_ids"]
        if not ids:
            continue
        collate = agent.resident.collate_evaluation
        cut = len(ids) > collate.budget
        ids = [*collate.prefix, *ids[: collate.budget], *([] if cut else [collate.end_token])]
        with torch.no_grad():
            logs = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        targets = torch.tensor(ids[1:])
        nll = -logs[torch.arange(len(targets)), targets].sum()
        assert scores.count[row] == len(targets)
        assert scores.correct[row] == int((logs.argmax(-1) == targets).sum())
        np.testing.assert_allclose(scores.nll[row], nll, rtol=1e-5)


def agent_config(folder):
    return EncoderConfig(path=str(folder))
