"""Channels of convolutional networks: which BatchNorm follows which convolution, and how a channel is pruned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.call import logits
from anchorlab.models.hooks import check_own_weights, modules_in_call_order


@dataclass(frozen=True, eq=False)
class Channels:
    """A convolution with the BatchNorm that is called right after it, if there is one.

    Attributes:
        convolution: the convolution.
        norm: the BatchNorm.
        shared: whether what the convolution puts out goes elsewhere than into that BatchNorm too, or as a part of a sum
            alone, as in residual networks that normalise before they convolve.
    """

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d | None
    shared: bool = False

    @property
    def output(self) -> nn.Module:
        """The module that puts the channels out."""
        return self.norm or self.convolution

    @torch.no_grad()
    def prune(self, which: Tensor) -> None:
        """Makes channels (bool ``[C]``) put out 0 for all inputs.

        The convolution's go too, which changes no answer, unless others read them.
        """
        alone = self.shared and self.norm is not None and self.norm.affine
        for module in (None if alone else self.convolution, self.norm):
            for values in (module.weight, module.bias) if module is not None else ():
                if values is not None:
                    values[which] = 0
        # Without a weight of its own it puts out its mean, turned round, for a channel of zeros.
        if self.norm is not None and not self.norm.affine and self.norm.running_mean is not None:
            self.norm.running_mean[which] = 0


def channels_of(model: nn.Module, inputs: Mapping[str, Tensor], name: str) -> list[Channels]:
    """The convolutions of a model in the order in which they are called.

    Args:
        model: a model in evaluation mode.
        inputs: inputs of at least one example, on its device.
        name: name of the repair, for messages.

    Raises:
        AnchorlabError: if the model has no convolutions, or one that computes its weight from other parameters.
    """
    modules = modules_in_call_order(model, inputs, (nn.Conv2d, nn.BatchNorm2d))
    takers = _takers(model, inputs)
    channels = []
    for index, module in enumerate(modules):
        if isinstance(module, nn.Conv2d):
            after = modules[index + 1] if index + 1 < len(modules) else None
            fits = isinstance(after, nn.BatchNorm2d) and after.num_features == module.out_channels
            norm = after if fits and isinstance(after, nn.BatchNorm2d) else None
            channels.append(Channels(module, norm, shared=takers[module] != {norm}))
    if not channels:
        raise AnchorlabError(f"{name} prunes or compares convolutions, but the model has none: take another repair")
    check_own_weights(model, modules)
    return channels


@torch.no_grad()
def _takers(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[nn.Module, set[nn.Module]]:
    """For each convolution, the modules that are given just what it puts out, in a pass of the first example."""
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    takers: dict[nn.Module, set[nn.Module]] = {module: set() for module in convolutions}
    put_out: list[tuple[nn.Module, Tensor, int]] = []

    def give(module: nn.Module, _args: tuple[object, ...], output: Tensor) -> None:
        put_out.append((module, output, output._version))

    def take(module: nn.Module, args: tuple[object, ...]) -> None:
        # A sum in place is the same tensor, of a later version.
        for source, tensor, version in put_out:
            if any(arg is tensor for arg in args) and tensor._version == version:
                takers[source].add(module)

    handles = [module.register_forward_hook(give) for module in convolutions]
    handles += [module.register_forward_pre_hook(take) for module in model.modules()]
    try:
        logits(model, {name: value[:1] for name, value in inputs.items()})
    finally:
        for handle in handles:
            handle.remove()
    return takers
