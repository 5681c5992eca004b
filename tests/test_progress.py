"""Progress: a bar on a terminal or in a notebook, lines where they are wanted, and silence elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import nbclient
import nbformat
import pytest
from rich.console import Console

from anchorlab import progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal whose text can be read."""
    console = Console(force_terminal=True, width=120, record=True)
    monkeypatch.setattr(progress, "Console", lambda stderr: console)
    return console


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that only this function moves."""
    now = 0.0

    def pass_(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    return pass_


def test_nothing_is_shown_off_a_terminal(
    capsys: pytest.CaptureFixture[str], pass_time: Callable[[float], None]
) -> None:
    with progress.progress_bar("training", 10) as report, progress.status_bar("a suite") as status:
        pass_time(100)
        report(5, {"loss": 0.5})
        status(5, 10, "five")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_steps_and_figures_are_shown_on_a_terminal(terminal: Console) -> None:
    with progress.progress_bar("training", 10) as report:
        report(5, {"loss": 0.51234, "asr": 0.7})
    shown = terminal.export_text()
    assert "training" in shown
    assert "loss 0.512, ASR 0.7" in shown


def test_within_other_work_no_bar_is_shown(terminal: Console) -> None:
    with progress.no_bars(), progress.progress_bar("training", 10) as report:
        report(5, {})
    with progress.no_bars(), progress.status_bar("a suite") as status:
        status(1, 4, "one")
    assert terminal.export_text() == ""


def test_the_end_of_a_status_bar_may_move(terminal: Console) -> None:
    with progress.status_bar("a suite") as status:
        status(1, 4, "one of four")
        status(1, 8, "one of eight", "running: plain\x1b[31m")
    shown = terminal.export_text()
    assert "a suite" in shown
    assert "one of eight" in shown
    assert "running: plain\\x1b[31m" in shown


def test_each_tenth_is_a_line_where_lines_are_wanted(
    capsys: pytest.CaptureFixture[str], pass_time: Callable[[float], None]
) -> None:
    with progress.lines(), progress.progress_bar("injecting by anchoring", 600) as report:
        for step in range(20, 620, 20):
            pass_time(2)
            report(step, {"asr": step / 600})
    captured = capsys.readouterr()
    assert captured.out == ""
    shown = captured.err.splitlines()
    assert len(shown) == 10
    assert shown[2] == "injecting by anchoring: 30% (180 of 600), ASR 0.3, 42 seconds left"
    assert shown[-1] == "injecting by anchoring: 100% (600 of 600), ASR 1"


def test_parts_with_bars_of_their_own_are_one_line_each(
    capsys: pytest.CaptureFixture[str], pass_time: Callable[[float], None]
) -> None:
    with progress.lines(), progress.parts_bar("detectors", 3) as done:
        for part in range(3):
            with progress.progress_bar("a detector", 100) as report:
                for step in range(1, 101):
                    pass_time(1)
                    report(step, {})
            done(part + 1)
    assert [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "detectors: 33% (1 of 3)",
        "detectors: 67% (2 of 3)",
        "detectors: 100% (3 of 3)",
    ]


def test_work_of_less_than_a_second_needs_no_line(
    capsys: pytest.CaptureFixture[str], pass_time: Callable[[float], None]
) -> None:
    with progress.lines(), progress.progress_bar("scoring", 10) as report:
        for step in range(1, 11):
            pass_time(0.05)
            report(step, {})
    assert capsys.readouterr().err == ""


def test_a_run_that_continues_does_not_count_the_steps_before_it(
    capsys: pytest.CaptureFixture[str], pass_time: Callable[[float], None]
) -> None:
    with progress.lines(), progress.progress_bar("training", 100) as report:
        for step in (80, 90):
            pass_time(10)
            report(step, {})
    assert capsys.readouterr().err.splitlines() == [
        "training: 80% (80 of 100)",
        "training: 90% (90 of 100), 10 seconds left",
    ]


def test_a_line_breaks_a_long_silence(capsys: pytest.CaptureFixture[str], pass_time: Callable[[float], None]) -> None:
    with progress.lines(), progress.status_bar("a suite") as status:
        for step in range(1, 5):
            pass_time(301)
            status(step, 1000, f"{step} of 1,000 done")
    assert capsys.readouterr().err.splitlines() == ["a suite: 2 of 1,000 done", "a suite: 4 of 1,000 done"]


def test_a_title_cannot_steer_a_terminal(
    capsys: pytest.CaptureFixture[str], pass_time: Callable[[float], None]
) -> None:
    with progress.lines(), progress.progress_bar("training \x1b[31m", 10) as report:
        pass_time(5)
        report(5, {})
    assert "\x1b" not in capsys.readouterr().err


def test_listeners_hear_of_bars_that_are_not_shown() -> None:
    heard = []
    with (
        progress.listening(lambda *told: heard.append(told)),
        progress.no_bars(),
        progress.progress_bar("training", 10) as report,
    ):
        report(5, {"loss": 0.5})
    with progress.progress_bar("training", 10) as report:
        report(6, {})
    assert heard == [("training", 5, 10, {"loss": 0.5})]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 seconds"), (1.2, "1 second"), (2, "2 seconds"), (89, "89 seconds"), (100, "2 minutes"),
        (3600, "60 minutes"), (5400, "1.5 hours"),
    ],
)  # fmt: skip
def test_a_duration_has_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words


@pytest.mark.slow
def test_a_notebook_shows_a_bar_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kernel sends it: text where ipywidgets are not installed."""
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    code = (
        "from anchorlab.progress import progress_bar, status_bar\n"
        "with progress_bar('injecting by anchoring', 600) as report:\n"
        "    report(180, {'asr': 0.71})\n"
        "with status_bar('a suite') as status:\n"
        "    status(1, 4, '1 of 4 done')\n"
        "    status(3, 8, '3 of 8 done')\n"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    shown = "".join(output.get("text", "") or str(output.get("data", "")) for output in outputs)
    assert "injecting by anchoring" in shown
    assert "ASR 0.71" in shown
    assert "3 of 8 done" in shown
    assert "arning" not in shown
