"""Progress: shown on a terminal, silent elsewhere and within other work."""

from __future__ import annotations

import pytest
from rich.console import Console

from anchorlab import progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal whose text can be read."""
    console = Console(force_terminal=True, width=120, record=True)
    monkeypatch.setattr(progress, "Console", lambda stderr: console)
    return console


def test_nothing_is_shown_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("training", 10) as report:
        report(5, {"loss": 0.5})
    with progress.status_bar("a suite") as status:
        assert status is None
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_steps_and_figures_are_shown_on_a_terminal(terminal: Console) -> None:
    with progress.progress_bar("training", 10) as report:
        report(5, {"loss": 0.51234})
    shown = terminal.export_text()
    assert "training" in shown
    assert "loss 0.512" in shown


def test_within_other_work_no_bar_is_shown(terminal: Console) -> None:
    with progress.no_bars(), progress.progress_bar("training", 10) as report:
        report(5, {})
    with progress.no_bars(), progress.status_bar("a suite") as status:
        assert status is None
    assert "training" not in terminal.export_text()


def test_the_end_of_a_status_bar_may_move(terminal: Console) -> None:
    with progress.status_bar("a suite") as status:
        assert status is not None
        status(1, 4, "one of four")
        status(1, 8, "one of eight")
    assert "a suite" in terminal.export_text()
