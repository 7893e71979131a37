"""The cost of a run: serialised bytes per delivery, summed by kind, edge, agent and round."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import RecordError

COLUMNS = ("round", "hop", "sender", "receiver", "kind", "payload_bytes", "fp32_bytes")

_ROW = struct.Struct("=6q")  # hop, sender, receiver, index of the kind, bytes, bytes as fp32
_WIDTH = 6


class Ledger:
    """Accumulates deliveries; 48 bytes of memory each.

    A delivery is one message at one receiver: a broadcast to three is recorded three times. For each, the
    ledger also holds the bytes that the message would have had without a codec.

    Example:
        >>> ledger = Ledger()
        >>> ledger.record(0, 0, 1, 2, "metrics", 100)
        >>> ledger.record(0, 0, 2, 1, "metrics", 150)
        >>> ledger.total(), ledger.by_edge(), ledger.by_agent()
        (250, {(1, 2): 100, (2, 1): 150}, {1: (100, 150), 2: (150, 100)})
    """

    def __init__(self) -> None:
        self._rounds: dict[
            int, array[int]
        ] = {}  # by round, so that one round is read without the rest
        self._kinds: dict[str, int] = {}
        self._total = 0
        self._fp32 = 0

    def record(
        self,
        round: int,
        hop: int,
        sender: int,
        receiver: int,
        kind: str,
        payload_bytes: int,
        fp32_bytes: int | None = None,
    ) -> None:
        """Add one delivery of `payload_bytes` serialised bytes; by default, as many without a codec."""
        without = payload_bytes if fp32_bytes is None else fp32_bytes
        self.record_message(round, hop, sender, (receiver,), kind, payload_bytes, without)

    def record_message(
        self,
        round: int,
        hop: int,
        sender: int,
        receivers: Sequence[int],
        kind: str,
        payload_bytes: int,
        fp32_bytes: int,
    ) -> None:
        """Add the deliveries of one message, in the order of its receivers."""
        index = self._kinds.setdefault(kind, len(self._kinds))
        rows = b"".join(
            [_ROW.pack(hop, sender, to, index, payload_bytes, fp32_bytes) for to in receivers]
        )
        cells = self._rounds.get(round)
        if cells is None:
            cells = self._rounds[int(round)] = array("q")
        cells.frombytes(rows)
        self._total += int(payload_bytes) * len(receivers)
        self._fp32 += int(fp32_bytes) * len(receivers)

    def repeat(self, round: int, rounds: Iterable[int]) -> None:
        """Record the deliveries of one round in others, too.

        Example:
            >>> ledger = Ledger()
            >>> ledger.record(1, 0, 1, 2, "metrics", 100)
            >>> ledger.repeat(1, range(2, 5))
            >>> ledger.total(), ledger.cumulative()
            (400, [(1, 100), (2, 200), (3, 300), (4, 400)])
        """
        table = _table(self._rounds.get(round, array("q")))
        sums = [int(total) for total in table[:, 4:].sum(axis=0)]
        for other in rounds if len(table) else ():
            self._rounds.setdefault(int(other), array("q")).extend(self._rounds[round])
            self._total += sums[0]
            self._fp32 += sums[1]

    def total(self) -> int:
        """Return the bytes of all deliveries."""
        return self._total

    def fp32_total(self) -> int:
        """Return the bytes that all deliveries would have had without a codec."""
        return self._fp32

    def by_kind(self) -> dict[str, int]:
        """Return the bytes of each kind of payload, kinds in alphabetical order."""
        return self._by_kind(4)

    def fp32_by_kind(self) -> dict[str, int]:
        """Return the bytes that each kind of payload would have had without a codec."""
        return self._by_kind(5)

    def by_edge(self) -> dict[tuple[int, int], int]:
        """Return the bytes of each directed edge ``(sender, receiver)``, in order."""
        return _by_edge(self._table())

    def by_agent(self) -> dict[int, tuple[int, int]]:
        """Return the bytes ``(sent, received)`` of each agent that took part in a delivery."""
        return _by_agent(self._table())

    def for_round(self, round: int) -> dict[int, tuple[int, int]]:
        """Return the bytes ``(sent, received)`` in one round of each agent that took part in it."""
        return _by_agent(_table(self._rounds.get(round, array("q"))))

    def edges_of_round(self, round: int) -> dict[tuple[int, int], int]:
        """Return the bytes of each directed edge ``(sender, receiver)`` in one round, in order."""
        return _by_edge(_table(self._rounds.get(round, array("q"))))

    def cumulative(self) -> list[tuple[int, int]]:
        """Return ``(round, bytes up to and including it)`` for each round with a delivery."""
        rounds = sorted(self._rounds)
        sums = np.cumsum([int(_table(self._rounds[round])[:, 4].sum()) for round in rounds])
        return [(round, int(total)) for round, total in zip(rounds, sums, strict=True)]

    def rows(self, round: int | None = None) -> dict[str, list[Any]]:
        """Return the deliveries, of one round or of all, as equally long columns, as recorded in each."""
        kinds = list(self._kinds)
        table = self._table() if round is None else _table(self._rounds.get(round, array("q")))
        rounds = sorted(self._rounds) if round is None else [round] * (round in self._rounds)
        lengths = [len(_table(self._rounds[round])) for round in rounds]
        return {
            "round": [r for r, length in zip(rounds, lengths, strict=True) for _ in range(length)],
            "hop": table[:, 0].tolist(),
            "sender": table[:, 1].tolist(),
            "receiver": table[:, 2].tolist(),
            "kind": [kinds[index] for index in table[:, 3].tolist()],
            "payload_bytes": table[:, 4].tolist(),
            "fp32_bytes": table[:, 5].tolist(),
        }

    @classmethod
    def from_rows(cls, columns: Mapping[str, Sequence[Any]]) -> Ledger:
        """Return the ledger that `rows` describes.

        Raises:
            RecordError: a column is missing, of another length, or holds something other than counts (numbers
                must be Python ints, as `rows` and Arrow's ``to_pylist`` give them).
        """
        lengths = {name: len(values) for name, values in columns.items()}
        if lengths.keys() != set(COLUMNS) or len(set(lengths.values())) != 1:
            raise _damaged("columns of one length: " + ", ".join(COLUMNS), lengths)
        ledger = cls()
        for name, values in columns.items():
            if not (_are_names(values) if name == "kind" else _are_counts(values)):
                raise _damaged("integers from 0 below 2^63, and kinds by name", f"column {name}")
        for row in zip(*(columns[name] for name in COLUMNS), strict=True):
            ledger.record(*row)
        return ledger

    def _by_kind(self, column: int) -> dict[str, int]:
        table = self._table()
        sums = dict(zip(*_sums(table[:, 3], table[:, column]), strict=True))
        return {kind: sums.get(index, 0) for kind, index in sorted(self._kinds.items())}

    def _table(self) -> NDArray[np.int64]:
        tables = [_table(self._rounds[round]) for round in sorted(self._rounds)]
        return np.concatenate([np.empty((0, _WIDTH), np.int64), *tables])


def _table(cells: array[int]) -> NDArray[np.int64]:
    """Return the deliveries ``[deliveries, 6]``, copied: while a view exists, the array cannot grow."""
    return np.array(cells, np.int64).reshape(-1, _WIDTH)


def _by_edge(table: NDArray[np.int64]) -> dict[tuple[int, int], int]:
    stride = int(table[:, 2].max(initial=0)) + 1
    edges, sums = _sums(table[:, 1] * stride + table[:, 2], table[:, 4])
    return dict(zip((divmod(edge, stride) for edge in edges), sums, strict=True))


def _by_agent(table: NDArray[np.int64]) -> dict[int, tuple[int, int]]:
    sent = dict(zip(*_sums(table[:, 1], table[:, 4]), strict=True))
    received = dict(zip(*_sums(table[:, 2], table[:, 4]), strict=True))
    return {
        agent: (sent.get(agent, 0), received.get(agent, 0))
        for agent in sorted(sent.keys() | received.keys())
    }


def _sums(keys: NDArray[Any], values: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Return the distinct keys in order, and the exact sum of the values of each."""
    distinct, inverse = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(distinct), np.int64)
    np.add.at(sums, inverse, values)
    return distinct.tolist(), sums.tolist()


def _are_names(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {str}


def _are_counts(values: Sequence[Any]) -> bool:
    integers = set(map(type, values)) <= {int}
    return integers and min(values, default=0) >= 0 and max(values, default=0) < 2**63


def _damaged(expected: object, actual: object) -> RecordError:
    return RecordError(
        "the ledger's table is damaged",
        expected=expected,
        actual=actual,
        hint="restore the file, or run again",
    )
