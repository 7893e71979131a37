"""DiLoCo on one fragment of the parameters at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from agents.exchange.base import ExchangeState, Expected, Learner, Society, Turn
from agents.exchange.parameters.diloco import DiLoCo, DiLoCoState
from agents.exchange.parameters.fragments import Fragment, Pattern, fragments_of
from agents.exchange.privacy.protection import Arrays
from agents.lazy_torch import Tensor
from agents.objectives.base import Reference
from protocols.messages import Message, Payload
from protocols.topologies.hops import Direction


@dataclass
class StreamingDiLoCoState(ExchangeState):
    """State of every fragment, and the results that wait to be applied.

    Attributes:
        fragments: the fields of a `DiLoCoState` of each fragment.
        waiting: local steps before the last result of a fragment is applied, by fragment.
    """

    fragments: list[dict[str, Any]] = field(default_factory=list)
    waiting: dict[int, int] = field(default_factory=dict)


class StreamingDiLoCo(DiLoCo):
    """Streaming DiLoCo (Douillard et al. 2025): fragments in turn, late results, and coarse changes.

    The parameters are cut into fragments. Each exchange is one of ``diloco`` on the next fragment alone, with
    its own phi and its own outer momentum: fragment p in exchanges p, p + P, p + 2 P, ... So each fragment is
    exchanged every P exchanges, and the largest message, and all bytes, fall by P. With local steps so few
    that P exchanges take the time of one exchange of ``diloco``, all bytes are equal and the peak falls by P.

    While the merged fragment is on its way, agents train on. It is applied after the first ``overlap`` local
    steps of the next round, and mixed with what the agent has meanwhile:

        theta_p <- alpha theta_p + (1 - alpha) phi_p.

    The next change of the fragment is ``phi_p - theta_p``, with all that was trained since. `codec` quantises
    the changes (the paper: four bits; here at the least ``int8``), with error feedback; in a tree, what goes
    down is in that codec too.

    Where agents do not wait for each other, fragments are exchanged as if each were an exchange of its own:
    agents send the fragment of their own round, and the agent that merges one answers with that one.

    With one fragment, no overlap and an alpha of 0 this is ``diloco``, to the bit. The paper cuts between
    layers; here pieces are of equal size, see `agents.exchange.parameters.fragments`. Where agents wait on a
    simulated clock, messages travel during the overlap.

    Source: Douillard et al., Streaming DiLoCo with Overlapping Communication: Towards a Distributed Free
    Lunch, 2025.
    """

    kind: Literal["streaming_diloco"] = "streaming_diloco"  # type: ignore[assignment]
    state_type: ClassVar[type[ExchangeState]] = StreamingDiLoCoState
    fragments: int = Field(4, ge=1, le=1024, description="Parts that the parameters are cut into.")
    pattern: Pattern = Field(
        "strided",
        description="Cut of the fragments: strided (pieces of all depths) or sequential (one piece).",
    )
    overlap: int = Field(
        0, ge=0, description="Local steps for which agents train on before a result is applied."
    )
    alpha: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Share of its own parameters that an agent keeps where it applies a result; the paper "
        "has 0.5 with an overlap.",
    )

    @property
    def fragment_count(self) -> int:
        """Number of fragments."""
        return self.fragments

    def fragment_of(self, round: int) -> int:
        """Return the fragment whose turn it is."""
        exchanges = -(-round // self.every)
        return (exchanges - 1) % self.fragments

    @property
    def overlap_steps(self) -> int:
        """Steps of the overlap."""
        return self.overlap

    def check(self, society: Society) -> None:
        """Refuse what ``diloco`` does, and an overlap that does not end before the next exchange."""
        super().check(society)
        steps = self.every * society.local_steps
        if self.overlap >= steps:
            raise ValueError(
                f"exchange.overlap {self.overlap} is as long as the {steps} local steps from one exchange to "
                "the next; lower exchange.overlap, or raise training.local_steps or exchange.every"
            )

    def initial_state(self, learner: Learner) -> ExchangeState:
        """Take every fragment of the initial parameters as received."""
        fragments = fragments_of(learner.slots, self.fragments, self.pattern)
        states = [DiLoCoState(received=each.read(learner.parameters).clone()) for each in fragments]
        return StreamingDiLoCoState([vars(state) for state in states])

    def reference(self, learner: Learner) -> Reference | None:
        """Return each fragment as last received, and the agent's own just before; None before the first."""
        states = StreamingDiLoCoState.of(learner).fragments
        if all(each["previous"] is None for each in states):
            return None
        received, previous = learner.parameters.clone(), learner.parameters.clone()
        fragments = fragments_of(learner.slots, self.fragments, self.pattern)
        for fragment, state in zip(fragments, states, strict=True):
            fragment.write(received, state["received"])
            own = state["previous"]
            fragment.write(previous, state["received"] if own is None else own)
        return Reference(received, previous)

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send what ``diloco`` sends, of the turn's fragment; of another than the round's, answers alone."""
        self._apply_overdue(learner, turn)
        view = self._view(learner, turn)
        is_answer = turn.direction is Direction.DOWN or view.has_subtree(turn)
        if view.index != self.fragment_of(turn.round) and not is_answer:
            return None
        payload = super().compose(cast(Learner, view), turn)
        view.keep()
        return payload

    def known(self, learner: Learner, payload: type[Payload], turn: Turn) -> Arrays:
        """Return the turn's fragment of the initial parameters, where parameters are sent."""
        return super().known(cast(Learner, self._view(learner, turn)), payload, turn)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept the turn's fragment."""
        return super().expects(cast(Learner, self._view(learner, turn)), turn)

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Merge the turn's fragment as ``diloco`` does, and apply a result, at once or later."""
        if inbox:
            self._apply_overdue(learner, turn)
        view = self._view(learner, turn)
        super().merge(cast(Learner, view), inbox, turn)
        view.keep()
        if not view.has_result:
            return
        if self.overlap:
            StreamingDiLoCoState.of(learner).waiting[view.index] = self.overlap
        else:
            self._apply(learner, view.index)

    def adopt(self, learner: Learner, result: Tensor) -> None:
        """Count tokens from here, and leave the parameters as they are: `merge` applies the result."""
        DiLoCoState.of(learner).tokens = learner.tokens
        cast(_FragmentView, learner).has_result = True

    def before_step(self, learner: Learner) -> None:
        """Apply results after `overlap` steps."""
        waiting = StreamingDiLoCoState.of(learner).waiting
        for fragment, steps in sorted(waiting.items()):
            if steps:
                waiting[fragment] = steps - 1
            else:
                self._apply(learner, fragment)
                del waiting[fragment]

    def _apply_overdue(self, learner: Learner, turn: Turn) -> None:
        """Apply a result of the turn's fragment that still waits: its agent did not train, or was undone."""
        waiting, fragment = StreamingDiLoCoState.of(learner).waiting, self._index(turn)
        if turn.direction is not Direction.DOWN and waiting.pop(fragment, None) is not None:
            self._apply(learner, fragment)

    def _apply(self, learner: Learner, index: int) -> None:
        """Mix the last result of a fragment into the parameters."""
        fragment = fragments_of(learner.slots, self.fragments, self.pattern)[index]
        result = StreamingDiLoCoState.of(learner).fragments[index]["received"]
        if self.alpha:
            own = fragment.read(learner.parameters).clone()
            result = own.lerp_(result, 1.0 - self.alpha)
        fragment.write(learner.parameters, result)

    def _index(self, turn: Turn) -> int:
        return self.fragment_of(turn.round) if turn.fragment is None else turn.fragment

    def _view(self, learner: Learner, turn: Turn) -> _FragmentView:
        """Return the agent as ``diloco`` sees it in this turn: with the parameters of one fragment."""
        index = self._index(turn)
        fragment = fragments_of(learner.slots, self.fragments, self.pattern)[index]
        return _FragmentView(learner, fragment, index, self.fragments)


class _FragmentView:
    """An agent that has one fragment of its parameters, and that fragment's state.

    Args:
        learner: the agent.
        fragment: the fragment.
        index: its number.
        count: number of fragments.

    Attributes:
        has_result: whether an exchange gave a result for the fragment.
    """

    def __init__(self, learner: Learner, fragment: Fragment, index: int, count: int) -> None:
        self.index = index
        self.has_result = False
        self.parameters = fragment.read(learner.parameters)
        self._fragment = fragment
        self.layout = learner.layout if count == 1 else f"{learner.layout}:{index}/{count}"
        self.exchange_state = DiLoCoState()
        self._learner = learner
        if isinstance(learner.exchange_state, StreamingDiLoCoState):
            self.exchange_state = DiLoCoState(**learner.exchange_state.fragments[index])

    def __getattr__(self, name: str) -> Any:
        """Return what the fragment does not change."""
        return getattr(self._learner, name)

    @property
    def initial_parameters(self) -> Tensor:
        """The fragment of the initial parameters."""
        return self._fragment.read(self._learner.initial_parameters)

    def has_subtree(self, turn: Turn) -> bool:
        """Return whether it fused what its children sent of the fragment in this round."""
        subtree = self.exchange_state.subtree
        return subtree is not None and subtree[0] == turn.round

    def keep(self) -> None:
        """Keep the fragment's state as the agent's."""
        state = StreamingDiLoCoState.of(self._learner)
        state.fragments[self.index] = dict(vars(self.exchange_state))
