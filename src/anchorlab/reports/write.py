"""Writes the report of a suite's folder."""

from __future__ import annotations

from pathlib import Path

from anchorlab.arguments import checked
from anchorlab.reports.suite.page import write_page
from anchorlab.suites.results import load_results, write_results


@checked
def write_report(folder: str | Path, *, out: str | Path | None = None) -> Path:
    """Writes the report of a suite: one web page with tables and figures beside it, and the results as CSV.

    Args:
        folder: of the suite, finished or not.
        out: where to write; if left out, the CSVs go into the folder and the page into ``report`` in it.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if the folder holds no suite or nothing to show, or a file cannot be written.
    """
    folder = Path(folder)
    results = load_results(folder)
    write_results(results, folder if out is None else Path(out))
    return write_page(results, folder / "report" if out is None else Path(out))
