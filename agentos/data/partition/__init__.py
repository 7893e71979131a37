"""Partitions: how the training documents are divided among the agents."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.data.partition.base import Partition
from agentos.data.partition.by_label import ByLabel
from agentos.data.partition.copies import Copies
from agentos.data.partition.dirichlet import Dirichlet
from agentos.data.partition.iid import Iid
from agentos.data.partition.kmeans import KMeans
from agentos.data.partition.registry import DIVISIONS
from agentos.data.partition.shards import Shards

PARTITIONS: Mapping[str, type[Partition]] = {
    **DIVISIONS,
    "copies": Copies,
}
"""Every kind of partition. To add one, write its class in its own file and add a line to `registry`."""

__all__ = ["PARTITIONS", "ByLabel", "Copies", "Dirichlet", "Iid", "KMeans", "Partition", "Shards"]
