"""The contrastive losses and GradCache against those of sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from agents.objectives import InfoNCE, Step, functional
from agents.text.collate import Padded

losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")

TEMPERATURE = 0.07
SCALE = 1 / TEMPERATURE


@pytest.fixture
def views():
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(9, 6, generator=draw, requires_grad=True) for _ in range(2)]


def same(actual, expected, views) -> None:
    torch.testing.assert_close(actual, expected)
    pairs = zip(
        torch.autograd.grad(actual, views), torch.autograd.grad(expected, views), strict=True
    )
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_one_way_is_multiple_negatives_ranking(views):
    theirs = losses.MultipleNegativesRankingLoss(None, scale=SCALE)
    expected = theirs.compute_loss_from_embeddings(views, None)
    same(functional.one_way(*views, TEMPERATURE), expected, views)


def test_one_way_with_more_keys_is_multiple_negatives_ranking_with_hard_negatives(views):
    more = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))
    theirs = losses.MultipleNegativesRankingLoss(None, scale=SCALE)
    expected = theirs.compute_loss_from_embeddings([*views, more], None)
    actual = functional.one_way(views[0], torch.cat([views[1], more]), TEMPERATURE)
    same(actual, expected, views)


def test_info_nce_is_the_symmetric_ranking_loss(views):
    theirs = losses.MultipleNegativesRankingLoss(
        None,
        scale=SCALE,
        directions=("query_to_doc", "doc_to_query"),
        partition_mode="per_direction",
    )
    expected = theirs.compute_loss_from_embeddings(views, None)
    same(functional.info_nce(*views, TEMPERATURE), expected, views)


def test_nt_xent_is_the_joint_ranking_loss_of_both_sides(views):
    theirs = losses.MultipleNegativesRankingLoss(
        None, scale=SCALE, directions=("query_to_doc", "query_to_query")
    )
    sides = [theirs.compute_loss_from_embeddings(pair, None) for pair in (views, views[::-1])]
    same(functional.nt_xent(*views, TEMPERATURE), sum(sides) / 2, views)


class Embedder(nn.Sequential):
    """An encoder, as sentence-transformers' losses see one."""

    def __init__(self, agent) -> None:
        super().__init__(nn.Identity())
        self.encoder = [agent.encoder]
        self.tokenizer = agent.resident.group.tokenizer
        self.max_seq_length = 12

    def forward(self, features):
        pooled = self.encoder[0](features["input_ids"], features["attention_mask"])
        return {**features, "sentence_embedding": pooled}


def gradient_of(agent, loss) -> torch.Tensor:
    agent.resident.binding.gradient.zero_()
    loss.backward()
    return agent.resident.binding.gradient.clone()


def columns(batch):
    halves = zip(batch.input_ids.chunk(2), batch.attention_mask.chunk(2), strict=True)
    return [{"input_ids": ids, "attention_mask": mask} for ids, mask in halves]


@pytest.mark.parametrize("margin", [0.0, 0.05, -0.005])
def test_guided_info_nce_is_gist_embed(make_agent, look, margin):
    objective = InfoNCE(temperature=TEMPERATURE, direction="first", guide="self", margin=margin)
    agent = make_agent(objective)
    result, step = look(objective, agent, rows=range(12))
    model = Embedder(agent)
    theirs = losses.GISTEmbedLoss(
        model,
        model,
        temperature=TEMPERATURE,
        margin=margin,
        contrast_anchors=False,
        contrast_positives=False,
    )
    expected = theirs(columns(step.inputs["views"]), None)
    plain, _ = look(InfoNCE(temperature=TEMPERATURE, direction="first"), agent, rows=range(12))
    assert result.loss < plain.loss  # something was left out
    torch.testing.assert_close(result.loss, expected)
    torch.testing.assert_close(
        gradient_of(agent, result.loss), gradient_of(agent, expected), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_micro_batches_are_the_cached_ranking_loss(make_agent, look, dropout):
    objective = InfoNCE(temperature=TEMPERATURE, direction="first")
    agent = make_agent(objective, dropout=dropout)
    if dropout:
        agent.encoder.train()
    else:
        agent.encoder.eval()
    theirs = losses.CachedMultipleNegativesRankingLoss(
        Embedder(agent), scale=SCALE, mini_batch_size=2
    )
    # Views of one length each, in order, two to a part: then both draw the same masks.
    ids = np.random.default_rng(0).integers(5, 90, size=(8, 8))
    padded = Padded(ids, np.ones_like(ids), np.full(8, 8))
    batch = agent.resident.batch(padded)
    gradients, values = [], []
    for run in ("mine", "theirs"):
        torch.manual_seed(4)
        if run == "mine":
            step = Step(
                agent.encoder,
                {"views": batch},
                np.random.default_rng(0),
                micro_batch_tokens=16,
                state=objective.state_type(),
            )
            loss = objective.loss(step).loss
        else:
            loss = theirs(columns(batch), None)
        values.append(loss.detach())
        gradients.append(gradient_of(agent, loss))
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)
