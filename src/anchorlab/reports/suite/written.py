"""Writes the report of a suite, and knows whether the one that is there says all that the results say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab.artifacts.provenance import versions
from anchorlab.files import write_json
from anchorlab.reports.html import PAGE
from anchorlab.suites.results import SuiteResults, write_results

#: Where the report lies in a suite's folder, and the file in it that says what it was made from.
REPORT, MADE_FROM = "report", "made-from.json"


def write_suite_report(results: SuiteResults, folder: Path, out: Path | None = None) -> Path:
    """Writes the results as CSV, and the page with its tables and figures.

    Args:
        results: of the suite.
        folder: the suite's; the CSVs go there, and the page into ``report`` in it.
        out: where all of it goes instead; None for there.

    Returns:
        The path of the page.
    """
    from anchorlab.reports.suite.page import write_page  # it draws, and a page that is up to date is not drawn

    place = folder / REPORT if out is None else out
    (place / MADE_FROM).unlink(missing_ok=True)
    write_results(results, folder if out is None else out)
    page = write_page(results, place)
    write_json(place / MADE_FROM, {"sha256": made_from(results)})
    return page


def current_page(results: SuiteResults, folder: Path) -> Path | None:
    """The page of a suite's folder if it says all that the results say; None if it has to be written."""
    place = folder / REPORT
    try:
        known = json.loads((place / MADE_FROM).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    needed = (place / PAGE, folder / "results.csv", folder / "selection.csv", folder / "choices.csv")
    return place / PAGE if known == made_from(results) and all(path.is_file() for path in needed) else None


def made_from(results: SuiteResults) -> str:
    """A hash of all that a report depends on: the suite, what is done of it, and this version of anchorlab."""
    record: dict[str, Any] = {
        "version": versions()["anchorlab"],
        "suite": results.spec_text,
        "pending": results.pending,
        "references": [reference["weights_sha256"] for reference in results.references],
        "choices": results.choices.to_json(),
        **{
            name: _identities(getattr(results, name))
            for name in ("results", "selection", "repairs", "detections", "failed")
        },
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode(errors="surrogatepass")).hexdigest()


def _identities(frame: pd.DataFrame) -> list[str]:
    return sorted(map(str, frame["identity"])) if "identity" in frame else []
