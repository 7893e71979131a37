"""What the contrastive objectives share: the temperature, and views that must differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agents.lazy_torch import torch
from agents.objectives.base import Objective, Ratio, Step
from agents.text.batch import Batch
from agents.views import VIEWS, Crop, View
from protocols.errors import TrainingError
from protocols.spec import Kinds

if TYPE_CHECKING:
    from torch import Tensor, nn

    from agents.models.encoder import Encoder

Views = tuple[Annotated[View, Kinds(VIEWS)], ...]
_SMALLEST_LEARNT = 0.01
_PATIENCE = 3
"""Batches without two views that differ, after which it is no accident."""


class Contrastive(Objective):
    """An objective that contrasts two views of every document under a temperature."""

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
        """Ask for a head that holds the temperature, where it is learnt."""
        if not self.learn_temperature:
            return {}
        from agents.objectives.temperature import LearntTemperature

        return {f"{self.kind}_temperature": LearntTemperature(self.temperature)}

    def temperature_in(self, step: Step) -> float | Tensor:
        """Return the temperature of a step; where it is learnt, a scalar attached to the graph."""
        if not self.learn_temperature:
            return self.temperature
        learnt: Tensor = step.encoder.heads[f"{self.kind}_temperature"]()
        return learnt

    def report(self, temperature: float | Tensor) -> dict[str, Ratio]:
        """Return the temperature as a metric, where it is learnt."""
        if isinstance(temperature, float):
            return {}
        return {"temperature": Ratio(temperature.detach())}

    def refuse_identical_views(self, step: Step, batch: Batch) -> None:
        """Stop where the two views of all documents are equal, batch after batch.

        Raises:
            TrainingError: they were in so many batches in a row, and the encoder has no dropout either.
        """
        if self.relies_on_dropout:
            return  # The encoder was asked for its dropout when it was built.
        seen = int(step.memory.pop("identical", 0)) + 1
        if not _identical(batch):
            return
        step.memory["identical"] = seen
        from agents.models.cpu.byte_dropout import dropout_of

        if seen >= _PATIENCE and dropout_of(step.encoder.backbone) == 0.0:
            raise TrainingError(
                f"{self.kind} finds nothing to learn: both views of every document were the same in "
                f"{seen} batches in a row, and the encoder has no dropout",
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
        description="Who finds false negatives, which are left out: the encoder itself, or its momentum "
        "encoder.",
    )
    margin: float = Field(
        0.0, ge=-2.0, le=2.0, description="The guide also leaves out what is less alike by this."
    )

    @model_validator(mode="after")
    def _margin_has_guide(self) -> Self:
        if self.margin and self.guide == "none":
            raise ValueError("margin belongs to a guide; set guide, or margin to 0")
        return self

    @property
    def relies_on_dropout(self) -> bool:
        """Whether nothing but dropout tells the two views apart."""
        return rely_on_dropout(self.views)

    def false_negatives(self, guide_BD: Tensor, keys_ND: Tensor, positives_B: Tensor) -> Tensor:
        """Return what the guide leaves out: `[B, N]` bool; see `functional.false_negatives`."""
        from agents.objectives import functional

        cosines_BN = functional.cosines(guide_BD.detach(), keys_ND.detach())
        return functional.false_negatives(cosines_BN, positives_B, self.margin)


def rely_on_dropout(views: Sequence[View]) -> bool:
    """Whether nothing but dropout tells two views apart that are made so."""
    return all(view.relies_on_dropout for view in views)


def _identical(batch: Batch) -> bool:
    # Lengths are on the CPU: only where they agree does anybody wait for the device.
    first, second = np.split(batch.lengths, 2)
    if not np.array_equal(first, second):
        return False
    return all(
        torch.equal(*torch.chunk(tensor, 2)) for tensor in (batch.input_ids, batch.attention_mask)
    )
