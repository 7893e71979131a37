"""The ledger as a Parquet table: one row per delivery."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet

from agentos.records.atomic_files import damaged, replacing
from protocols.errors import RecordError
from protocols.ledger import COLUMNS, Ledger

_TYPES = {"kind": pyarrow.string(), "payload_bytes": pyarrow.int64(), "fp32_bytes": pyarrow.int64()}
_SCHEMA = pyarrow.schema([(name, _TYPES.get(name, pyarrow.int32())) for name in COLUMNS])


def write_ledger(ledger: Ledger, path: Path) -> None:
    """Write a ledger's rows, whole or not at all.

    Raises:
        RecordError: the folder cannot be written to.
    """
    table = pyarrow.table(ledger.rows(), schema=_SCHEMA)
    with replacing(path) as draft:
        pyarrow.parquet.write_table(table, draft)


def read_ledger(path: Path) -> Ledger:
    """Read a ledger back.

    Raises:
        RecordError: the file is damaged.
    """
    try:
        return Ledger.from_rows(pyarrow.parquet.read_table(path).to_pydict())
    except (OSError, ValueError, pyarrow.ArrowException, RecordError) as error:
        raise damaged(path, "the Parquet table of a ledger", str(error)) from error
