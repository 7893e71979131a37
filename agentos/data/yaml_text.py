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


class _Bounds:
    """Counts the values of a text event by event, and refuses the first event beyond the bounds.

    Args:
        most: values in the text.
    """

    def __init__(self, most: int = MOST_NODES) -> None:
        self._most = most
        self._nodes = 0
        self._sizes: dict[str, int] = {}
        # Of each open list or mapping: its anchor, and the nodes counted before it.
        self._opened: list[tuple[str | None, int]] = []

    def add(self, event: yaml.Event) -> None:
        """Count an event.

        Raises:
            BeyondBounds: there are too many values, they are too deep, or one holds itself.
        """
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self._opened.pop()
            if anchor is not None:
                self._sizes[anchor] = self._nodes - before
            return
        if not isinstance(event, yaml.NodeEvent):
            return
        if isinstance(event, yaml.AliasEvent):
            alias = str(event.anchor)
            if any(anchor == alias for anchor, _ in self._opened):
                raise _refusal(event, f"the alias {alias[:60]!r} stands within its own value")
            self._nodes += self._sizes.get(alias, 1)
        else:
            if isinstance(event, yaml.CollectionStartEvent):
                self._opened.append((event.anchor, self._nodes))
            elif event.anchor is not None:
                self._sizes[event.anchor] = 1
            self._nodes += 1
        if self._nodes > self._most:
            raise _refusal(event, f"there are more than {self._most:,} values, aliases included")
        if len(self._opened) > MOST_DEPTH:
            raise _refusal(event, f"lists and mappings stand more than {MOST_DEPTH} deep")


class StrictLoader(yaml.SafeLoader):
    """Refuses a text beyond the bounds, a key that is given twice, and a value that does not fit its tag.

    Each with its place; bounds are met before any value is built.
    """

    def __init__(self, text: str) -> None:
        _require_few_characters(text)
        super().__init__(text)
        self._bounds = _Bounds()

    def get_event(self) -> yaml.Event:
        """Take the next event of the text."""
        event: yaml.Event = super().get_event()  # type: ignore[no-untyped-call]
        self._bounds.add(event)
        return event

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


def parse_yaml(text: str, loader: type[StrictLoader] = StrictLoader) -> Any:
    """Return the value of a YAML text.

    Raises:
        yaml.YAMLError: it is malformed, beyond the bounds, or holds itself.

    Example:
        >>> parse_yaml("{rounds: 8, views: [crop]}")
        {'rounds': 8, 'views': ['crop']}
    """
    return yaml.load(text, loader)


def require_bounded(text: str, most: int = MOST_NODES) -> None:
    """Refuse a text that is beyond the bounds, without building any value.

    Args:
        text: in YAML.
        most: values in it.

    Raises:
        yaml.YAMLError: it is, or is malformed.
    """
    _require_few_characters(text)
    bounds = _Bounds(most)
    for event in yaml.parse(text, yaml.SafeLoader):
        bounds.add(event)


def _require_few_characters(text: str) -> None:
    """Refuse a text that is too long to look at.

    Raises:
        BeyondBounds: it has too many characters.
    """
    if len(text) > MOST_CHARACTERS:
        raise BeyondBounds(problem=f"it has more than {MOST_CHARACTERS:,} characters")


def _refusal(event: yaml.Event, problem: str) -> BeyondBounds:
    mark: Any = event.start_mark  # typed more widely than the error takes it
    return BeyondBounds(problem=problem, problem_mark=mark)
