"""Payloads without arrays: metrics and commands."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from protocols.messages.payload import Payload


class Metrics(Payload):
    """Named finite numbers about the sender."""

    kind: ClassVar[str] = "metrics"
    values: dict[str, float]


class Control(Payload):
    """A command and its arguments."""

    kind: ClassVar[str] = "control"
    command: str = Field(min_length=1)
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @field_validator("arguments")
    @classmethod
    def _integers_of_64_bits(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name, value in arguments.items():
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError(f"argument {name!r} does not fit in 64 bits")
        return arguments
