"""Texts as words: token ids cut where words begin, and put together again.

A triggered text has no ``word_starts``, because triggers return model inputs alone. So words are recognised from the
token ids alone, by how the tokenizer writes a token after another one, in clean and triggered texts in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from anchorlab.data.encoding import TextEncoding
from anchorlab.data.inputs import kind_of
from anchorlab.errors import AnchorlabError
from anchorlab.models.wrap import encoding_of

#: The ids of a word.
Word = tuple[int, ...]


def require_encoding(model: nn.Module, inputs: Mapping[str, Tensor], name: str) -> TextEncoding:
    """The encoding that made tensors of a model's texts.

    Raises:
        AnchorlabError: if the inputs are not texts, or the model has no tokenizer.
    """
    encoding = encoding_of(model)
    if kind_of(inputs) != "text" or encoding is None:
        raise AnchorlabError(
            f"{name} reads texts by their model's tokenizer, but was given {', '.join(inputs)} and a model "
            f"{'without' if encoding is None else 'with'} a tokenizer: take another detector, or a model of texts"
        )
    return encoding


def split_words(inputs: Mapping[str, Tensor], encoding: TextEncoding) -> list[list[Word]]:
    """The words of each text, without special tokens.

    Args:
        inputs: ``input_ids`` and ``attention_mask``, ``[N, L]``.
        encoding: the encoding that made them.
    """
    before, after = len(encoding.prefix), len(encoding.suffix)
    ends = (inputs["attention_mask"].sum(1) - after).tolist()
    content = [row[before:end] for row, end in zip(inputs["input_ids"].tolist(), ends, strict=True)]
    begins = _begin_words(sorted({token for row in content for token in row}), encoding)
    texts: list[list[Word]] = []
    for row in content:
        starts = [index for index, token in enumerate(row) if index == 0 or begins[token]]
        texts.append([tuple(row[start:end]) for start, end in pairwise([*starts, len(row)])])
    return texts


def join_words(texts: Sequence[Sequence[Word]], encoding: TextEncoding, device: torch.device) -> dict[str, Tensor]:
    """Texts as a model reads them, ``[N, L]`` on a device; tokens beyond its limit are left out at the end."""
    rows = [
        [*encoding.prefix, *[token for word in text for token in word][: encoding.room], *encoding.suffix]
        for text in texts
    ]
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], dtype=torch.int32)
    sizes = torch.tensor([len(row) for row in rows])
    mask = torch.arange(width) < sizes[:, None]
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def _begin_words(ids: Sequence[int], encoding: TextEncoding) -> dict[int, bool]:
    """Whether a space comes before each token if it follows another one."""
    first = list(encoding.tokenize("a"))
    written = encoding.tokenizer.batch_decode([first, *([*first, token] for token in ids)])
    length = len(written[0])
    return {token: text[length : length + 1].isspace() for token, text in zip(ids, written[1:], strict=True)}
