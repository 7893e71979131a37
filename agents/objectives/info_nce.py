"""Contrastive learning between two views of each document.

Legend: B documents, N keys, M embeddings by neighbours, D width of the projection, W of the backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agents.lazy_torch import Tensor, torch
from agents.models.microbatch import narrow
from agents.objectives import functional, momentum
from agents.objectives.base import (
    LossOutput,
    Neighbours,
    ObjectiveState,
    Prepared,
    Ratio,
    RawBatch,
    Step,
)
from agents.objectives.contrastive import Augmented, ContrastiveState
from agents.text.batch import Batch

_MOMENTUM = 0.999


@dataclass
class InfoNCEState(ContrastiveState, momentum.MomentumState):
    """Check that views differ and, with a queue, the momentum encoder and its keys."""


class InfoNCE(Augmented):
    """InfoNCE (van den Oord et al. 2018): contrast two views of a document with the rest of the batch.

    The negatives of a view are the other views of all other documents of the batch. With a `queue`, the keys
    are made by a momentum encoder, and those of earlier batches are negatives too, unless they are of the
    same document (He et al., MoCo, 2020). With `neighbours`, so are received embeddings of other public
    anchors. A `guide` excludes negatives of the batch and of the queue that are more similar to the query
    than its positive (Solatorio, GISTEmbed, 2024). See `agents.objectives.functional.one_way`.
    """

    kind: Literal["info_nce"] = "info_nce"
    state_type: ClassVar[type[ObjectiveState]] = InfoNCEState
    encodes: ClassVar[str | None] = "views"
    direction: Literal["both", "first"] = Field(
        "both", description="Whether the second view is a query too."
    )
    queue: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Keys of earlier batches that are negatives too; above 0, a momentum encoder makes "
        "the keys, which doubles the parameters stored for an agent.",
    )
    momentum: float = Field(
        _MOMENTUM,
        ge=0.0,
        lt=1.0,
        description="Decay rate of the momentum encoder; 0.99 for short runs.",
    )
    neighbours: bool = Field(
        False, description="Whether neighbours' embeddings of anchors are negatives too."
    )

    @model_validator(mode="after")
    def _nothing_ignored(self) -> Self:
        if not self.queue and self.guide == "momentum":
            raise ValueError("guide momentum needs the momentum encoder of a queue; set queue")
        if not self.queue and self.momentum != _MOMENTUM:
            raise ValueError("momentum belongs to a queue; set queue, or leave momentum out")
        return self

    @property
    def wants_neighbours(self) -> bool:
        """Return whether `neighbours` is set."""
        return self.neighbours

    @property
    def single_pass(self) -> str | None:
        """Return None with a queue, whose momentum encoder makes passes of its own; see `Objective`."""
        return None if self.queue else super().single_pass

    def prepare(self, raw: RawBatch) -> Prepared:
        """Make two views of every document, in one batch."""
        views = raw.views(self.views, count=2)
        if not self.queue:
            return {"views": views}
        return {"views": views, "documents": momentum.fingerprints(raw.texts)}

    def loss(self, step: Step) -> LossOutput:
        """Encode the views, in one pass, and contrast them."""
        batch, temperature = step.inputs["views"], self.temperature_in(step)
        self.refuse_identical_views(step, batch)
        lengths = batch.lengths.reshape(2, -1)
        if self.queue and self.direction == "first":
            # Only the momentum encoder reads a view that is not a query.
            lengths, batch = lengths[:1], _half(batch, 0)
        pooled = torch.chunk(step.encode(batch), len(lengths))
        queries = [step.encoder.projection(view) for view in pooled]
        sides = self._queued(step, queries) if self.queue else self._in_batch(queries)
        query_sides = 1 if self.direction == "first" else 2
        false = [self._false_negatives(side) for side in sides[:query_sides]]
        losses = [
            self._contrast(step, pooled[index], sides[index], false[index], temperature)
            for index in range(query_sides)
        ]
        keyed = int(self._keyed(step).lengths.sum()) if self.queue else 0
        return LossOutput(
            torch.stack(losses).mean(),
            lengths.sum(axis=0),
            pooled,
            {**self.report(temperature), **_excluded(false)},
            embedded_tokens=keyed,
        )

    def _in_batch(self, views: Sequence[Tensor]) -> list[_Side]:
        """Return sides whose keys are the other views of the batch."""
        first, second = views
        none_BB = torch.zeros(len(first), len(first), dtype=torch.bool, device=first.device)
        return [
            _Side(query, keys, None if self.guide == "none" else query, none_BB)
            for query, keys in ((first, second), (second, first))
        ]

    def _queued(self, step: Step, queries: Sequence[Tensor]) -> list[_Side]:
        """Return sides whose keys are the momentum encoder's, of the other views and of the queue."""
        documents_B, keyed = step.inputs["documents"], self._keyed(step)
        views = len(keyed.lengths) // len(documents_B)
        keys = torch.chunk(momentum.encode_keys(step, keyed, self.momentum), views)
        queue = momentum.queue_of(step, keys[0].shape[1])
        same_BQ = documents_B.unsqueeze(1) == queue.documents.unsqueeze(0)
        none_BB = same_BQ.new_zeros(len(documents_B), len(documents_B))
        known_BN = torch.cat([none_BB, same_BQ], dim=1)
        sides = []
        for index, query in enumerate(queries):
            guide = {"none": None, "self": query, "momentum": keys[index]}[self.guide]
            others = torch.cat([keys[-1 - index], queue.keys])
            sides.append(_Side(query, others, guide, known_BN))
        momentum.enqueue(step, queue, keys[-len(queries) :], self.queue)
        return sides

    def _keyed(self, step: Step) -> Batch:
        """Return the input of the momentum encoder: both views, or the second if the first is unused."""
        both = self.direction == "both" or self.guide == "momentum"
        batch: Batch = step.inputs["views"]
        return batch if both else _half(batch, 1)

    def _false_negatives(self, side: _Side) -> Tensor | None:
        """Return a mask `[B, N]` of the keys that the guide excludes; None without one."""
        if side.guide is None:
            return None
        positives_B = torch.arange(len(side.guide), device=side.guide.device)
        return self.false_negatives(side.guide, side.keys, positives_B)

    def _contrast(
        self,
        step: Step,
        pooled: Tensor,
        side: _Side,
        false_BN: Tensor | None,
        temperature: float | Tensor,
    ) -> Tensor:
        """Return the loss of one direction."""
        excluded_BN = side.excluded if false_BN is None else side.excluded | false_BN
        others_BM = None
        if self.neighbours and step.neighbours is not None:
            others_BM, same_BM = _neighbours(step, step.neighbours, pooled)
            excluded_BN = torch.cat([excluded_BN, same_BM], dim=1)
        return functional.one_way(
            side.queries,
            side.keys,
            temperature,
            others_BM=others_BM,
            excluded_BN=excluded_BN,
            hardness=self.hardness,
        )


class _Side(NamedTuple):
    """Queries of one view, and the keys that they are contrasted with.

    Attributes:
        queries: `[B, D]`.
        keys: `[N, D]`, first the positive of each query.
        guide: `[B, D]`, the guide's embeddings of the queries, in the space of the keys; None without one.
        excluded: `[B, N]` bool, keys of the query's own document, which are not its negatives.
    """

    queries: Tensor
    keys: Tensor
    guide: Tensor | None
    excluded: Tensor


def _neighbours(step: Step, sent: Neighbours, pooled_BW: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines `[B, M]` to neighbours' embeddings, and a mask of those of the query's own anchor."""
    cosines_BM = functional.cosines(step.encoder.exchange_head(pooled_BW), sent.embeddings)
    anchors_A = torch.from_numpy(step.anchors).to(cosines_BM.device)
    same_BM = torch.zeros_like(cosines_BM, dtype=torch.bool)
    private = len(pooled_BW) - len(anchors_A)
    same_BM[private:] = anchors_A.unsqueeze(1) == sent.anchors.unsqueeze(0)
    return cosines_BM, same_BM


def _excluded(false: Sequence[Tensor | None]) -> dict[str, Ratio]:
    """Return, as a metric, the share of negatives that the guide excluded; at 1 there is nothing to learn."""
    found = [false_BN for false_BN in false if false_BN is not None]
    if not found:
        return {}
    negatives = sum(len(false_BN) * (false_BN.shape[1] - 1) for false_BN in found)
    return {
        "false_negatives": Ratio(
            torch.stack([false_BN.sum() for false_BN in found]).sum(), negatives
        )
    }


def _half(batch: Batch, index: int) -> Batch:
    """Return the first or the second views of a batch of both."""
    rows = np.split(np.arange(len(batch.lengths)), 2)[index]
    return narrow(batch, torch.from_numpy(rows).to(batch.input_ids.device), rows)
