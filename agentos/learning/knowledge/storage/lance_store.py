"""Claims in LanceDB: an embedded columnar database in a folder, or in object storage by URI.

Each frame is a table, because the dimension belongs to the table. Only digests, statuses and unit vectors are
stored, and read back as Arrow columns: nothing in the folder is executed.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentos.learning.knowledge.storage.claim_store import EXACT_UP_TO, ClaimStore, Neighbours, Row
from agents.knowledge.claims import Claim
from agents.knowledge.frames import unit
from protocols.errors import ConfigurationError, RecordError

lancedb: Any
IvfFlat: Any
try:
    import lancedb
    from lancedb.index import IvfFlat
except ImportError:  # the optional extra is not installed
    lancedb = IvfFlat = None

# LanceDB warns in each forked child. Those of Ray and of subprocesses run another program at once.
warnings.filterwarnings("ignore", "lancedb fork support is experimental", RuntimeWarning)

_NAME = re.compile(r"frame_([0-9a-f]{16,128})")
_AT_ONCE = 500
"""Digests named in one filter."""


class LanceStore(ClaimStore):
    """Tables of claims in LanceDB.

    Args:
        uri: a folder, or the address of object storage such as ``s3://bucket/knowledge``.
        exact_up_to: rows of a frame up to which a search is exact; above it `compact` builds an index.
    """

    def __init__(self, uri: str | Path, exact_up_to: int = EXACT_UP_TO) -> None:
        if lancedb is None:
            raise ConfigurationError(
                "LanceDB is not installed",
                expected="the optional extra: knowledge",
                actual="no module named lancedb",
                hint="pip install lancedb",
            )
        self.uri, self.exact_up_to = str(uri), exact_up_to
        with self._refusing():
            self._database = lancedb.connect(self.uri)
            names = self._database.list_tables(limit=10_000).tables
            foreign = [name for name in names if not _NAME.fullmatch(name)]
            if foreign:
                raise ValueError(f"the table {foreign[0]!r} is none of a knowledge base")
            self._tables: dict[str, Any] = {name: self._database.open_table(name) for name in names}

    def rows(self) -> set[Row]:
        """Return the stored claims of all tables."""
        with self._refusing():
            return {
                Row(digest, status)
                for table in self._tables.values()
                for digest, status in _columns(table)
            }

    def put(self, claims: Iterable[Claim]) -> None:
        """Store claims by one merge into each frame's table."""
        frames: dict[str, list[Claim]] = {}
        for claim in claims:
            frames.setdefault(f"frame_{claim.frame}", []).append(claim)
        with self._refusing():
            for name, members in frames.items():
                rows = _arrow(members)
                if name not in self._tables:
                    self._tables[name] = self._database.create_table(name, rows)
                    continue
                merge = self._tables[name].merge_insert("digest")
                merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def drop(self, digests: Iterable[str]) -> None:
        """Remove claims from every table."""
        names = [digest for digest in digests if re.fullmatch("[0-9a-f]+", digest)]
        with self._refusing():
            for start in range(0, len(names), _AT_ONCE):
                listed = ", ".join(f"'{name}'" for name in names[start : start + _AT_ONCE])
                for table in self._tables.values():
                    if table.count_rows(f"digest IN ({listed})"):
                        table.delete(f"digest IN ({listed})")

    def nearest(self, frame: str, queries: NDArray[np.float32], k: int) -> Neighbours:
        """Search a table; without an index Lance compares with every row."""
        name = f"frame_{frame}"
        k = min(k, self._accepted(name))
        if k == 0:
            return Neighbours([[] for _ in queries], np.zeros((len(queries), 0), np.float32))
        digests, cosines = [], np.zeros((len(queries), k), np.float32)
        with self._refusing():
            for place, query in enumerate(unit(queries)):
                search: Any = self._tables[name].search(query).distance_type("cosine")
                found = search.where("status = 'accepted'", prefilter=True).limit(k).to_arrow()
                digests.append(found["digest"].to_pylist())
                cosines[place, : len(found)] = 1.0 - found["_distance"].to_numpy()
        return Neighbours(digests, cosines)

    def version(self, frame: str) -> int:
        """Return Lance's version of a table."""
        table = self._tables.get(f"frame_{frame}")
        return 0 if table is None else int(table.version)

    def compact(self) -> None:
        """Merge fragments, remove old versions, and index tables that are too large for exact search."""
        with self._refusing():
            for table in self._tables.values():
                if table.count_rows() > self.exact_up_to and not table.list_indices():
                    table.create_index("vector", config=IvfFlat(distance_type="cosine"))
                table.optimize(cleanup_older_than=timedelta(milliseconds=1))

    def _accepted(self, name: str) -> int:
        if name not in self._tables:
            return 0
        with self._refusing():
            return int(self._tables[name].count_rows("status = 'accepted'"))

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turn the database's errors into one that names its place."""
        try:
            yield
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            hint = "remove that folder: it is built anew from the log next to it"
            if "://" in self.uri:
                hint = (
                    "check the address, and the credentials that LanceDB reads from the environment"
                )
            raise RecordError(
                f"The tables of claims in {self.uri} cannot be used",
                expected="tables as agentos wrote them, and space to write",
                actual=f"{type(error).__name__}: {str(error)[:300]}",
                hint=hint,
            ) from error


def _columns(table: Any) -> Sequence[tuple[str, str]]:
    found = table.search().select(["digest", "status"]).limit(table.count_rows()).to_arrow()
    pairs = zip(found["digest"].to_pylist(), found["status"].to_pylist(), strict=True)
    return list(pairs)


def _arrow(claims: Sequence[Claim]) -> pa.Table:
    vectors = unit(np.stack([claim.embedding for claim in claims]))
    width = vectors.shape[1]
    return pa.table(
        {
            "digest": pa.array([claim.digest for claim in claims], pa.string()),
            "status": pa.array([claim.status for claim in claims], pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), width),
        }
    )
