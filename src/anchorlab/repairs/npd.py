"""NPD: neural polarizer defence, a linear layer in front of one late convolution that filters the trigger out.

Zhu, Wei, Zha and Wu 2023, Neural Polarizer: A Lightweight and Effective Backdoor Defense via Purifying Poisoned
Features, NeurIPS (arXiv 2306.16697). All weights stay; only a 1 x 1 convolution in front of a late convolution is
learned, from the identity. In each step images are perturbed, within an L2 ball, towards the label that is most likely
after the true one. The loss is the cross-entropy on clean images, plus that of perturbed ones towards what the model
says of them clean, plus ``-log(1 - p)`` for the likeliest wrong label and for the label that the perturbation wants.

The weights, the ball and the search are those of the authors' code in BackdoorBench for CIFAR-10, 32 by 32 pixels in
colour; images do not vary, as there. Their search ends as soon as it leads 60% of a batch to its labels, and ours after
all its steps. There the layer has a BatchNorm after it by default, and stays in the network; ours has none, as their
form ``onlyconv``, so that it folds into the convolution exactly, and the repaired model has the architecture that it
had. The layer lies before the first convolution of the last residual block there; here before the last but one with a
kernel larger than one pixel. AdamW in the shared loop, where they take SGD, at their rate of 0.01, because the layer is
one matrix that begins as the identity. We take the length and the batches of the other repairs, 20 passes of 32,
without weight decay. They warm up for 5 passes at 1e-4 on clean images, and then take 50, in batches of 128, with a
weight decay of 5e-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import logits
from anchorlab.models.hooks import check_own_weights, modules_in_call_order
from anchorlab.repairs.base import Repair
from anchorlab.repairs.clean_batches import Augment
from anchorlab.repairs.i_bau import perturb
from anchorlab.repairs.sau import log_complement
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import LARGEST_REPETITION, STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NPD(Schedule, Repair):
    """Learns a linear filter in front of one late convolution."""

    cites: ClassVar[tuple[str, ...]] = ("zhu2023neural",)
    needs: ClassVar[str] = "a convolution behind the first that mixes all channels"
    modality: ClassVar[Modality] = "image"
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"learning_rate": (3e-3, 3e-2), "radius": (1.5, 6.0)}

    learning_rate: float = Field(default=1e-2, gt=0, description="peak learning rate of AdamW, one-cycle")
    augment: Augment = "none"
    radius: float = Field(default=3.0, gt=0, description="largest L2 norm of a perturbation, pixels being 0 to 1")
    search_steps: int = Field(default=2, ge=1, le=LARGEST_REPETITION, description="steps of a search")
    search_rate: float = Field(default=0.1, gt=0, description="change of a pixel in a step of a search")
    perturbed: float = Field(default=0.4, ge=0, description="weight of the cross-entropy on perturbed images")
    wrong: float = Field(default=0.4, ge=0, description="weight of the likeliest wrong label")
    wanted: float = Field(default=0.4, ge=0, description="weight of the label that a perturbation wants")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: each step of a search, then clean and perturbed examples."""
        return (self.search_steps + 2) * self.epochs * examples

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        late_convolution(model, inputs)

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = copied(model)
        filtered = Filtered(repaired.requires_grad_(False), late_convolution(repaired, data.train.inputs))
        tune(filtered, data, self, context, name="NPD", loss=self._loss)
        filtered.fold()
        return repaired.requires_grad_()

    def _loss(self, model: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        pixels, clean = inputs["pixel_values"], logits(model, inputs)
        wanted = _without(clean.detach(), labels).argmax(1)
        images = perturb(pixels, self.search(model, pixels, wanted))
        answers = logits(model, {"pixel_values": images})
        wrong = _without(answers.detach(), labels).argmax(1)
        return (
            functional.cross_entropy(clean, labels)
            + self.perturbed * functional.cross_entropy(answers, clean.detach().argmax(1))
            - self.wrong * log_complement(answers, wrong).mean()
            - self.wanted * log_complement(answers, wanted).mean()
        )

    def search(self, model: nn.Module, pixels: Tensor, wanted: Tensor) -> Tensor:
        """Perturbations, float32 ``[B, C, H, W]`` on the scale 0 to 1, that lead images towards labels."""
        perturbation = torch.zeros(pixels.shape, device=pixels.device)
        for _ in range(self.search_steps):
            leaf = perturbation.requires_grad_()
            loss = functional.cross_entropy(logits(model, {"pixel_values": perturb(pixels, leaf)}), wanted)
            (slope,) = torch.autograd.grad(loss, leaf)
            stepped = leaf.detach() - self.search_rate * slope.sign()
            norms = stepped.flatten(1).norm(dim=1).clamp(min=1e-12)
            perturbation = stepped * (self.radius / norms).clamp(max=1).view(-1, 1, 1, 1)
        return perturbation


class Filtered(nn.Module):
    """A network with a 1 x 1 convolution, at first the identity, in front of one of its convolutions.

    Both are one convolution, whose weight is the product of the two.

    Args:
        net: the network.
        convolution: the name of the convolution in it, of one group.
    """

    def __init__(self, net: nn.Module, convolution: str) -> None:
        super().__init__()
        self.net = net
        self.name = f"{convolution}.weight"
        weight = net.get_parameter(self.name)
        self.filter = nn.Parameter(torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device))

    def forward(self, **inputs: Tensor) -> Tensor:
        """The logits of a batch."""
        return logits(self.net, inputs, {self.name: self._product()})

    @torch.no_grad()
    def fold(self) -> None:
        """Makes the filter a part of the network."""
        self.net.get_parameter(self.name).copy_(self._product())

    def _product(self) -> Tensor:
        return torch.einsum("oikl,ij->ojkl", self.net.get_parameter(self.name), self.filter)


def late_convolution(model: nn.Module, inputs: Mapping[str, Tensor]) -> str:
    """The name of the last but one convolution with a kernel larger than one pixel.

    It is never the first that is called, in front of which lies the image. With one larger kernel behind that, it is
    that one; with none, as where all but the first look at single channels, the last but one that mixes channels.

    Args:
        model: the model, in evaluation mode.
        inputs: at least one example.

    Raises:
        AnchorlabError: if the model has no convolution behind the first that mixes all channels, or the chosen one
            computes its weight from other parameters.
    """
    called = [module for module in modules_in_call_order(model, inputs, nn.Conv2d) if isinstance(module, nn.Conv2d)]
    if not called:
        raise AnchorlabError("NPD filters what enters a convolution, but the model has none: take another repair")
    mixing = [module for module in called[1:] if module.groups == 1]
    if not mixing:
        raise AnchorlabError(
            "NPD filters what enters a convolution behind the first, in front of which lies the image, but the model "
            "has none that mixes all channels: take another repair"
        )
    late = [module for module in mixing if max(module.kernel_size) > 1] or mixing
    chosen = late[max(len(late) - 2, 0)]
    check_own_weights(model, [chosen])
    names: dict[nn.Module, str] = {module: name for name, module in model.named_modules()}
    return names[chosen]


def _without(answers: Tensor, labels: Tensor) -> Tensor:
    """Logits ``[B, C]`` without those of the labels."""
    return answers.scatter(1, labels[:, None], -torch.inf)
