"""The server of the live page: in the foreground, or in a thread of a run's process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from agentos.web.access import Secrets
from agentos.web.application import application
from protocols.errors import ConfigurationError

_START_S = 10.0


class LiveServer:
    """Serves the page of a folder of runs; the port is taken at once.

    Args:
        root: a folder of runs, or a run folder; it may not exist yet.
        host: address to listen on.
        port: port to listen on; 0 for any that is free.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """

    def __init__(self, root: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = _listening(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._host = host
        self._tokens = Secrets()
        config = uvicorn.Config(
            application(root, self._tokens, self.port),
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,  # streams of events never end by themselves
        )
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """The address of the page, with its token."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}/?token={self._tokens.access}"

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM."""
        self._server.run(sockets=[self._socket])

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Serve in a thread of this process until the context is left."""
        thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._socket]},
            daemon=True,
            name="live page",
        )
        thread.start()
        try:
            deadline = time.monotonic() + _START_S
            while not self._server.started and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            yield
        finally:
            self._server.should_exit = True
            thread.join(_START_S)
            self._socket.close()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _refused(host, port, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        raise _refused(host, port, error) from error
    return listening


def _refused(host: str, port: int, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"the page cannot be served at {host}:{port}",
        expected="an address of this machine and a free port",
        actual=str(error),
        hint="choose another with --host and --port; port 0 takes any that is free",
    )
