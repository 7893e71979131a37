"""Tables of the kinds of tasks, the composite aside: one file each."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.tasks.kinds.base import LabelledKind, TaskKind
from agentos.tasks.kinds.classify import Classify
from agentos.tasks.kinds.joint_generation import Generate
from agentos.tasks.kinds.pair import Pair
from agentos.tasks.kinds.rank import Rank

LABELLED_KINDS: Mapping[str, type[LabelledKind]] = {"classify": Classify, "pair": Pair}
"""Every kind whose answers are class probabilities."""
PART_KINDS: Mapping[str, type[TaskKind]] = {**LABELLED_KINDS, "rank": Rank, "generate": Generate}
"""Every kind that can be a part of a composite."""
