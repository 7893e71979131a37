"""Table of the partitions by kind, copies aside: one file each."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.data.partition.base import Partition
from agentos.data.partition.by_label import ByLabel
from agentos.data.partition.dirichlet import Dirichlet
from agentos.data.partition.iid import Iid
from agentos.data.partition.kmeans import KMeans
from agentos.data.partition.shards import Shards

DIVISIONS: Mapping[str, type[Partition]] = {
    "iid": Iid,
    "by_label": ByLabel,
    "dirichlet": Dirichlet,
    "kmeans": KMeans,
    "shards": Shards,
}
"""Every partition that gives each document to one agent. To add one, write its class and a line here."""
