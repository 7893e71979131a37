"""``agentos serve``: a society answers over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.arguments import TrustedPlugins

if TYPE_CHECKING:
    from agentos.tasks.serving import ServeConfig


def serve(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that 'agentos solve' wrote.")
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")
    ] = 8000,
    replicas: Annotated[int, typer.Option(min=1, help="Processes of each agent.")] = 1,
    num_cpus: Annotated[
        float | None,
        typer.Option(
            help="Cores of each process, such as 0.5; default: an equal share of the machine.",
            show_default=False,
        ),
    ] = None,
    num_gpus: Annotated[
        float, typer.Option(help="GPUs of each process, such as 0.25; 0 for the processor.")
    ] = 0.0,
    max_batch: Annotated[
        int,
        typer.Option(
            min=1,
            max=4096,
            help="Texts that are answered together, at most; 1 answers each request by itself.",
        ),
    ] = 64,
    batch_wait_ms: Annotated[
        float, typer.Option(min=0, help="Milliseconds to wait for more requests to a batch.")
    ] = 2.0,
    deadline_s: Annotated[
        float, typer.Option(help="Seconds after which a request is given up.")
    ] = 30.0,
    max_body_bytes: Annotated[int, typer.Option(help="Bytes of a request, at most.")] = 1 << 20,
    max_texts: Annotated[int, typer.Option(min=1, help="Texts of a request, at most.")] = 256,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Serve a society that 'agentos solve' made over HTTP, on Ray Serve, until Ctrl-C.

    POST /answer with {"texts": ["..."]} answers as 'agentos ask' does; GET /health, GET /metrics (Prometheus)
    and a page at /docs tell the rest. Needs the extra: pip install 'llm-agentos[serve]'.

    Example: agentos serve runs/triage --port 8080 --replicas 2 --num-cpus 0.5
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.runtime.interruption import Interrupted, interruptible
    from protocols.errors import ConfigurationError

    try:
        from agentos.tasks.serving import Service
    except ImportError as error:
        raise ConfigurationError(
            "agentos serve needs Ray Serve",
            actual=str(error),
            hint="pip install 'llm-agentos[serve]'",
        ) from error
    config = _validated(
        host=host,
        port=port,
        replicas=replicas,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        max_batch=max_batch,
        batch_wait_ms=batch_wait_ms,
        deadline_s=deadline_s,
        max_body_bytes=max_body_bytes,
        max_texts=max_texts,
    )
    console = SafeConsole()
    service = Service.open(directory, config, trust_plugins)
    try:
        with interruptible():
            with console.status("Starting the society"):
                service.start()
            console.print(
                f"{service.url}/answer answers; Ctrl-C ends", markup=False, highlight=False
            )
            service.wait()
    except Interrupted as interrupted:
        raise typer.Exit(interrupted.exit_code) from None
    finally:
        service.close()


def _validated(**given: object) -> ServeConfig:
    """Check the options.

    Raises:
        InvalidConfiguration: an option is out of its range.
    """
    from pydantic import ValidationError

    from agentos.config.field_errors import InvalidConfiguration, explain
    from agentos.tasks.serving import ServeConfig

    try:
        return ServeConfig.model_validate(given)
    except ValidationError as error:
        raise InvalidConfiguration("the command line", explain(error, ServeConfig)) from error
