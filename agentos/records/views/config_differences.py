"""The fields in which the configurations of several runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Fields = dict[str, Any]
"""Values by the dotted paths of fields; None for a field that a configuration lacks."""


def differing_fields(
    configs: Sequence[Mapping[str, Any]], ignored: Sequence[str] = ("name",)
) -> list[Fields]:
    """Return, for each configuration, the fields that are not the same in all of them.

    Parameters of a kind are compared among the configurations of that kind alone: a ring and a complete
    graph differ in ``topology.kind``, not in every parameter that only one of them has.

    Args:
        configs: plain values, every default filled in, as a run folder holds them.
        ignored: names of fields at the top that do not count.

    Returns:
        The same paths in each, in the order of the first configuration.

    Example:
        >>> ring, complete = {"kind": "ring", "hops": 1}, {"kind": "complete"}
        >>> differing_fields([{"topology": ring, "seed": 0}, {"topology": complete, "seed": 0}])
        [{'topology.kind': 'ring'}, {'topology.kind': 'complete'}]
    """
    kept = [
        {name: value for name, value in config.items() if name not in ignored} for config in configs
    ]
    paths = dict.fromkeys(_differing(kept, ()))
    return [{".".join(path): _value_at(config, path) for path in paths} for config in kept]


def run_labels(runs: Sequence[tuple[str, Path]]) -> tuple[str, ...]:
    """Return one label per run, each once: its name, with its folder where that is taken.

    Example:
        >>> run_labels([("ring", Path("runs/a")), ("ring", Path("runs/b")), ("tree", Path("runs/c"))])
        ('ring (a)', 'ring (b)', 'tree')
    """
    names = [name for name, _ in runs]
    labels = [name if names.count(name) == 1 else f"{name} ({path.name})" for name, path in runs]
    paths = [
        {path for label, (_, path) in zip(labels, runs, strict=True) if label == each}
        for each in labels
    ]
    return tuple(
        label if len(found) == 1 else f"{name} ({path})"
        for label, found, (name, path) in zip(labels, paths, runs, strict=True)
    )


def setting_text(value: Any) -> str:
    """Return the value of a field as a few words: a part with a kind by its kind.

    Example:
        >>> setting_text([{"kind": "info_nce", "temperature": 0.05}]), setting_text(None)
        ('info_nce', '-')
    """
    if isinstance(value, Mapping) and "kind" in value:
        return str(value["kind"])
    if isinstance(value, list):
        return ", ".join(map(setting_text, value)) or "none"
    if isinstance(value, Mapping):
        return json.dumps(value, default=str)
    return "-" if value is None else str(value)


def _differing(values: Sequence[Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the paths below a place at which values differ."""
    if all(value == values[0] for value in values):
        return
    if all(isinstance(value, Mapping) for value in values):
        kinds = [value.get("kind") for value in values]
        if any(kind != kinds[0] for kind in kinds):
            yield (*path, "kind")
        for kind in dict.fromkeys(map(str, kinds)):
            alike = [v for v, other in zip(values, kinds, strict=True) if str(other) == kind]
            for name in dict.fromkeys(name for value in alike for name in value):
                if name != "kind":
                    yield from _differing([value.get(name) for value in alike], (*path, name))
    elif all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        for index, items in enumerate(zip(*values, strict=True)):
            yield from _differing(items, (*path, str(index)))
    else:
        yield path


def _value_at(config: Any, path: Sequence[str]) -> Any:
    value = config
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
