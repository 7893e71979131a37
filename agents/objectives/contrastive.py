"""Common part of the contrastive objectives: the temperature, and views that must differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agents import lazy_models
from agents.lazy_torch import Tensor, nn, torch
from agents.objectives import functional
from agents.objectives.base import Objective, ObjectiveState, Ratio, Step
from agents.objectives.temperature import learnt_temperature, read_temperature
from agents.text.batch import Batch
from agents.views import VIEWS, Crop, View
from protocols.errors import TrainingError
from protocols.spec import Kinds

if TYPE_CHECKING:
    from agents.models.encoder import Encoder

Views = tuple[Annotated[View, Kinds(VIEWS)], ...]
_SMALLEST_LEARNT = 0.01
_PATIENCE = 3
"""Batches in a row without two views that differ, after which training stops."""


@dataclass
class ContrastiveState(ObjectiveState):
    """Check that views differ.

    Attributes:
        identical: batches in a row in which the two views of all documents were equal.
    """

    identical: int = 0


class Contrastive(Objective):
    """An objective that contrasts two views of every document under a temperature."""

    state_type: ClassVar[type[ObjectiveState]] = ContrastiveState
    views_per_document: ClassVar[int] = 2
    temperature: float = Field(0.05, gt=0.0, le=10.0, description="Divides the cosines.")
    learn_temperature: bool = Field(
        False, description="Learn the temperature, from the given one on; it stays above 0.01."
    )
    hardness: float = Field(
        0.0, ge=0.0, le=100.0, description="Exponent that weighs hard negatives more; 0 for none."
    )

    @model_validator(mode="after")
    def _learnable(self) -> Self:
        if self.learn_temperature and self.temperature < _SMALLEST_LEARNT:
            raise ValueError(
                f"a learnt temperature stays above {_SMALLEST_LEARNT}, and temperature is "
                f"{self.temperature}; raise it, or set learn_temperature to false"
            )
        return self

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Add a head that holds the temperature, if it is learnt."""
        if not self.learn_temperature:
            return {}
        return {f"{self.kind}_temperature": learnt_temperature(self.temperature)}

    def temperature_in(self, step: Step) -> float | Tensor:
        """Return the temperature of a step; if it is learnt, a scalar attached to the graph."""
        if not self.learn_temperature:
            return self.temperature
        return read_temperature(step.encoder.heads[f"{self.kind}_temperature"])

    def report(self, temperature: float | Tensor) -> dict[str, Ratio]:
        """Return the temperature as a metric, if it is learnt."""
        if isinstance(temperature, float):
            return {}
        return {"temperature": Ratio(temperature.detach())}

    def refuse_identical_views(self, step: Step, batch: Batch) -> None:
        """Raise an error if the two views of all documents are equal, batch after batch.

        Raises:
            TrainingError: they were in `_PATIENCE` batches in a row, and the encoder has no dropout either.
        """
        if self.relies_on_dropout:
            return  # Checked once when the encoder is built: see `SharedModel`.
        state = ContrastiveState.of(step)
        state.identical = state.identical + 1 if _identical(batch) else 0
        if state.identical < _PATIENCE:
            return
        if lazy_models.dropout_of(step.encoder.backbone) == 0.0:
            raise TrainingError(
                f"{self.kind} has nothing to learn from: both views of every document were the same in "
                f"{state.identical} batches in a row, and the encoder has no dropout",
                expected="views that differ, or an encoder with dropout above 0",
                actual=f"{len(batch.lengths) // 2} pairs of equal views",
                hint="use the view 'crop' with a share below 1, or set encoder.dropout to 0.1",
            )


class Augmented(Contrastive):
    """A contrastive objective whose two views are made by augmentations."""

    views: Views = Field(
        (Crop(),), min_length=1, description="Augmentations, applied one after another."
    )
    guide: Literal["none", "self", "momentum"] = Field(
        "none",
        description="Model that finds false negatives, which are excluded: the encoder itself, or its "
        "momentum encoder.",
    )
    margin: float = Field(
        0.0,
        ge=-2.0,
        le=2.0,
        description="The guide also excludes negatives that are less similar by this margin.",
    )

    @model_validator(mode="after")
    def _margin_has_guide(self) -> Self:
        if self.margin and self.guide == "none":
            raise ValueError("margin belongs to a guide; set guide, or margin to 0")
        return self

    @property
    def relies_on_dropout(self) -> bool:
        """Return whether only dropout makes the two views differ."""
        return rely_on_dropout(self.views)

    def false_negatives(self, guide_BD: Tensor, keys_ND: Tensor, positives_B: Tensor) -> Tensor:
        """Return a mask `[B, N]` of the keys that the guide excludes; see `functional.false_negatives`."""
        cosines_BN = functional.cosines(guide_BD.detach(), keys_ND.detach())
        return functional.false_negatives(cosines_BN, positives_B, self.margin)


def rely_on_dropout(views: Sequence[View]) -> bool:
    """Return whether only dropout makes two such views differ."""
    return all(view.relies_on_dropout for view in views)


def _identical(batch: Batch) -> bool:
    # Lengths are on the CPU: only if they agree does the comparison have to wait for the device.
    first, second = np.split(batch.lengths, 2)
    if not np.array_equal(first, second):
        return False
    return all(
        torch.equal(*torch.chunk(tensor, 2)) for tensor in (batch.input_ids, batch.attention_mask)
    )
