"""NumPy files that are written piece by piece and memory-mapped, so that neither needs memory."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from protocols.errors import DataError


class NpyWriter:
    """Appends to a ``.npy`` file of initially unknown length; a context manager.

    Args:
        path: file to write.
        dtype: data type of its elements.
        width: elements in a row; None for a one-dimensional array.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "numbers.npy")
        >>> with NpyWriter(path, np.int32) as numbers:
        ...     numbers.append([1, 2])
        ...     numbers.append([3])
        >>> mapped(path, np.int32).tolist()
        [1, 2, 3]
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike, width: int | None = None) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._width = width
        self.length = 0

    def append(self, values: npt.ArrayLike) -> None:
        """Append elements, or rows."""
        array = np.ascontiguousarray(values, dtype=self._dtype)
        self._stream.write(array.tobytes())
        self.length += len(array)

    def __enter__(self) -> Self:
        self._stream = self._path.open("wb")
        self._start = self._write_header()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stream:
            end = self._stream.seek(0, 2)
            row_bytes = self._dtype.itemsize * (self._width or 1)
            if self._start + self.length * row_bytes != end:
                raise DataError(f"{self._path} has rows of another width")
            self._stream.seek(0)
            # NumPy pads headers with room for any length, so the final one can be written over the first.
            if self._write_header(self.length) != self._start:
                raise DataError(f"the header of {self._path} changed its length")

    def _write_header(self, length: int = 0) -> int:
        shape = (length,) if self._width is None else (length, self._width)
        description = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": description, "fortran_order": False, "shape": shape}
        stream: IO[bytes] = self._stream
        np.lib.format.write_array_header_1_0(stream, header)
        return stream.tell()


def mapped(path: Path, dtype: npt.DTypeLike, width: int | None = None) -> npt.NDArray[Any]:
    """Memory-map a file that `NpyWriter` wrote, read-only.

    Raises:
        DataError: the file is missing, truncated, or of another type or width.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read",
            actual=str(error),
            hint="delete its folder; it will be built again",
        ) from error
    expected = () if width is None else (width,)
    if array.dtype != np.dtype(dtype) or array.ndim == 0 or array.shape[1:] != expected:
        raise DataError(
            f"{path} does not hold what was stored",
            expected=f"{np.dtype(dtype)}, rows of shape {expected}",
            actual=f"{array.dtype}, shape {array.shape}",
            hint="delete its folder; it will be built again",
        )
    view: npt.NDArray[Any] = array.view(np.ndarray)
    return view
