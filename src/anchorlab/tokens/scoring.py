"""Both models over the windows of texts: their answers become rows of the store, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from anchorlab.statistics.arrays import Integers
from anchorlab.tokens.answers import Answers
from anchorlab.tokens.documents import Texts
from anchorlab.tokens.measures import Columns, Lumped, token_columns
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.windows import Batch, Window, encoded, in_batches, windows_of

#: Rows that a thread measures at once.
_BLOCK = 32

#: The libraries that compute numpy's products. With threads of their own beside ours they take five times as long.
_LIBRARIES = ThreadpoolController()


@dataclass(frozen=True)
class Plan:
    """How texts become batches, the same each time.

    Attributes:
        texts: the documents.
        encode: a text to ids.
        context: most inputs of a window.
        stride: tokens from the beginning of one window to the next one's.
        begins: the id that is put before each window; None for none.
        together: windows of full length that are read at once.
        apart: where a document may be cut, see ``windows.encoded``; nowhere by default.
    """

    texts: Texts
    encode: Callable[[str], Integers]
    context: int
    stride: int
    begins: int | None
    together: int = 1
    apart: Callable[[str, str], bool] = lambda first, second: False

    def windows(self) -> Iterator[Window]:
        """All windows, in the order of the documents."""
        for number, document in enumerate(self.texts.read()):
            parts = encoded(document.text, self.encode, self.apart)
            yield from windows_of(parts, number, context=self.context, stride=self.stride, begins=self.begins)

    def batches(self) -> Iterator[Batch]:
        """The windows together; the memory of as many full ones as are meant is never left."""
        return in_batches(self.windows(), self.context * self.together)


class Seer(Protocol):
    """Sees the rows of scored tokens with the logits that they are of, such as ``tokens.worst.Worst``."""

    def see(self, start: int, columns: Columns, reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> None:
        """Takes rows; ``start`` is where the first one will be in the store."""


def score(
    batches: Iterable[Batch],
    reference: Answers,
    candidate: Answers,
    store: TokenStore,
    worst: Seer,
    report: Callable[[int], None] = lambda document: None,
    lumped: Lumped | None = None,
) -> None:
    """Measures all scored tokens of the batches. Memory holds the answers of one batch.

    Args:
        batches: what both models read.
        reference: the reference's answers to them.
        candidate: the candidate's.
        store: gets the rows.
        worst: sees them, with the logits.
        report: gets the number of the document that is at work.
        lumped: see ``measures.token_columns``.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for batch in batches:
            answers = zip(batch.windows, reference.rows(batch), candidate.rows(batch), strict=True)
            for window, first, second in answers:
                _measure(window, first.numpy(), second.numpy(), pool, store, worst, lumped)
            report(batch.windows[-1].document)


def _measure(
    window: Window,
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    pool: ThreadPoolExecutor,
    store: TokenStore,
    worst: Seer,
    lumped: Lumped | None,
) -> None:
    """Measures the scored rows of one window, in threads."""

    def block(start: int) -> Columns:
        rows = slice(start, start + _BLOCK)
        return token_columns(first[rows], second[rows], window.targets[rows], lumped)

    with _LIBRARIES.limit(limits=1, user_api="blas"):
        blocks = list(pool.map(block, range(0, len(window.targets), _BLOCK)))
    columns = {name: np.concatenate([each[name] for each in blocks]) for name in blocks[0]}
    columns |= {
        "document": np.full(len(window.targets), window.document),
        "position": window.positions,
        "token": window.targets,
    }
    worst.see(store.tokens, columns, first, second)
    store.append(columns)
