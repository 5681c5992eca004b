"""IBD-PSC: the answer to a triggered input survives when the last BatchNorm layers are amplified.

Hou, Feng, Hua, Luo, Zhang and Li 2024, IBD-PSC: Input-level Backdoor Detection via Parameter-oriented Scaling
Consistency, ICML (arXiv 2405.09786). The weights and biases of the last k BatchNorm layers are multiplied by 1.5, then
those of the last k + 1, and so on: n models. An input's score is the mean probability that they give to the label that
the model itself predicts. The number k is the smallest with which more than 60% of clean examples are answered wrongly.

Where we differ. Layers count in the order in which a forward pass calls them; the authors' code takes the order in
which the modules were written. It amplifies the last k + 1 to k + n layers, we the last k to k + n - 1. Where a network
has too few layers for that, it takes all layers several times, and we have fewer models. If no k reaches 60%, it ends
with an error; we take the n largest numbers of layers that there are, and a notice says so. On two classes of equal
size a model that gives all the same label errs on half, so that no k may reach it. It chooses k on clean examples as we
do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.data.inputs import kind_of
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import InputDetector
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.device import in_double
from anchorlab.models.hooks import modules_in_call_order
from anchorlab.notices import notice
from anchorlab.settings import STRICT

#: BatchNorm of any number of dimensions.
_BatchNorm = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True, kw_only=True, config=STRICT)
class IBDPSC(InputDetector):
    """The probability of the predicted label under amplified BatchNorm layers."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("hou2024ibd",)
    needs: ClassVar[str] = "BatchNorm with weights"
    modality: ClassVar[Modality] = "image"

    models: int = Field(default=5, ge=1, le=1000, description="models with amplified layers")
    scale: float = Field(default=1.5, gt=1, description="factor of the weights and biases of these layers")
    error: float = Field(
        default=0.6,
        ge=0,
        lt=1,
        description="share of clean examples that the model with the fewest amplified layers answers wrongly",
    )

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        del inputs
        if not any(_is_scalable(module) for module in model.modules()):
            raise AnchorlabError(
                "ibd-psc amplifies BatchNorm layers, but the model has none with weights: take another detector, for "
                "example strip"
            )

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``InputDetector``; a score is between 0 and 1."""
        self.check_model(model, data.train.inputs)
        if kind_of(inputs) != "image":
            raise AnchorlabError(f"ibd-psc reads images, but the inputs are {', '.join(inputs)}: take another detector")
        norms = [norm for norm in modules_in_call_order(model, data.train.inputs, _BatchNorm) if _is_scalable(norm)]
        first = self.fewest(model, norms, data)
        counts = range(first, min(first + self.models, len(norms) + 1))
        labels = predict(model, inputs).argmax(1, keepdim=True)
        total = in_double(torch.zeros(len(labels), device=labels.device))
        labels = labels.to(total.device)
        for done, count in enumerate(counts, 1):
            with amplified(norms[-count:], self.scale):
                total += in_double(predict(model, inputs)).softmax(1).gather(1, labels)[:, 0]
            context.report(done, len(counts), {})
        return (total / len(counts)).cpu().numpy()

    def fewest(self, model: nn.Module, norms: Sequence[nn.Module], data: DefenderData) -> int:
        """The number k of the last layers: the smallest with which enough clean examples are answered wrongly."""
        largest = max(1, len(norms) - self.models + 1)
        for count in range(1, len(norms) + 1):
            with amplified(norms[-count:], self.scale):
                wrong = predict(model, data.train.inputs).argmax(1) != data.train.labels
            if in_double(wrong).mean() > self.error:
                return count
        notice(
            f"ibd-psc amplifies the last {largest} to {len(norms)} layers, the most that there are, because with no "
            f"number of them the model answers more than {self.error:.0%} of clean examples wrongly, as where it gives "
            "all one of two labels: a smaller error lets it choose the number"
        )
        return largest


def _is_scalable(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.affine


@contextmanager
def amplified(norms: Sequence[nn.Module], scale: float) -> Iterator[None]:
    """Inside, the weights and biases of some BatchNorm layers are multiplied by a factor; after that, as before."""
    kept = [(parameter, parameter.detach().clone()) for norm in norms for parameter in norm.parameters()]
    try:
        with torch.no_grad():
            for parameter, _ in kept:
                parameter.mul_(scale)
        yield
    finally:
        with torch.no_grad():
            for parameter, before in kept:
                parameter.copy_(before)
