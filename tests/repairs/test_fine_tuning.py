"""Fine-tuning lowers the defender's loss, with BatchNorm tracked or frozen."""

from __future__ import annotations

import torch

from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.tuning import cross_entropy


def test_fine_tuning_lowers_the_loss_that_the_defender_sees(suspicious, defender_data, context):
    with torch.no_grad():
        suspicious.classifier[1].weight += 0.5 * torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    tuned = FineTuning(epochs=10).repair(suspicious, defender_data, context)
    with torch.no_grad():
        before, after = (
            cross_entropy(one, defender_data.validation.inputs, defender_data.validation.labels)
            for one in (suspicious, tuned)
        )
    assert after < before
    frozen = FineTuning(epochs=1, batchnorm="frozen").repair(suspicious, defender_data, context)
    buffers = dict(suspicious.named_buffers())
    assert all(torch.equal(value, buffers[name]) for name, value in frozen.named_buffers())
