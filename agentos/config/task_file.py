"""Configurations of tasks, read from YAML."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from agentos.config.field_errors import InvalidConfiguration, explain
from agentos.config.load import apply_overrides, find, read_yaml
from agentos.tasks.config import Task


def load_task(source: str, overrides: Sequence[str] = ()) -> Task:
    """Read the configuration of a task from a YAML file or a ready-made name.

    Args:
        source: the path or the name.
        overrides: ``key.path=value`` each, the value in YAML.

    Raises:
        ConfigurationError: the file cannot be read, or an override is malformed.
        InvalidConfiguration: fields are unknown or out of range.
    """
    raw = apply_overrides(read_yaml(find(source)), overrides, Task)
    try:
        return Task.model_validate(raw)
    except ValidationError as error:
        raise InvalidConfiguration(source, explain(error, Task)) from error
