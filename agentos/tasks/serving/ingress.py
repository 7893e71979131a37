"""The ingress of a served society: requests are gathered to batches, and the agents' deployments awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle

from agentos.tasks.serving.api import build_api
from agentos.tasks.serving.awaited_society import AwaitedSociety, Item
from agentos.tasks.serving.config import ServeConfig
from agentos.tasks.serving.deployments import application_of, problems
from agentos.tasks.serving.request_gathering import Gathering
from agentos.tasks.serving.service_metrics import ServiceMetrics
from agentos.tasks.society.encoders import Encoded
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.open_society import Reply
from protocols.errors import HostLost

_HEALTH_S = 1.0
"""Seconds for which the health of the agents is known."""
_TRIES = 2
"""Processes of an agent that are tried with one reading, should they die."""


class DeployedAgents:
    """The agents' deployments; a reading whose process dies goes to another one once.

    Args:
        names: of the agents.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._handles = [serve.get_app_handle(application_of(n)) for n in range(len(names))]

    async def read(self, agent: int, texts: Sequence[str]) -> Encoded:
        """Return what an agent's encoder makes of texts."""
        given = tuple(texts)
        return cast(Encoded, await self._tried(agent, lambda handle: handle.read.remote(given)))

    async def count(self, agent: int, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens that texts would put through it."""
        given = tuple(texts)
        found = await self._tried(agent, lambda handle: handle.count.remote(given))
        return cast("NDArray[np.int64]", found)

    async def _tried(
        self, agent: int, call: Callable[[DeploymentHandle[Any]], Awaitable[Any]]
    ) -> Any:
        for _ in range(_TRIES):
            try:
                return await call(self._handles[agent])
            except RayActorError as error:
                lost = error
        said = str(lost).split("\n")[0]
        raise HostLost(f"the process of {self._names[agent]} died", actual=said) from lost


class Ingress:
    """Receives requests, gathers them to batches, and runs the cooperation over the agents' deployments.

    Args:
        fitted: the society.
        config: batches and bounds.
    """

    def __init__(self, fitted: FittedSociety, config: ServeConfig) -> None:
        self._config = config
        self._count = len(fitted.members)
        agents = DeployedAgents([member.card.name for member in fitted.members])
        self._metrics = ServiceMetrics()
        at_once = config.replicas + 1  # one more than can be read: the next is ready
        self._society = AwaitedSociety(fitted, agents, config.deadline_s, at_once)
        wait_s = config.batch_wait_ms / 1e3
        self._gathering = Gathering(self._answer, config.max_batch, wait_s, at_once)
        self._problems: dict[str, str] = {}
        self._known_s = -_HEALTH_S

    def api(self) -> FastAPI:
        """Return the application behind the HTTP interface."""
        return build_api(
            self._society.fitted, self._config, self._gathering.answer, self._health, self._metrics
        )

    async def _answer(self, items: Sequence[Item]) -> Sequence[Reply]:
        replies = await self._society.answer(items)
        self._metrics.count_batch(replies)
        return replies

    async def _health(self) -> dict[str, str]:
        if time.monotonic() - self._known_s > _HEALTH_S:
            self._known_s = time.monotonic()
            self._problems = await asyncio.to_thread(problems, self._count)
        return self._problems

    def close(self) -> None:
        """End the threads of the cooperation."""
        self._society.close()
