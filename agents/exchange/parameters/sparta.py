"""Averaging of a small random share of the parameters in every exchange."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.exchange.base import Expected, Learner, Turn
from agents.exchange.parameters.averaging import ParameterExchange
from agents.lazy_torch import Tensor, torch
from protocols.messages import Weights
from protocols.seeding import generator

Selection = Literal["random", "partitioned"]


class Sparta(ParameterExchange):
    """SPARTA (Beton et al. 2025): average a small random share of the parameters, often.

    Every exchange draws K = ``share`` of the P numbers, the same for all agents, from the run's seed and the
    round: places never travel. Agents send these K numbers, fuse them as `fedavg` does (the mixing matrix
    among peers, documents in a tree), and replace them; the other numbers, and the optimizer's state, stay
    their own. Exchange often, with few ``training.local_steps``: the paper exchanges after every step, and
    EXO Gym draws 0.5 % then.

    ``random`` draws anew each time, so that a number is left alone for 1 / share exchanges on average and now
    and then much longer. ``partitioned`` cuts a permutation of all numbers into ceil(1 / share) parts and
    takes them in turn, then draws another: between two averages of a number lie fewer than 2 / share
    exchanges, and the variance between agents that only wander is about 0.6 of that under ``random``.

    SPARTA-DiLoCo is a hybrid of this at ``every: 1`` and of ``diloco`` at a larger one.

    Bytes: four for each of the K numbers, and a header. It differs from EXO Gym in that K is the same in
    every exchange (there, each number is drawn by a coin of its own), so that sizes are known before a run.

    Sources: Beton et al., Improving the Efficiency of Distributed Training using Sparse Parameter Averaging,
    2025; EXO Gym, https://github.com/exo-explore/gym.
    """

    kind: Literal["sparta"] = "sparta"
    share: float = Field(
        0.005, gt=0.0, le=1.0, description="Share of the parameters that one exchange averages."
    )
    selection: Selection = Field(
        "random",
        description="How parameters are selected: random, or partitioned, each once in 1 / share exchanges.",
    )

    @property
    def asynchronous(self) -> bool:
        """Return False: agents in different rounds select different parameters."""
        return False

    def offer(self, learner: Learner, turn: Turn) -> Tensor:
        """Return the selected parameters `[K]`."""
        return self.excerpt(learner, learner.parameters, turn)

    def excerpt(self, learner: Learner, parameters: Tensor, turn: Turn) -> Tensor:
        """Return the selected parameters `[K]`."""
        return parameters[self._places(learner, turn)]

    def restore(self, learner: Learner, excerpt: Tensor, turn: Turn) -> Tensor:
        """Return the agent's parameters `[P]` with the selected ones replaced."""
        parameters = learner.parameters.clone()
        parameters[self._places(learner, turn)] = excerpt
        return parameters

    def layout(self, learner: Learner, turn: Turn) -> str:
        """Return a fingerprint of the parameters' layout and of what selects some of them."""
        drawn = repr((learner.layout, learner.seed, self.selection, self.share, self._number(turn)))
        return hashlib.blake2b(drawn.encode(), digest_size=8).hexdigest()

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept the same selection of another agent's parameters."""
        _, begin, end = self._part(len(learner.parameters), turn)
        return Expected(Weights, {"values": (end - begin,)}, self.layout(learner, turn))

    def form_of(self, round: int) -> Hashable:
        """Return the part that is sent: parts differ in length by one."""
        parts = 1 if self.selection == "random" else math.ceil(1 / self.share)
        return (math.ceil(round / self.every) - 1) % parts

    def _number(self, turn: Turn) -> int:
        """Return the number of the exchange, from 1; one after the last round has its own."""
        return math.ceil(turn.round / self.every)

    def _part(self, size: int, turn: Turn) -> tuple[int, int, int]:
        """Return a permutation's number, and the selected range of its places."""
        number = self._number(turn)
        if self.selection == "random":
            return number, 0, max(1, round(self.share * size))
        parts = min(size, math.ceil(1 / self.share))
        cycle, part = divmod(number - 1, parts)
        return cycle, part * size // parts, (part + 1) * size // parts

    def _places(self, learner: Learner, turn: Turn) -> Tensor:
        permutation, begin, end = self._part(len(learner.parameters), turn)
        names = (self.selection, permutation)
        places = _drawn(learner.seed, *names, len(learner.parameters), begin, end)
        return torch.from_numpy(places).to(learner.parameters.device)


@lru_cache(maxsize=2)
def _drawn(
    seed: int, selection: Selection, permutation: int, size: int, begin: int, end: int
) -> NDArray[np.int64]:
    """Return the selected places, ascending; kept for the other agents of the host, which select the same."""
    random = generator(seed, "sparta", selection, permutation)
    if selection == "random":
        return np.sort(random.choice(size, end - begin, replace=False, shuffle=False))
    return np.sort(random.permutation(size)[begin:end])
