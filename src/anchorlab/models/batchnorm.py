"""BatchNorm by the statistics of the global batch, where several processes share it out.

PyTorch's own ``SyncBatchNorm`` runs on GPUs only. This one runs everywhere, and has the gradient of the
global batch's loss, the statistics included (Ioffe and Szegedy 2015, arXiv 1502.03167).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


@contextmanager
def synchronised_batchnorm(model: nn.Module, processes: int) -> Iterator[None]:
    """Inside, BatchNorm layers in training mode use the statistics of all processes' batches together.

    All processes must bring batches of the same size. With one process, nothing changes.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if processes == 1:
        layers = []
    for layer in layers:
        layer.forward = partial(_forward, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward(layer: nn.modules.batchnorm._BatchNorm, batch: Tensor) -> Tensor:
    if not layer.training:
        return type(layer).forward(layer, batch)
    values = batch.float()
    dimensions = [0, *range(2, batch.dim())]
    own_variance, own_mean = torch.var_mean(values, dimensions, correction=0)
    rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    # Each process fills its own row of a table of zeros, so that the sum is the table of all.
    own = torch.stack([own_mean, own_variance])
    table = _sum_over_processes(nn.functional.pad(own.unsqueeze(0), (0, 0, 0, 0, rank, processes - 1 - rank)))
    means, variances = table.unbind(1)
    mean = means.mean(0)
    variance = variances.mean(0) + (means - mean).square().mean(0)
    _track(layer, mean.detach(), variance.detach(), values.numel() // len(mean) * processes)
    shape = [1, -1] + [1] * (batch.dim() - 2)
    scale = torch.rsqrt(variance + layer.eps)
    if layer.affine:
        scale = scale * layer.weight
    result = (values - mean.view(shape)) * scale.view(shape)
    if layer.affine:
        result = result + layer.bias.view(shape)
    return result.to(batch.dtype)


@torch.no_grad()
def _track(layer: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor, count: int) -> None:
    """Moves the running statistics as BatchNorm does, the variance being the unbiased one."""
    if layer.running_mean is None or layer.running_var is None or layer.num_batches_tracked is None:
        return
    layer.num_batches_tracked.add_(1)
    momentum = 1 / int(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean, momentum)
    layer.running_var.lerp_(variance * count / (count - 1), momentum)


class _Sum(torch.autograd.Function):
    """The sum over all processes. Its gradient is a sum too, because each process's loss depends on it."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total


def _sum_over_processes(values: Tensor) -> Tensor:
    result: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return result
