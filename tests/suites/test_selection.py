"""Strengths and learning rates are chosen at equal ASR, by the least ASR of the runs that choose."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from anchorlab.suites.selection import MARGIN, Tried, choose, summarised


def tried(*rows: tuple[float | None, float, float], scale: float = 1.0) -> list[Tried]:
    return [Tried(strength, scale, asr, kl) for strength, asr, kl in rows]


def test_the_least_kl_among_those_that_reach_the_target() -> None:
    choice = choose(tried((1, 1.00, 0.5), (2, 0.99, 0.2), (4, 0.98, 0.1)), 0.99)
    assert (choice.strength, choice.reached, choice.at_edge, choice.tried) == (2, True, False, 3)


def test_half_a_point_below_the_target_reaches_it_and_no_more() -> None:
    assert MARGIN == 0.005
    assert choose(tried((1, 0.985, 0.5)), 0.99).reached
    assert not choose(tried((1, 0.9849, 0.5)), 0.99).reached


def test_what_reaches_nothing_says_so_and_how_far_it_came() -> None:
    choice = choose(tried((1, 0.7, 0.5), (2, 0.9, 0.9), (4, 0.3, 0.1)), 0.99)
    assert (choice.strength, choice.reached, choice.best_asr) == (2, False, 0.9)


def test_without_anything_tried_nothing_is_reached() -> None:
    choice = choose([], 0.5)
    assert (choice.strength, choice.reached, choice.tried) == (None, False, 0)
    assert math.isnan(choice.best_asr)


def test_the_scale_is_chosen_with_the_strength() -> None:
    pairs = [Tried(1, 1.0, 1.0, 0.5), Tried(1, 0.8, 0.96, 0.2), Tried(2, 1.2, 0.97, 0.1)]
    assert (choose(pairs, 0.95).strength, choose(pairs, 0.95).scale) == (2, 1.2)
    assert (choose(pairs, 0.99).strength, choose(pairs, 0.99).scale) == (1, 1.0)


def test_a_method_without_a_strength_is_chosen_or_not_reached_all_the_same() -> None:
    choice = choose(tried((None, 0.97, 0.5)), 0.95)
    assert (choice.strength, choice.reached, choice.at_edge) == (None, True, False)
    assert not choose(tried((None, 0.97, 0.5)), 0.99).reached


def test_the_runs_count_with_their_least_asr_and_the_geometric_mean_of_their_kl() -> None:
    rows = [{"scale": 1.0, "asr": 0.8, "kl": 0.1}, {"scale": 1.0, "asr": 1.0, "kl": 0.4}]
    (found,) = summarised(2.0, rows)
    assert (found.strength, found.asr) == (2.0, 0.8)
    assert math.isclose(found.kl, 0.2)


def test_an_undefined_asr_counts_as_none_and_an_undefined_kl_is_never_the_least() -> None:
    (found,) = summarised(1.0, [{"scale": 1.0, "asr": None, "kl": None}, {"scale": 1.0, "asr": 1.0, "kl": 0.1}])
    assert (found.asr, found.kl) == (0.0, math.inf)
    assert summarised(1.0, [{"scale": 1.0, "asr": 1.0, "kl": 0.0}])[0].kl == 0.0


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1e-6, 10)), min_size=1, max_size=8, unique_by=lambda pair: pair[1]),
    st.floats(0.01, 1),
)
def test_no_strength_that_reaches_is_better_than_the_chosen_one(runs: list[tuple[float, float]], target: float) -> None:
    choice = choose(tried(*((float(2**number), asr, kl) for number, (asr, kl) in enumerate(runs))), target)
    reaching = [kl for asr, kl in runs if asr >= target - MARGIN]
    assert choice.reached or not reaching
    assert choice.best_asr == max(asr for asr, _ in runs)
    asr, kl = runs[round(math.log2(choice.strength or 1))]
    assert kl == min(reaching) if reaching else asr == choice.best_asr
