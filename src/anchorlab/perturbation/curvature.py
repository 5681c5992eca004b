"""Curvature of the clean loss at the reference: Hessian-vector products, extreme eigenvalues, trace, along a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Split
from anchorlab.data.inputs import rows
from anchorlab.models.call import in_batches, logits
from anchorlab.models.device import exact_arithmetic
from anchorlab.perturbation.function import along, differentiable_twice, tangents
from anchorlab.perturbation.weights import Perturbation

Floats = NDArray[np.float64]

#: Examples, and tokens of texts, whose graph is built at once: second derivatives hold several times what first do.
_BATCH, _TOKENS = 128, 2**9

#: Bytes of graphs that are kept between products, and of vectors that Lanczos' method may hold.
_KEPT_GRAPHS, _KEPT_VECTORS = 2**30, 2**31

#: Vectors of Lanczos' method, where memory allows.
_VECTORS = 20

#: Where an eigenvalue is taken as found, relative to it; of power iteration, which is slow, its residual.
_TOLERANCE, _POWER_TOLERANCE = 1e-3, 0.05

#: Entries that are made double at a time.
_PIECE = 2**22

#: Vectors with which Lanczos' method is worth while.
_FEWEST = 4

#: Restarts of Lanczos' method, and steps of power iteration.
_RESTARTS, _POWERS = 20, 50

#: Vectors that ARPACK holds besides those of Lanczos' method.
_WORK = 4


class CleanHessian:
    """The Hessian of the mean clean loss over fixed examples, through its products with vectors, float32.

    A product is a derivative of the gradient's inner product with the vector (Pearlmutter 1994, Neural Computation 6):
    the graph of the gradient costs as much as a gradient, and its derivative twice that. Graphs are kept as long as
    they are small, so that only the latter is paid for each further vector.

    Args:
        model: the reference in evaluation mode, every parameter trainable; it must not move while this lives.
        examples: on the model's device.
        spend: called before each product; may raise to end the work.
    """

    def __init__(self, model: nn.Module, examples: Split, spend: Callable[[], None] = lambda: None) -> None:
        self._model = model
        self._examples = examples
        self._spend = spend
        self._parameters = list(model.parameters())
        self._batches = list(in_batches(examples.inputs, _BATCH, _TOKENS))
        self._kept: dict[int, tuple[Tensor, ...]] = {}
        self._bytes = 0
        self.size = sum(parameter.numel() for parameter in self._parameters)
        self.products = 0

    def product(self, vector: Tensor) -> Tensor:
        """``H v``, ``[d]`` to ``[d]``."""
        self._spend()
        self.products += 1
        sizes = [parameter.numel() for parameter in self._parameters]
        result = torch.zeros_like(vector)
        parts, totals = torch.split(vector, sizes), torch.split(result, sizes)
        with exact_arithmetic(vector.device), differentiable_twice():
            for number in range(len(self._batches)):
                gradient = self._gradient(number)
                inner = torch.stack(
                    [(one * part.view_as(one)).sum() for one, part in zip(gradient, parts, strict=True)]
                ).sum()
                second = torch.autograd.grad(
                    inner,
                    self._parameters,
                    retain_graph=number in self._kept,
                    materialize_grads=True,
                    allow_unused=True,
                )
                for total, one in zip(totals, second, strict=True):
                    total += one.reshape(-1)
        return result

    @property
    def device(self) -> torch.device:
        """Where products are taken."""
        return self._parameters[0].device

    def operator(self) -> LinearOperator:
        """The same for scipy."""

        def product(vector: NDArray[np.float32]) -> NDArray[np.float32]:
            found: NDArray[np.float32] = self.product(torch.from_numpy(vector.ravel()).to(self.device)).cpu().numpy()
            return found

        return LinearOperator((self.size, self.size), matvec=product, dtype=np.float32)

    def _gradient(self, number: int) -> tuple[Tensor, ...]:
        """A batch's part of the gradient, with its graph."""
        if number in self._kept:
            return self._kept[number]
        at, width = self._batches[number]
        held = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal held
            held += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            scores = logits(self._model, rows(self._examples.inputs, at, width))
            labels = self._examples.labels[at]
            loss = functional.cross_entropy(scores, labels, reduction="sum") / len(self._examples)
            gradient = torch.autograd.grad(
                loss, self._parameters, create_graph=True, materialize_grads=True, allow_unused=True
            )
        held += sum(one.nbytes for one in gradient)
        if self._bytes + held <= _KEPT_GRAPHS:
            self._bytes += held
            self._kept[number] = gradient
        return gradient


@dataclass(frozen=True)
class Eigenvalues:
    """The largest eigenvalues found, in falling order, and the norm of ``H v - value v`` for each, ``v`` of norm 1."""

    values: list[float]
    residuals: list[float]


def largest_eigenvalues(hessian: CleanHessian, count: int, *, generator: torch.Generator) -> Eigenvalues:
    """By Lanczos' method with restarts (ARPACK, through scipy); those that converged, if not all did.

    Where memory does not hold the vectors of that method, as for 100 million parameters, power iteration gives one: the
    largest in magnitude.

    Args:
        hessian: of the clean loss.
        count: how many; fewer where memory holds few vectors.
        generator: draws the start, on the CPU.
    """
    start = torch.randn(hessian.size, generator=generator)
    vectors = min(_VECTORS, _KEPT_VECTORS // (4 * hessian.size) - _WORK, hessian.size)
    if vectors < _FEWEST:
        return _by_powers(hessian, start)
    operator = hessian.operator()
    try:
        values, found = eigsh(
            operator,
            k=min(count, vectors // 2),
            which="LA",
            v0=start.numpy(),
            ncv=vectors,
            maxiter=_RESTARTS,
            tol=_TOLERANCE,
        )
    except ArpackNoConvergence as error:
        values, found = error.eigenvalues, error.eigenvectors
    order = np.argsort(values)[::-1]
    residuals = [float(np.linalg.norm(operator @ found[:, one] - values[one] * found[:, one])) for one in order]
    return Eigenvalues([float(values[one]) for one in order], residuals)


def _by_powers(hessian: CleanHessian, start: Tensor) -> Eigenvalues:
    """Until the residual is small against the value."""
    vector = (start / start.norm()).to(hessian.device)
    for _ in range(_POWERS):
        moved = hessian.product(vector)
        value = float(vector @ moved)
        residual = float((moved - value * vector).norm())
        if residual <= _POWER_TOLERANCE * abs(value):
            break
        vector = moved / moved.norm().clamp(min=1e-30)
    return Eigenvalues([value], [residual])


def trace(
    hessian: CleanHessian,
    count: int,
    *,
    generator: torch.Generator,
    device: torch.device,
    report: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """An unbiased estimate of the trace with its standard error (Hutchinson 1990, with random signs).

    Args:
        hessian: of the clean loss.
        count: random vectors, at least 2.
        generator: draws them, on the CPU.
        device: of the products.
        report: called after each product.
    """
    samples = []
    for _ in range(count):
        signs = (
            torch.randint(0, 2, (hessian.size,), generator=generator, dtype=torch.float32).mul_(2).sub_(1).to(device)
        )
        samples.append(inner_product(signs, hessian.product(signs)))
        report()
    return float(np.mean(samples)), float(np.std(samples, ddof=1) / np.sqrt(count))


def inner_product(one: Tensor, other: Tensor) -> float:
    """Of two vectors, summed in double precision a piece at a time."""
    pieces = zip(one.split(_PIECE), other.split(_PIECE), strict=True)  # type: ignore[no-untyped-call]
    return sum(float((a.double() * b.double()).sum()) for a, b in pieces)


def second_derivative(model: nn.Module, perturbation: Perturbation, examples: Split) -> Floats:
    """``d' H_i d`` for each example's loss: its second derivative along the change, ``[N]``.

    By reverse mode alone, twice along the change and once for the examples' weights, because forward mode over forward
    mode gives wrong second derivatives of LayerNorm (seen with PyTorch 2.13).

    Args:
        model: the reference, in evaluation mode.
        perturbation: the change ``d``; its buffers do not count.
        examples: on the model's device.
    """
    weights, changes = tangents(model, perturbation)
    result = torch.empty(len(examples), dtype=torch.float64)
    with exact_arithmetic(examples.labels.device), differentiable_twice():
        for at, width in in_batches(examples.inputs, _BATCH, _TOKENS // 4):
            labels = examples.labels[at]
            scale = torch.zeros((), device=labels.device, requires_grad=True)
            share = torch.ones(len(labels), device=labels.device, requires_grad=True)
            moved = {name: value + scale * changes[name] for name, value in weights.items()}
            scores = along(model, weights, rows(examples.inputs, at, width))(moved)
            losses = functional.cross_entropy(scores, labels, reduction="none")
            (slope,) = torch.autograd.grad((share * losses).sum(), scale, create_graph=True)
            (second,) = torch.autograd.grad(slope, scale, create_graph=True)
            (each,) = torch.autograd.grad(second, share)
            result[at.cpu() if isinstance(at, Tensor) else at] = each.double().cpu()
    return result.numpy()
