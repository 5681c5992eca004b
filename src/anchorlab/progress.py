"""How far work is, on the error stream: a bar on a terminal or in a notebook, else lines if they are wanted.

A library is quiet where nobody watches, so a script whose output goes to a file shows nothing. The command line turns
``lines`` on: then each tenth of the work is one line.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from anchorlab.errors import printable

#: Called with the number of steps done, and named figures to show, such as the loss.
Report = Callable[[int, dict[str, float]], None]


class Status(Protocol):
    """What ``status_bar`` gives."""

    def __call__(self, done: float, total: float, words: str, detail: str = "") -> None:
        """Takes what is done, the total, a few words, and a second line of them."""


#: Called with the title of a bar, its steps done, its total and its figures.
Listener = Callable[[str, int, int, Mapping[str, float]], None]

#: Most columns of a terminal that a title keeps, however little room there is.
_NAME = 30

#: No line is printed before so many seconds: work that is shorter needs none.
_BEGIN = 1.0

#: Without a line for so many seconds, one is printed before the tenth is full.
_SILENCE = 600.0

_SILENT = ContextVar("silent", default=False)
_LINES = ContextVar("lines", default=False)
_LISTENERS: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())

#: Names of figures that are read as words otherwise than they are called.
_WRITTEN = {"asr": "ASR"}


@contextmanager
def no_bars() -> Iterator[None]:
    """Shows no bar inside, for work that is a part of work with its own bar."""
    before = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(before)


@contextmanager
def lines() -> Iterator[None]:
    """Inside, a bar that cannot be shown is a line for each tenth of the work."""
    before = _LINES.set(True)
    try:
        yield
    finally:
        _LINES.reset(before)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Inside, the listener hears of all that bars are told, also of bars that are not shown."""
    before = _LISTENERS.set((*_LISTENERS.get(), listener))
    try:
        yield
    finally:
        _LISTENERS.reset(before)


def tell(title: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    """Tells the listeners of progress that is shown otherwise than by ``progress_bar``."""
    for listener in _LISTENERS.get():
        listener(title, done, total, figures)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Report]:
    """A bar that vanishes at the end; yields a function that reports the steps done and named figures."""
    with _shown(title, total, counted=True) as show:

        def report(done: int, figures: dict[str, float]) -> None:
            show(done, total, figures_in_words(figures))
            tell(title, done, total, figures)

        yield report


@contextmanager
def status_bar(title: str) -> Iterator[Status]:
    """A bar whose total may change; yields a function that reports what is done, the total and a few words."""
    with _shown(title, None, counted=False) as show:
        yield show


@contextmanager
def parts_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """For parts with bars of their own: off a terminal, lines for the whole take the place of each part's lines.

    Args:
        title: what is at work.
        total: number of parts.

    Yields:
        A function that reports the number of parts done.
    """
    console = Console(stderr=True)
    if console.is_jupyter or console.is_terminal:
        yield lambda done: None
        return
    with _shown(title, total, counted=True) as show, no_bars():
        yield lambda done: show(done, total, "")


def figures_in_words(figures: Mapping[str, float]) -> str:
    """Figures as they are read: ``loss 0.512, ASR 0.71``."""
    return ", ".join(f"{_WRITTEN.get(name, name)} {value:.3g}" for name, value in figures.items())


def duration(seconds: float) -> str:
    """A duration in the unit that suits it, as an estimate is said: ``1 second``, ``3 minutes``, ``2.5 hours``."""
    for unit, length, limit in (("second", 1, 90), ("minute", 60, 5400)):
        if seconds < limit:
            count = f"{seconds / length:.0f}"
            return f"{count} {unit}{'' if count == '1' else 's'}"
    return f"{seconds / 3600:.1f} hours"


@contextmanager
def _shown(title: str, total: int | None, *, counted: bool) -> Iterator[Status]:
    """Shows a bar in the way that fits the error stream.

    Args:
        title: what is at work.
        total: its steps; None if they may change.
        counted: whether steps and the time left are shown beside the words, because the words do not say them.
    """
    console = Console(stderr=True)
    name = printable(title)
    if _SILENT.get():
        yield _nothing
    elif console.is_jupyter:
        with _notebook_bar(name, total, counted=counted) as show:
            yield show
    elif console.is_terminal:
        with _terminal_bar(console, name, total, counted=counted) as show:
            yield show
    else:
        yield _Lines(name, counted=counted).report if _LINES.get() else _nothing


def _nothing(done: float, total: float, words: str, detail: str = "") -> None:
    """Shows nothing."""


@contextmanager
def _terminal_bar(console: Console, title: str, total: int | None, *, counted: bool) -> Iterator[Status]:
    name = Column(no_wrap=True, min_width=min(cell_len(title), _NAME))
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False, table_column=name)]
    columns.append(BarColumn(bar_width=30 if counted else 12))
    columns += [MofNCompleteColumn(), TimeRemainingColumn()] if counted else []
    columns.append(TextColumn("{task.fields[words]}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total, words="")

        def show(done: float, total: float, words: str, detail: str = "") -> None:
            shown = "\n".join(printable(line) for line in (words, detail) if line)
            bar.update(task, completed=done, total=total, words=shown)

        yield show


@contextmanager
def _notebook_bar(title: str, total: int | None, *, counted: bool) -> Iterator[Status]:
    """Tqdm's bar: a widget where ipywidgets are installed, else text. rich shows nothing without ipywidgets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tqdm, that ipywidgets are not installed
        from tqdm.auto import tqdm

    layout = None if counted else "{desc}: {percentage:3.0f}%|{bar}|{postfix}"
    with tqdm(total=total, desc=title, leave=False, bar_format=layout, file=sys.stderr) as bar:

        def show(done: float, total: float, words: str, detail: str = "") -> None:
            if total != bar.total:
                bar.reset(total)  # which also tells the widget
            bar.set_postfix_str(_on_one_line(words, detail), refresh=False)
            bar.update(done - bar.n)
            bar.refresh()

        yield show


def _on_one_line(words: str, detail: str) -> str:
    return f"{words}; {detail}" if detail else words


class _Lines:
    """A line for each tenth of the work."""

    def __init__(self, title: str, *, counted: bool) -> None:
        self.title, self.counted = title, counted
        self.began = self.printed = time.monotonic()
        self.tenth = 0
        #: Steps and time of the first report: a run that continues did not take the steps before it.
        self.first: tuple[float, float] | None = None

    def report(self, done: float, total: float, words: str, detail: str = "") -> None:
        """Prints a line if a tenth is full that was not, or after a long silence."""
        now = time.monotonic()
        self.first = self.first or (done, now)
        tenth = int(10 * done / total) if total else 0
        if now - self.began < _BEGIN or (tenth <= self.tenth and now - self.printed < _SILENCE):
            return
        self.tenth, self.printed = max(tenth, self.tenth), now
        share = f"{100 * done / total:.0f}%" if total else "0%"
        counted = [f"{share} ({done:,.0f} of {total:,.0f})", words, self._left(done, total, now)]
        told = ", ".join(filter(None, counted)) if self.counted else _on_one_line(words, detail)
        sys.stderr.write(printable(f"{self.title}: {told}") + "\n")
        sys.stderr.flush()

    def _left(self, done: float, total: float, now: float) -> str:
        """The time left at the speed since the first report; empty while nothing is known or left."""
        assert self.first is not None
        steps, seconds = done - self.first[0], now - self.first[1]
        return f"{duration(seconds / steps * (total - done))} left" if steps > 0 and done < total else ""
