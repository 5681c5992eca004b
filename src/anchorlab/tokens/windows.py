"""Windows over documents: what the models read at once, and which of its positions are scored.

Each token is scored once, in the first window that holds it, from what the window holds before it. A window begins
``stride`` tokens after the one before, so that with a stride below the context every scored token but a document's
first ones has at least ``context - stride`` tokens before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anchorlab.errors import AnchorlabError
from anchorlab.statistics.arrays import Integers

#: A document is encoded in parts of about so many characters, so that any length streams.
PART = 200_000

#: Characters before the end of a part among which a place to cut is looked for, and those on each side of it that are
#: encoded once more, together and apart.
LOOKED_AT, AROUND = 10_000, 100

#: Up to the last place between two words: before a single space, or behind a single end of a line.
_BETWEEN = re.compile(r"(?s:.*)(?:(?<=\w)(?= \w)|(?<=\S\n)(?=\S))")


@dataclass(frozen=True)
class Window:
    """What the models read at once of one document.

    Attributes:
        document: its number, from 0.
        inputs: token ids that are read, int64 ``[L]``, with what is put before the window.
        first: the first input whose answer is scored; all after it are too.
        targets: the token that follows each scored input, int64 ``[L - first]``.
    """

    document: int
    inputs: Integers
    first: int
    targets: Integers

    @property
    def positions(self) -> Integers:
        """How many tokens are read before each target, int64 ``[L - first]``."""
        return np.arange(self.first + 1, len(self.inputs) + 1)


@dataclass(frozen=True)
class Batch:
    """Windows that are read at once; shorter ones are filled up at their ends, which no earlier position sees.

    Attributes:
        windows: one or more.
    """

    windows: tuple[Window, ...]

    @property
    def ids(self) -> Tensor:
        """The inputs, int64 ``[B, L]``."""
        width = max(len(window.inputs) for window in self.windows)
        ids = torch.zeros(len(self.windows), width, dtype=torch.int64)
        for row, window in enumerate(self.windows):
            ids[row, : len(window.inputs)] = torch.from_numpy(window.inputs)
        return ids

    @property
    def last(self) -> int:
        """How many of the last positions hold all scored ones."""
        return max(len(window.inputs) for window in self.windows) - min(window.first for window in self.windows)

    def scored(self, answers: Tensor) -> list[Tensor]:
        """The scored rows of each window, ``[n, ...]``, of answers ``[B, last, ...]``."""
        skipped = max(len(window.inputs) for window in self.windows) - answers.shape[1]
        return [
            answers[row, window.first - skipped : len(window.inputs) - skipped]
            for row, window in enumerate(self.windows)
        ]


def check_windows(context: int, stride: int | None, begins: int | None) -> int:
    """The stride, by default as long as a window is without what is put before it.

    Raises:
        AnchorlabError: for a context below 2, or a stride that leaves tokens out.
    """
    own = context - (begins is not None)
    if context < 2:
        raise AnchorlabError(f"a context of {context} tokens leaves none to be read before another: give 2 or more")
    if stride is None:
        return own
    if not 1 <= stride <= own:
        raise AnchorlabError(
            f"a stride of {stride} with windows of {own} tokens of a document would leave tokens out or not move on: "
            f"give a number from 1 to {own}"
        )
    return stride


def windows_of(
    parts: Iterable[Integers], document: int, *, context: int, stride: int, begins: int | None
) -> Iterator[Window]:
    """The windows of one document, whose ids are never held together.

    Args:
        parts: its token ids, in pieces, int64 each.
        document: its number.
        context: most inputs of a window.
        stride: tokens from the beginning of one window to the next one's.
        begins: the id that is put before each window; None for none.
    """
    before = np.array([] if begins is None else [begins], dtype=np.int64)
    own = context - len(before)
    held = np.empty(0, dtype=np.int64)  # tokens from the beginning of the next window on
    ahead = 1 - len(before)  # where among them the next target is

    def window(size: int) -> Window:
        inputs = np.concatenate([before, held[:size]])
        return Window(document, inputs, len(before) + ahead - 1, held[ahead : size + 1])

    for part in parts:
        held = np.concatenate([held, part])
        while len(held) > own:
            yield window(own)
            ahead = own + 1 - stride
            held = held[stride:]
    if ahead < len(held):
        yield window(len(held) - 1)


def in_batches(windows: Iterable[Window], tokens: int) -> Iterator[Batch]:
    """Windows together, in their order, while all of them filled up have at most so many tokens; at least one."""
    waiting: list[Window] = []
    width = 0
    for window in windows:
        wider = max(width, len(window.inputs))
        if waiting and wider * (len(waiting) + 1) > tokens:
            yield Batch(tuple(waiting))
            waiting, wider = [], len(window.inputs)
        waiting.append(window)
        width = wider
    if waiting:
        yield Batch(tuple(waiting))


def encoded(
    text: str, encode: Callable[[str], Integers], apart: Callable[[str, str], bool] = lambda first, second: False
) -> Iterator[Integers]:
    """The ids of a text, in pieces, which are those of the whole text.

    Args:
        text: of any length.
        encode: a text to ids.
        apart: whether two texts have the ids together that they have apart, see ``vocabulary.parting``. Where they have
            not, the piece goes on to the next place.
    """
    start = 0
    for end in range(PART, len(text), PART):
        found = _BETWEEN.match(text, max(start, end - LOOKED_AT), end)
        cut = 0 if found is None else found.end()
        if start < cut and apart(text[max(start, cut - AROUND) : cut], text[cut : cut + AROUND]):
            yield encode(text[start:cut])
            start = cut
    if start < len(text):
        yield encode(text[start:])
