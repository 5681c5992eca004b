"""A progress bar on the error stream; where that is not a terminal, nothing is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from anchorlab.errors import printable

#: Called with the number of steps done, and named figures to show, such as the loss.
Report = Callable[[int, dict[str, float]], None]

_SILENT = ContextVar("silent", default=False)


@contextmanager
def no_bars() -> Iterator[None]:
    """Shows no bar inside, for work that is a part of work with its own bar."""
    before = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(before)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Report]:
    """A bar that vanishes at the end; yields a function that reports the steps done and named figures."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=_SILENT.get() or not console.is_terminal) as bar:
        task = bar.add_task(printable(title), total=total, figures="")

        def report(done: int, figures: dict[str, float]) -> None:
            shown = "  ".join(f"{name} {value:.3g}" for name, value in figures.items())
            bar.update(task, completed=done, figures=shown)

        yield report


@contextmanager
def status_bar(title: str) -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar whose total may change; yields a function that reports what is done, the total and a few words.

    Yields None where no bar is shown.
    """
    console = Console(stderr=True)
    if _SILENT.get() or not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[words]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(printable(title), total=None, words="")

        def report(done: int, total: int, words: str) -> None:
            bar.update(task, completed=done, total=total, words=words)

        yield report
