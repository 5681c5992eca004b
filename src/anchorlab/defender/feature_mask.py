"""The objective of a mask on features: masked features give the labels, and the rest of them do not.

Xu, Huang, Li, Qin and Ren 2024, Towards Reliable and Efficient Backdoor Trigger Inversion via Decoupling Benign
Features, ICLR. The repair ``bti-dbf`` and the detector ``feature-mask`` learn such a mask.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional


def mask_loss(layer: Callable[[Tensor], Tensor], mask: Tensor, found: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy with masked features less that with the rest of them.

    Args:
        layer: the last layer.
        mask: ``[D]``.
        found: features ``[B, D]``, of the layer's dtype.
        labels: int64 ``[B]``.
    """
    kept, rest = (layer((part * found).to(found.dtype)) for part in (mask, 1 - mask))
    return functional.cross_entropy(kept, labels) - functional.cross_entropy(rest, labels)
