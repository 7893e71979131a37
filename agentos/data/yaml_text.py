"""YAML of strangers: plain values alone, and bounds on how many, how deep and how long they are."""

from __future__ import annotations

from typing import Any

import yaml

MOST_CHARACTERS = 8_000_000
MOST_NODES = 100_000
"""Most values in one text, those behind aliases counted wherever they stand."""
MOST_DEPTH = 64
"""Most lists and mappings within each other."""

_MOST_BITS = 1024  # Python itself refuses to write out much longer ones

_UNBUILDABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class BeyondBounds(yaml.MarkedYAMLError):
    """A text with more values, deeper ones or more characters than the bounds allow."""


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that is given twice, and a value that does not fit its tag, with its place."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; each key once."""
        seen: set[str] = set()
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        keys = (key for key, _ in pairs if isinstance(key, yaml.ScalarNode))
        for key in keys:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a value."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > _MOST_BITS:
                raise OverflowError(f"a whole number of more than {_MOST_BITS} bits")
            return value
        except _UNBUILDABLE as error:
            kind = str(node.tag).rpartition(":")[2]
            shown = repr(node.value)[:60] if isinstance(node, yaml.ScalarNode) else "this"
            raise yaml.MarkedYAMLError(
                problem=f"{shown} cannot be read as {kind}", problem_mark=node.start_mark
            ) from error


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = StrictLoader) -> Any:
    """Return the value of a YAML text.

    Raises:
        yaml.YAMLError: it is malformed, beyond the bounds, or holds itself.

    Example:
        >>> parse_yaml("{rounds: 8, views: [crop]}")
        {'rounds': 8, 'views': ['crop']}
    """
    require_bounded(text)
    return yaml.load(text, loader)


def require_bounded(text: str, most: int = MOST_NODES) -> None:
    """Refuse a text that is beyond the bounds, without building any value.

    Args:
        text: in YAML.
        most: values in it.

    Raises:
        yaml.YAMLError: it is, or is malformed.
    """
    if len(text) > MOST_CHARACTERS:
        raise BeyondBounds(problem=f"it has more than {MOST_CHARACTERS:,} characters")
    sizes: dict[str, int] = {}
    # Of each open list or mapping: its anchor, and the nodes counted before it.
    opened: list[tuple[str | None, int]] = []
    nodes = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = nodes - before
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        if isinstance(event, yaml.AliasEvent):
            alias = str(event.anchor)
            if any(anchor == alias for anchor, _ in opened):
                raise _refusal(event, f"the alias {alias[:60]!r} stands within its own value")
            nodes += sizes.get(alias, 1)
        else:
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append((event.anchor, nodes))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
            nodes += 1
        if nodes > most:
            raise _refusal(event, f"there are more than {most:,} values, aliases included")
        if len(opened) > MOST_DEPTH:
            raise _refusal(event, f"lists and mappings stand more than {MOST_DEPTH} deep")


def _refusal(event: yaml.Event, problem: str) -> BeyondBounds:
    mark: Any = event.start_mark  # typed more widely than the error takes it
    return BeyondBounds(problem=problem, problem_mark=mark)
