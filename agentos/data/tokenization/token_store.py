"""Token ids of a whole corpus, on disk and memory-mapped, so that processes share one copy."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from agentos.data.store.batches import batches
from agentos.data.store.cache import atomic_folder, discard
from agentos.data.store.npy import NpyWriter, mapped
from agentos.data.tokenization import sentences
from agentos.data.tokenization.encoding import tokens_and_sentences
from protocols.errors import DataError

# Stored tokens are keyed by it: raise the number when the files change.
FORMAT = f"3, sentences {sentences.VERSION}"


class TokenStore:
    """Concatenated token ids of documents; `store[row]` is a read-only view of one document.

    The store pickles as its path, and unpickling maps the files again.

    Args:
        directory: holds ``ids.npy``, ``offsets.npy``, ``sentences.npy``, ``sentence_offsets.npy``.
        ids: `[tokens]`, int32.
        offsets: `[documents + 1]`, int64; document i is ``ids[offsets[i]:offsets[i + 1]]``.
        starts: `[sentences]`, int32; the tokens at which sentences begin, counted within their document.
        start_offsets: `[documents + 1]`, int64; like `offsets`, for `starts`.
    """

    def __init__(
        self,
        directory: Path,
        ids: npt.NDArray[np.int32],
        offsets: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int32],
        start_offsets: npt.NDArray[np.int64],
    ) -> None:
        self.directory = directory
        self._ids = ids
        self._offsets = offsets
        self._starts = starts
        self._start_offsets = start_offsets

    @classmethod
    def open(cls, directory: Path) -> TokenStore:
        """Map a folder that `tokenize` wrote.

        Raises:
            DataError: a file is missing, damaged, or inconsistent with the others.
        """
        directory = Path(directory).absolute()
        ids, offsets = _jagged(directory, "ids.npy", "offsets.npy")
        starts, start_offsets = _jagged(directory, "sentences.npy", "sentence_offsets.npy")
        if len(start_offsets) != len(offsets):
            raise _inconsistent(directory, f"sentences of {len(offsets) - 1} documents")
        return cls(directory, ids, offsets, starts, start_offsets)

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> npt.NDArray[np.int32]:
        """Return the ids of one document, `[tokens]`, without a copy."""
        return self._ids[self._within(row, self._offsets)]

    def sentences(self, row: int) -> npt.NDArray[np.int32]:
        """Return the tokens at which the sentences of one document begin, without a copy.

        The first is 0, they increase strictly, and each is below the number of tokens; a document
        without tokens has none. A token that spans a boundary belongs to the sentence after it.
        """
        return self._starts[self._within(row, self._start_offsets)]

    def _within(self, row: int, offsets: npt.NDArray[np.int64]) -> slice:
        if not 0 <= row < len(self):
            raise IndexError(f"document {row} of {len(self)}")
        return slice(offsets[row], offsets[row + 1])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path only."""
        return TokenStore.open, (self.directory,)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of every document, `[documents]`."""
        return np.diff(self._offsets)

    @property
    def sentence_counts(self) -> npt.NDArray[np.int64]:
        """Sentences of every document, `[documents]`."""
        return np.diff(self._start_offsets)


def _jagged(
    directory: Path, values: str, offsets: str
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    stored = mapped(directory / values, np.int32)
    bounds = mapped(directory / offsets, np.int64)
    ordered = len(bounds) > 0 and bounds[0] == 0 and bool(np.all(np.diff(bounds) >= 0))
    if not ordered or bounds[-1] != len(stored):
        raise _inconsistent(directory, f"{offsets} from 0 up to {len(stored)}")
    return stored, bounds


def _inconsistent(directory: Path, expected: str) -> DataError:
    return DataError(
        f"the token files in {directory} are inconsistent",
        expected=expected,
        hint="delete the folder; it will be built again",
    )


def tokenize(
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerBase,
    directory: Path,
    max_tokens: int,
) -> TokenStore:
    """Write the token ids of texts, without special tokens, and open them as a store.

    Args:
        texts: read once, a batch at a time.
        tokenizer: any Hugging Face tokenizer.
        directory: appears once it is complete; an existing one is replaced.
        max_tokens: length at which documents are truncated.

    Raises:
        DataError: the texts have no tokens.
    """
    discard(directory)
    with atomic_folder(directory) as building:
        write_tokens(texts, tokenizer, building, max_tokens)
    return TokenStore.open(directory)


def write_tokens(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, directory: Path, max_tokens: int
) -> None:
    """Write the files of a `TokenStore` into an existing folder; see `tokenize`."""
    with (
        NpyWriter(directory / "ids.npy", np.int32) as ids,
        NpyWriter(directory / "offsets.npy", np.int64) as offsets,
        NpyWriter(directory / "sentences.npy", np.int32) as starts,
        NpyWriter(directory / "sentence_offsets.npy", np.int64) as start_offsets,
    ):
        offsets.append([0])
        start_offsets.append([0])
        for batch in batches(texts, len):
            documents, begins = zip(
                *tokens_and_sentences(tokenizer, batch, max_tokens), strict=True
            )
            offsets.append(ids.length + np.cumsum(list(map(len, documents))))
            start_offsets.append(starts.length + np.cumsum(list(map(len, begins))))
            ids.append(list(chain.from_iterable(documents)))
            starts.append(list(chain.from_iterable(begins)))
    if ids.length == 0:
        raise DataError(
            "the texts have no tokens",
            hint="check that the source has text, and that the tokenizer fits its language",
        )
