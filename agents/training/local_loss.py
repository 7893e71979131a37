"""Loss of a training step from the agent's own objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from agents.models.microbatch import rowwise
from agents.objectives.base import LossOutput, Objective, Step
from agents.text.batch import Batch
from agents.text.collate import Padded, joined
from agents.training.blueprint import Arm
from agents.training.exchange_loss import neighbours_of, reference_of
from agents.training.learner import LocalLearner
from agents.training.local_batch import PreparedBatch
from agents.training.metrics import StepMetrics
from agents.training.shared_model import SharedModel
from agents.views.mlm_fill import fill_masks
from protocols.seeding import derive, generator


def local_loss(
    agent: LocalLearner,
    arm: Arm,
    batch: PreparedBatch,
    metrics: StepMetrics,
    states: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the weighted sum of the objectives' losses, and a set of pooled views.

    The views are those of the first objective that provides them.

    Args:
        agent: the learner.
        arm: its exchange.
        batch: the batch.
        metrics: counts the tokens, and adds up what the objectives measure.
        states: `[B, T, W]` of the joint pass, where a stack has taken it; see `joint_pass`.
    """
    resident = agent.resident
    objectives = resident.blueprint.objectives
    documents = batch.documents
    shared = joint_pass(objectives, batch)
    if states is None and len(shared) > 1 and _passes_whole(resident):
        states = _encode(agent, joined(shared))
    encoded = () if states is None else torch.split(states, [len(each.lengths) for each in shared])
    total = torch.zeros((), device=resident.device)
    pooled: tuple[Tensor, ...] = ()
    for index, objective in enumerate(objectives):
        step = Step(
            encoder=agent.encoder,
            inputs=_inputs(agent, batch, index, encoded[index] if index < len(encoded) else None),
            rng=generator(agent.seed, "objective", agent.id, documents.batch, index),
            index=agent.state.step,
            steps=resident.blueprint.training.steps,
            state=agent.state.objectives[index],
            micro_batch_tokens=resident.blueprint.training.micro_batch_tokens,
            pass_tokens=resident.pass_tokens,
            anchors=documents.anchors,
            pooled=pooled,
            neighbours=neighbours_of(agent, arm) if objective.wants_neighbours else None,
            reference=reference_of(agent, arm) if objective.wants_reference else None,
            snapshot=agent.parameters.clone,
            under=resident.under,
            batch=resident.pad,
        )
        result: LossOutput = objective.loss(step)
        total = total + objective.weight * result.loss
        pooled = pooled or result.pooled
        metrics.add_objective(objective.kind if len(objectives) > 1 else None, result)
        metrics.add_tokens(result.token_counts, len(documents.anchors))
        agent.state.embedded_tokens += result.embedded_tokens
    return total, pooled


def joint_pass(objectives: Sequence[Objective], batch: PreparedBatch) -> list[Padded]:
    """Return the inputs of the first objectives' single passes, which go through the encoder together.

    Not those of objectives after one that encodes in its own way: draws of dropout follow their order.
    """
    found: list[Padded] = []
    for objective, inputs in zip(objectives, batch.inputs, strict=True):
        padded = inputs.get(objective.single_pass or "")
        if not isinstance(padded, Padded):
            break
        found.append(padded)
    return found


def _passes_whole(resident: SharedModel) -> bool:
    """Return whether every token of a batch goes through all layers, and all texts of it at once."""
    micro_batches = resident.blueprint.training.micro_batch_tokens is not None
    return not micro_batches and resident.encoder.pooling != "cls"


def _encode(agent: LocalLearner, padded: Padded) -> Tensor:
    """Encode texts: `[B, T, W]`, zeros behind the longest text of each part that passes alone."""
    encoder, batch = agent.encoder, agent.resident.batch(padded)
    longest = batch.input_ids.shape[1]

    def states(part: Batch) -> Tensor:
        states_BTW = encoder.states(part.input_ids, part.attention_mask, part.token_type_ids)
        return torch.nn.functional.pad(states_BTW, (0, 0, 0, longest - states_BTW.shape[1]))

    return rowwise(states, batch, (), None, agent.resident.pass_tokens)


def _inputs(
    agent: LocalLearner, batch: PreparedBatch, index: int, states_BTW: Tensor | None
) -> dict[str, Any]:
    """Move the inputs of an objective to the device, and fill in mask tokens left for infilling.

    With states, the input of the objective's single pass holds those of its own tokens.
    """
    resident = agent.resident
    inputs = resident.to_device(batch.inputs[index])
    encoded = resident.blueprint.objectives[index].single_pass
    if states_BTW is not None and encoded is not None:
        whole = inputs[encoded]
        own_BTW = states_BTW[:, : whole.input_ids.shape[1]]
        inputs[encoded] = whole._replace(states=own_BTW)
    for name, padded in inputs.items():
        if isinstance(padded, Batch) and padded.infill is not None:
            seed = derive(agent.seed, "blanks", agent.id, batch.documents.batch, index, name)
            tokens = resident.blueprint.training.micro_batch_tokens
            inputs[name] = fill_masks(
                agent.encoder, padded, resident.vocabulary.infill_candidates, seed, tokens
            )
            infill_B = padded.infill.any(dim=1).cpu().numpy()
            agent.state.embedded_tokens += int(padded.lengths[infill_B].sum())
    return inputs
