"""Curvature of the clean loss at the reference: the Hessian's largest eigenvalues and its trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Split
from anchorlab.data.inputs import rows
from anchorlab.models.call import in_batches, logits
from anchorlab.models.device import exact_arithmetic, in_double
from anchorlab.perturbation.context import Context
from anchorlab.perturbation.derivatives import differentiable_twice
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Cost, Kinds
from anchorlab.perturbation.wording import digits, rows_where, sentence
from anchorlab.seeding import generator

#: Examples, and tokens of texts, whose graph is built at once: second derivatives hold several times what first do.
BATCH, TOKENS = 128, 2**9

#: Bytes of graphs that are kept between products, and of vectors that Lanczos' method may hold.
_KEPT_GRAPHS, _KEPT_VECTORS = 2**30, 2**31

#: Vectors of Lanczos' method, where memory allows; more where many eigenvalues are asked for.
_VECTORS = 20

#: Tolerance of an eigenvalue, relative to it; of power iteration, which is slow, tolerance of its residual.
_TOLERANCE, _POWER_TOLERANCE = 1e-3, 0.05

#: Entries that are made double at a time.
_PIECE = 2**22

#: Vectors with which Lanczos' method is worth while.
_FEWEST = 4

#: Restarts of Lanczos' method, and steps of power iteration.
_RESTARTS, _POWERS = 20, 50

#: Vectors that ARPACK holds besides the Lanczos vectors.
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
        self._batches = list(in_batches(examples.inputs, BATCH, TOKENS))
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
                    [(own * part.view_as(own)).sum() for own, part in zip(gradient, parts, strict=True)]
                ).sum()
                second = torch.autograd.grad(
                    inner,
                    self._parameters,
                    retain_graph=number in self._kept,
                    materialize_grads=True,
                    allow_unused=True,
                )
                for total, derivative in zip(totals, second, strict=True):
                    total += derivative.reshape(-1)
        return result

    @property
    def device(self) -> torch.device:
        """Where products are taken."""
        return self._parameters[0].device

    def operator(self) -> LinearOperator:
        """The same for scipy."""

        def product(vector: NDArray[np.float32]) -> NDArray[np.float32]:
            image: NDArray[np.float32] = self.product(torch.from_numpy(vector.ravel()).to(self.device)).cpu().numpy()
            return image

        return LinearOperator((self.size, self.size), matvec=product, dtype=np.float32)

    def _gradient(self, number: int) -> tuple[Tensor, ...]:
        """A batch's part of the gradient, with its graph."""
        if number in self._kept:
            return self._kept[number]
        indices, width = self._batches[number]
        size = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal size
            size += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            outputs = logits(self._model, rows(self._examples.inputs, indices, width))
            labels = self._examples.labels[indices]
            loss = functional.cross_entropy(outputs, labels, reduction="sum") / len(self._examples)
            gradient = torch.autograd.grad(
                loss, self._parameters, create_graph=True, materialize_grads=True, allow_unused=True
            )
        size += sum(part.nbytes for part in gradient)
        if self._bytes + size <= _KEPT_GRAPHS:
            self._bytes += size
            self._kept[number] = gradient
        return gradient


@dataclass(frozen=True)
class Eigenvalues:
    """The largest eigenvalues found, in falling order, and the norm of ``H v - value v`` for each, ``v`` of norm 1."""

    values: list[float]
    residuals: list[float]


def largest_eigenvalues(hessian: CleanHessian, count: int, *, generator: torch.Generator) -> Eigenvalues:
    """By Lanczos' method with restarts (ARPACK, through scipy); those that converged, if not all did.

    Where memory does not hold the vectors of that method, as for 100 million parameters, power iteration gives one
    eigenvalue, the largest in magnitude.

    Args:
        hessian: of the clean loss.
        count: how many; fewer where memory holds few vectors, and at most half as many as there are parameters.
        generator: draws the start, on the CPU.
    """
    start = torch.randn(hessian.size, generator=generator)
    capacity = min(max(_VECTORS, 2 * count), _KEPT_VECTORS // (4 * hessian.size) - _WORK, hessian.size)
    if capacity < _FEWEST:
        return _by_powers(hessian, start)
    operator = hessian.operator()
    try:
        values, vectors = eigsh(
            operator,
            k=min(count, capacity // 2),
            which="LA",
            v0=start.numpy(),
            ncv=capacity,
            maxiter=_RESTARTS,
            tol=_TOLERANCE,
        )
    except ArpackNoConvergence as error:
        values, vectors = error.eigenvalues, error.eigenvectors
    order = np.argsort(values)[::-1]
    residuals = [float(np.linalg.norm(operator @ vectors[:, i] - values[i] * vectors[:, i])) for i in order]
    return Eigenvalues([float(values[i]) for i in order], residuals)


def _by_powers(hessian: CleanHessian, start: Tensor) -> Eigenvalues:
    """Until the residual is small against the value."""
    vector = (start / start.norm()).to(hessian.device)
    for _ in range(_POWERS):
        image = hessian.product(vector)
        value = float(vector @ image)
        residual = float((image - value * vector).norm())
        if residual <= _POWER_TOLERANCE * abs(value):
            break
        vector = image / image.norm().clamp(min=1e-30)
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


def inner_product(first: Tensor, second: Tensor) -> float:
    """Of two vectors, summed in double precision a piece at a time."""
    pieces = zip(first.split(_PIECE), second.split(_PIECE), strict=True)  # type: ignore[no-untyped-call]
    return sum(float((in_double(a) * in_double(b)).sum()) for a, b in pieces)


def clean_hessian(context: Context) -> CleanHessian:
    """The Hessian of an analysis; its products are taken from the budget."""
    return CleanHessian(context.model, context.first(context.settings.curvature_examples), context.budget.spend)


def _parts(context: Context) -> Iterator[Part]:
    yield context.part("trace", [], partial(_measure_trace, context), context.settings.trace_vectors)
    yield context.part("largest eigenvalues", [], partial(_measure_eigenvalues, context), 10)


def _measure_trace(context: Context, tick: Tick) -> Tables:
    hessian = context.shared(clean_hessian)
    already = hessian.products
    value, error = trace(
        hessian,
        context.settings.trace_vectors,
        generator=generator(context.seed, "trace"),
        device=context.device,
        report=tick,
    )
    products, size = hessian.products - already, hessian.size
    rows = [
        {"quantity": "trace", "value": value, "error": error, "products": products},
        {"quantity": "mean eigenvalue", "value": value / size, "error": error / size, "products": products},
    ]
    return {"spectrum": pd.DataFrame(rows)}


def _measure_eigenvalues(context: Context, _tick: Tick) -> Tables:
    hessian = context.shared(clean_hessian)
    already = hessian.products
    largest = largest_eigenvalues(hessian, context.settings.eigenvalues, generator=generator(context.seed, "lanczos"))
    products = hessian.products - already
    rows = [
        {"quantity": f"eigenvalue {number}", "value": value, "error": residual, "products": products}
        for number, (value, residual) in enumerate(zip(largest.values, largest.residuals, strict=True), start=1)
    ]
    return {"spectrum": pd.DataFrame(rows)}


def _findings(tables: Mapping[str, pd.DataFrame], _kinds: Kinds) -> Iterator[str]:
    quantities = {row["quantity"]: row for row in rows_where(tables["spectrum"])}
    clauses = []
    if top := quantities.get("eigenvalue 1"):
        value, residual = digits(top["value"]), digits(top["error"])
        clauses.append(f"the largest eigenvalue of the clean loss's Hessian is {value} (residual {residual})")
    if mean := quantities.get("mean eigenvalue"):
        of_what = "the mean one" if clauses else "the mean eigenvalue of the clean loss's Hessian"
        clauses.append(f"{of_what} is {digits(mean['value'])} ± {digits(mean['error'])} (standard error)")
    if clauses:
        yield sentence(f"{' and '.join(clauses)}.")


SPECTRUM = AnalysisTable(
    name="spectrum",
    description="curvature of the clean loss at the reference",
    columns=[
        AnalysisColumn("quantity", "``eigenvalue 1`` (the largest) and so on, ``trace``, ``mean eigenvalue``"),
        AnalysisColumn("value", "of the quantity"),
        AnalysisColumn("error", "of an eigenvalue the norm of its residual, otherwise the standard error"),
        AnalysisColumn("products", "Hessian-vector products that it took"),
    ],
    has_candidate=False,
    cost=Cost.HESSIAN_PRODUCTS,
    parts=_parts,
    findings=_findings,
)
