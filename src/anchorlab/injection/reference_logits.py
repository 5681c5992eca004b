"""Where the reference's logits come from during a run: computed once and looked up, or computed in every step.

Either way in the precision of the run. Otherwise the anchors would seem to have moved before the first step, by the
rounding of the candidate's logits alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anchorlab.data import Split
from anchorlab.injection.objective import ReferenceLogits
from anchorlab.injection.tuning import Tuning
from anchorlab.models.call import answers_in_batches, logits, predict
from anchorlab.models.device import mixed_precision


def computed_logits(reference: nn.Module, precision: str) -> ReferenceLogits:
    """Reference logits by a second forward pass, for inputs that are never the same twice.

    Args:
        reference: on the device of the inputs, in evaluation mode.
        precision: of the run.
    """

    def reference_logits(indices: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        with torch.no_grad(), mixed_precision(precision, indices.device):
            return logits(reference, inputs)

    return reference_logits


def stored_logits(
    reference: nn.Module,
    anchors: Split,
    visited: Tensor,
    tuning: Tuning,
    *,
    known: Tensor | None = None,
    processes: int = 1,
) -> ReferenceLogits:
    """Reference logits that are computed once, for the anchors that the run will visit, and looked up.

    Called in the arithmetic of the run (``models.device.run_arithmetic``).

    Args:
        reference: on the device of the anchors.
        anchors: N clean examples.
        visited: indices of the anchors that the run will visit, int64 ``[V]``.
        tuning: how the run computes.
        known: the logits of all anchors in exact float32, ``[N, C]``, if they are known; a run in exact float32 takes
            them, and nothing is computed.
        processes: that share out each batch.
    """
    device = anchors.labels.device
    exact = tuning.precision == "no" and (tuning.deterministic or device.type != "cuda")
    if exact and known is not None:
        table = known.to(device)
    else:
        if exact:
            answers = predict(reference, anchors.select(visited).inputs)
        else:
            answers = _as_in_a_step(reference, anchors.select(visited), tuning.precision, _rows(tuning, processes))
        # Rows that are never visited stay NaN, so that a wrong index could not go unnoticed.
        table = answers.new_full((len(anchors), answers.shape[1]), torch.nan)
        table[visited] = answers

    def reference_logits(indices: Tensor, _inputs: dict[str, Tensor]) -> Tensor:
        return table[indices]

    return reference_logits


def _rows(tuning: Tuning, processes: int) -> int:
    """Examples in a process's forward pass of a step: both halves."""
    return 2 * tuning.batch_size // processes


def _as_in_a_step(reference: nn.Module, examples: Split, precision: str, size: int) -> Tensor:
    """Logits in the precision of a run, float32 ``[N, C]``, rounded as in the run's own steps.

    All batches have the size of a step's, because for another size the libraries may take another algorithm, which
    rounds otherwise. The last batch is filled up with examples that had their turn.
    """
    count = -(-len(examples) // size) * size
    turns = torch.arange(count, device=examples.labels.device) % len(examples)
    with mixed_precision(precision, examples.labels.device):
        return answers_in_batches(reference, examples.select(turns).inputs, batch_size=size)[: len(examples)]
