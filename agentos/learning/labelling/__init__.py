"""Automatic labels of a stated precision: by a committee, or by one agent's own confidence."""

from agentos.learning.labelling.base import AutomaticLabels, Labeller
from agentos.learning.labelling.committee import Committee
from agentos.learning.labelling.own_confidence import Own

LABELLERS: dict[str, type[Labeller]] = {"committee": Committee, "own": Own}
"""Every kind of labeller. To add one, write its class in its own file and add a line here."""

__all__ = ["AutomaticLabels", "Committee", "LABELLERS", "Labeller", "Own"]
