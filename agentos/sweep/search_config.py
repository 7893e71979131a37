"""The search of a sweep: its space, its sampler, and the number that is to be best."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator
from typing_extensions import Self

from agentos.config.load import PATH
from protocols.spec import Spec

Choice = bool | int | float | str | None


class Range(Spec):
    """Numbers from `low` to `high`: whole ones if both ends and the step are."""

    low: int | float = Field(description="The least, included.")
    high: int | float = Field(description="The most, included.")
    step: int | float | None = Field(
        None, gt=0, description="Distance between values; unset: any value, or every whole number."
    )
    log: bool = Field(False, description="Draw by orders of magnitude; low must be above 0.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a log range begins above 0, and has no step")
        return self

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return all(isinstance(each, int) for each in (self.low, self.high, self.step or 1))


Values = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[tuple[Choice, ...], Field(min_length=1), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, (list, tuple)) else "range"),
]
"""Values that a field may take: a range, or a list of choices."""


class SearchConfig(Spec):
    """A search by Optuna in place of arms and axes: each trial sets some fields, and runs under every seed.

    Source: Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, 2019.

    Example:
        >>> search = SearchConfig.model_validate({"space": {"training.learning_rate": {"low": 1, "high": 3}}})
        >>> search.space["training.learning_rate"].whole
        True
    """

    sampler: Literal["tpe", "random"] = Field(
        "tpe", description="How the next trial is drawn: by what was good before, or at random."
    )
    trials: int = Field(20, ge=1, le=100_000, description="Trials, pruned ones included.")
    metric: str | None = Field(
        None, description="Mean over agents and seeds to optimise; unset: the first of the tasks."
    )
    direction: Literal["maximize", "minimize"] | None = Field(
        None, description="Which values are better; unset: as the metric says."
    )
    prune: bool = Field(
        True,
        description="End a trial early if, at an evaluation of its first seed, it is worse than the median "
        "of the trials before it.",
    )
    startup: int = Field(
        5, ge=1, description="Trials before anything is pruned, and before tpe uses what it learnt."
    )
    space: dict[str, Values] = Field(
        min_length=1,
        description="Fields of a run by their dotted paths: a range {low, high, step, log}, or a list.",
    )

    @field_validator("space")
    @classmethod
    def _paths(cls, space: dict[str, Any]) -> dict[str, Any]:
        for path in space:
            if not PATH.fullmatch(path) or path in ("seed", "name"):
                raise ValueError(f"{path!r} cannot be searched; write a path like training.rounds")
        return space
