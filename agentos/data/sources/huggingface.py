"""Datasets streamed with Hugging Face `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from agentos.data.sources import files
from agentos.data.sources.base import Document, Source, raise_errors
from agentos.data.sources.record import NAME, LabelColumn, TextColumn, from_record, wrong
from protocols.errors import DataError


class HuggingFace(Source):
    """Any Hugging Face dataset: a hub name, a folder, also of `save_to_disk`, or a builder such as json.

    `datasets` reads the files, so its bounds hold for them; a text has at most 16 MiB here as everywhere.
    """

    kind: Literal["hf"] = "hf"
    path: str = Field(
        min_length=1,
        description="Path argument of `datasets.load_dataset`, or a folder of `Dataset.save_to_disk`.",
    )
    name: str | None = Field(default=None, description="The configuration of the dataset.")
    split: str = Field(default="train", min_length=1, description="The split to read.")
    text: TextColumn = "text"
    label: LabelColumn = None
    data_files: str | tuple[str, ...] | None = Field(
        default=None, description="data_files argument of `datasets.load_dataset`."
    )
    revision: str | None = Field(
        default=None,
        description="Commit or tag on the hub; without one, changes to the dataset go unnoticed.",
    )

    def documents(self) -> Iterator[Document]:
        """Stream the documents.

        Raises:
            DataError: the dataset cannot be loaded or read, or a record lacks a column.
        """
        return raise_errors(self.records())

    def fingerprint(self) -> str:
        """Return a digest of the parameters, and of the local files that are read.

        A dataset on the hub is identified only by its `revision`: checking it would need the network.
        """
        folder = Path(self.path).expanduser()
        named = (self.data_files,) if isinstance(self.data_files, str) else self.data_files or ()
        base = folder if folder.is_dir() else Path()
        local = [str(base / name) for name in named if "://" not in name]
        if folder.is_dir() and not local:
            local = [str(folder)]
        stats = [files.fingerprint(place, _find(place)) for place in local]
        return files.digest(self.model_dump_json(), version("datasets"), *stats)

    def records(self) -> Iterator[Document | DataError]:
        """Stream the documents, with an error in place of each unusable record.

        Raises:
            DataError: the dataset cannot be loaded or read.
        """
        rows = self._rows()
        number = 0
        while True:
            number += 1
            try:
                row = next(rows, None)
            except Exception as error:
                raise self._unreadable(error) from error
            if row is None:
                return
            where, identity = f"{self.path}, record {number}", f"{self.path}:{self.split}:{number}"
            label = None if self.label is None else row.get(self.label)
            if isinstance(label, _Unknown):
                yield wrong(where, "label", NAME, label.code)
            else:
                yield from_record(row, where, identity, self.text, self.label)

    def glance(self) -> Iterator[Document | DataError]:
        """Yield a stand-in: loading a dataset may need the network, and take minutes."""
        yield Document(self.path, "", self.label)

    def _rows(self) -> Iterator[dict[str, Any]]:
        import datasets  # 0.3 s that reading a configuration should not cost

        stream = self._saved() if _is_saved(Path(self.path).expanduser()) else self._loaded()
        feature: Any = (stream.features or {}).get(self.label)
        named = isinstance(feature, datasets.ClassLabel)
        for row in stream:
            code = row.get(self.label)
            if named and code is not None:
                known = 0 <= code < feature.num_classes
                row[self.label] = feature.int2str(code) if known else _Unknown(code)
            yield row

    def _saved(self) -> Any:
        """Open a folder of `save_to_disk`; one that holds several splits is asked for its own."""
        import datasets

        found = datasets.load_from_disk(str(Path(self.path).expanduser()))
        return found[self.split] if isinstance(found, datasets.DatasetDict) else found

    def _loaded(self) -> Any:
        import datasets

        data_files = (
            list(self.data_files) if isinstance(self.data_files, tuple) else self.data_files
        )
        return datasets.load_dataset(
            self.path,
            self.name,
            data_files=data_files,
            split=self.split,
            revision=self.revision,
            streaming=True,
            trust_remote_code=False,  # from version 4 on the library runs no scripts anyway
        )

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(
            f"the dataset {self.path!r} cannot be read",
            actual=f"{type(error).__name__}: {error}",
            hint="check path, name, split and data_files of data.source, and, if the dataset is on "
            "the hub, the network; files on this machine can be read with the kinds text, jsonl, "
            "csv and parquet",
        )


@dataclass(frozen=True)
class _Unknown:
    """A class without a name; the hub marks documents without a label by -1."""

    code: int


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _find(place: str) -> files.Files:
    try:
        return files.find(place, "**/*")
    except DataError:  # a file on the hub, or an error that loading will report
        return files.Files(Path(), ())
