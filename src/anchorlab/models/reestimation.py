"""BatchNorm's statistics estimated again, for weights that lie between other models' weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anchorlab.data.inputs import rows
from anchorlab.models.call import in_batches, logits

#: Inputs in a batch from which statistics are estimated.
_BATCH = 128


def has_batchnorm(model: nn.Module) -> bool:
    """Whether a model keeps running statistics, which are not right for a model between two."""
    return any(_keeps_statistics(module) for module in model.modules())


@torch.no_grad()
def reestimated(model: nn.Module, inputs: Mapping[str, Tensor]) -> nn.Module:
    """A copy with BatchNorm statistics from some inputs, averaged over batches; no label is needed.

    The right statistics of a model between two are not between theirs. Much of what looks like a barrier is only that
    (Jordan et al. 2023, REPAIR, arXiv 2211.08403). The momentum and the count of batches stay the model's, so that the
    copy trains in memory as it does from its folder.
    """
    fresh = copy.deepcopy(model).eval()
    layers = [module for module in fresh.modules() if isinstance(module, _BatchNorm) and _keeps_statistics(module)]
    kept = [(layer.momentum, copy.deepcopy(layer.num_batches_tracked)) for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over batches
        layer.train()
    batches = list(in_batches(inputs, _BATCH))
    # What is left over would count as much as a whole batch.
    whole = batches[: max(1, len(next(iter(inputs.values()))) // _BATCH)]
    for indices, width in whole:
        logits(fresh, rows(inputs, indices, width))
    for layer, (momentum, count) in zip(layers, kept, strict=True):
        layer.momentum, layer.num_batches_tracked = momentum, count
    return fresh.eval()


def _keeps_statistics(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.track_running_stats
