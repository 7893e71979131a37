"""A bound on the body of requests, and on the time that it may take to arrive, before anything reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware that reads the whole body, or refuses it.

    Args:
        app: what answers.
        most_bytes: bytes of a body, at most.
        deadline_s: seconds until it must be there.
    """

    def __init__(self, app: AsgiApp, most_bytes: int, deadline_s: float) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._deadline_s = deadline_s

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, with 413 where it is too large and 408 where it comes too slowly."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(self._body(receive), self._deadline_s)
        except asyncio.TimeoutError:
            body, refusal = None, _refused(408, f"no whole body within {self._deadline_s:g} s")
        else:
            refusal = _refused(413, f"a body of more than {self._most_bytes:,} bytes")
        if body is None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """Return the body; None if it is too large. The first bytes beyond the bound end the reading."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return bytes(body)  # the client has gone
            body += message.get("body", b"")
            if len(body) > self._most_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what hands out a body that was read, and then what comes after it."""
    left = [body]

    async def again() -> AsgiMessage:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again


def _refused(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, {"connection": "close"})
