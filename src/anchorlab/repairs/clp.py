"""CLP: channels with a large Lipschitz constant are pruned, without any data.

Zheng et al. 2022, Data-free Backdoor Removal based on Channel Lipschitzness, ECCV (arXiv 2208.03111). The upper bound
of a channel's constant is the largest singular value of its filter, as a matrix ``[inputs, height x width]``, times the
factor of its BatchNorm. A channel is pruned if it lies more than ``deviations`` standard deviations above its layer's
mean; of n channels none lies more than the root of n - 1 above it, so that at 3 layers of ten or fewer lose none.
Examples serve only to find which layer follows which: a convolution's BatchNorm is the one that is called next, also
where that normalises a sum. As in the authors' code, it is the BatchNorm that is pruned, and convolutions without one
stay; a network without any BatchNorm loses channels of its convolutions, which their code leaves alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.repairs.base import Repair
from anchorlab.repairs.channels import Channels, channels_of
from anchorlab.repairs.tuning import copied
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CLP(Repair):
    """Prunes channels that amplify too much."""

    cites: ClassVar[tuple[str, ...]] = ("zheng2022data",)
    needs: ClassVar[str] = "convolutions"
    modality: ClassVar[Modality] = "image"
    min_examples: ClassVar[int] = 1
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"deviations": (2.0, 4.0)}

    deviations: float = Field(default=3.0, ge=0, description="standard deviations above the layer's mean")

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        channels_of(model, inputs, "CLP")

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = copied(model)
        layers = channels_of(repaired, data.train.inputs, "CLP")
        layers = [channels for channels in layers if channels.norm is not None] or layers
        pruned = 0
        for channels in layers:
            bounds = lipschitz_bounds(channels)
            outliers = bounds > bounds.mean() + self.deviations * bounds.std(unbiased=False)
            channels.prune(outliers)
            pruned += int(outliers.sum())
        if pruned == 0:
            context.notes.append(self._why_nothing(layers))
        return repaired

    def _why_nothing(self, layers: Sequence[Channels]) -> str:
        outliers = f"no channel lies more than {self.deviations:g} standard deviations above its layer's mean"
        if all(channels.norm is None for channels in layers):
            return f"nothing was pruned, because the network has no BatchNorm that scales channels, and {outliers}"
        return f"nothing was pruned, because {outliers}"


@torch.no_grad()
def lipschitz_bounds(channels: Channels) -> Tensor:
    """The upper bound of each channel's Lipschitz constant, ``[C]``."""
    filters = channels.convolution.weight.float()
    bounds: Tensor = torch.linalg.matrix_norm(filters.flatten(2), ord=2)
    if channels.norm is not None and channels.norm.running_var is not None:
        scale = (channels.norm.running_var + channels.norm.eps).rsqrt()
        bounds = bounds * scale * (channels.norm.weight.abs() if channels.norm.affine else 1)
    return bounds
