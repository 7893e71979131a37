"""Configurations of tasks, read from YAML."""

from __future__ import annotations

from collections.abc import Sequence

from agentos.config.load import load_as
from agentos.tasks.config import Task


def load_task(source: str, overrides: Sequence[str] = ()) -> Task:
    """Read the configuration of a task from a YAML file.

    Args:
        source: path of the file.
        overrides: ``key.path=value`` each, the value in YAML.

    Raises:
        ConfigurationError: the file cannot be read, or an override is malformed.
        InvalidConfiguration: fields are unknown or out of range.
    """
    return load_as(Task, source, overrides)
