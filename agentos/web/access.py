"""Access to the page, and the rules that a browser is given for it."""

from __future__ import annotations

import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Sent with every answer: nothing is loaded from elsewhere, framed, kept or handed on."""
CSRF_HEADER = "x-agentos-token"


def _secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Secrets:
    """The random tokens of one server.

    Attributes:
        access: in the address that the terminal shows; a cookie holds it from the first visit on.
        csrf: in the page, and sent back with every change: other pages of the browser cannot know it.
    """

    access: str = field(default_factory=_secret)
    csrf: str = field(default_factory=_secret)


class Guard:
    """Refuses requests without the token of the server, and sets the headers of every answer.

    Loopback is no protection on a machine of several users, and a page elsewhere can have a browser send
    requests to it; so every address needs the token.

    Args:
        app: the application behind.
        tokens: of this server.
        port: of this server; browsers share cookies between the ports of a host.
    """

    def __init__(self, app: ASGIApp, tokens: Secrets, port: int) -> None:
        self._app = app
        self._tokens = tokens
        self._cookie = f"agentos-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = dict(message["headers"])  # a report has stricter ones of its own
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                added = [each for each in added if each[0] not in given]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: MutableMapping[str, Any]) -> Response | None:
        """Return the answer to a request that may not pass: an error, or the cookie for a first visit."""
        headers = dict(scope["headers"])
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given and _equal(given, self._tokens.access):
            answer = RedirectResponse("/", status_code=HTTPStatus.SEE_OTHER)
            answer.set_cookie(self._cookie, self._tokens.access, httponly=True, samesite="strict")
            return answer
        if not _equal(self._from_cookie(headers.get(b"cookie", b"")), self._tokens.access):
            text = "Open the address that agentos printed: it holds the token of this server.\n"
            return PlainTextResponse(text, HTTPStatus.FORBIDDEN)
        sent = headers.get(CSRF_HEADER.encode(), b"").decode("latin-1")
        if scope["method"] not in ("GET", "HEAD") and not _equal(sent, self._tokens.csrf):
            return PlainTextResponse(
                "Reload the page: its token is of another server.\n", HTTPStatus.FORBIDDEN
            )
        return None

    def _from_cookie(self, header: bytes) -> str:
        cookies = SimpleCookie()
        try:
            cookies.load(header.decode("latin-1"))
        except CookieError:
            return ""
        morsel = cookies.get(self._cookie)
        return morsel.value if morsel else ""


def _equal(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())
