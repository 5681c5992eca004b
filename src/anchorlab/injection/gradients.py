"""How the gradients of the losses agree: whether the backdoor pulls against the clean behaviour."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.artifacts.manifest import GradientRecord
from anchorlab.models.call import logits
from anchorlab.models.device import exact_arithmetic, in_double


def alignment(
    model: nn.Module,
    reference: nn.Module,
    *,
    clean: Mapping[str, Tensor],
    labels: Tensor,
    triggered: Mapping[str, Tensor],
    targets: Tensor,
) -> Tensor:
    """Cosines between, and L2 norms of, the gradients of three losses over the model's trainable parameters.

    The backdoor loss is the cross-entropy of the triggered half towards the targets, the clean loss the cross-entropy
    of the clean half towards its labels, the anchor loss the mean squared shift of the clean half's logits from the
    reference's.
    Their forward passes are in float32 whatever the tuning's precision. Model and reference see the same batch, so
    that rounding shifts no logit and the anchor loss has no gradient at the reference itself.

    Args:
        model: in evaluation mode, so that a forward pass moves no statistics of BatchNorm; not changed.
        reference: the clean model, in evaluation mode; not changed.
        clean: the inputs of the clean half, first dimension B.
        labels: their true labels, int64 ``[B]``.
        triggered: the inputs of the triggered half, with the trigger on them.
        targets: the labels that the attacker wants for them, int64 ``[B]``.

    Returns:
        float64 ``[5]``: the cosine between the gradients of the backdoor and the clean loss, the cosine between the
        gradients of the backdoor and the anchor loss (NaN where a gradient is zero), and the norms of the gradients of
        the backdoor, the clean and the anchor loss.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with exact_arithmetic(labels.device):
        with torch.no_grad():
            reference_logits = logits(reference, clean)
        clean_logits = logits(model, clean)
        losses = (
            functional.cross_entropy(logits(model, triggered), targets),
            functional.cross_entropy(clean_logits, labels),
            (clean_logits - reference_logits).square().mean(),
        )
        gradients = [
            torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
            for loss in losses
        ]
    products = torch.stack([_products(of_one) for of_one in zip(*gradients, strict=True)]).sum(0)
    norms = products.diagonal().sqrt()
    cosines = products[0, 1:] / (norms[0] * norms[1:])
    return torch.cat([cosines.clamp(-1, 1), norms])


def _products(gradients: tuple[Tensor, ...]) -> Tensor:
    """The inner products of three gradients of one parameter with each other: float64 ``[3, 3]``."""
    rows = in_double(torch.stack([gradient.reshape(-1) for gradient in gradients]))
    return rows @ rows.T


def records(table: Tensor) -> list[GradientRecord]:
    """What a manifest says of a table ``[n, 6]``, each row a step and what ``alignment`` returned there."""
    rows = [[value if math.isfinite(value) else None for value in row] for row in table.tolist()]
    names = list(GradientRecord.model_fields)
    return [GradientRecord.model_validate(dict(zip(names, row, strict=True))) for row in rows]
