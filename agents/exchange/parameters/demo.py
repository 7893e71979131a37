"""Exchange of the strongest components of a local momentum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.base import (
    Exchange,
    ExchangeState,
    Expected,
    Learner,
    Shown,
    Society,
    Turn,
    to_tensor,
)
from agents.exchange.parameters.averaging import check_one_encoder
from agents.exchange.parameters.chunked_dct import ChunkedDCT
from agents.lazy_torch import Tensor, torch
from protocols.codecs import Codec
from protocols.codecs.fp32 import Fp32
from protocols.messages import Components, Message, Payload
from protocols.topologies.hops import Direction

Stack = tuple[Tensor, Tensor]
"""Components and their places, `[S, M]` each, of S agents; or those of one agent, `[M]`."""


@dataclass
class DeMoState(ExchangeState):
    """Shared parameters, momentum, and what an exchange has gathered.

    Attributes:
        shared: `[P]`, result of the last exchange, or the initial parameters.
        momentum: `[P]`, what the agent has learnt and not sent; None before the first exchange.
        extracted: round, components `[M]`, their places `[M]`, and the momentum `[P]` without them.
        gathered: round, and the components of this agent and of all that it speaks for in a tree; None in an
            agent that receives nothing.
        settled: round of the last result; 0 before the first.
    """

    shared: Tensor | None = None
    momentum: Tensor | None = None
    extracted: tuple[int, Tensor, Tensor, Tensor] | None = None
    gathered: tuple[int, Tensor, Tensor] | None = None
    settled: int = 0


class DeMo(Exchange):
    """DeMo (Peng et al. 2024): exchange the strongest components of a local momentum; step by their sign.

    With phi the parameters after the last exchange, and theta those after the local steps since:

        m_i <- decay m_i + (phi - theta_i);    q_i: of each chunk of DCT(m_i), the ``components`` largest;
        m_i <- m_i - IDCT(q_i);    phi <- phi - learning rate sign(IDCT(mean of the q));    theta_i <- phi.

    A component's mean is over the agents that sent it, as in the authors' code. Matrices are cut into chunks
    of at most ``chunk`` x ``chunk``, vectors of ``chunk``, in sizes that divide theirs.

    The paper exchanges after every step of plain SGD: ``training: {local_steps: 1, optimizer: {sgd:
    {momentum: 0}}, weight_decay: 0, clip_norm: null}`` is that method, and the size of SGD's learning rate
    does not matter, only its schedule; 1 loses least to rounding. With more local steps, or another
    optimizer, phi - theta is a change instead of a gradient and this is an outer optimizer, as in `diloco`;
    the paper does not test that. ``learning_rate`` is constant. Local steps only feed the momentum: they are
    undone in theta.

    No parameters travel, so all agents must begin equal and receive the same components: every contribution
    goes to every agent, in a tree up to the root and down again (S contributions to a message), among peers
    on a complete graph. On a sparser graph, or where messages are lost, agents step by what they received,
    and nothing pulls their parameters together again. An agent that receives nothing keeps theta and m.

    Bytes: six for each component, and a header, for each contribution in a message; lossy codecs shorten the
    components to three (int8) or four, and what they lose stays in m. ``top_k`` and ``pca`` are not applied
    to what is sparse already.

    Source: Peng, Quesnelle and Kingma, DeMo: Decoupled Momentum Optimization, 2024;
    https://github.com/bloc97/DeMo.
    """

    kind: Literal["demo"] = "demo"
    state_type: ClassVar[type[ExchangeState]] = DeMoState
    changes_parameters: ClassVar[bool] = True
    unprotectable: ClassVar[str] = "the places of the largest components"
    learning_rate: float = Field(
        1e-3, gt=0.0, description="Size of the step, in every parameter, of an exchange."
    )
    decay: float = Field(
        0.999, ge=0.0, lt=1.0, description="Share of the momentum that an exchange keeps."
    )
    components: int = Field(32, ge=1, le=2**15, description="Components sent of each chunk.")
    chunk: int = Field(64, ge=1, le=256, description="Largest side of a chunk.")

    @property
    def shows(self) -> frozenset[Shown]:
        """Changes of parameters."""
        return frozenset({"parameters"})

    def check(self, society: Society) -> None:
        """Refuse different encoders, whose parameters do not correspond."""
        check_one_encoder(self.kind, society)

    def initial_state(self, learner: Learner) -> ExchangeState:
        """Take the initial parameters as shared."""
        return DeMoState(shared=learner.parameters.clone())

    def codec_of(self, payload: type[Payload]) -> Codec:
        """Use the codec unless it drops most of the numbers."""
        return Fp32() if self.codec.kind in ("top_k", "pca") else self.codec

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send the agent's components; in a tree with those of all that it speaks for."""
        state = DeMoState.of(learner)
        if turn.direction is Direction.DOWN and state.settled != turn.round:
            return None
        stack = self._own(learner, turn)
        if turn.direction is not Direction.PEER and state.gathered is not None:
            stack = state.gathered[1:] if state.gathered[0] == turn.round else stack
        values, places = (each.cpu().numpy() for each in stack)
        layout = self._layout(learner)
        return Components(values=values, places=places.astype(np.uint16), layout=layout)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept components of parameters in the agent's own layout; from peers, of one agent."""
        agents = 1 if turn.direction is Direction.PEER else None
        shape = (agents, self._transform(learner).kept_components)
        return Expected(Components, {"values": shape, "places": shape}, self._layout(learner))

    def open_size(self, represented: Sequence[int]) -> int:
        """Return the number of agents that a message stands for."""
        return len(represented)

    def scalars(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Mapping[str, Any]:
        """Return nothing: the layout is known."""
        return {}

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Gather components on the way up; step by all of them among peers, at the root and from above."""
        if not inbox:
            return
        state = DeMoState.of(learner)
        if turn.direction is Direction.PEER:
            self._step(learner, self._by_agent(learner, inbox, turn), turn)
            return
        stacks = [_read(message, learner) for message in inbox]
        if turn.direction is Direction.UP:
            stacks.insert(0, self._own(learner, turn))
        values, places = (torch.cat(parts) for parts in zip(*stacks, strict=True))
        if turn.direction is Direction.DOWN or turn.is_top:
            self._step(learner, zip(values, places, strict=True), turn)
        if turn.direction is Direction.UP or state.gathered is not None:
            state.gathered = turn.round, values, places

    def _step(self, learner: Learner, contributions: Iterable[Stack], turn: Turn) -> None:
        """Step from the shared parameters by contributions, all in one order wherever they arrive."""
        state, transform = DeMoState.of(learner), self._transform(learner)
        remainder = self._extracted(learner, turn)[3]
        assert state.shared is not None  # since `initial_state`
        direction = transform.mean(contributions, learner.parameters).sign_()
        state.shared.sub_(direction, alpha=self.learning_rate)
        learner.parameters.copy_(state.shared)
        state.momentum, state.extracted, state.settled = remainder, None, turn.round

    def _extracted(self, learner: Learner, turn: Turn) -> tuple[int, Tensor, Tensor, Tensor]:
        """Return the agent's components as others decode them; the momentum is left as it was."""
        state = DeMoState.of(learner)
        if state.extracted is None or state.extracted[0] != turn.round:
            assert state.shared is not None  # since `initial_state`
            transform, momentum = self._transform(learner), state.shared - learner.parameters
            if state.momentum is not None:
                momentum.add_(state.momentum, alpha=self.decay)
            values, places = transform.largest(momentum)
            places = places.to(torch.int32)
            coded = self.codec_of(Components).roundtrip(values.cpu().numpy()[None])
            values = to_tensor(coded[0], learner)
            momentum.sub_(transform.mean([(values, places)], momentum))
            state.extracted = turn.round, values, places, momentum
        return state.extracted

    def _own(self, learner: Learner, turn: Turn) -> Stack:
        """Return the agent's own components, `[1, M]`."""
        _, values, places, _ = self._extracted(learner, turn)
        return values[None], places[None]

    def _by_agent(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> Iterator[Stack]:
        """Yield the contributions of this agent and its neighbours in the order of their numbers."""
        own = False
        for message in inbox:
            if not own and message.envelope.sender > learner.id:
                own = True
                yield self._extracted(learner, turn)[1:3]
            yield from zip(*_read(message, learner), strict=True)
        if not own:
            yield self._extracted(learner, turn)[1:3]

    def _transform(self, learner: Learner) -> ChunkedDCT:
        return ChunkedDCT.of(learner.slots, self.chunk, self.components)

    def _layout(self, learner: Learner) -> str:
        return f"{learner.layout}:{self._transform(learner).chunk_layout}"


def _read(message: Message, learner: Learner) -> Stack:
    payload = message.payload
    assert isinstance(payload, Components)  # guaranteed by `expects`
    places = to_tensor(payload.places.astype(np.int32), learner)
    return to_tensor(payload.values, learner), places
