"""The configuration of a sweep: a base run, seeds, and the fields in which runs differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from agentos.config.field_errors import InvalidConfiguration, explain
from agentos.config.load import PATH, find, read_yaml
from agentos.sweep.launcher_config import LauncherConfig
from agentos.sweep.search_config import SearchConfig
from protocols.spec import Spec

Fields = dict[str, Any]
"""Values by the dotted paths of a run's fields."""

ARM = "arm"
_MOST_SEEDS = 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DEFAULTS: Mapping[str, Any] = {
    "baseline": {"isolated": False},
    # An interrupted run is repeated from the start: checkpoints of hundreds of runs would fill the disk.
    "checkpoints": {"every": 0},
    "runtime": "local",
}


class SweepConfig(Spec):
    """Runs to compare: every arm, at every value of every axis, with every seed.

    Example:
        >>> sweep = SweepConfig.model_validate(
        ...     {
        ...         "base": {"training": {"rounds": 2}},
        ...         "seeds": 3,
        ...         "arms": {"alone": {"exchange.kind": "isolated"}, "fedavg": {"exchange.kind": "fedavg"}},
        ...         "axes": {"topology": {"ring": {"topology.kind": "ring"}}},
        ...     }
        ... )
        >>> sweep.seeds, list(sweep.arms)
        ((0, 1, 2), ['alone', 'fedavg'])
    """

    name: str = Field("sweep", pattern=f"^{_NAME.pattern}$", max_length=60)
    base: Fields = Field(
        description="Fields that all runs share; in a file also the path or name of a run. Defaults that "
        "differ from those of a run: baseline.isolated false, runtime local, no checkpoints."
    )
    seeds: tuple[int, ...] = Field(
        (0, 1, 2, 3, 4),
        min_length=1,
        description="Seeds of the runs, or their number, counted from 0.",
    )
    arms: dict[str, Fields] = Field(
        {},
        description="Fields that each arm sets, by their dotted paths; at least one arm, or a search.",
    )
    axes: dict[str, dict[str, Fields]] = Field(
        {}, description="For each axis its values by name, each with the fields that it sets."
    )
    exclude: tuple[dict[str, tuple[str, ...]], ...] = Field(
        (), description="Combinations to leave out: names of arms, and names of values by axis."
    )

    search: SearchConfig | None = Field(
        None, description="A search by Optuna in place of arms and axes; null: none."
    )
    launcher: LauncherConfig = Field(
        LauncherConfig(), description="Where the runs are executed; ray: one task of Ray a run."
    )

    @model_validator(mode="after")
    def _arms_or_search(self) -> Self:
        if self.search is None and not self.arms:
            raise ValueError("name at least one arm in arms, or give a search")
        if self.search is not None and (self.arms or self.axes):
            raise ValueError(
                "a search takes the place of arms and axes; put fixed fields into base"
            )
        return self

    @field_validator("base", mode="before")
    @classmethod
    def _fill_in(cls, base: Any) -> Any:
        return {**_DEFAULTS, **base} if isinstance(base, Mapping) else base

    @field_validator("launcher", mode="before")
    @classmethod
    def _kind_alone(cls, launcher: Any) -> Any:
        return {"kind": launcher} if isinstance(launcher, str) else launcher

    @field_validator("seeds", mode="before")
    @classmethod
    def _count(cls, seeds: Any) -> Any:
        if isinstance(seeds, int) and seeds > _MOST_SEEDS:
            raise ValueError(f"at most {_MOST_SEEDS:,} seeds can be counted from 0")
        return tuple(range(seeds)) if isinstance(seeds, int) else seeds

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if min(seeds) < 0 or len(set(seeds)) < len(seeds):
            raise ValueError("seeds must be whole numbers from 0, each once")
        return seeds

    @field_validator("arms", mode="before")
    @classmethod
    def _arms_may_be_empty(cls, arms: Any) -> Any:
        return _without_none(arms)

    @field_validator("axes", mode="before")
    @classmethod
    def _values_may_be_empty(cls, axes: Any) -> Any:
        if not isinstance(axes, Mapping):
            return axes
        return {axis: _without_none(values) for axis, values in axes.items()}

    @field_validator("arms")
    @classmethod
    def _arms_are_fields(cls, arms: dict[str, Fields]) -> dict[str, Fields]:
        _check(arms)
        return arms

    @field_validator("axes")
    @classmethod
    def _axes_are_fields(cls, axes: dict[str, dict[str, Fields]]) -> dict[str, dict[str, Fields]]:
        for axis, values in axes.items():
            if axis == ARM or not _NAME.fullmatch(axis):
                raise ValueError(f"{axis!r} cannot name an axis; use letters, digits, . _ and -")
            if not values:
                raise ValueError(f"the axis {axis} has no values; give at least one, or drop it")
            _check(values)
        return axes

    @field_validator("exclude", mode="before")
    @classmethod
    def _one_or_several(cls, exclude: Any) -> Any:
        if not isinstance(exclude, (list, tuple)):
            return exclude
        return [
            {key: (names,) if isinstance(names, str) else names for key, names in entry.items()}
            if isinstance(entry, Mapping)
            else entry
            for entry in exclude
        ]

    @field_validator("exclude")
    @classmethod
    def _names_are_known(
        cls, exclude: tuple[dict[str, tuple[str, ...]], ...], info: ValidationInfo
    ) -> tuple[dict[str, tuple[str, ...]], ...]:
        known = {ARM: info.data.get("arms"), **(info.data.get("axes") or {})}
        for key, names in ((key, names) for entry in exclude for key, names in entry.items()):
            table = known.get(key, {})
            if table is None:  # the arms themselves are wrong
                continue
            for name in names:
                if name not in table:
                    allowed = ", ".join(table) or f"one of {', '.join(known)} for a key"
                    raise ValueError(f"there is no {key} {name!r}; expected {allowed}")
        return exclude

    def excludes(self, arm: str, values: Mapping[str, str]) -> bool:
        """Return whether an arm is left out at these values of the axes."""
        named = {ARM: arm, **values}
        return any(
            entry and all(named[key] in names for key, names in entry.items())
            for entry in self.exclude
        )


def load_sweep(path: Path) -> SweepConfig:
    """Read a sweep from a YAML file.

    A base that is a path is resolved relative to the file, then as in ``agentos run``.

    Raises:
        ConfigurationError: a file cannot be read.
        InvalidConfiguration: fields are unknown or out of range.
    """
    raw = read_yaml(path)
    base = raw.get("base")
    if isinstance(base, str):
        relative = path.parent / base
        raw["base"] = read_yaml(relative if relative.is_file() else find(base))
    raw.setdefault("name", path.stem)
    return validated(raw, str(path))


def validated(raw: Mapping[str, Any], origin: str) -> SweepConfig:
    """Build a sweep from plain values.

    Raises:
        InvalidConfiguration: fields are unknown or out of range.
    """
    try:
        return SweepConfig.model_validate(raw)
    except ValidationError as error:
        raise InvalidConfiguration(origin, explain(error, SweepConfig)) from error


def _without_none(named: Any) -> Any:
    if not isinstance(named, Mapping):
        return named
    return {name: {} if fields is None else fields for name, fields in named.items()}


def _check(named: Mapping[str, Fields]) -> None:
    """Refuse malformed names and paths, and fields that the sweep sets itself."""
    for name, fields in named.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be a name; use letters, digits, and . _ - between them"
            )
        for path in fields:
            if not PATH.fullmatch(path):
                raise ValueError(
                    f"{name} sets {path!r}, which is not a path; write it like training.rounds"
                )
            if path in ("seed", "name"):
                raise ValueError(
                    f"{name} sets {path!r}, which the sweep sets itself; use its seeds and the names of "
                    "arms"
                )
