from __future__ import annotations

import pytest
import torch
from transformers import GenerationConfig

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.generation import Decoding, generate
from agents.objectives import CausalLM, InfoNCE, MaskedLM
from agents.training.blueprint import Arm
from protocols.errors import ConfigurationError, ModelError


def saved(make_host, folder, preset, objective, steps=1):
    encoder = EncoderConfig(preset=preset, dropout=0.0)
    training = {"local_steps": steps, "learning_rate": 3e-3, "max_length": 32}
    host = make_host(1, encoders=(encoder,), objectives=(objective,), training=training)
    host.begin(Arm(Isolated(), 0.25))
    host.train(1)
    host.save({0: folder})
    return host.agents[0]


@pytest.fixture(scope="module")
def trained(make_host, tmp_path_factory):
    """A decoder that has read a little, and the folder that it was saved to."""
    folder = tmp_path_factory.mktemp("decoder")
    return saved(make_host, folder, "nano-decoder", CausalLM(), steps=25), folder


def log_probabilities(agent, ids):
    encoder = agent.encoder.eval()
    with torch.no_grad():
        states = encoder.states(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.int64))
        return encoder.language_head(states[0]).log_softmax(-1)


def likelihood(agent, tokenizer, text):
    """Log-probability of what follows ``[CLS] wave``, as far as the text goes."""
    ids = [2, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    logs = log_probabilities(agent, ids)
    return sum(float(logs[place, ids[place + 1]]) for place in range(1, len(ids) - 1))


def test_greedy_text_is_the_most_probable_token_each_time(trained, tokenizer):
    agent, folder = trained
    ids = [2, *tokenizer("wave tide", add_special_tokens=False)["input_ids"]]
    for _ in range(12):
        token = int(log_probabilities(agent, ids)[-1].argmax())
        if token == tokenizer.sep_token_id:
            break
        ids.append(token)
    expected = tokenizer.decode(ids, skip_special_tokens=True)
    assert generate(folder, "wave tide", Decoding(max_new_tokens=12)) == [expected]


def test_saved_decoder_knows_which_tokens_begin_end_and_pad_a_text(trained, tokenizer):
    settings = GenerationConfig.from_pretrained(trained[1])
    named = (settings.bos_token_id, settings.eos_token_id, settings.pad_token_id)
    assert named == (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)


def test_text_ends_where_the_model_says_so(trained, tokenizer):
    # The documents end in "and" and have at most 30 words; the model has learnt no more than that.
    texts = generate(trained[1], "wave", Decoding(400, sample=True, count=8, top_p=0.95))
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) < 200


def test_beams_find_likelier_texts_than_greed_and_come_best_first(trained, tokenizer):
    agent, folder = trained
    (greedy,) = generate(folder, "wave", Decoding(max_new_tokens=4))
    found = generate(folder, "wave", Decoding(max_new_tokens=4, beams=6, count=3))
    assert len(set(found)) == 3
    scores = [likelihood(agent, tokenizer, text) for text in found]
    assert scores[0] >= likelihood(agent, tokenizer, greedy) - 1e-4
    assert scores == sorted(scores, reverse=True)


def test_sample_depends_on_its_seed_alone(trained):
    _, folder = trained

    def draw(seed, **options):
        decoding = Decoding(max_new_tokens=10, sample=True, count=4, seed=seed, **options)
        return generate(folder, "wave", decoding)

    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = draw(1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert draw(1) == first
    assert draw(2) != first
    assert draw(None) == draw(0)
    assert len(set(first)) > 1


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-3}])
def test_sample_among_one_token_is_greedy(trained, narrow):
    _, folder = trained
    greedy = generate(folder, "wave", Decoding(max_new_tokens=10))
    assert generate(folder, "wave", Decoding(max_new_tokens=10, sample=True, **narrow)) == greedy


def test_text_may_begin_with_nothing_where_a_token_begins_it(trained):
    (text,) = generate(trained[1], "", Decoding(max_new_tokens=5))
    assert 1 <= len(text.split()) <= 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.5}, "temperature would have no effect"),
        ({"top_k": 5, "top_p": 0.9, "seed": 1}, "top_k and top_p and seed would have no effect"),
        ({"count": 3}, "as many texts as beams"),
        ({"count": 3, "beams": 2}, "as many texts as beams"),
        ({"max_new_tokens": 0}, "max_new_tokens is out of range"),
        ({"beams": 0}, "beams is out of range"),
        ({"sample": True, "top_p": 1.5}, "top_p is out of range"),
        ({"sample": True, "temperature": 0.0}, "temperature is out of range"),
    ],
)
def test_decoding_that_does_not_fit_together_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Decoding(**options)


@pytest.mark.parametrize(
    ("preset", "objective", "message"),
    [
        ("nano", MaskedLM(), "bert attends to both sides"),
        ("nano-decoder", InfoNCE(), "no language-model head"),
    ],
)
def test_model_that_cannot_go_on_with_a_text_is_refused(
    make_host, tmp_path, preset, objective, message
):
    saved(make_host, tmp_path, preset, objective)
    with pytest.raises(ModelError, match=message) as error:
        generate(tmp_path, "wave", Decoding())
    assert "causal_lm" in error.value.hint


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no model can be loaded") as error:
        generate(tmp_path, "wave", Decoding())
    assert error.value.hint


def test_text_longer_than_the_positions_is_refused(trained):
    with pytest.raises(ConfigurationError, match="512 positions") as error:
        generate(trained[1], "wave", Decoding(max_new_tokens=511))
    assert "--max-new-tokens" in error.value.hint
