"""A division that the user names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.tasks.decomposition.base import Decomposition, WholeTask
from agentos.tasks.decomposition.division import Division, Group, Part
from protocols.errors import ConfigurationError
from protocols.spec import Spec


class GivenSubtask(Spec):
    """A subtask: the classes that it tells apart, and what it reads."""

    refines: str | None = Field(
        None,
        description="Group of another subtask whose classes it tells apart; null for all classes.",
    )
    groups: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Classes that it keeps together, by the name of the group; others stand alone.",
    )
    after: tuple[str, ...] = Field((), description="Subtasks whose answers are its features.")
    agents: tuple[str, ...] | None = Field(
        None, min_length=1, description="Names of the only agents that may do it; null for all."
    )
    floor: float = Field(
        0.0, ge=0.0, le=1.0, description="Accuracy below which an agent gets none of it."
    )


class Given(Decomposition):
    """A graph of subtasks that read each other's answers.

    A subtask tells all classes apart, or those of a group that another keeps together. Of subtasks about the
    same classes, the one that comes after the others answers.
    """

    kind: Literal["given"] = "given"
    subtasks: Mapping[str, GivenSubtask] = Field(
        ..., min_length=1, description="The subtasks by their names."
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        groups: set[str] = set()
        for name, subtask in self.subtasks.items():
            for group, classes in subtask.groups.items():
                if group in groups:
                    raise ValueError(f"the group {group!r} is named twice")
                if not classes:
                    raise ValueError(f"the group {group!r} of {name!r} has no class")
                groups.add(group)
            if unknown := [each for each in subtask.after if each not in self.subtasks]:
                raise ValueError(f"{name!r} comes after {unknown[0]!r}, which is no subtask")
        for name, subtask in self.subtasks.items():
            if subtask.refines is not None and subtask.refines not in groups:
                raise ValueError(f"{name!r} refines {subtask.refines!r}, which is no group")
        return self

    def divide(self, whole: WholeTask) -> Division:
        """Return the parts as they were named; see `Decomposition.divide`."""
        places = {name: place for place, name in enumerate(whole.classes)}
        named = {
            group: _places(classes, places, f"{subtask}.groups.{group}")
            for subtask, given in self.subtasks.items()
            for group, classes in given.groups.items()
        }
        parts = [self._part(name, named, len(places)) for name in self.subtasks]
        return Division(len(places), tuple(parts))

    def _part(self, name: str, named: Mapping[str, Group], classes: int) -> Part:
        given = self.subtasks[name]
        scope = range(classes) if given.refines is None else named[given.refines]
        together = [named[group] for group in given.groups]
        if outside := sorted({each for group in together for each in group} - set(scope)):
            raise ConfigurationError(
                f"the subtask {name!r} keeps classes together that it does not tell apart",
                expected=f"classes of the group {given.refines!r}",
                actual=f"class {outside[0]}",
                hint="take the class out of its `groups`, or add it to the group that it refines",
            )
        grouped = {each for group in together for each in group}
        alone = [(each,) for each in scope if each not in grouped]
        groups = tuple(sorted([*together, *alone]))
        return Part(name, groups, given.after, None, given.agents, given.floor)


def _places(names: tuple[str, ...], places: Mapping[str, int], where: str) -> Group:
    if unknown := [name for name in names if name not in places]:
        raise ConfigurationError(
            "a group names a class that the task has not",
            expected=f"some of {', '.join(places)}",
            actual=f"{unknown[0]} in {where}",
            hint="correct the name of the class in `decompose.subtasks`",
        )
    return tuple(sorted(places[name] for name in names))
