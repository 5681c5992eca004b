"""The base files of llama.cpp: a model's log-probabilities over a text, as ``llama-perplexity`` stores them.

``llama-perplexity --kl-divergence-base FILE`` writes them (tools/perplexity/perplexity.cpp of ggml-org/llama.cpp). Such
a file holds, all little-endian:

- ``_logits_``, eight bytes;
- the context, the size of the vocabulary and the number of chunks, int32 each;
- the tokens, int32 ``[chunks, context]``;
- of each chunk, a row for each position from ``context // 2`` to ``context - 2``: float32 scale, float32 least
  log-probability, and an unsigned 16-bit number for each entry of the vocabulary, padded to an even count. An entry's
  log-probability is ``scale * number + least``.

A row's log-probability at a position is of the *next* token. The least one is at most 16 nats below the greatest: all
that is rarer is stored as if it were exactly so rare.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anchorlab.errors import AnchorlabError
from anchorlab.files import input_file
from anchorlab.statistics.arrays import Floats

SUFFIX = ".kld"

_MAGIC = b"_logits_"
_HEADER = struct.Struct("<8siii")
#: The largest number of a row's entry, and how far above 0 rounding in float32 may lift a log-probability.
_LARGEST, _ROUNDING = 65535, 1e-3
_WRITE_AGAIN = "write it again with llama-perplexity --kl-divergence-base"


@dataclass(frozen=True)
class BaseFile:
    """An opened base file, of which the header and the tokens have been read.

    Attributes:
        path: where it lies.
        vocabulary: number of entries of the vocabulary.
        tokens: int32 ``[chunks, context]``. The first token of a chunk is the text's own; where the vocabulary adds
            BOS, llama.cpp lets the models read that in its place.
    """

    path: Path
    vocabulary: int
    tokens: NDArray[np.int32]

    @property
    def context(self) -> int:
        """Tokens in a chunk."""
        return int(self.tokens.shape[1])

    @property
    def scored(self) -> int:
        """Rows of a chunk: one for each position of its second half whose next token is in the chunk."""
        return _scored(self.context)

    def rows(self, chunk: int, start: int, stop: int) -> Floats:
        """The log-probabilities of some rows of a chunk, float64 ``[stop - start, vocabulary]``, in nats.

        Raises:
            AnchorlabError: if the file has become shorter, or a row's scale or least value is no possible one.
        """
        width = _words(self.vocabulary)
        first = chunk * self.scored + start
        with self.path.open("rb") as file:
            file.seek(_HEADER.size + self.tokens.nbytes + 2 * width * first)
            words = np.fromfile(file, "<u2", (stop - start) * width)
        if words.size != (stop - start) * width:
            raise AnchorlabError(f"{self.path} has become shorter while it was read: {_WRITE_AGAIN}")
        words = words.reshape(stop - start, width)
        scale, least = words[:, :4].copy().view("<f4").astype(np.float64).T[:, :, None]
        if not np.all((scale >= 0) & np.isfinite(least) & (_LARGEST * scale + least < _ROUNDING)):
            raise AnchorlabError(
                f"{self.path} is damaged: a row of chunk {chunk + 1} has a scale or a least log-probability that no "
                f"probabilities have; {_WRITE_AGAIN}"
            )
        return np.asarray(words[:, 4 : 4 + self.vocabulary] * scale + least)


def open_base(given: str | os.PathLike[str]) -> BaseFile:
    """Opens a base file and reads its tokens.

    Raises:
        AnchorlabError: if there is no such file, or its beginning, its sizes, its length or its tokens are not those of
            a base file.
    """
    path = input_file(given, "give a file that llama-perplexity --kl-divergence-base wrote")
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
        if header[: len(_MAGIC)] != _MAGIC:
            raise AnchorlabError(
                f"{path} is no base file of llama.cpp, because it does not begin with {_MAGIC.decode()}: give one that "
                "llama-perplexity --kl-divergence-base wrote"
            )
        if len(header) < _HEADER.size:
            raise AnchorlabError(f"{path} ends within its header: {_WRITE_AGAIN}")
        _, context, vocabulary, chunks = _HEADER.unpack(header)
        _check_sizes(path, context, vocabulary, chunks)
        _check_length(path, size, context, vocabulary, chunks)
        tokens = np.fromfile(file, "<i4", chunks * context).reshape(chunks, context)
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        raise AnchorlabError(
            f"{path} is damaged: it has tokens from {tokens.min()} to {tokens.max()}, but a vocabulary of "
            f"{vocabulary:,}; {_WRITE_AGAIN}"
        )
    return BaseFile(path, vocabulary, tokens)


def _scored(context: int) -> int:
    return context - 1 - context // 2


def _words(vocabulary: int) -> int:
    """16-bit words of a row: four for scale and least value, and one for each entry, padded to an even count."""
    return 4 + 2 * ((vocabulary + 1) // 2)


def _check_sizes(path: Path, context: int, vocabulary: int, chunks: int) -> None:
    if context < 3 or vocabulary < 2 or chunks < 1:
        raise AnchorlabError(
            f"{path} is damaged: it says context {context}, vocabulary {vocabulary} and {chunks} chunks, but at least "
            f"3, 2 and 1 are needed; {_WRITE_AGAIN}"
        )


def _check_length(path: Path, size: int, context: int, vocabulary: int, chunks: int) -> None:
    """Refuses a file that is shorter or longer than its sizes say; llama.cpp writes a short one without an error."""
    before = _HEADER.size + 4 * context * chunks
    of_chunk = 2 * _words(vocabulary) * _scored(context)
    if size < before:
        raise AnchorlabError(f"{path} ends within its tokens: {_WRITE_AGAIN}, with enough space on the disk")
    whole = (size - before) // of_chunk
    if whole < chunks:
        raise AnchorlabError(
            f"{path} holds {whole:,} whole chunks of {chunks:,}, because its writing was cut off: {_WRITE_AGAIN}, with "
            "enough space on the disk"
        )
    if size != before + chunks * of_chunk:
        raise AnchorlabError(
            f"{path} has {size - before - chunks * of_chunk:,} bytes after its last chunk, so its sizes are wrong: "
            f"{_WRITE_AGAIN}"
        )
