"""What a suite says at its end."""

from __future__ import annotations

from anchorlab.cli.suite_answer import Counts, _count_words
from anchorlab.suites.runner import Progress
from tests.reports.conftest import make_suite


def test_one_job_and_one_run_are_one() -> None:
    made = make_suite(sizes=("64",), targets=(0.95,), seeds=(0,), references=(0,), failed=False)
    first, none = made.results.head(1), made.failed.head(0)
    counts = Counts()
    counts.note(Progress(total=2, done=2, ran=1))
    made = type(made)(**{**vars(made), "results": first, "failed": none, "choices": made.choices.head(0)})
    assert _count_words(made, counts) == "1 of 2 jobs were run now (1 was done already), 1 run is reported, 0 failed."
