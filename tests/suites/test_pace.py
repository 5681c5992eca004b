"""How long the rest takes, replayed on the recorded times of suites that were run; no clock is read."""

from __future__ import annotations

import heapq
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from anchorlab.suites.pace import Kind, Pace

#: Of the demonstration and of the small form of the suite of repairs, in the order of their jobs, in calm machines.
RECORDED = Path(__file__).with_name("recorded_times.csv")

#: Seconds that each job takes beside its optimisation.
BESIDE = 0.3


def jobs_of(suite: str) -> list[tuple[Kind, float]]:
    frame = pd.read_csv(RECORDED)
    rows = frame[frame["suite"] == suite].fillna("")
    return [(Kind(row.work, row.task, row.label), row.seconds + BESIDE) for row in rows.itertuples()]


def replayed(jobs: list[tuple[Kind, float]], slots: int) -> tuple[float, list[tuple[float, float]]]:
    """The whole time, and after each job the time and the guess of what is left."""
    queue, running, guesses, now = list(jobs), [], [], 0.0
    pace = Pace()
    while queue or running:
        while queue and len(running) < slots:
            kind, seconds = queue.pop(0)
            heapq.heappush(running, (now + seconds, len(queue), kind, now))
        now, _, kind, began = heapq.heappop(running)
        pace.add(kind, now - began)
        left = pace.left(Counter(kind for kind, _ in queue), [(each[2], now - each[3]) for each in running], slots)
        assert left is not None
        guesses.append((now, left))
    return now, guesses


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize("suite", ["demo", "defences-smoke"])
def test_after_a_fifth_of_the_work_the_guess_is_right_within_a_factor_of_two(suite: str, slots: int) -> None:
    total, guesses = replayed(jobs_of(suite), slots)
    between = [guess / (total - now) for now, guess in guesses if 0.2 * total <= now <= 0.8 * total]
    assert len(between) > 10
    assert min(between) > 0.5
    assert max(between) < 2
    assert guesses[-1][1] == 0


def test_nothing_is_guessed_before_a_job_has_finished() -> None:
    kind = Kind("injection", "digits", "plain")
    assert Pace().left(Counter({kind: 3}), [(kind, 5.0)], 2) is None


def test_a_kind_without_a_finished_job_takes_as_long_as_the_nearest_ones() -> None:
    pace = Pace()
    pace.add(Kind("reference", "digits", ""), 100)
    pace.add(Kind("noise", "digits", "bf16"), 0.1)
    pace.add(Kind("injection", "digits", "plain"), 2)
    pace.add(Kind("injection", "digits", "l2"), 4)
    assert pace.expected(Kind("injection", "digits", "plain")) == 2
    assert pace.expected(Kind("injection", "digits", "ewc")) == 3
    assert pace.expected(Kind("injection", "photos", "ewc")) == 3
    assert pace.expected(Kind("defended", "digits", "nad")) == pytest.approx(106 / 3)


def test_the_latest_jobs_count_because_a_machine_gets_other_work() -> None:
    pace, kind = Pace(), Kind("injection", "digits", "plain")
    for seconds in [100.0] * 20 + [1.0] * 8:
        pace.add(kind, seconds)
    assert pace.expected(kind) == 1


def test_what_runs_counts_with_what_is_left_of_it_and_a_last_long_job_with_all() -> None:
    pace, kind = Pace(), Kind("injection", "digits", "plain")
    pace.add(kind, 10)
    assert pace.left(Counter({kind: 3}), [(kind, 4.0)], 2) == (3 * 10 + 6) / 2
    assert pace.left(Counter(), [(kind, 4.0), (kind, 9.0)], 8) == 6
    assert pace.left(Counter(), [(kind, 40.0)], 1) == 0
    assert pace.left(Counter(), [], 1) == 0
