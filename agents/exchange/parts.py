"""A hybrid's parts side by side: each remembers for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from agents.exchange.base import Exchange, Learner

if TYPE_CHECKING:
    from agents.training.agent import Agent


def blank_memory(exchange: Exchange) -> dict[str, Any]:
    """Return what an agent remembers of an exchange before it began."""
    parts = exchange.parts
    return {_name(part): {} for part in range(len(parts))} if len(parts) > 1 else {}


class PartLearner:
    """An agent as one part of a hybrid sees it: with the memory of that part alone."""

    def __init__(self, agent: Agent, part: int) -> None:
        self._agent = agent
        self.memory: dict[str, Any] = agent.memory[_name(part)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)


def taking_part(exchange: Exchange, part: int, agent: Agent) -> tuple[Exchange, Learner]:
    """Return a part of an exchange, and the agent as that part sees it."""
    parts = exchange.parts
    if len(parts) == 1:
        return parts[0], agent
    return parts[part], cast("Learner", PartLearner(agent, part))


def all_parts(exchange: Exchange, agent: Agent) -> list[tuple[Exchange, Learner]]:
    """Return every part of an exchange, and the agent as each part sees it."""
    return [taking_part(exchange, part, agent) for part in range(len(exchange.parts))]


def _name(part: int) -> str:
    return f"part {part}"
