"""Expand a sweep into its runs, each with an id that depends only on its configuration."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from agentos.config.field_errors import InvalidConfiguration, explain
from agentos.config.load import set_fields
from agentos.config.run import RunConfig
from agentos.sweep.config import SweepConfig
from protocols.errors import ConfigurationError
from protocols.plugins import TrustedPlugins


@dataclass(frozen=True)
class Planned:
    """One run of a sweep.

    Attributes:
        id: digest of the resolved configuration, independent of the names of arm and axes.
        axes: the name of the value on each axis.
    """

    id: str
    arm: str
    axes: Mapping[str, str]
    seed: int
    config: RunConfig

    @property
    def label(self) -> str:
        """The name of the run in messages."""
        return " ".join([self.arm, *self.axes.values(), f"seed {self.seed}"])


def plan(sweep: SweepConfig, trusted: Iterable[str] | None = ()) -> list[Planned]:
    """Return the runs of a sweep, all of one seed before those of the next.

    An axis sets its fields after the base, and an arm after the axes.

    Args:
        sweep: the sweep.
        trusted: packages whose classes may be imported as kinds.

    Raises:
        InvalidConfiguration: a run has fields that are unknown or out of range.
        ConfigurationError: two runs are the same, or none is left.
    """
    plugins = TrustedPlugins.of(trusted)
    runs = [
        _planned(sweep, arm, dict(zip(sweep.axes, values, strict=True)), seed, plugins)
        for seed in sweep.seeds
        for arm in sweep.arms
        for values in itertools.product(*sweep.axes.values())
        if not sweep.excludes(arm, dict(zip(sweep.axes, values, strict=True)))
    ]
    if not runs:
        raise ConfigurationError(
            f"the sweep {sweep.name} has no runs",
            hint="exclude fewer: every combination is excluded",
        )
    first: dict[str, Planned] = {}
    for run in runs:
        twin = first.setdefault(run.id, run)
        if twin is not run:
            raise ConfigurationError(
                f"two runs of the sweep {sweep.name} are the same: {twin.label} and {run.label}",
                expected="fields that differ",
                hint="let the two set different fields, or exclude one of them",
            )
    return runs


def identity(config: RunConfig) -> str:
    """Return a digest of all that a run's results depend on: neither its name nor its trackers.

    Example:
        >>> identity(RunConfig(name="a")) == identity(RunConfig(name="b"))
        True
    """
    values = {k: value for k, value in config.resolved().items() if k not in ("name", "trackers")}
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _planned(
    sweep: SweepConfig, arm: str, values: Mapping[str, str], seed: int, plugins: TrustedPlugins
) -> Planned:
    raw: dict[str, Any] = dict(sweep.base)
    for axis, value in values.items():
        raw = set_fields(raw, sweep.axes[axis][value])
    raw = set_fields(raw, sweep.arms[arm])
    name = "-".join([arm, *values.values(), str(seed)])[:100]
    try:
        fields = {**raw, "seed": seed, "name": name}
        config = RunConfig.model_validate(fields, context=plugins)
    except ValidationError as error:
        where = " ".join([f"{sweep.name}, run {arm}", *values.values()])
        raise InvalidConfiguration(where, explain(error, RunConfig)) from error
    return Planned(identity(config), arm, dict(values), seed, config)
