"""TED: on its way through the layers, a triggered input comes to its class from far away.

Mo, Zhang, Zhang, Luo, Sun, Hu, Gao and Xiang 2024, Robust Backdoor Detection for Deep Learning via Topological
Evolution Dynamics, IEEE S&P (arXiv 2312.02673). In each layer clean examples are ordered by their distance from the
input. The input's rank is the place, from 0, of the first one that the model gives the input's own label. The ranks of
all layers are a vector; an input's score is how far its vector is an outlier among those of the clean examples, each of
them ranked among the others.

Layers are linear layers, convolutions and ReLUs, as in the authors' code, convolutions of one pixel left out, for
networks of any kind. Where a layer puts out a vector for each token, as in a transformer, the vectors of a text's own
tokens are averaged, because flattened texts of different lengths have no distance; all others are flattened.

Where we differ. Their outlier score is that of pyod's PCA, which measures distances to the main directions as if these
were points. Ours is what its source defines (Shyu, Chen, Sarinnapakorn and Chang 2003, A Novel Anomaly Detection Scheme
Based on Principal Component Classifier): the sum over principal components of the squared distance from the mean,
divided by the variance. One is added to each variance, because a rank is a whole number: in late layers all clean ranks
may be 0. Where no clean example has the input's label, their code drops the input and ours gives it the last rank. They
keep 200 clean examples; we keep all that the model answers rightly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data.inputs import rows
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import InputDetector
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import evaluating, logits, passes, predict
from anchorlab.models.device import exact_arithmetic, in_double
from anchorlab.models.hooks import modules_in_call_order
from anchorlab.settings import STRICT

#: The kinds of layers that are looked at.
_LAYERS = (nn.Linear, nn.Conv2d, nn.ReLU)

#: Inputs whose activations are held at once, which bounds memory, and whose distances are taken together.
_TOGETHER = 128

#: Numbers in the activations of the clean examples that are held at once, which bounds memory: 1 GB in float32.
_NUMBERS = 2**28


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TED(InputDetector):
    """How unusual the ranks are at which an input finds its class in each layer."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("mo2024robust", "shyu2003novel")
    needs: ClassVar[str] = "linear layers, convolutions or ReLUs"

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        del inputs
        if not any(_is_layer(module) for module in model.modules()):
            raise AnchorlabError(
                "ted looks into linear layers, convolutions and ReLUs, but the model has none: take a detector that "
                "asks for answers alone"
            )

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``InputDetector``; a score is 0 or more."""
        self.check_model(model, data.train.inputs)
        right = (predict(model, data.train.inputs).argmax(1) == data.train.labels).nonzero().flatten()
        if len(right) < 2:
            raise AnchorlabError(
                f"ted ranks inputs among clean examples that the model answers rightly, but there are {len(right)} of "
                "them: give more clean examples"
            )
        clean = data.train.select(right)
        layers = [layer for layer in modules_in_call_order(model, clean.inputs, _LAYERS) if _is_layer(layer)]
        size, usual, found = len(next(iter(inputs.values()))), [], []
        groups = grouped(model, layers, clean.inputs, _NUMBERS)
        if not groups:
            raise AnchorlabError(
                "ted orders examples by what layers put out, but no linear layer, convolution or ReLU of the model "
                "puts out a vector an input: take a detector that asks for answers alone"
            )
        for done, group in enumerate(groups):
            known, _ = activations(model, group, clean.inputs)
            usual += [ranks(of_clean, clean.labels, of_clean, clean.labels, leave_out=True) for of_clean in known]
            parts = []
            for start in range(0, size, _TOGETHER):
                part = {name: value[start : start + _TOGETHER] for name, value in inputs.items()}
                given, labels = activations(model, group, part)
                parts.append(
                    [ranks(here, labels, there, clean.labels) for here, there in zip(given, known, strict=True)]
                )
                context.report(done * size + min(start + _TOGETHER, size), len(groups) * size, {})
            found += [torch.cat(column) for column in zip(*parts, strict=True)]
        return outlier_scores(torch.stack(usual, 1), torch.stack(found, 1)).cpu().numpy()


@torch.no_grad()
def grouped(
    model: nn.Module, layers: list[nn.Module], inputs: Mapping[str, Tensor], numbers: int
) -> list[list[nn.Module]]:
    """Layers in their order, in groups whose activations of all inputs are so many numbers at most.

    A layer that has more by itself stands alone. One that puts out no vector an input, for example a table of its own,
    is left out: by chance a batch may have as many inputs as it has rows.
    """
    size, room = len(next(iter(inputs.values()))), 0
    two, three = (_widths(model, layers, inputs, count) for count in (2, 3))
    groups: list[list[nn.Module]] = []
    for layer in layers:
        if layer not in two or layer not in three:  # of two inputs alone, a table of two rows looks like vectors
            continue
        needed = size * two[layer]
        if not groups or needed > room:
            groups.append([])
            room = numbers
        groups[-1].append(layer)
        room -= needed
    return groups


def _widths(
    model: nn.Module, layers: list[nn.Module], inputs: Mapping[str, Tensor], count: int
) -> dict[nn.Module, int]:
    """How many numbers an input each layer puts out for the first inputs, of those that put out vectors."""
    some = {name: value[:count] for name, value in inputs.items()}
    device = next(iter(inputs.values())).device
    with exact_arithmetic(device), evaluating(model), _watched(layers) as watched:
        vectors = watched.labels_and_vectors(model, some)[1]
    return {layer: found.shape[1] for layer, found in vectors.items()}


def ranks(given: Tensor, labels: Tensor, clean: Tensor, clean_labels: Tensor, *, leave_out: bool = False) -> Tensor:
    """The rank of the nearest clean example of an input's label: how many clean examples are nearer.

    Args:
        given: what a layer makes of the inputs, ``[N, D]``.
        labels: the inputs' labels, ``[N]``.
        clean: what it makes of clean examples, ``[n, D]``.
        clean_labels: their labels, ``[n]``.
        leave_out: whether the inputs are the clean examples, each of which is ranked among the others.

    Returns:
        float64 ``[N]``; the number of clean examples where none has the label.
    """
    found = []
    for start in range(0, len(given), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        # Without matrix products, which would round small distances away.
        distances = torch.cdist(given[part], clean, compute_mode="donot_use_mm_for_euclid_dist")
        if leave_out:
            own = torch.arange(len(clean), device=clean.device)
            distances = distances.masked_fill(own == own[part, None], torch.inf)
        same = labels[part, None] == clean_labels
        nearest = distances.masked_fill(~same, torch.inf).amin(1, keepdim=True)
        found.append((distances < nearest).sum(1))
    return in_double(torch.cat(found))


def outlier_scores(usual: Tensor, found: Tensor) -> Tensor:
    """How far vectors of ranks lie from those of clean examples.

    Args:
        usual: ranks of the clean examples, ``[n, layers]``.
        found: ranks of the inputs, ``[N, layers]``.

    Returns:
        ``(r - mean)^T (covariance + 1)^-1 (r - mean)``, which is the sum over principal components, float64 ``[N]``.
    """
    mean = usual.mean(0)
    centred = usual - mean
    covariance = centred.T @ centred / len(usual) + torch.eye(usual.shape[1], dtype=usual.dtype, device=usual.device)
    apart = found - mean
    scores: Tensor = (apart * torch.linalg.solve(covariance, apart.T).T).sum(1)
    return scores


@torch.no_grad()
def activations(model: nn.Module, layers: list[nn.Module], inputs: Mapping[str, Tensor]) -> tuple[list[Tensor], Tensor]:
    """What layers put out, float32 ``[N, D]`` each, in the layers' order, and predicted labels, int64 ``[N]``.

    Layers that put out something else than one value, or several vectors, an input are left out.
    """
    first = next(iter(inputs.values()))
    labels = torch.empty(len(first), dtype=torch.int64, device=first.device)
    whole: dict[nn.Module, Tensor] = {}
    present = set(layers)
    with exact_arithmetic(first.device), evaluating(model), _watched(layers) as watched:
        for indices, width in passes(inputs):
            labels[indices], vectors = watched.labels_and_vectors(model, rows(inputs, indices, width))
            present &= set(vectors)
            for layer, found in vectors.items():
                if layer not in whole:
                    whole[layer] = found.new_empty(len(first), found.shape[1])
                whole[layer][indices] = found
    return [whole[layer] for layer in layers if layer in present], labels


class _Watched:
    """Layers whose outputs are kept as vectors at once, because those of all tokens take much memory."""

    def __init__(self) -> None:
        self._batch: Mapping[str, Tensor] = {}
        self._kept: dict[nn.Module, Tensor | None] = {}

    def labels_and_vectors(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[nn.Module, Tensor]]:
        """Predicted labels ``[B]``, and of each layer the vectors ``[B, D]`` that it put out first, if it did."""
        self._batch, self._kept = batch, {}
        labels = logits(model, batch).argmax(1)
        return labels, {layer: kept for layer, kept in self._kept.items() if kept is not None}

    def keep(self, module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        """The hook."""
        if module in self._kept or not isinstance(output, Tensor):
            return
        vectors = _vectors(output, self._batch)
        shares = vectors is not None and vectors.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()
        # A network may go on to change an output in place.
        self._kept[module] = vectors.clone() if vectors is not None and shares else vectors


@contextmanager
def _watched(layers: list[nn.Module]) -> Iterator[_Watched]:
    """Inside, the layers are watched."""
    watched = _Watched()
    handles = [layer.register_forward_hook(watched.keep) for layer in layers]
    try:
        yield watched
    finally:
        for handle in handles:
            handle.remove()


def _vectors(output: Any, batch: Mapping[str, Tensor]) -> Tensor | None:
    """A layer's output as a vector an input, ``[B, D]``; None for what is none."""
    size = len(next(iter(batch.values())))
    if not isinstance(output, Tensor) or output.dim() < 2 or len(output) != size:
        return None
    values = output.detach().float()
    mask = batch.get("attention_mask")
    if mask is None:
        return values.flatten(1)
    if values.dim() == 2:
        return values
    if values.dim() != 3 or values.shape[1] != mask.shape[1]:
        return None
    weights = mask.float()[:, :, None]
    return (values * weights).sum(1) / weights.sum(1)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, _LAYERS) and not (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1))
