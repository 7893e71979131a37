"""The table of resolvers."""

from __future__ import annotations

from agentos.learning.knowledge.resolvers.base import Resolver
from agentos.learning.knowledge.resolvers.confusions import DawidSkene
from agentos.learning.knowledge.resolvers.latest import Latest
from agentos.learning.knowledge.resolvers.majority import Majority
from agentos.learning.knowledge.resolvers.origin_beta import OriginBeta

RESOLVERS: dict[str, type[Resolver]] = {
    "origin_beta": OriginBeta,
    "latest": Latest,
    "majority": Majority,
    "dawid_skene": DawidSkene,
}
