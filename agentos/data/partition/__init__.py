"""Partitions: how the training documents are divided among the agents."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.data.partition.base import Partition
from agentos.data.partition.by_label import ByLabel
from agentos.data.partition.dirichlet import Dirichlet
from agentos.data.partition.iid import Iid
from agentos.data.partition.kmeans import KMeans
from agentos.data.partition.shards import Shards

PARTITIONS: Mapping[str, type[Partition]] = {
    "iid": Iid,
    "by_label": ByLabel,
    "dirichlet": Dirichlet,
    "kmeans": KMeans,
    "shards": Shards,
}
"""Every kind of partition. To add one, write its class in a file of its own and add a line here."""

__all__ = ["PARTITIONS", "ByLabel", "Dirichlet", "Iid", "KMeans", "Partition", "Shards"]
