"""Agents that send something else than what they have learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.rounds.faults.base import AgentFault, Alteration, FaultContext
from protocols.messages import Payload
from protocols.seeding import generator

Mode = Literal["noise", "sign_flip", "scale", "drift"]


class Byzantine(AgentFault):
    """Agents send noise, or their weights or representations, scaled, negated or drifting away."""

    kind: Literal["byzantine"] = "byzantine"
    mode: Mode = Field(
        "noise",
        description="noise: normal numbers, as spread as what they replace; sign_flip: times minus the "
        "factor; scale: times the factor; drift: plus normal numbers that are the same in every round, "
        "and the factor times the spread larger in each, so that no message is far from the last.",
    )
    factor: float = Field(1.0, gt=0.0, description="Factor of the noise, or of the numbers.")

    def alteration(self, agent: int, context: FaultContext) -> Alteration | None:
        """Return a function that replaces the learnt numbers."""
        return Distorted(self.mode, self.factor, context, agent) if agent in self.agents else None

    def alters(self, payload: type[Payload]) -> bool:
        """Return whether a kind of payload holds learnt numbers: those that a codec may code."""
        return bool(payload.coded_fields)


@dataclass(frozen=True)
class Distorted:
    """Distorts every array of learnt numbers; the sender's host calls it."""

    mode: Mode
    factor: float
    context: FaultContext
    agent: int

    def __call__(self, payload: Payload) -> Payload:
        """Return a payload of other numbers, which receivers check like any other."""
        values: dict[str, Any] = {
            name: getattr(payload, name) for name in type(payload).model_fields
        }
        changed = {name: self._distort(name, values[name]) for name in payload.coded_fields}
        return type(payload)(**{**values, **changed})

    def _distort(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.mode == "noise":
            drawn = self.context.generator("noise", self.agent, name)
            noise = drawn.standard_normal(values.shape, dtype=np.float32)
            spread = np.float32(self.factor * float(values.std(dtype=np.float64)))
            distorted: NDArray[np.float32] = noise * spread
            return distorted
        if self.mode == "drift":
            place = self.context
            lie = generator(place.seed, "faults", place.index, "drift", self.agent, name)
            direction = lie.standard_normal(values.shape, dtype=np.float32)
            step = float(values.std(dtype=np.float64)) * self.factor
            return values + direction * np.float32(step * place.round)
        sign = -1.0 if self.mode == "sign_flip" else 1.0
        return values * np.float32(sign * self.factor)
