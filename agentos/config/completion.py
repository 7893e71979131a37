"""Fields of a configuration and their values, as a shell completes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from agentos.config.run import RunConfig
from protocols.spec import Kinds, Spec

_DEEPEST = 6
"""Parts of the longest path that is completed."""


def completed_overrides(
    incomplete: str, before: Sequence[str] = (), config: type[Spec] = RunConfig
) -> list[str]:
    """Return how an override may go on: fields with an equals sign, or the values of a field.

    Args:
        incomplete: what has been typed of the word.
        before: the words before it; bash ends a word at an equals sign.
        config: what the fields belong to: a run, a task or a life.

    Example:
        >>> completed_overrides("topology.ki"), completed_overrides("exchange=fedp")
        (['topology.kind='], ['exchange=fedprox', 'exchange=fedproto'])
        >>> completed_overrides("fedp", ["exchange", "="])
        ['fedprox', 'fedproto']
    """
    known = dict(_fields(config, ()))
    words = [*before[-2:], incomplete]
    if words[-2:-1] == ["="]:
        return [each for each in known.get(words[-3], ()) if each.startswith(incomplete)]
    if words[-1] == "=" and len(words) > 1:
        return list(known.get(words[-2], ()))
    path, equals, value = incomplete.partition("=")
    if not equals:
        return [f"{name}=" for name in known if name.startswith(path)]
    return [f"{path}={each}" for each in known.get(path, ()) if each.startswith(value)]


def _fields(cls: type[Spec], parents: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the dotted path of each field below a class, with its values if they are few."""
    for name, field in cls.model_fields.items():
        path = (*parents, name)
        if len(path) > _DEEPEST or (parents and name == "kind"):
            continue
        table = next((entry.table for entry in field.metadata if isinstance(entry, Kinds)), None)
        yield from _values(field.annotation if table is None else table, path)


def _values(meaning: Any, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield a field of a class, a table of kinds, or a list, and the fields below it."""
    dotted = ".".join(path)
    if isinstance(meaning, Mapping):
        yield dotted, tuple(meaning)
        yield f"{dotted}.kind", tuple(meaning)
        below = {name: each for cls in meaning.values() for name, each in _fields(cls, path)}
        if len(path) == 1 or path[0] == "data":  # not the parameters of kinds within kinds
            yield from below.items()
    elif get_origin(meaning) is Annotated:
        inner, *entries = get_args(meaning)
        table = next((entry.table for entry in entries if isinstance(entry, Kinds)), None)
        yield from _values(inner if table is None else table, path)
    elif get_origin(meaning) is Literal:
        yield dotted, tuple(map(str, get_args(meaning)))
    elif type(None) in get_args(meaning):
        yield from _values(next(each for each in get_args(meaning) if each is not type(None)), path)
    elif isinstance(meaning, type) and issubclass(meaning, Spec):
        yield from _fields(meaning, path)
    else:
        yield dotted, ("true", "false") if meaning is bool else ()
