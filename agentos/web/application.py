"""The web application: the page, the runs, the events of a run, and what may be done to runs."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agentos.records.identity.removal import remove_run
from agentos.records.identity.run_process import stop
from agentos.records.layout import REPORT
from agentos.reporting import page
from agentos.web.access import Guard, Secrets
from agentos.web.overviews import Overviews
from agentos.web.run_parts import RunParts
from protocols.errors import RecordError

STATIC = Path(__file__).parent / "static"
STYLE = Path(page.__file__).parent / "templates" / "page.css.html.j2"
"""The style of the reports, which the page shares."""
WATCHED = 8
"""Runs that are kept in memory, those asked for last."""
_POLL_S = 0.5
_SIGN_OF_LIFE_S = 15.0
_LARGEST_REPORT = 64_000_000
_SANDBOX = {
    "content-security-policy": "sandbox allow-scripts",
    "cross-origin-opener-policy": "unsafe-none",
}
"""Scripts of a report run in an origin of their own, which may do nothing here."""


class LivePage:
    """The answers of the live page.

    Args:
        root: a folder of runs, or a run folder; it may not exist yet.
        tokens: of the server.
    """

    def __init__(self, root: Path, tokens: Secrets) -> None:
        self.overviews = Overviews(root)
        self._tokens = tokens
        self._watched: OrderedDict[Path, RunParts] = OrderedDict()

    def routes(self) -> list[Route | Mount]:
        """Return the addresses; an id is a path in the folder of runs."""
        return [
            Route("/", self.page),
            Route("/style.css", self.style),
            Route("/api/runs", self.runs),
            Route("/api/events/{id:path}", self.events),
            Route("/api/report/{id:path}", self.report),
            Route("/api/stop/{id:path}", self.stop, methods=["POST"]),
            Route("/api/remove/{id:path}", self.remove, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]

    async def page(self, request: Request) -> Response:
        """Answer with the page, which holds the token for changes."""
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        return HTMLResponse(text.replace("CSRF-TOKEN", self._tokens.csrf))

    async def style(self, request: Request) -> Response:
        """Answer with the style of the reports."""
        return Response(STYLE.read_text(encoding="utf-8"), media_type="text/css")

    async def runs(self, request: Request) -> Response:
        """Answer with all runs at a glance."""
        found = await run_in_threadpool(self.overviews.all)
        rows = [{"id": id, **run.as_json()} for id, run in found.items()]
        rows.sort(key=lambda row: -row["started"])
        return JSONResponse({"folder": self.overviews.root.name, "runs": rows})

    async def events(self, request: Request) -> Response:
        """Answer with the parts of a run's page, each whenever it has changed, as server-sent events."""
        watched = await run_in_threadpool(self._watch, request.path_params["id"])
        if watched is None:
            return _missing()
        return StreamingResponse(self._stream(watched), media_type="text/event-stream")

    async def _stream(self, watched: RunParts) -> AsyncIterator[str]:
        sent: dict[str, int] = {}
        spoken = time.monotonic()
        while True:
            for name, part in (await run_in_threadpool(watched.refresh)).items():
                if sent.get(name) != part.version:
                    sent[name], spoken = part.version, time.monotonic()
                    yield f"event: {name}\ndata: {part.text}\n\n"
            if time.monotonic() - spoken > _SIGN_OF_LIFE_S:
                spoken = time.monotonic()
                yield ": still here\n\n"
            await asyncio.sleep(_POLL_S)

    async def report(self, request: Request) -> Response:
        """Answer with the report of a run, in a sandbox: a folder may be a stranger's."""
        path = await run_in_threadpool(self.overviews.path, request.path_params["id"])
        if path is None:
            return _missing()
        file = path / REPORT
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _LARGEST_REPORT:
            return _missing()
        text = await run_in_threadpool(file.read_text, "utf-8")
        return HTMLResponse(text, headers=_SANDBOX)

    async def stop(self, request: Request) -> Response:
        """Ask the process of a run to end."""
        return await self._act(
            request, lambda path: f"process {stop(path).process} was asked to end"
        )

    async def remove(self, request: Request) -> Response:
        """Remove a run that is not in progress."""
        return await self._act(request, _removed)

    async def _act(self, request: Request, act: Callable[[Path], str]) -> Response:
        path = await run_in_threadpool(self.overviews.path, request.path_params["id"])
        if path is None:
            return _missing()
        try:
            return JSONResponse({"done": await run_in_threadpool(act, path)})
        except RecordError as error:
            return JSONResponse({"error": str(error)}, HTTPStatus.CONFLICT)

    def _watch(self, id: str) -> RunParts | None:
        path = self.overviews.path(id)
        if path is None:
            return None
        if path not in self._watched:
            self._watched[path] = RunParts(path, self.overviews)
        self._watched.move_to_end(path)
        while len(self._watched) > WATCHED:
            self._watched.popitem(last=False)
        return self._watched[path]


def application(root: Path, tokens: Secrets, port: int) -> Starlette:
    """Return the web application of a folder of runs.

    Args:
        root: a folder of runs, or a run folder; it may not exist yet.
        tokens: of the server.
        port: of the server.
    """
    guard: Any = Guard
    return Starlette(
        routes=LivePage(root, tokens).routes(),
        middleware=[Middleware(guard, tokens=tokens, port=port)],
    )


def _removed(path: Path) -> str:
    kept = remove_run(path)
    return f"removed; kept, as no run wrote it: {', '.join(kept)}" if kept else "removed"


def _missing() -> Response:
    return JSONResponse({"error": "there is no such run"}, HTTPStatus.NOT_FOUND)
