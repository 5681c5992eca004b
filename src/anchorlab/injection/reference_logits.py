"""Where the reference's logits come from during a run: computed once and looked up, or computed in every step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anchorlab.data import Split
from anchorlab.injection.objective import ReferenceLogits
from anchorlab.models.call import logits, predict


def computed_logits(reference: nn.Module) -> ReferenceLogits:
    """Reference logits by a second forward pass, for inputs that are never the same twice.

    Args:
        reference: on the device of the inputs, in evaluation mode.
    """

    def reference_logits(_indices: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            return logits(reference, inputs)

    return reference_logits


def stored_logits(
    reference: nn.Module, anchors: Split, visited: Tensor, known: Tensor | None = None
) -> ReferenceLogits:
    """Reference logits that are computed once, for the anchors that the run will visit, and looked up.

    Args:
        reference: on the device of the anchors.
        anchors: N clean examples.
        visited: indices of the anchors that the run will visit, int64 ``[V]``.
        known: the logits of all anchors, float32 ``[N, C]``, if they are known; nothing is computed then.
    """
    if known is None:
        answers = predict(reference, anchors.select(visited).inputs)
        # Rows that are never visited stay NaN, so that a wrong index could not go unnoticed.
        table = answers.new_full((len(anchors), answers.shape[1]), torch.nan)
        table[visited] = answers
    else:
        table = known.to(anchors.labels.device)

    def reference_logits(indices: Tensor, _inputs: dict[str, Tensor]) -> Tensor:
        return table[indices]

    return reference_logits
