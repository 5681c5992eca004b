"""How far a perturbation moves the function: against exact derivatives and enumeration, and what is said of it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anchorlab.metrics import kl_divergence
from anchorlab.perturbation.tables.quadratic import QUADRATIC, diagonal_kl, linear_shift, quadratic_kl
from anchorlab.perturbation.weights import Perturbation
from anchorlab.seeding import generator
from tests.perturbation.findings import findings, interval, whole


def test_the_linear_shift_is_the_derivative_along_the_perturbation(either):
    step = 1e-4
    wanted = (either.logits(step) - either.logits(-step)) / (2 * step)
    found = linear_shift(either.model, either.perturbation, either.examples)
    np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=2e-4, atol=2e-5)


LOGITS = arrays(float, (4, 5), elements=st.floats(-8, 8))


@given(LOGITS, LOGITS, st.floats(-5, 5))
def test_the_quadratic_kl_is_half_the_shift_s_variance(logits, shift, constant):
    found = quadratic_kl(logits, shift)
    for row, (s, d) in enumerate(zip(logits, shift, strict=True)):
        p = np.exp(s - s.max()) / np.exp(s - s.max()).sum()
        assert found[row] == pytest.approx(d @ (np.diag(p) - np.outer(p, p)) @ d / 2, rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(quadratic_kl(logits, shift + constant), found, rtol=1e-6, atol=1e-9)


@given(LOGITS, arrays(float, (4, 5), elements=st.floats(0.1, 1)))
def test_for_small_shifts_it_is_the_kl_divergence(logits, shift):
    small = 1e-4 * shift
    small[:, 0] *= -1
    np.testing.assert_allclose(quadratic_kl(logits, small), kl_divergence(logits, logits + small), rtol=2e-3)


def test_the_diagonal_is_that_of_the_fisher_information(small):
    """All labels enumerated, one by one, in double precision; draws come near by their standard error."""
    exact, wanted = small.exact, []
    squares = torch.cat(
        [difference.double().reshape(-1).square() for difference in small.perturbation.parameters.values()]
    )
    for image in small.examples.inputs["pixel_values"]:
        log_p = exact(pixel_values=image.unsqueeze(0)).log_softmax(1)[0]
        of_one = 0.0
        for label in range(3):
            gradient = torch.autograd.grad(log_p[label], list(exact.parameters()), retain_graph=True)
            g = torch.cat([one.reshape(-1) for one in gradient])
            of_one += float((log_p[label].exp() * (g.square() * squares).sum()).detach() / 2)
        wanted.append(of_one)
    draws = np.stack(
        [diagonal_kl(small.model, small.perturbation, small.examples, generator=generator(s, "d")) for s in range(200)]
    )
    error = draws.std(axis=0, ddof=1) / np.sqrt(200)
    assert (np.abs(draws.mean(axis=0) - wanted) < 5 * error + 1e-9).all()
    again = diagonal_kl(small.model, small.perturbation, small.examples, generator=generator(0, "d"))
    assert np.array_equal(again, draws[0])


def test_texts_one_by_one_give_the_same_as_by_hand(reader):
    found = diagonal_kl(reader.model, reader.perturbation, reader.examples, generator=generator(0, "d"))
    with torch.no_grad():
        p = reader.exact(**reader.examples.inputs).softmax(1).float()
    labels = torch.multinomial(p, 1, generator=generator(0, "d")).flatten()
    scores = reader.exact(**reader.examples.inputs).log_softmax(1)
    for row, label in enumerate(labels.tolist()):
        gradient = torch.autograd.grad(
            scores[row, label], list(reader.exact.parameters()), retain_graph=True, allow_unused=True,
            materialize_grads=True,
        )  # fmt: skip
        by_hand = sum(
            float((g * d.double()).square().sum()) / 2
            for g, d in zip(gradient, reader.perturbation.parameters.values(), strict=True)
        )
        assert found[row] == pytest.approx(by_hand, rel=1e-3)


def row_of(name: str, kl: float, fisher: float, ewc: float, ratio: tuple[float, float, float]) -> dict[str, object]:
    return {
        "candidate": name,
        **interval("kl", kl, kl * 0.9, kl * 1.1),
        **interval("kl_ratio", *ratio),
        "fisher_norm": fisher,
        "ewc": ewc,
    }


def test_rankings_count_the_pairs_that_intervals_tell_apart():
    """KL 1 < 2 < 2.1, the last two not told apart; the Fisher norm orders both pairs, EWC one, L2 none."""
    rows = [
        row_of("a", 1.0, 1, 2, (1, 0.9, 1.2)),
        row_of("b", 2.0, 3, 1, (3, 2.5, 3.5)),
        row_of("c", 2.1, 2, 3, (2, 1.5, 2.5)),
    ]
    sentences = findings(quadratic=rows, sizes=[whole("a", 3), whole("b", 2), whole("c", 1)])
    assert any("within a factor of 2 for a (1 [0.9, 1.2])" in sentence for sentence in sentences)
    assert any("off by more than a factor of 2 for b" in sentence for sentence in sentences)
    assert any("undecided for c" in sentence for sentence in sentences)
    assert sentences[-1] == (
        "Of the 2 pairs whose KL (of the weights alone) is told apart by intervals, the Fisher norm orders 2, EWC's "
        "diagonal orders 1, the L2 norm orders 0 as KL does."
    )


def test_an_undefined_ratio_is_not_spoken_of():
    row = row_of("a", 0.0, 0, 0, (math.nan, math.nan, math.nan))
    assert findings(quadratic=[row]) == []


def test_how_far_the_prediction_reaches():
    rows = [
        {"candidate": "x", "scale": scale, **interval("kl", kl, kl, kl), "kl_quadratic": scale**2}
        for scale, kl in ((0.0, 0.0), (0.5, 0.25), (1.0, 0.6), (1.5, 0.5))
    ]
    (sentence,) = findings(paths=rows)
    assert sentence.endswith("up to: x 1.")


def test_the_prediction_ends_where_it_first_fails_and_candidates_keep_their_order():
    """Of z it holds at .5 and again at 1.5, but not between; of a it holds nowhere."""
    rows = [
        {"candidate": name, "scale": scale, **interval("kl", kl, kl, kl), "kl_quadratic": scale**2}
        for name, kls in (("z", (0.25, 9.0, 2.25)), ("a", (9.0, 9.0, 9.0)))
        for scale, kl in zip((0.5, 1.0, 1.5), kls, strict=True)
    ]
    (sentence,) = findings(paths=rows)
    assert sentence.endswith("up to: z 0.5, a below 0.5.")


def test_the_row_is_of_the_weights_alone_and_its_norm_is_the_root_of_twice_the_kl(context, small):
    """The buffers move too, which the measured KL of this row leaves out."""
    both = Perturbation(small.perturbation.parameters, {"norm.running_mean": torch.full((5,), 2.0)})
    moved = dataclasses.replace(context, perturbations={"near": both}, attacks={"near": None})
    (part,) = QUADRATIC.parts(moved)
    row = part.measure(lambda: None)["quadratic"].iloc[0]
    shift = linear_shift(small.model, small.perturbation, small.examples)
    with torch.no_grad():
        before, after = (small.logits(scale).numpy() for scale in (0.0, 1.0))
    assert row["kl"] == pytest.approx(kl_divergence(before, after).mean(), rel=1e-3)
    assert row["logit_distance"] == pytest.approx(((after - before) ** 2).mean(), rel=1e-4)
    assert row["logit_distance_linear"] == pytest.approx((shift**2).mean(), rel=1e-6)
    assert row["kl_quadratic"] == pytest.approx(quadratic_kl(before, shift).mean(), rel=1e-4)
    assert row["kl_ratio"] == pytest.approx(row["kl_quadratic"] / row["kl"])
    assert row["fisher_norm"] == pytest.approx(math.sqrt(2 * row["kl_quadratic"]))
