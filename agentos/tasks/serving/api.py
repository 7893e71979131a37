"""The HTTP interface of a society: /answer, /health, /metrics, and a page about them at /docs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from agentos.tasks.serving.awaited_society import Item
from agentos.tasks.serving.body_limit import BodyLimit
from agentos.tasks.serving.config import ServeConfig
from agentos.tasks.serving.service_metrics import ServiceMetrics
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.open_society import Reply, check_asked
from protocols.errors import AgentOSError, DataError, DeadlineExceeded, RuntimeFailure

Answering = Callable[[Sequence[Item]], Awaitable[Sequence[Reply]]]
"""Answers the items of one request."""
Healthy = Callable[[], Awaitable[dict[str, str]]]
"""Returns what is wrong, by the name of what it is wrong with; nothing where all is well."""


class Question(BaseModel):
    """Texts to answer."""

    model_config = ConfigDict(extra="forbid", strict=True)
    texts: list[str] = Field(min_length=1, description="Texts to answer, at least one.")


class TextReply(BaseModel):
    """The society's answer to one text."""

    label: str = Field(description="The decided class.")
    probability: float = Field(description="Probability of this class.")
    asked: tuple[str, ...] = Field(description="Agents that were asked.")
    flops: float = Field(description="Floating-point operations that the answer took.")
    payload_bytes: float = Field(description="Bytes of messages between the agents.")
    said: tuple[str | None, ...] = Field(
        (), description="Class that each asked agent found itself; null for one that was silent."
    )


class Answered(BaseModel):
    """Replies, in the order of the texts."""

    replies: list[TextReply]
    seconds: float = Field(description="Seconds that the answer took, waiting included.")


class Health(BaseModel):
    """Whether the society can answer."""

    status: str = Field(description="ok, or failing.")
    society: str
    architecture: str
    classes: tuple[str, ...]
    agents: tuple[str, ...]
    problems: dict[str, str] = Field(description="What is wrong, by agent.")


class _TooMany(DataError):
    """A request has more texts than are allowed."""


def build_api(
    fitted: FittedSociety,
    config: ServeConfig,
    answering: Answering,
    healthy: Healthy,
    metrics: ServiceMetrics,
) -> FastAPI:
    """Return the application that answers requests.

    Args:
        fitted: the society.
        config: the bounds.
        answering: answers the items of a request.
        healthy: tells what is wrong.
        metrics: counts requests.
    """
    api = FastAPI(title=f"AgentOS: {fitted.config.name}", description="Answers of a society.")
    api.add_middleware(BodyLimit, most_bytes=config.max_body_bytes, deadline_s=config.deadline_s)
    api.add_exception_handler(AgentOSError, _explained)
    api.add_exception_handler(RequestValidationError, _invalid)

    @api.middleware("http")
    async def counted(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        began, status = time.perf_counter(), 500
        try:
            response = await call_next(request)
            status = response.status_code
            return response
        finally:
            if request.url.path == "/answer":
                metrics.count_request(status, time.perf_counter() - began)

    _add_answer(api, fitted, config, answering)
    _add_health(api, fitted, healthy)

    @api.get("/metrics")
    async def values() -> Response:
        """Return counters and histograms in Prometheus' text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return api


def _add_answer(
    api: FastAPI, fitted: FittedSociety, config: ServeConfig, answering: Answering
) -> None:
    @api.post("/answer", response_model=Answered)
    async def answer(question: Question) -> Answered:
        """Answer texts with the society, as `agentos ask` does."""
        began = time.perf_counter()
        items = _items(fitted, question.texts, config.max_texts)
        try:
            replies = await asyncio.wait_for(answering(items), config.deadline_s)
        except asyncio.TimeoutError:
            raise DeadlineExceeded(
                "the society did not answer in time",
                expected=f"an answer within {config.deadline_s:g} s",
                hint="ask about fewer texts, or again later",
            ) from None
        found = [TextReply(**reply._asdict()) for reply in replies]
        return Answered(replies=found, seconds=time.perf_counter() - began)


def _add_health(api: FastAPI, fitted: FittedSociety, healthy: Healthy) -> None:
    @api.get("/health", response_model=Health)
    async def health(response: Response) -> Health:
        """Tell whether every agent can answer."""
        problems = await healthy()
        response.status_code = 503 if problems else 200
        return Health(
            status="failing" if problems else "ok",
            society=fitted.config.name,
            architecture=fitted.chosen,
            classes=fitted.classes,
            agents=tuple(member.card.name for member in fitted.members),
            problems=problems,
        )


def _items(fitted: FittedSociety, texts: Sequence[str], most: int) -> list[Item]:
    if len(texts) > most:
        raise _TooMany(
            "too many texts",
            expected=f"at most {most:,}",
            actual=f"{len(texts):,}",
            hint="ask about fewer texts at a time",
        )
    check_asked(texts)
    return [fitted.config.task.texts_of(text) for text in texts]


async def _explained(request: Request, error: Exception) -> JSONResponse:
    statuses = {_TooMany: 413, DataError: 422, DeadlineExceeded: 504, RuntimeFailure: 503}
    status = next((code for kind, code in statuses.items() if isinstance(error, kind)), 500)
    return JSONResponse({"detail": str(error)}, status)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Say where a request is wrong, without repeating it."""
    assert isinstance(error, RequestValidationError)
    wrong = [
        f"{'.'.join(map(str, each['loc']))[:200]}: {each['msg']}" for each in error.errors()[:5]
    ]
    return JSONResponse({"detail": "; ".join(wrong)}, 422)
