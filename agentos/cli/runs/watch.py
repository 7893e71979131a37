"""``agentos watch``: a live page of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agentos.web.page_server import LiveServer

PORT = 8765
"""Port of the page, unless it is taken."""


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A run folder, or a folder of runs.")
    ] = Path("runs"),
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help=f"Port; default: {PORT}, or a free one.")
    ] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve a live page of runs: society, curves, alarms, log and time left, even of runs started elsewhere.

    The page reads the records of the runs, and can stop and remove them. Its address holds a token: everybody
    who has the address may do the same. Ctrl-C ends the page, and no run.

    Example: agentos watch runs
    """
    from protocols.errors import RecordError

    if not folder.is_dir():
        raise RecordError(
            f"there is no folder {folder}",
            expected="a run folder, or a folder of runs",
            hint="name the folder that runs are written to; 'agentos run' writes to runs/",
        )
    server = live_server(folder, host, port)
    typer.echo(f"live page of {folder}: {server.url}")
    if browser:
        typer.launch(server.url)
    with suppress(KeyboardInterrupt):
        server.run()


def live_server(folder: Path, host: str = "127.0.0.1", port: int | None = None) -> LiveServer:
    """Return the server of a folder of runs, its port taken.

    Raises:
        ConfigurationError: the port is taken, or the packages for the page are not installed.
    """
    from protocols.errors import ConfigurationError

    try:
        from agentos.web.page_server import LiveServer
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "the live page needs packages that are not installed",
            expected="starlette and uvicorn",
            actual=f"no {error.name}",
            hint="pip install 'llm-agentos[live]'",
        ) from error
    if port is not None:
        return LiveServer(folder, host, port)
    try:
        return LiveServer(folder, host, PORT)
    except ConfigurationError:
        return LiveServer(folder, host, 0)


@contextmanager
def live_page(directory: Path | None, tell: Callable[[str], None]) -> Iterator[None]:
    """Serve the page of a run from a thread, and print its address; without a folder, do nothing."""
    if directory is None:
        yield
        return
    server = live_server(directory)
    tell(f"live page: {server.url}")
    with server.in_background():
        yield
