"""The same model served by hand, with FastAPI and uvicorn: ``python -m ... FOLDER gather|each``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.tasks.serving.service import bound
from agentos.tasks.society.saved_society import SOCIETY, load_society
from agents.answering.logistic import softmax
from agents.lazy_torch import torch

_MOST = 64
"""Texts that are embedded together."""


class Question(BaseModel):
    """Texts to answer."""

    texts: list[str]


def build(folder: Path, gathers: bool) -> FastAPI:
    """Return an application with the encoder and head of a society's only agent.

    Args:
        folder: the society's.
        gathers: whether requests that wait are embedded together; else each is by itself, in the thread
            that FastAPI gives it.
    """
    fitted = load_society(folder / SOCIETY)
    (member,) = fitted.members
    encoder = LoadedEncoder.load(member.card.path, max_length=fitted.config.task.max_length)
    encoder.embed(["ready"])
    api = FastAPI()

    def answered(texts: Sequence[str]) -> list[dict[str, Any]]:
        rows = softmax(member.head.scores(encoder.embed(texts)))
        best = rows.argmax(axis=1)
        return [
            {"label": fitted.classes[k], "probability": float(row[k])}
            for k, row in zip(best.tolist(), rows, strict=True)
        ]

    if not gathers:

        @api.post("/answer")
        def each(question: Question) -> dict[str, Any]:
            return {"replies": answered(question.texts)}

        return api
    waiting: list[tuple[list[str], asyncio.Future[list[dict[str, Any]]]]] = []
    busy = asyncio.Lock()

    @api.post("/answer")
    async def together(question: Question) -> dict[str, Any]:
        future: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        waiting.append((question.texts, future))
        async with busy:
            if not future.done():
                batch, waiting[:] = waiting[:_MOST], waiting[_MOST:]
                flat = [text for texts, _ in batch for text in texts]
                replies = iter(await asyncio.to_thread(answered, flat))
                for texts, asked in batch:
                    asked.set_result([next(replies) for _ in texts])
        return {"replies": await future}

    return api


def main() -> None:
    """Serve a folder on a free port; print the address."""
    torch.set_num_threads(1)
    with bound("127.0.0.1", 0) as listening:
        api = build(Path(sys.argv[1]), sys.argv[2] == "gather")
        sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        server = uvicorn.Server(uvicorn.Config(api, log_level="warning", access_log=False))
        server.run([listening])


if __name__ == "__main__":
    main()
