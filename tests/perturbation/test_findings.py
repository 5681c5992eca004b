"""Sentences carry what the numbers carry, and no more."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from anchorlab.perturbation.analysis import TABLES
from anchorlab.perturbation.findings import findings_of


def found(kinds=None, **tables) -> list[str]:
    given = {name: pd.DataFrame(tables.get(name, [])) for name in TABLES}
    return findings_of(given, kinds or {})


def interval(name: str, value: float, lower: float, upper: float) -> dict[str, float]:
    return {name: value, f"{name}_lower": lower, f"{name}_upper": upper}


def test_nothing_is_said_of_nothing():
    assert found() == []


@pytest.mark.parametrize(
    ("lower", "upper", "verdict"),
    [
        (0.0, 0.019, "In the reference's basin"),
        (0.021, 0.5, "Not in it"),
        (0.01, 0.03, "Undecided"),
        (0.0, 0.02, "Undecided"),
    ],
)
def test_the_whole_interval_decides_on_the_basin(lower, upper, verdict):
    row = {"candidate": "x", "buffers": "stored", **interval("error", 0.015, lower, upper), **interval("loss", 1, 0, 2)}
    (sentence,) = found(barriers=[row])
    assert sentence.startswith(verdict)
    assert f"x (barrier of the error 0.015 [{lower:.3g}, {upper:.3g}], of the loss 1 [0, 2])" in sentence


def test_re_estimated_statistics_have_a_sentence_of_their_own():
    rows = [
        {"candidate": "x", "buffers": kind, **interval("error", 0.5, 0.4, 0.6), **interval("loss", 1, 0, 2)}
        for kind in ("stored", "re-estimated")
    ]
    first, second = found(barriers=rows)
    assert first.startswith("Not in it")
    assert second.startswith("With BatchNorm's statistics re-estimated at each point: not in it")


def whole(name: str, l2: float) -> dict[str, object]:
    return {"candidate": name, "layer": "all parameters", "l2": l2, "relative": l2 / 10}


def test_length_and_angle_are_against_plain_tuning():
    sizes = [whole("p", 2.0), whole("a", 3.0)]
    angles = [{"candidate": a, "other": b, "degrees": 58.3} for a, b in (("a", "p"), ("p", "a"))]
    sentences = found({"p": "plain", "a": "anchoring"}, sizes=sizes, angles=angles)
    assert sentences == [
        "The parameters' change, as a share of the reference's L2 norm: p 20%, a 30%.",
        "Against the change of p, a's is 1.50 times as long and turned by 58°.",
    ]
    assert len(found({"p": "l2", "a": "anchoring"}, sizes=sizes, angles=angles)) == 1


def quadratic(name: str, kl: float, fisher: float, ewc: float, ratio: tuple[float, float, float]) -> dict[str, object]:
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
        quadratic("a", 1.0, 1, 2, (1, 0.9, 1.2)),
        quadratic("b", 2.0, 3, 1, (3, 2.5, 3.5)),
        quadratic("c", 2.1, 2, 3, (2, 1.5, 2.5)),
    ]
    sentences = found(quadratic=rows, sizes=[whole("a", 3), whole("b", 2), whole("c", 1)])
    assert any("within a factor of 2 for a (1 [0.9, 1.2])" in sentence for sentence in sentences)
    assert any("off by more than a factor of 2 for b" in sentence for sentence in sentences)
    assert any("undecided for c" in sentence for sentence in sentences)
    assert sentences[-1] == (
        "Of the 2 pairs whose KL (of the weights alone) is told apart by intervals, the Fisher norm orders 2, EWC's "
        "diagonal orders 1, the L2 norm orders 0 as KL does."
    )


def test_an_undefined_ratio_is_not_spoken_of():
    row = quadratic("a", 0.0, 0, 0, (math.nan, math.nan, math.nan))
    assert found(quadratic=[row]) == []


def test_how_far_the_prediction_reaches():
    rows = [
        {"candidate": "x", "scale": scale, **interval("kl", kl, kl, kl), "kl_quadratic": scale**2}
        for scale, kl in ((0.0, 0.0), (0.5, 0.25), (1.0, 0.6), (1.5, 0.5))
    ]
    (sentence,) = found(paths=rows)
    assert sentence.endswith("up to: x 1.")
