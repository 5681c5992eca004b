"""What ``suite run``, ``population`` and ``report`` say of a suite at their end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anchorlab.cli.answer import Answer
from anchorlab.errors import command_of

if TYPE_CHECKING:
    from anchorlab.statistics.table import Table
    from anchorlab.suites.results import SuiteResults
    from anchorlab.suites.runner import Progress
    from anchorlab.training.tracking import Log

#: Exit code where no method reached its target anywhere.
NOT_REACHED = 3

#: Most findings, and most cautions, that a terminal shows; the page has all.
_SHOWN = 12


@dataclass
class Counts:
    """What one call of a suite did.

    Attributes:
        progress: the last report.
        log: tells trackers results.
    """

    progress: Progress | None = None
    log: Log = field(default=lambda _: None)

    def note(self, progress: Progress) -> None:
        """Takes a report of the runner."""
        self.progress = progress

    @property
    def ran(self) -> int:
        """Jobs that were run by it."""
        return 0 if self.progress is None else self.progress.ran


def suite_answer(
    results: SuiteResults,
    page: Path,
    folder: Path,
    *,
    counts: Counts | None = None,
    already: bool = False,
    again: str | None = None,
) -> Answer:
    """The main table, the findings, what was not reached, and the counts.

    Args:
        results: of the suite, finished or not.
        page: of its report.
        folder: the suite's.
        counts: what this call ran; None if it ran nothing, as ``report`` does.
        already: whether the page was there before and is up to date.
        again: the command that runs the suite, if it is known.
    """
    from anchorlab.reports.suite.brief import brief_table
    from anchorlab.reports.suite.doubts import doubts, none_reached
    from anchorlab.reports.suite.findings import findings
    from anchorlab.suites.smoke import is_smoke_form

    table = brief_table(results)
    found, against = findings(results), doubts(results)
    in_vain = none_reached(results) and not is_smoke_form(results.title)
    return Answer(
        sentences=(*_first(found, "findings"), _count_words(results, counts)),
        table=table,
        cautions=_first(against, "cautions"),
        wrote=page,
        already=already,
        next=_next(results, folder, again, in_vain=in_vain),
        values=_values(results, table, found, against),
        code=_code(results, in_vain=in_vain, ran=counts is not None),
    )


def _code(results: SuiteResults, *, in_vain: bool, ran: bool) -> int:
    """2 where a run failed, a scanner always did or its score was nowhere; 3 where no method reached its target."""
    from anchorlab.reports.suite.accusations import failed_scanners, lost_paths

    without = [*failed_scanners(results), *(lost.detector for lost in lost_paths(results) if lost.everywhere)]
    if ran and (len(results.failed) or without):
        return 2
    return NOT_REACHED if in_vain else 0


def _next(results: SuiteResults, folder: Path, again: str | None, *, in_vain: bool) -> str | None:
    """The command that helps most: what failed runs again, the rest runs, or a finished suite goes into a paper."""
    from anchorlab.reports.suite.accusations import failed_scanners

    if again is not None and (len(results.failed) or any(failed_scanners(results))):
        return f"{again} --retry-failed"
    if results.pending or in_vain:
        return again if results.pending else None
    return command_of("anchorlab", "report", folder, "--paper", otherwise="anchorlab report FOLDER --paper")


def _first(sentences: tuple[str, ...], what: str) -> tuple[str, ...]:
    more = len(sentences) - _SHOWN
    return sentences if more <= 1 else (*sentences[:_SHOWN], f"And {more} more {what}, which the page has.")


def _count_words(results: SuiteResults, counts: Counts | None) -> str:
    """How many runs there are, and how many methods did not reach a target."""
    from anchorlab.statistics.counted import several

    said = []
    if counts is not None and counts.progress is not None:
        progress = counts.progress
        # A model that was found damaged is made again, and then counts twice among those that ran.
        count = max(0, progress.done + progress.failed - progress.ran)
        failed = max(0, progress.failed - progress.failed_here)
        settled = f"settled already, {failed:,} of them failed" if failed else "done already"
        before = f" ({count:,} {_were(count)} {settled})" if count else ""
        jobs = several(progress.total, "job")
        said.append(f"{counts.ran:,} of {jobs} {_were(progress.total)} run now{before}")
    reported = results.results["identity"].nunique() if len(results.results) else 0
    said.append(f"{several(reported, 'run')} {'is' if reported == 1 else 'are'} reported")
    said.append(f"{len(results.failed):,} failed")
    if len(results.choices):
        missed, count = int((~results.choices["reached"].astype(bool)).sum()), len(results.choices)
        said.append(f"{missed or 'none'} of {several(count, 'choice')} of a strength missed the target ASR")
    words = ", ".join(said)
    return f"{words[:1].upper()}{words[1:]}."


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _values(
    results: SuiteResults, table: Table | None, found: tuple[str, ...], against: tuple[str, ...]
) -> dict[str, Any]:
    """For ``--json``: the table by column, all sentences, and the counts."""
    return {
        "suite": results.name,
        "methods": [] if table is None else list(_records(table)),
        "findings": list(found),
        "doubts": list(against),
        "reported": int(results.results["identity"].nunique()) if len(results.results) else 0,
        "failed": len(results.failed),
        "pending": results.pending,
        "not_reached": int((~results.choices["reached"].astype(bool)).sum()) if len(results.choices) else 0,
    }


def results_by_name(results: SuiteResults) -> dict[str, Any]:
    """The means of the main table, each by the part of the suite, the method and the measurement."""
    from anchorlab.reports.suite.brief import brief_table

    table = brief_table(results)
    return {
        "/".join(filter(None, (record["part"], record["method"], name))): value
        for record in (_records(table) if table is not None else ())
        for name, value in record.items()
        if name not in ("part", "method", "kind")
    }


def _records(table: Table) -> Iterator[dict[str, Any]]:
    """The rows of a table as records, by the names of its columns."""
    for group, row in table.rows():
        named = zip(table.columns, row.cells, strict=True)
        values: dict[str, Any] = {column.key: cell.value for column, cell in named}
        yield {"part": group.title, "method": row.head, "kind": row.kind, **values}
