"""Typed state that an exchange strategy or an objective keeps for one agent."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from typing_extensions import Self


@dataclass
class ComponentState:
    """State that one component keeps for one agent: the specification is frozen, and shared by all agents.

    Subclasses are dataclasses, and every field has a default. Fields hold tensors, arrays, plain values, and
    lists, tuples and dictionaries of these, since that is what a checkpoint can hold: see
    `agents.hosting.pytree`.
    """

    @classmethod
    def narrow(cls, state: ComponentState) -> Self:
        """Return a state as an instance of this class.

        Raises:
            TypeError: it is of another class.
        """
        if isinstance(state, cls):
            return state
        raise TypeError(
            f"expected the state {cls.__name__}, got {type(state).__name__}; "
            f"set `state_type` of the strategy or objective to {cls.__name__}"
        )

    def to_tree(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the class and the fields; nothing is copied."""
        return type(self).__name__, {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_tree(cls, tree: Any) -> Self:
        """Rebuild a state from what `to_tree` returned.

        The class comes from the run's configuration: a file only confirms its name, and cannot choose it.

        Raises:
            ValueError: the tree is of another class, or has other fields.
        """
        name, values = tree
        if name != cls.__name__:
            raise ValueError(f"it holds the state {name}, and this run keeps {cls.__name__}")
        known = {each.name for each in fields(cls)}
        if type(values) is not dict or values.keys() != known:
            raise ValueError(
                f"its state {name} does not have the fields {', '.join(sorted(known))}"
            )
        return cls(**values)
