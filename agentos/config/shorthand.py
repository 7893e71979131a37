"""Expansion of the short forms of kinds in a configuration of plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from protocols.spec import Kinds, Spec, spell_out


def spelled_out(values: Mapping[str, Any], cls: type[Spec]) -> dict[str, Any]:
    """Return values for a class with every kind as a mapping with the key ``kind``.

    What does not fit the class stays as it is, for its validation to complain about.

    Example:
        >>> from agentos.config.run import RunConfig
        >>> spelled_out({"objectives": [{"info_nce": {"views": ["crop"]}}]}, RunConfig)
        {'objectives': [{'kind': 'info_nce', 'views': [{'kind': 'crop'}]}]}
    """
    fields = cls.model_fields
    return {
        name: _spelled(value, fields[name].annotation, fields[name].metadata)
        if name in fields
        else value
        for name, value in values.items()
    }


def _spelled(value: Any, annotation: Any, metadata: Sequence[Any] = ()) -> Any:
    table = next((entry.table for entry in metadata if isinstance(entry, Kinds)), None)
    if table is not None:
        value = spell_out(value)
        annotation = table.get(str(value.get("kind"))) if isinstance(value, Mapping) else None
    if get_origin(annotation) is Annotated:
        inner, *entries = get_args(annotation)
        return _spelled(value, inner, entries)
    if type(None) in get_args(annotation):
        return _spelled(value, next(a for a in get_args(annotation) if a is not type(None)))
    if isinstance(value, list) and get_args(annotation):
        return [_spelled(item, get_args(annotation)[0]) for item in value]
    if isinstance(value, Mapping) and isinstance(annotation, type) and issubclass(annotation, Spec):
        return spelled_out(value, annotation)
    return value
