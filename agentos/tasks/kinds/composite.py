"""A composite: a directed acyclic graph of named parts, which may read what others answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import networkx as nx
from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from agentos.tasks.kinds.base import TaskKind
from agentos.tasks.kinds.registry import PART_KINDS
from protocols.spec import Kinds, Spec

TEXT = "text"
"""The place of the text itself in what a part reads."""
_PLACE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Part(Spec):
    """One part of a composite: a task, and what it reads."""

    task: Annotated[TaskKind, Kinds(PART_KINDS)] = Field(..., description="The task of the part.")
    reads: str = Field(
        "{text}",
        max_length=1000,
        description="What it reads: {text}, and in braces the names of parts whose answers it needs.",
    )

    @property
    def after(self) -> tuple[str, ...]:
        """Names of the parts whose answers it reads."""
        return tuple(dict.fromkeys(name for name in _PLACE.findall(self.reads) if name != TEXT))

    def reading(self, text: str, answers: Mapping[str, str]) -> str:
        """Return what the part reads of a text.

        Args:
            text: the text.
            answers: the answer of each part before.

        Example:
            >>> from agentos.tasks.kinds import Classify
            >>> from agentos.data.sources import Jsonl
            >>> task = Classify(source=Jsonl(path="x.jsonl", label="label"))
            >>> Part(task=task, reads="{topic}: {text}").reading("a {mast}", {"topic": "sea"})
            'sea: a {mast}'
        """
        values = {TEXT: text, **answers}
        return _PLACE.sub(lambda place: values[place[1]], self.reads)


class Composite(TaskKind):
    """A graph of parts: what one answers, others read."""

    kind: Literal["composite"] = "composite"
    parts: dict[str, Part] = Field(..., min_length=1, max_length=16, description="Parts by name.")

    @field_validator("parts")
    @classmethod
    def _are_named(cls, parts: dict[str, Part]) -> dict[str, Part]:
        for name, part in parts.items():
            if not _NAME.fullmatch(name) or name == TEXT:
                raise ValueError(
                    f"{name!r} names no part: lower-case letters, digits and _ do, {TEXT} aside"
                )
            for source in part.after:
                if source not in parts:
                    raise ValueError(f"{name} reads {source!r}, which is not a part")
            if f"{{{TEXT}}}" not in part.reads:
                raise ValueError(f"{name} does not read {{{TEXT}}}")
        return parts

    @model_validator(mode="after")
    def _has_an_order(self) -> Self:
        if not nx.is_directed_acyclic_graph(self._graph):
            circle = " -> ".join(source for source, _ in nx.find_cycle(self._graph))
            raise ValueError(f"parts read each other in a circle: {circle}")
        return self

    @property
    def order(self) -> tuple[str, ...]:
        """The parts in an order in which each comes after those that it reads."""
        return tuple(nx.lexicographical_topological_sort(self._graph))

    def before(self, name: str) -> frozenset[str]:
        """Return the parts whose answers a part reads, itself or through others."""
        return frozenset(nx.ancestors(self._graph, name))

    @property
    def _graph(self) -> nx.DiGraph:
        graph = nx.DiGraph()
        graph.add_nodes_from(self.parts)
        graph.add_edges_from((s, name) for name, part in self.parts.items() for s in part.after)
        return graph
