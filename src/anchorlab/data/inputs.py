"""Inputs of models: tensors by name, whose first dimension counts examples.

Images are one input:

    pixel_values     uint8 ``[N, C, H, W]``

Texts are three, each ``[N, L]`` with L the longest text's length; where most of that would be padding, it is not stored
(``anchorlab.data.ragged``):

    input_ids        int32, special tokens included; after them, padding
    attention_mask   bool, False on padding
    word_starts      bool, True on the first token of each word, words being what whitespace separates; a token of
                     the whitespace before a word belongs to it

With some tokenizers, such as byte-level BPE, a word's ids depend on whether a space comes before it, so that the first
word's ids change when a trigger is put before it. Their texts have the same three inputs a second time, for the text
with a space before it (``continued_input_ids`` and so on). Models read the first two inputs, triggers read all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from anchorlab.data.ragged import Ragged

#: What examples are.
Kind = Literal["image", "text"]

#: What a repair or a detector can work on.
Modality = Literal["image", "text", "any"]

#: The inputs of a text that a model reads; the others are for triggers.
MODEL_INPUTS = ("input_ids", "attention_mask")

#: Begins the names of the inputs of a text with a space before it.
CONTINUED = "continued_"


def kind_of(inputs: Mapping[str, Tensor]) -> Kind | None:
    """Whether inputs are images or texts; None for neither."""
    if "pixel_values" in inputs:
        return "image"
    return "text" if "input_ids" in inputs else None


def lengths(inputs: Mapping[str, Tensor]) -> Tensor | None:
    """Tokens of each text, int64 ``[N]`` on the CPU; None for images."""
    if "attention_mask" not in inputs:
        return None
    tokens = inputs["attention_mask"].sum(1)
    if f"{CONTINUED}attention_mask" in inputs:
        tokens = torch.maximum(tokens, inputs[f"{CONTINUED}attention_mask"].sum(1))
    return tokens.cpu()


def rows(inputs: Mapping[str, Tensor], indices: Tensor | slice, width: int | None = None) -> dict[str, Tensor]:
    """Some examples.

    Args:
        inputs: of N examples.
        indices: which of them, int64 ``[M]`` or a slice.
        width: tokens of each text that are kept; all others must be padding. None keeps all.
    """
    return {name: _rows(value, indices, width) for name, value in inputs.items()}


def _rows(value: Tensor, indices: Tensor | slice, width: int | None) -> Tensor:
    if isinstance(value, Ragged):
        return value[indices] if width is None else value.padded(indices, width)
    if width is not None:
        value = value[:, :width]
    # The same as value[indices], in a fifth of the time.
    return value[indices] if isinstance(indices, slice) else value.index_select(0, indices)


def joined(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Two batches as one, the first one's examples first, with the inputs that the second one has.

    Zeros pad the shorter texts, because a model reads no ids where the mask is False.
    """
    both = {}
    for name, value in second.items():
        pair = [first[name], value]
        if kind_of(second) == "text":
            width = max(part.shape[1] for part in pair)
            pair = [functional.pad(part, (0, width - part.shape[1])) for part in pair]
        both[name] = torch.cat(pair)
    return both
