"""Token ids of a whole corpus, on disk and memory-mapped, so that processes share one copy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agentos.data.batches import batches
from agentos.data.cache import discard, whole_or_nothing
from protocols.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TokenStore:
    """The token ids of documents, one after the other; `store[row]` is a read-only view of one.

    It pickles as its path, and is mapped again where it is unpickled.

    Args:
        directory: holds ``ids.npy`` and ``offsets.npy``.
        ids: [tokens], int32.
        offsets: [documents + 1], int64; document i is ``ids[offsets[i]:offsets[i + 1]]``.
    """

    def __init__(
        self, directory: Path, ids: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]
    ) -> None:
        self.directory = directory
        self._ids = ids
        self._offsets = offsets

    @classmethod
    def open(cls, directory: Path) -> TokenStore:
        """Map a folder that `tokenize` wrote.

        Raises:
            DataError: a file is missing or damaged, or they do not fit each other.
        """
        directory = Path(directory).absolute()
        ids = _mapped(directory / "ids.npy", np.dtype(np.int32))
        offsets = _mapped(directory / "offsets.npy", np.dtype(np.int64))
        ordered = len(offsets) > 0 and offsets[0] == 0 and bool(np.all(np.diff(offsets) >= 0))
        if not ordered or offsets[-1] != len(ids):
            raise DataError(
                f"the token files in {directory} do not fit each other",
                expected=f"offsets from 0 up to {len(ids)}",
                mend="delete the folder; it will be built again",
            )
        return cls(directory, ids, offsets)

    def sentences(self, row: int) -> npt.NDArray[np.int32]:
        """Return where the sentences of a document begin."""
        return np.zeros(1, dtype=np.int32)

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> npt.NDArray[np.int32]:
        """Return the ids of one document, [tokens], without a copy."""
        if not 0 <= row < len(self):
            raise IndexError(f"document {row} of {len(self)}")
        return self._ids[self._offsets[row] : self._offsets[row + 1]]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path alone."""
        return TokenStore.open, (self.directory,)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens of every document, [documents]."""
        return np.diff(self._offsets)


def tokenize(
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerBase,
    directory: Path,
    max_tokens: int,
) -> TokenStore:
    """Write the token ids of texts, without special tokens, and map them.

    Args:
        texts: read once, a batch at a time.
        tokenizer: any Hugging Face tokenizer.
        directory: appears only when it is whole; one that is there is replaced.
        max_tokens: at which a document is cut.

    Raises:
        DataError: there is not a single token.
    """
    discard(directory)
    with whole_or_nothing(directory) as building:
        write_tokens(texts, tokenizer, building, max_tokens)
    return TokenStore.open(directory)


def write_tokens(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, directory: Path, max_tokens: int
) -> None:
    """Write ``ids.npy`` and ``offsets.npy`` into a folder that exists; see `tokenize`."""
    offsets = [0]
    with (directory / "ids.npy").open("wb") as stream:
        start = _write_header(stream, 0)
        for batch in batches(texts, len):
            for ids in token_ids(tokenizer, batch, max_tokens):
                stream.write(np.asarray(ids, dtype=np.int32).tobytes())
                offsets.append(offsets[-1] + len(ids))
        stream.seek(0)
        # NumPy pads headers so that the length of an array can be written afterwards.
        if _write_header(stream, offsets[-1]) != start:
            raise DataError("the header of ids.npy changed its length")
    if offsets[-1] == 0:
        raise DataError(
            "the texts have no tokens", mend="check that the source has text, and the tokenizer"
        )
    np.save(directory / "offsets.npy", np.asarray(offsets, dtype=np.int64))


def token_ids(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], max_tokens: int
) -> list[list[int]]:
    """Return the ids of each text without special tokens, cut at `max_tokens`."""
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        truncation=True,
        max_length=max_tokens,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def _write_header(stream: IO[bytes], length: int) -> int:
    header = {"descr": "<i4", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.tell()


def _mapped(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read",
            actual=str(error),
            mend="delete its folder; it will be built again",
        ) from error
    if array.ndim != 1 or array.dtype != dtype:
        raise DataError(f"{path} does not hold tokens", expected=dtype, actual=array.dtype)
    mapped: npt.NDArray[Any] = array.view(np.ndarray)
    return mapped
