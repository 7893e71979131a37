"""The contract of every objective in the table, shipped or added: see CONTRIBUTING."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from agentos.evaluation import TASKS
from agents.objectives import OBJECTIVES, Objective, RawBatch, Step
from agents.objectives.base import LabelledTexts, Reference
from agents.text.tokens import Text

SETTINGS: dict[str, dict[str, Any]] = {
    **{kind: {"temperature": 0.5} for kind in ("info_nce", "nt_xent", "simcse")},
    # Under draws of one half, deletion would leave every text a single word.
    "denoising": {"noise": ("crop",)},
    "vae": {"latent": 4},
    "causal_lm": {"views": ("crop",)},
    # Where the labelled documents are those of the batch, a step reads each of them once.
    "labelled": {"classes": 3, "share": 1.0},
}
"""Settings that let an objective show differences between small random texts; the defaults elsewhere."""


class Constant(np.random.Generator):
    """Draws the same after any other draw, so that the order of documents plays no part."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def random(self, size=None, dtype=np.float64, out=None):
        return 0.5 if size is None else np.full(size, 0.5, dtype)

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return 0.5 if size is None else np.full(size, 0.5, dtype)

    def permutation(self, x, axis=0):
        return np.arange(x)

    def integers(self, low, high=None, size=None, dtype=np.int64, endpoint=False):
        value = 0 if high is None else low
        return value if size is None else np.full(size, value)


@pytest.fixture(params=OBJECTIVES)
def objective(request) -> Objective:
    return OBJECTIVES[request.param](**SETTINGS.get(request.param, {}))


@pytest.fixture(scope="module")
def agents(make_host):
    """An agent for each objective, with the heads that it asks for."""
    from agents.config import EncoderConfig
    from agents.exchange.isolated import Isolated
    from agents.training.blueprint import Arm

    made: dict[Any, Any] = {}

    def make(objective: Objective):
        if objective not in made:
            preset = "nano-decoder" if objective.language_model == "causal" else "nano"
            dropout = 0.1 if objective.relies_on_dropout else 0.0
            encoder = EncoderConfig(preset=preset, dropout=dropout)
            host = make_host(1, encoders=(encoder,), objectives=(objective,))
            host.begin(Arm(Isolated(), 0.0))
            made[objective] = host.agents[0]
        # Masks differ from place to place: where the encoder must have dropout, it rests in these tests.
        made[objective].encoder.train(not objective.relies_on_dropout)
        return made[objective]

    return make


@pytest.fixture
def agent(agents, objective):
    return agents(objective)


@pytest.fixture
def texts(documents) -> list[Text]:
    """Ten documents of various lengths, each short enough to be read whole."""
    cut = [text[:length] for text, length in zip(documents, (3, 8, 5, 1, 6, 7, 2, 9, 4, 10))]  # noqa: B905
    return [Text(tokens, np.arange(0, len(tokens), 3)) for tokens in cut]


def look(objective, agent, texts, rng=None, pass_tokens=None):
    """Return what an objective makes of a step, the gradient, and the tokens that were encoded."""
    seen = []
    handle = agent.encoder.backbone.register_forward_pre_hook(
        lambda module, inputs, named: seen.append(_trained(named["attention_mask"])),
        with_kwargs=True,
    )
    resident, rng = agent.resident, rng or np.random.default_rng(0)
    resident.binding.gradient.zero_()
    before = {name: value.clone() for name, value in agent.encoder.heads.named_buffers()}
    # A class by what the document is, not by its place in the batch.
    labelled = LabelledTexts(texts, np.array([len(text) % 3 for text in texts]))
    raw = RawBatch(texts, resident.collate, agent.setting, rng, labelled)
    prepared = objective.prepare(raw)
    step = Step(
        agent.encoder,
        resident.to_device(prepared),
        rng,
        pass_tokens=pass_tokens,
        state=objective.state_type(),
        reference=_reference(agent) if objective.wants_reference else None,
        snapshot=agent.parameters.clone,
        under=resident.under,
    )
    result = objective.loss(step)
    result.loss.backward()
    handle.remove()
    for name, value in agent.encoder.heads.named_buffers():
        value.copy_(before[name])
    return result, resident.binding.gradient.clone(), sum(seen)


def _trained(mask: torch.Tensor) -> int:
    """Count the tokens of a pass, if it is one with a gradient: only those are to be reported."""
    return int(mask.sum()) if torch.is_grad_enabled() else 0


def _reference(agent) -> Reference:
    """Return other parameters than the agent's, always the same."""
    draw = torch.Generator().manual_seed(0)
    return Reference(
        *(
            agent.parameters + 0.02 * torch.randn(len(agent.parameters), generator=draw)
            for _ in "rp"
        )
    )


def test_kind_is_the_key_in_the_table():
    for kind, cls in OBJECTIVES.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__


def test_specification_survives_json(objective):
    assert type(objective).model_validate_json(objective.model_dump_json()) == objective


def test_loss_is_a_finite_scalar_with_finite_gradients_that_reach_the_encoder(
    objective, agent, texts
):
    result, gradient, _ = look(objective, agent, texts)
    assert result.loss.shape == ()
    assert torch.isfinite(result.loss)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


def test_metrics_of_training_have_names_that_no_evaluation_has(objective, agent, texts):
    evaluated = {metric.name for task in TASKS.values() for metric in task.metrics}
    assert not evaluated & set(look(objective, agent, texts)[0].metrics)


def test_loss_is_deterministic_under_its_generator_and_varies_with_it(objective, agent, texts):
    losses = [
        look(objective, agent, texts, np.random.default_rng(seed))[0].loss.item()
        for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1]
    # What relies on dropout alone draws nothing itself.
    assert objective.relies_on_dropout or losses[1] != losses[2]


def test_documents_are_left_as_they_were(objective, agent, texts):
    frozen = [Text(text.tokens.copy(), text.sentences.copy()) for text in texts]
    for text in frozen:
        text.tokens.setflags(write=False)
        text.sentences.setflags(write=False)
    look(objective, agent, frozen)
    for text, before in zip(frozen, texts, strict=True):
        np.testing.assert_array_equal(text.tokens, before.tokens)
        np.testing.assert_array_equal(text.sentences, before.sentences)


def test_permuting_the_batch_changes_neither_loss_nor_gradient(objective, agent, texts):
    order = np.random.default_rng(3).permutation(len(texts))
    before, gradient, _ = look(objective, agent, texts, Constant())
    after, permuted, _ = look(objective, agent, [texts[i] for i in order], Constant())
    torch.testing.assert_close(after.loss, before.loss)
    torch.testing.assert_close(permuted, gradient, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(after.token_counts, before.token_counts[order])
    for view, other in zip(before.pooled, after.pooled, strict=True):
        torch.testing.assert_close(other, view[torch.from_numpy(order)], rtol=1e-4, atol=1e-5)


def test_buckets_of_like_length_change_neither_loss_nor_gradient(objective, agent, texts):
    before, gradient, _ = look(objective, agent, texts)
    after, divided, seen = look(objective, agent, texts, pass_tokens=1)
    torch.testing.assert_close(after.loss, before.loss)
    torch.testing.assert_close(divided, gradient, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(after.pooled, before.pooled, rtol=1e-4, atol=1e-5)
    assert after.token_counts.tolist() == before.token_counts.tolist()
    assert after.token_counts.sum() == seen


def test_token_counts_are_those_that_went_through_the_encoder(objective, agent, texts):
    result, _, seen = look(objective, agent, texts)
    assert result.token_counts.shape == (len(texts),)
    assert (result.token_counts > 0).all()
    assert result.token_counts.sum() == seen


def test_token_counts_belong_to_their_documents(objective, agent, texts):
    # The cost of a document does not depend on the others, and a longer one costs no less.
    counts = look(objective, agent, texts, Constant())[0].token_counts
    swapped = [texts[-1], *texts[1:-1], texts[0]]
    others = look(objective, agent, swapped, Constant())[0].token_counts
    np.testing.assert_array_equal(others, [counts[-1], *counts[1:-1], counts[0]])
    by_length = counts[np.argsort([len(text) for text in texts])]
    assert (np.diff(by_length) >= 0).all()
    assert by_length[-1] > by_length[0]


def test_pooled_states_are_one_row_per_document_attached_to_the_graph(objective, agent, texts):
    result, _, _ = look(objective, agent, texts)
    for view in result.pooled:
        assert view.shape == (len(texts), agent.encoder.width)
        assert view.requires_grad
