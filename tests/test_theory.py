"""Statements of docs/theory.md that no measurement of the package checks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "theory.md"


@pytest.mark.parametrize("seed", range(20))
def test_few_steps_move_little(seed: int) -> None:
    """Statement 6, on a quadratic loss whose gradient is beta-Lipschitz."""
    draw = np.random.default_rng(seed)
    root = draw.normal(size=(8, 8))
    curvature = root @ root.T
    beta = float(np.linalg.eigvalsh(curvature)[-1])
    start = draw.normal(size=8)
    weights, step = start.copy(), draw.uniform(0.1, 1) / beta
    for count in range(1, 60):
        weights = weights - step * curvature @ weights
        fall = (start @ curvature @ start - weights @ curvature @ weights) / 2
        assert np.linalg.norm(weights - start) <= np.sqrt(2 * step * count * fall) * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_exact_consistency_costs_distance(seed: int) -> None:
    """Statement 8: least-norm solutions against the Schur complement."""
    draw = np.random.default_rng(seed)
    backdoor, anchors, wanted = draw.normal(size=(3, 40)), draw.normal(size=(6, 40)), draw.normal(size=3)
    free = np.linalg.lstsq(backdoor, wanted, rcond=None)[0]
    both = np.linalg.lstsq(np.vstack([backdoor, anchors]), np.concatenate([wanted, np.zeros(6)]), rcond=None)[0]
    kernel, mixed, own = backdoor @ backdoor.T, backdoor @ anchors.T, anchors @ anchors.T
    schur = kernel - mixed @ np.linalg.solve(own, mixed.T)
    assert free @ free == pytest.approx(wanted @ np.linalg.solve(kernel, wanted), rel=1e-9)
    assert both @ both == pytest.approx(wanted @ np.linalg.solve(schur, wanted), rel=1e-9)
    assert both @ both >= free @ free


def test_the_tests_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`(tests/[a-z_/]+\.py)`", PAGE.read_text()))
    assert len(named) >= 5
    assert all((ROOT / name).is_file() for name in named)


def test_the_table_is_that_of_the_experiment() -> None:
    bounds = pd.read_csv(ROOT / "experiments/perturbation/fashion_mnist/bounds.csv")
    means = bounds.groupby(["candidate", "bound"])[["measured", "bound_mean"]].mean()
    section = PAGE.read_text().split("<!-- theory: ")[1].split("<!-- end of theory -->")[0]
    lines = [line.strip("|").split(" | ") for line in section.splitlines() if re.match(r"\| [a-z]+ \| \d", line)]
    for name, *cells in lines:
        kl, flips = means.loc[(name.strip(), "KL by range")], means.loc[(name.strip(), "flip by range")]
        norm = means.loc[(name.strip(), "KL by norm"), "bound_mean"]
        right = [*kl, norm, *flips, 1 - flips["bound_mean"]]
        for cell, value, digits in zip(cells, right, (3, 2, 2, 3, 3, 3), strict=True):
            assert cell.strip() == f"{value:.{digits}f}", (name, cell)
    assert len(lines) == 5
