"""The words of a suite's progress."""

from __future__ import annotations

import pytest

from anchorlab.suites.display import at_work, in_words, short_name, suite_display
from anchorlab.suites.plan import make_plan
from anchorlab.suites.runner import Progress
from tests.suites.test_evaluations_plan import Made
from tests.suites.toys import evaluated_suite, toys

__all__ = ["toys"]  # the fixture

pytestmark = pytest.mark.usefixtures("toys")


def test_the_words_say_what_is_done_left_and_running() -> None:
    running = ("anchoring at 4, seed 1, ASR 0.71", "l2 at 0.05, seed 1", "ewc, seed 1")
    progress = Progress(total=46, done=12, failed=1, running=3, at_work=running, left=51.0)
    assert in_words(progress) == "12 of 46 done, 1 failed, about 51 seconds left"
    assert at_work(progress) == "running: anchoring at 4, seed 1, ASR 0.71; l2 at 0.05, seed 1; 1 more"


def test_one_second_is_one_second_and_at_the_end_nothing_is_left() -> None:
    assert "about 1 second left" in in_words(Progress(total=2, done=1, running=1, at_work=("plain",), left=1.2))
    ended = Progress(total=2, done=2, left=0.0)
    assert (in_words(ended), at_work(ended)) == ("2 of 2 done", "")


def test_a_job_is_named_by_what_differs() -> None:
    names = {short_name(job) for _, job in make_plan(evaluated_suite(), Made()).jobs()}
    assert "reference 0 of digits" in names
    assert "plain, seed 0" in names
    assert not any(len(name) > 60 for name in names), names


def test_a_library_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with suite_display("demo") as show:
        show(Progress(total=2, done=2))
    assert capsys.readouterr().err == ""
