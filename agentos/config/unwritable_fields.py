"""Fields of a user's own kinds that a configuration file cannot hold."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic_core import PydanticSerializationError

from protocols.errors import ConfigurationError
from protocols.spec import Spec


def unwritable(config: Spec, error: PydanticSerializationError) -> ConfigurationError:
    """Return the error for a configuration that cannot be written, with the fields that are to blame.

    Args:
        config: the configuration.
        error: pydantic's complaint, which names no field.
    """
    paths = list(_unwritable(config, ""))
    return ConfigurationError(
        f"{' and '.join(paths) or 'a field'} cannot be written to config.yaml",
        expected="numbers, text, and lists and mappings of these",
        actual=str(error),
        hint="declare the field with pydantic's Field(exclude=True) if a run is to be resumed without it; "
        "otherwise hold plain values, and make the object from them where it is used",
    )


def _unwritable(value: object, path: str) -> Iterator[str]:
    """Yield the paths of the fields below a value that cannot be written."""
    if isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            yield from _unwritable(item, f"{path}.{index}")
    if not isinstance(value, Spec):
        return
    for name, part in value:
        below = f"{path}.{name}".lstrip(".")
        inner = list(_unwritable(part, below))
        yield from inner
        if not inner and not _can_be_written(value, name):
            yield below


def _can_be_written(value: Spec, name: str) -> bool:
    try:
        value.model_dump(mode="json", serialize_as_any=True, include={name})
    except PydanticSerializationError:
        return False
    return True
