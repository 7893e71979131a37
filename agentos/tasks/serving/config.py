"""Settings of a service: its address, its share of the machine, and its bounds."""

from __future__ import annotations

from pydantic import Field

from protocols.spec import Spec

MOST_BODY_BYTES = 64 << 20


class ServeConfig(Spec):
    """Address, placement, batches and bounds of a service."""

    host: str = Field(
        "127.0.0.1", min_length=1, max_length=255, description="Address to listen on."
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for a free one.")
    replicas: int = Field(1, ge=1, le=1000, description="Processes of each agent.")
    num_cpus: float | None = Field(
        None,
        gt=0.0,
        le=1024.0,
        description="Cores of each process, also in parts; unset: an equal share of the machine, "
        "at most one for each thread.",
    )
    num_gpus: float = Field(
        0.0,
        ge=0.0,
        le=64.0,
        description="GPUs of each process, also in parts; 0 for the processor.",
    )
    max_batch: int = Field(
        64,
        ge=1,
        le=4096,
        description="Texts that are answered together, at most, unless one request has more.",
    )
    batch_wait_ms: float = Field(
        2.0, ge=0.0, le=10_000.0, description="Milliseconds to wait for more requests to a batch."
    )
    deadline_s: float = Field(
        30.0, gt=0.0, le=3600.0, description="Seconds after which a request is given up."
    )
    max_body_bytes: int = Field(
        1 << 20, ge=64, le=MOST_BODY_BYTES, description="Bytes of a request, at most."
    )
    max_texts: int = Field(256, ge=1, le=100_000, description="Texts of a request, at most.")
