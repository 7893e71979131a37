"""Configurations of tasks, read from YAML."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentos.config.load import apply_overrides, find, load_as, read_yaml
from agentos.tasks.config import CONFIGURATIONS, AnyTask, Task
from agentos.tasks.kinds import LABELLED_KINDS
from protocols.errors import ConfigurationError
from protocols.spec import spell_out


def load_task(
    source: str, overrides: Sequence[str] = (), trusted: Iterable[str] | None = ()
) -> AnyTask:
    """Read the configuration of a task from a YAML file.

    Args:
        source: path of the file.
        overrides: ``key.path=value`` each, the value in YAML.
        trusted: packages whose classes may be imported as kinds.

    Raises:
        ConfigurationError: the file cannot be read, or an override is malformed.
        InvalidConfiguration: fields are unknown or out of range.
    """
    kind = _kind(apply_overrides(read_yaml(find(source)), overrides, Task))
    if kind is not None and kind not in CONFIGURATIONS:
        closest = difflib.get_close_matches(kind, CONFIGURATIONS, n=1)
        raise ConfigurationError(
            f"{source}: there is no task of kind {kind!r}",
            expected=f"task.kind is one of {', '.join(CONFIGURATIONS)}",
            actual=kind[:60],
            hint=f"did you mean {closest[0]!r}?" if closest else "run 'agentos list task'",
        )
    return load_as(CONFIGURATIONS.get(kind or "", Task), source, overrides, trusted)


def load_labelled_task(
    source: str, overrides: Sequence[str] = (), trusted: Iterable[str] | None = ()
) -> Task:
    """Read the configuration of a task whose answers are class probabilities; see `load_task`."""
    task = load_task(source, overrides, trusted)
    if not isinstance(task, Task):
        raise ConfigurationError(
            f"{source}: this command works on labelled texts",
            expected=f"task.kind is one of {', '.join(LABELLED_KINDS)}",
            actual=task.task.kind,
            hint="'agentos solve' works on all kinds",
        )
    return task


def _kind(raw: Mapping[str, Any]) -> str | None:
    task = spell_out(raw.get("task"))
    kind = task.get("kind") if isinstance(task, Mapping) else None
    return None if kind is None else str(kind)
