"""Products, eigenvalues and trace: against the dense Hessian and against differences of exact gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator

from anchorlab.perturbation.budget import BudgetSpent
from anchorlab.perturbation.tables import spectrum
from anchorlab.perturbation.tables.spectrum import SPECTRUM, CleanHessian, clean_hessian, largest_eigenvalues, trace
from anchorlab.seeding import generator


def dense(case) -> np.ndarray:
    """The Hessian, by differentiating each entry of the gradient in double precision."""
    parameters = list(case.exact.parameters())
    loss = torch.nn.functional.cross_entropy(case.exact(**case.examples.inputs), case.examples.labels)
    first = torch.autograd.grad(loss, parameters, create_graph=True)
    flat = torch.cat([one.reshape(-1) for one in first])
    rows = [torch.autograd.grad(entry, parameters, retain_graph=True) for entry in flat]
    return torch.stack([torch.cat([one.reshape(-1) for one in row]) for row in rows]).numpy()


@pytest.fixture
def exact(small) -> np.ndarray:
    return dense(small)


def test_products_are_those_of_the_dense_hessian(small, exact):
    hessian = CleanHessian(small.model, small.examples)
    assert hessian.size == 53
    vectors = torch.randn(6, 53, generator=generator(0, "v"))
    for vector in vectors:
        np.testing.assert_allclose(hessian.product(vector), exact @ vector.double().numpy(), rtol=1e-3, atol=1e-5)
    assert hessian.products == 6


def test_the_product_of_an_encoder_is_a_difference_of_gradients(reader):
    step = 1e-4
    wanted = (reader.gradient(step) - reader.gradient(-step)) / (2 * step)
    found = CleanHessian(reader.model, reader.examples).product(reader.perturbation.vector())
    assert float((found.double() - wanted).norm() / wanted.norm()) < 1e-4


@pytest.mark.parametrize(("name", "value"), [("_KEPT_GRAPHS", 0), ("BATCH", 7), ("TOKENS", 20)])
def test_neither_kept_graphs_nor_batches_change_a_product(either, monkeypatch, name, value):
    vector = either.perturbation.vector()
    usual = CleanHessian(either.model, either.examples).product(vector)
    monkeypatch.setattr(spectrum, name, value)
    hessian = CleanHessian(either.model, either.examples)
    assert bool(hessian._kept) is False
    for _ in range(2):
        torch.testing.assert_close(hessian.product(vector), usual, rtol=1e-4, atol=1e-6)
    assert bool(hessian._kept) is (name != "_KEPT_GRAPHS")


def test_the_largest_eigenvalues_are_those_of_the_dense_hessian(small, exact):
    hessian = CleanHessian(small.model, small.examples)
    found = largest_eigenvalues(hessian, 3, generator=generator(0, "start"))
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(exact)[::-1][:3], rtol=1e-3)
    assert max(found.residuals) < 1e-2 * found.values[0]
    again = largest_eigenvalues(hessian, 3, generator=generator(0, "start"))
    assert again == found


def test_more_eigenvalues_are_found_where_more_are_asked_for() -> None:
    known = Known([float(value) for value in range(1, 61)])
    found = largest_eigenvalues(known, 14, generator=generator(0, "start"))
    assert found.values == pytest.approx([*range(60, 46, -1)], rel=1e-3)


def test_where_memory_holds_few_vectors_fewer_eigenvalues_are_found(small, exact, monkeypatch):
    monkeypatch.setattr(spectrum, "_KEPT_VECTORS", (4 + 4) * 4 * 53)
    found = largest_eigenvalues(CleanHessian(small.model, small.examples), 3, generator=generator(0, "start"))
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(exact)[::-1][:2], rtol=1e-2)


def test_where_it_holds_hardly_any_power_iteration_finds_one(small, exact, monkeypatch):
    monkeypatch.setattr(spectrum, "_KEPT_VECTORS", 0)
    hessian = CleanHessian(small.model, small.examples)
    found = largest_eigenvalues(hessian, 3, generator=generator(0, "start"))
    values = np.linalg.eigvalsh(exact)
    assert found.values == [pytest.approx(values[np.abs(values).argmax()], rel=0.01)]
    assert found.residuals[0] <= 0.05 * found.values[0]
    assert hessian.products <= 50


def test_the_trace_is_unbiased_with_the_error_that_it_states(small, exact):
    """Of random signs the variance is ``2 (|H|^2 - sum H_ii^2)``."""
    hessian = CleanHessian(small.model, small.examples)
    found = [trace(hessian, 20, generator=generator(s, "t"), device=torch.device("cpu")) for s in range(40)]
    values, errors = np.array(found).T
    variance = 2 * ((exact**2).sum() - (exact.diagonal() ** 2).sum())
    assert abs(values.mean() - exact.trace()) < 4 * np.sqrt(variance / (20 * 40))
    assert np.sqrt((errors**2).mean()) == pytest.approx(np.sqrt(variance / 20), rel=0.2)


class Known:
    """A Hessian of two blocks that are known: a diagonal one, and one that exchanges its two entries."""

    def __init__(self, diagonal: list[float]) -> None:
        self.matrix = np.diag([*diagonal, 0.0, 0.0]).astype(np.float32)
        self.matrix[-2, -1] = self.matrix[-1, -2] = 1
        self.size, self.products, self.device = len(self.matrix), 0, torch.device("cpu")

    def product(self, vector: torch.Tensor) -> torch.Tensor:
        self.products += 1
        return torch.from_numpy(self.matrix) @ vector

    def operator(self) -> LinearOperator:
        return LinearOperator(self.matrix.shape, matvec=lambda vector: self.matrix @ vector, dtype=np.float32)


def test_the_largest_eigenvalues_are_not_those_of_largest_size():
    found = largest_eigenvalues(Known([-90.0, 8, *np.linspace(0, 4, 30)]), 2, generator=generator(0, "start"))
    assert found.values == pytest.approx([8, 4], rel=1e-3)


def test_power_iteration_ends_where_the_largest_in_size_is_negative(monkeypatch):
    monkeypatch.setattr(spectrum, "_KEPT_VECTORS", 0)
    hessian = Known([-90.0, 8, *np.linspace(0, 4, 30)])
    found = largest_eigenvalues(hessian, 1, generator=generator(0, "start"))
    assert found.values == [pytest.approx(-90, rel=0.01)]
    assert hessian.products < 20


def test_the_error_of_the_trace_is_that_of_a_mean_of_few():
    """Each vector of signs gives 5 plus or minus 2: with a mean of 5 + m the variance of the six is (4 - m²) 6 / 5."""
    value, error = trace(Known([1.0, 4.0]), 6, generator=generator(0, "t"), device=torch.device("cpu"))
    assert 3 < value < 7
    assert error == pytest.approx(np.sqrt((4 - (value - 5) ** 2) / 5))


def test_rows_count_the_products_of_each_part_and_the_mean_has_its_share_of_the_error(context):
    of_trace, of_eigenvalues = (part.measure(lambda: None)["spectrum"] for part in SPECTRUM.parts(context))
    hessian, vectors = context.shared(clean_hessian), context.settings.trace_vectors
    assert of_trace["products"].tolist() == [vectors] * 2
    assert set(of_eigenvalues["products"]) == {hessian.products - vectors}
    whole, mean = of_trace.to_dict("records")
    assert (mean["value"], mean["error"]) == pytest.approx((whole["value"] / 53, whole["error"] / 53))
    assert next(part.steps for part in SPECTRUM.parts(context)) == vectors


def test_graphs_are_kept_up_to_the_last_byte(small, monkeypatch):
    def bytes_kept() -> int:
        hessian = CleanHessian(small.model, small.examples)
        hessian.product(torch.ones(53))
        return hessian._bytes

    needed = bytes_kept()
    for room, kept in ((needed, needed), (needed - 1, 0)):
        monkeypatch.setattr(spectrum, "_KEPT_GRAPHS", room)
        assert bytes_kept() == kept


def test_what_is_spent_ends_the_work(small):
    left = [2]

    def spend() -> None:
        if not left[0]:
            raise BudgetSpent
        left[0] -= 1

    hessian = CleanHessian(small.model, small.examples, spend)
    with pytest.raises(BudgetSpent):
        largest_eigenvalues(hessian, 1, generator=generator(0, "start"))
    assert hessian.products == 2
