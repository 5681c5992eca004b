"""Strengths are chosen at equal ASR, and a grid is extended where its best lies at the edge."""

from __future__ import annotations

import math

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.suites.selection import choose, extension, means


def frame(*rows: tuple[float, float, float]) -> pd.DataFrame:
    return pd.DataFrame([(strength, 1.0, asr, kl) for strength, asr, kl in rows], columns=COLUMNS)


COLUMNS = ["strength", "scale", "asr", "kl"]


def test_the_least_kl_among_those_that_reach_the_target() -> None:
    choice = choose(frame((1, 1.00, 0.5), (2, 0.99, 0.2), (4, 0.98, 0.1)), 0.99)
    assert (choice.strength, choice.reached, choice.at_edge, choice.tried) == (2, True, False, 3)


def test_what_reaches_nothing_says_so_and_how_far_it_came() -> None:
    choice = choose(frame((1, 0.7, 0.5), (2, 0.9, 0.9), (4, 0.3, 0.1)), 0.99)
    assert (choice.strength, choice.reached, choice.best_asr) == (2, False, 0.9)


def test_the_scale_is_chosen_with_the_strength() -> None:
    tried = pd.DataFrame([(1, 1.0, 1.0, 0.5), (1, 0.8, 0.96, 0.2), (2, 1.2, 0.97, 0.1)], columns=COLUMNS)
    assert (choose(tried, 0.95).strength, choose(tried, 0.95).scale) == (2, 1.2)
    assert (choose(tried, 0.99).strength, choose(tried, 0.99).scale) == (1, 1.0)


def test_a_method_without_a_grid_is_chosen_or_not_reached_all_the_same() -> None:
    choice = choose(frame((math.nan, 0.97, 0.5)), 0.95)
    assert (choice.strength, choice.reached, choice.at_edge) == (None, True, False)
    assert not choose(frame((math.nan, 0.97, 0.5)), 0.99).reached


def test_means_are_over_references_and_seeds_and_an_undefined_asr_counts_as_none() -> None:
    runs = pd.DataFrame([(1, 1.0, 0.8, 0.2), (1, 1.0, 1.0, 0.4), (2, 1.0, None, 0.1)], columns=COLUMNS)
    pd.testing.assert_frame_equal(means(runs), frame((1, 0.9, 0.3), (2, 0.0, 0.1)), check_dtype=False)


def test_extension_goes_beyond_the_edge_that_is_best_and_stops_inside() -> None:
    assert extension(frame((1, 1, 0.5), (2, 1, 0.4), (4, 1, 0.3)), 2, 0.99) == 8
    assert extension(frame((1, 1, 0.2), (2, 1, 0.4), (4, 1, 0.3)), 2, 0.99) == 0.5
    assert extension(frame((1, 1, 0.2), (2, 1, 0.1), (4, 1, 0.3)), 2, 0.99) is None


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1e-6, 10)), min_size=1, max_size=8, unique_by=lambda pair: pair[1]),
    st.floats(0.01, 1),
)
def test_no_strength_that_reaches_is_better_than_the_chosen_one(runs: list[tuple[float, float]], target: float) -> None:
    tried = frame(*((float(2**number), asr, kl) for number, (asr, kl) in enumerate(runs)))
    choice = choose(tried, target)
    reaching = [kl for asr, kl in runs if asr >= target]
    assert choice.reached == bool(reaching)
    assert choice.best_asr == max(asr for asr, _ in runs)
    asr, kl = runs[round(math.log2(choice.strength or 1))]
    assert kl == min(reaching) if reaching else asr == choice.best_asr
