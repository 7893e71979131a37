"""Sources of speeds, latencies and bandwidths: one number, a distribution, or a file.

Keys are ``(agent,)`` for what agents have, ``(sender, receiver)`` for what edges have.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import Self

from agentos.rounds.clock.trace import read_trace
from protocols.seeding import generator
from protocols.spec import Kinds, Spec

Key = tuple[int, ...]


class Quantity(Spec, ABC):
    """A way to give every agent, or every edge, its number."""

    kind: str

    @abstractmethod
    def values(self, keys: Sequence[Key], seed: int, name: str) -> Mapping[Key, float]:
        """Return the number of each key.

        Args:
            keys: agents, or edges in both directions.
            seed: the run's.
            name: of the quantity, such as ``latency_s``.

        Raises:
            DataError: a file lacks one, or holds something that is not a number.
        """

    @property
    def least(self) -> float:
        """The least number that can come, as far as it is known before a file is read; above 0 then."""
        return math.inf


class Fixed(Quantity):
    """The same for all; a bare number is short for it."""

    kind: Literal["fixed"] = "fixed"
    value: float = Field(..., ge=0.0, description="The number.")

    def values(self, keys: Sequence[Key], seed: int, name: str) -> Mapping[Key, float]:
        """Return the same number for each key."""
        return dict.fromkeys(keys, self.value)

    @property
    def least(self) -> float:
        """The number."""
        return self.value


class Uniform(Quantity):
    """Drawn evenly between two numbers; both directions of an edge are alike."""

    kind: Literal["uniform"] = "uniform"
    low: float = Field(..., ge=0.0, description="The least.")
    high: float = Field(..., gt=0.0, description="The largest.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self

    def values(self, keys: Sequence[Key], seed: int, name: str) -> Mapping[Key, float]:
        """Return a draw for each key."""
        return _drawn(keys, seed, name, lambda rng: float(rng.uniform(self.low, self.high)))

    @property
    def least(self) -> float:
        """The lower end."""
        return self.low


class LogNormal(Quantity):
    """Drawn as ``median * exp(sigma * z)``, z standard normal; both directions of an edge are alike.

    Speeds of devices and links spread over orders of magnitude: with a sigma of 1, one in six is below 0.37
    of the median, and one in six above 2.7 times.
    """

    kind: Literal["log_normal"] = "log_normal"
    median: float = Field(..., gt=0.0, description="Half of the draws are below.")
    sigma: float = Field(1.0, ge=0.0, le=10.0, description="Standard deviation of the logarithm.")

    def values(self, keys: Sequence[Key], seed: int, name: str) -> Mapping[Key, float]:
        """Return a draw for each key."""

        def draw(rng: Any) -> float:
            return float(self.median * math.exp(self.sigma * rng.standard_normal()))

        return _drawn(keys, seed, name, draw)


class Trace(Quantity):
    """Measured: a row for every agent, or for every edge, of a CSV, JSON or YAML file.

    Rows of agents have ``agent`` and a number, rows of edges ``sender``, ``receiver`` and a number. A row of
    one direction of an edge stands for the other too, unless that has its own.
    """

    kind: Literal["trace"] = "trace"
    path: Path = Field(..., description="The file; a CSV file names its columns in the first line.")
    column: str | None = Field(
        None, description="That of the numbers; default: the field's name, such as latency_s."
    )

    def values(self, keys: Sequence[Key], seed: int, name: str) -> Mapping[Key, float]:
        """Return the number that the file holds for each key."""
        return read_trace(self.path, keys, self.column or name, above_zero=name != "latency_s")


QUANTITIES: dict[str, type[Quantity]] = {
    "fixed": Fixed,
    "uniform": Uniform,
    "log_normal": LogNormal,
    "trace": Trace,
}


@dataclass(frozen=True, eq=False)
class Numbers(Kinds):
    """As `Kinds`, and a bare number is the kind ``fixed``."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            _spell_out, super().__get_pydantic_core_schema__(source, handler)
        )

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        return {"anyOf": [{"type": "number", "minimum": 0}, *schema["anyOf"]]}


def _spell_out(value: Any) -> Any:
    if isinstance(value, str):  # YAML takes 1e6 for a word: it wants 1.0e+6
        with suppress(ValueError):
            value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"kind": "fixed", "value": value}
    return value


def _drawn(
    keys: Sequence[Key], seed: int, name: str, draw: Callable[[Any], float]
) -> dict[Key, float]:
    """Draw by name: the number of a key does not depend on the other keys."""
    return {key: draw(generator(seed, "clock", name, *sorted(key))) for key in keys}
