"""The search for a strength: on simulated fronts it ends, repeats nothing, and finds the best of its grid."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.suites.search import FACTOR, REACH, Grid, next_steps

Bounds = tuple[int, int]

WHOLE: Bounds = (-REACH, REACH)


def searched(reaches: Callable[[int], bool], kl: Callable[[int], float], bounds: Bounds) -> dict[int, float | None]:
    """Every step that a search tries, in order, with its outcome; fails where a step is tried twice."""
    outcomes: dict[int, float | None] = {}
    while steps := next_steps(outcomes, bounds):
        for step in steps:
            assert step not in outcomes
            assert bounds[0] <= step <= bounds[1]
            outcomes[step] = kl(step) if reaches(step) else None
    return outcomes


def answer(outcomes: dict[int, float | None]) -> int | None:
    reaching = {step: kl for step, kl in outcomes.items() if kl is not None}
    return min(reaching, key=lambda step: reaching[step]) if reaching else None


ENDS = st.tuples(st.integers(-REACH, 0), st.integers(0, REACH))


@given(st.integers(-REACH - 1, REACH + 1), ENDS)
def test_where_both_fall_evenly_the_strictest_step_that_reaches_is_found(last: int, bounds: Bounds) -> None:
    outcomes = searched(lambda step: step <= last, lambda step: FACTOR**-step, bounds)
    assert answer(outcomes) == (None if last < bounds[0] else min(last, bounds[1]))
    assert len(outcomes) <= 12


@given(st.integers(-20, 20), st.lists(st.floats(-0.02, 0.02), min_size=61, max_size=61), st.floats(0.9, 0.99))
def test_where_the_asr_is_noisy_the_answer_is_within_a_step_of_the_best_around_it(
    middle: int, noise: list[float], target: float
) -> None:
    """The ASR falls by .01 a step, so noise decides within some steps of the target: both neighbours are known."""

    def asr(step: int) -> float:
        return min(1.0, 0.99 - 0.01 * (step - middle)) + noise[step + REACH]

    outcomes = searched(lambda step: asr(step) >= target, lambda step: FACTOR**-step, WHOLE)
    best = answer(outcomes)
    assert best is not None
    assert asr(best) >= target
    assert {best - 1, best + 1} <= outcomes.keys() | {-REACH - 1, REACH + 1}
    # KL falls with each step: the next stricter one is no answer, because it does not reach.
    assert best == REACH or asr(best + 1) < target


@given(st.integers(-20, 20), st.lists(st.floats(0.5, 2), min_size=61, max_size=61))
def test_where_the_kl_is_noisy_no_neighbour_of_the_answer_is_better(last: int, noise: list[float]) -> None:
    outcomes = searched(lambda step: step <= last, lambda step: FACTOR**-step * noise[step + REACH], WHOLE)
    best = answer(outcomes)
    assert best is not None
    for neighbour in (best - 1, best + 1):
        kl = outcomes.get(neighbour)
        assert neighbour in outcomes
        assert kl is None or kl >= (outcomes[best] or 0)


@given(st.lists(st.one_of(st.none(), st.floats(0.01, 1)), min_size=61, max_size=61))
def test_it_ends_whatever_it_finds(found: list[float | None]) -> None:
    searched(lambda step: found[step + REACH] is not None, lambda step: found[step + REACH] or 0.0, WHOLE)


def test_where_nothing_reaches_it_ends_at_the_weakest_step() -> None:
    assert list(searched(lambda _: False, lambda _: 1.0, WHOLE)) == [0, -2, -6, -14, -30]


def test_where_everything_reaches_it_ends_at_the_strictest_step() -> None:
    outcomes = searched(lambda _: True, lambda step: FACTOR**-step, WHOLE)
    assert list(outcomes) == [0, 2, 6, 14, 30, 29]


def test_it_goes_outwards_then_halves_then_looks_at_both_neighbours() -> None:
    assert list(searched(lambda step: step <= 4, lambda step: FACTOR**-step, WHOLE)) == [0, 2, 6, 4, 5, 3]


def grid(start: float = 2.0, *, stricter: bool = True, whole: bool = False, most: float = 1e9) -> Grid:
    return Grid(start, stricter, whole, lambda strength: 0 < strength <= most)


def test_a_step_is_a_factor_in_the_direction_that_the_method_declares() -> None:
    assert [grid().strength(step) for step in (-1, 0, 1, 2)] == [1.33, 2.0, 3.0, 4.5]
    assert [grid(stricter=False).strength(step) for step in (-1, 0, 1)] == [3.0, 2.0, 1.33]


def test_the_start_is_taken_to_the_last_digit() -> None:
    assert grid(0.123456).strength(0) == 0.123456


def test_counts_are_whole_and_end_at_one_and_at_all_parameters() -> None:
    counts = grid(100.0, stricter=False, whole=True, most=1000)
    weakest, strictest = counts.bounds
    assert (counts.strength(weakest), weakest) == (759.0, -5)
    assert (counts.strength(strictest), strictest) == (1.0, 11)
    values = [counts.strength(step) for step in range(weakest, strictest + 1)]
    assert values == sorted(set(values), reverse=True)
    assert all(value == int(value) for value in values)


def test_a_strength_without_bounds_is_searched_over_five_decades_to_each_side() -> None:
    assert grid().bounds == WHOLE


@pytest.mark.parametrize("start", [1e-6, 0.01, 1.0, 1e4])
def test_no_two_steps_are_the_same_strength(start: float) -> None:
    strengths = [grid(start, most=1e300).strength(step) for step in range(-REACH, REACH + 1)]
    assert len(set(strengths)) == len(strengths)
