"""The part of a run that its protocol depends on."""

from __future__ import annotations

from dataclasses import dataclass

from agents.exchange import Exchange, Society
from agents.objectives import Objective


@dataclass(frozen=True)
class ProtocolPlan:
    """The part of a run that decides which messages are sent, and how large they are.

    Attributes:
        society: its network is known.
        rounds: of the run.
        vocabulary_size: largest possible number of tokens that an encoder knows.
    """

    exchange: Exchange
    society: Society
    objectives: tuple[Objective, ...]
    rounds: int
    vocabulary_size: int
