"""Strengths are chosen at equal ASR, and a grid is extended where its best lies at the edge."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.suites.selection import best, choose_strengths, extension


def frame(*rows: tuple[float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["strength", "asr", "kl"])


def test_best_is_the_least_kl_among_those_that_reach_the_target() -> None:
    tried = frame((1, 1.00, 0.5), (2, 0.99, 0.2), (4, 0.98, 0.1))
    assert best(tried, 0.99) == (2, True)


def test_best_is_the_highest_asr_when_none_reaches() -> None:
    tried = frame((1, 0.7, 0.5), (2, 0.9, 0.9), (4, 0.3, 0.1))
    assert best(tried, 0.99) == (2, False)


def test_extension_goes_beyond_the_edge_that_is_best_and_stops_inside() -> None:
    assert extension(frame((1, 1, 0.5), (2, 1, 0.4), (4, 1, 0.3)), 2, 0.99) == 8
    assert extension(frame((1, 1, 0.2), (2, 1, 0.4), (4, 1, 0.3)), 2, 0.99) == 0.5
    assert extension(frame((1, 1, 0.2), (2, 1, 0.1), (4, 1, 0.3)), 2, 0.99) is None


@given(st.floats(0.02, 50), st.integers(0, 4))
def test_choose_strengths_runs_each_strength_once_and_finds_the_optimum_near_enough(
    optimum: float, extensions: int
) -> None:
    """KL falls with the strength and the ASR holds up to ``optimum``: the best tried is the largest below it."""
    ran: list[float] = []

    def run(pairs: list[tuple[str, float]]) -> pd.DataFrame:
        ran.extend(strength for _, strength in pairs)
        return frame(*((s, 1.0 if s <= optimum else 0.5, 1 / s) for _, s in pairs))

    choice = choose_strengths({"m": [0.5, 1.0, 2.0]}, run, target_asr=0.99, extensions=extensions)["m"]
    assert len(ran) == len(set(ran)) <= 3 + extensions
    assert sorted(ran) == list(choice.tried["strength"])
    below = [strength for strength in ran if strength <= optimum]
    assert choice.reached == bool(below)
    assert choice.strength == (max(below) if below else ran[ran.index(choice.strength)])
    assert choice.at_edge == (choice.strength in (min(ran), max(ran)))


def test_two_methods_run_together_and_only_the_one_at_its_edge_is_extended() -> None:
    calls: list[list[tuple[str, float]]] = []

    def run(pairs: list[tuple[str, float]]) -> pd.DataFrame:
        calls.append(pairs)
        kl = {"inside": {1: 3, 2: 1, 4: 2}, "edge": {1: 3, 2: 2, 4: 1, 8: 2}}
        return frame(*((s, 1.0, kl[m][int(s)]) for m, s in pairs))

    choices = choose_strengths({"inside": [1, 2, 4], "edge": [1, 2, 4]}, run, target_asr=0.99)
    assert [len(pairs) for pairs in calls] == [6, 1]
    assert calls[1] == [("edge", 8)]
    assert (choices["inside"].strength, choices["edge"].strength) == (2, 4)
