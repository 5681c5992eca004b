"""Logits that another program has stored, in numpy's .npy format, read a piece at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.errors import AnchorlabError, first_line, shortened
from anchorlab.files import input_file


class StoredLogits:
    """A .npy file of logits ``[N, C]``, of any real dtype: a slice reads those rows from the disk.

    Not memory-mapped: pages once read would count as memory of this process until another needs it.

    Attributes:
        shape: N and C.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        header = _array(path, "logits")
        self.shape: tuple[int, ...] = header.shape
        self._dtype, self._offset = header.dtype, int(getattr(header, "offset", 0))
        if header.ndim != 2 or not (np.issubdtype(self._dtype, np.floating) or np.issubdtype(self._dtype, np.integer)):
            raise AnchorlabError(
                f"{path} holds an array of shape {header.shape} and type {header.dtype}: give the logits of all "
                "instances as real numbers of shape [N, C]"
            )
        if not header.flags.c_contiguous:
            raise AnchorlabError(
                f"{path} holds its logits column by column: store numpy.ascontiguousarray(logits) instead"
            )

    def __len__(self) -> int:
        """N."""
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """The logits of some consecutive rows."""
        start, stop, _ = rows.indices(self.shape[0])
        width = self.shape[1]
        with self._path.open("rb") as file:
            file.seek(self._offset + start * width * self._dtype.itemsize)
            piece = np.fromfile(file, self._dtype, (stop - start) * width)
        return piece.reshape(stop - start, width)


def stored_labels(path: Path) -> NDArray[Any]:
    """The labels ``[N]`` of a .npy file.

    Raises:
        AnchorlabError: if the file cannot be read.
    """
    return np.array(_array(path, "labels"))


def _array(path: Path, what: str) -> NDArray[Any]:
    """The array of a .npy file, of which nothing but the header has been read."""
    path = input_file(path, f"give the {what} as a .npy file, as numpy.save writes it")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # each kind of nonsense in the header raises another type
        raise AnchorlabError(
            f"{path} cannot be read as {what} ({shortened(first_line(error))}): give a .npy file of plain numbers, "
            "as numpy.save writes it"
        ) from error
    if not isinstance(array, np.ndarray):
        raise AnchorlabError(f"{path} is an archive of several arrays: give the {what} as a .npy file of its own")
    return array
