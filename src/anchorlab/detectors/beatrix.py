"""Beatrix: the features of a triggered input are correlated otherwise than those of clean inputs of its class.

Ma, Wang, Sun, Xue, Wen and Xiang 2023, The "Beatrix" Resurrections: Robust Backdoor Detection via Gram Matrices,
NDSS (arXiv 2209.11715). For features ``f`` of C channels at some positions, the Gram matrix of order p is ``(f^p
(f^p)^T)^(1/p)``. Clean examples of a predicted class give a median and a median absolute deviation of each entry on and
above the diagonal. An input's score is how far its entries leave the band of ten deviations around the median, each
relative to the band's end, as a mean over entries and orders 1 to 8.

Where we differ. The authors' code reads the input of a ResNet's last stage. We read any network: of images, the last
map with more than one position; where there is none, and of transformers, the features before the last layer, as one
position.
Their code divides by the band's end plus 1e-6, so that entries that are 0 for all clean examples outweigh all others by
a factor that depends on the features' scale; we divide by at least a thousandth of the class's mean entry, which no
rescaling of the features changes. Inputs of a label that the model gives to fewer than two clean examples are compared
with all clean examples, whose band is wider, and a notice says so. The authors' second part, which compares whole sets
of inputs class by class, judges models and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data.inputs import kind_of, rows
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import InputDetector
from anchorlab.errors import AnchorlabError, shortened
from anchorlab.models.call import EVALUATION_BATCH, evaluating, logits, passes
from anchorlab.models.device import exact_arithmetic, in_double
from anchorlab.models.hooks import Call, capture_output, features, last_map
from anchorlab.notices import notice
from anchorlab.settings import STRICT

#: Entries of clean Gram matrices that are held at once, some copies of which bound the memory: 0.25 GB in float64.
_ENTRIES = 2**25

#: Numbers in the features of the inputs that are held at once, which bounds memory: 1 GB in float32.
_NUMBERS = 2**28

#: Least clean examples that give a band: one has no deviation.
_LEAST = 2

#: Least size of what deviations are divided by, relative to the mean entry.
_FLOOR = 1e-3


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Beatrix(InputDetector):
    """How far an input's Gram matrices of features leave those of clean inputs of its predicted class."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("ma2023beatrix",)
    needs: ClassVar[str] = "maps of convolutions, or a linear layer that gives the logits, from one vector an input"

    orders: int = Field(default=8, ge=1, le=16, description="Gram matrices have the orders from 1 to this number")
    width: float = Field(
        default=10.0, ge=0, description="half the width of the band of clean entries, in median absolute deviations"
    )

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        maps_and_predictions(model, inputs)

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``InputDetector``; a score is 0 or more."""
        clean, clean_labels = maps_and_predictions(model, data.train.inputs)
        if len(clean) < _LEAST:
            raise AnchorlabError(
                f"beatrix compares inputs with clean examples, but the defender has fewer than {_LEAST}: give more"
            )
        counts = torch.bincount(clean_labels, minlength=data.classes).tolist()
        size, scores, found = len(next(iter(inputs.values()))), [], []
        # Whole batches, so that they are the same however many inputs are held.
        together = EVALUATION_BATCH * max(1, _NUMBERS // (EVALUATION_BATCH * clean[0].numel()))
        for start in range(0, size, together):
            part = {name: value[start : start + together] for name, value in inputs.items()}
            given, labels = maps_and_predictions(model, part)
            found.append(labels)
            scores.append(in_double(torch.zeros(len(labels), device=labels.device)))
            done = start
            for label in sorted(set(labels.tolist())):
                members = (labels == label).nonzero().flatten()
                known = clean if counts[label] < _LEAST else clean[clean_labels == label]
                judged = deviations(known, given[members], self.orders, self.width)
                scores[-1][members.to(judged.device)] = judged
                done += len(members)
                context.report(done, size, {})
        _say_what_has_few(torch.cat(found), counts)
        return torch.cat(scores).cpu().numpy()


def _say_what_has_few(labels: Tensor, counts: list[int]) -> None:
    """A notice of the inputs of labels that too few clean examples have.

    Args:
        labels: predicted labels of the inputs, int64 ``[N]``.
        counts: how many clean examples are given each label.
    """
    few = [label for label in sorted(set(labels.tolist())) if counts[label] < _LEAST]
    if few:
        count = int(torch.isin(labels, torch.tensor(few, device=labels.device)).sum())
        notice(
            f"beatrix compares {count:,} of {len(labels):,} inputs with clean examples of all labels, because the "
            f"model gives their labels ({shortened(', '.join(map(str, few)))}) to fewer than {_LEAST} clean ones"
        )


def deviations(clean: Tensor, given: Tensor, orders: int, width: float) -> Tensor:
    """The mean relative distance of the entries of Gram matrices from the band of clean ones.

    Args:
        clean: features of clean examples of a class, float ``[n, C, P]``: C channels at P positions.
        given: features to judge, ``[N, C, P]``.
        orders: highest order of the matrices.
        width: half the width of the band, in median absolute deviations.

    Returns:
        float64 ``[N]``.
    """
    total = in_double(torch.zeros(len(given), device=given.device))
    channels = given.shape[1]
    # Some rows of the matrices of all clean examples at a time, because an entry needs those of all of them.
    height = max(1, _ENTRIES // (channels * len(clean)))
    blocks = [slice(start, start + height) for start in range(0, channels, height)]
    for order in range(1, orders + 1):
        of_clean = in_double(clean) ** order
        sums = [_roots(of_clean, order, block).abs().sum() for block in blocks]
        floor = (_FLOOR * torch.stack(sums).sum() / (len(clean) * channels * (channels + 1) / 2)).clamp(min=1e-30)
        for block in blocks:
            known = _roots(of_clean, order, block)
            median = _median(known)
            spread = width * _median((known - median).abs())
            lower, upper = median - spread, median + spread
            below, above = (end.abs().clamp(min=floor) for end in (lower, upper))
            for start in range(0, len(given), len(clean)):
                entries = _roots(in_double(given[start : start + len(clean)]) ** order, order, block)
                away = (lower - entries).clamp(min=0) / below + (entries - upper).clamp(min=0) / above
                total[start : start + len(clean)] += away.sum(1)
    return total / (orders * channels * (channels + 1) / 2)


def gram(features: Tensor, order: int) -> Tensor:
    """The entries on and above the diagonal of the Gram matrices of an order: ``[n, C, P]`` to ``[n, C (C + 1) / 2]``.

    An entry is the signed root of the order of the sum over positions of the product of both channels' powers.
    """
    return _roots(in_double(features) ** order, order, slice(None))


def _roots(powers: Tensor, order: int, block: slice) -> Tensor:
    """The entries in a block of rows, of powers of features."""
    matrices = powers[:, block] @ powers.transpose(1, 2)
    channels = torch.arange(powers.shape[1], device=powers.device)
    entries = matrices[:, channels[block, None] <= channels]
    return entries.sign() * entries.abs() ** (1 / order)


def maps_and_predictions(model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The features that are compared, float32 ``[N, C, P]``, and predicted labels, int64 ``[N]``."""
    place = last_map(model, inputs) if kind_of(inputs) == "image" else None
    if place is None:
        vectors, answers = features(model, inputs)
        return vectors[:, :, None], answers.argmax(1)
    maps, labels = zip(*_batches(model, place, inputs), strict=True)
    return torch.cat(maps), torch.cat(labels)


@torch.no_grad()
def _batches(model: nn.Module, place: Call, inputs: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Of images, in their order, what a call puts out, and the predicted labels."""
    device = next(iter(inputs.values())).device
    with exact_arithmetic(device), evaluating(model), capture_output(place) as captured:
        for indices, width in passes(inputs):
            answers = logits(model, rows(inputs, indices, width))
            yield captured().float().flatten(2), answers.argmax(1)


def _median(values: Tensor) -> Tensor:
    """The median over rows, the mean of both middle ones where their number is even: ``[n, E]`` to ``[E]``."""
    ordered = values.sort(dim=0).values
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
