"""Writes the report of a suite, and knows whether the one that is there says all that the results say."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab.artifacts.provenance import versions
from anchorlab.files import explained, noted_files, write_json
from anchorlab.reports.html import PAGE
from anchorlab.suites.results import OPTIONAL_FRAMES, SuiteResults, write_results

#: Where the report lies in a suite's folder, and the file in it that says what it was made from and what was written.
REPORT, MADE_FROM = "report", "made-from.json"

#: The CSVs beside the page's folder that a report of an older version may have written, which kept no list.
_USUAL = tuple(f"../{name}.csv" for name in OPTIONAL_FRAMES)

#: The files that may go when a later report does not have them, relative to the page's folder; no others ever do.
_REMOVABLE = re.compile(rf"(\.\./)?({'|'.join(OPTIONAL_FRAMES)})\.csv|(tables|figures)/(?!\.)[^/\\\0]+")


def write_suite_report(results: SuiteResults, folder: Path, out: Path | None = None) -> Path:
    """Writes the results as CSV, and the page with its tables and figures; what only a former report had goes.

    Args:
        results: of the suite.
        folder: the suite's; the CSVs go there, and the page into ``report`` in it.
        out: where all of it goes instead; None for there.

    Returns:
        The path of the page.
    """
    from anchorlab.reports.suite.page import write_page  # it draws, and a page that is up to date is not drawn

    place, tables = (folder / REPORT, folder) if out is None else (out, out)
    former = _written_before(place, _USUAL if out is None else ())
    if former:  # without a hash, so that a command that is killed leaves no page that counts as current
        write_json(place / MADE_FROM, {"files": former})
    else:
        (place / MADE_FROM).unlink(missing_ok=True)
    with noted_files() as noted:
        try:
            write_results(results, tables)
            page = write_page(results, place)
        except BaseException:
            if noted:  # so that a later report removes what this one wrote before it was stopped
                write_json(place / MADE_FROM, {"files": sorted({*former, *_within(tables, noted, place)})})
            raise
    written = _within(tables, noted, place)
    outside = [name for name in former if not _path(name, place).is_relative_to(tables)]  # of a report of another form
    _remove(former, {*written, *outside}, place)
    write_json(place / MADE_FROM, {"sha256": made_from(results), "files": sorted({*written, *outside})})
    return page


def _written_before(place: Path, usual: Sequence[str]) -> list[str]:
    """The files of the report that is there, relative to the page's folder; empty if its record cannot be read.

    Args:
        place: the page's folder.
        usual: what a report of an older version, which has no list, is taken to have written.
    """
    try:
        record = json.loads((place / MADE_FROM).read_text(encoding="utf-8"))
        return [str(name) for name in record.get("files", usual)]
    except (OSError, ValueError, TypeError, AttributeError):
        return []


def _within(tables: Path, noted: Iterable[Path], place: Path) -> list[str]:
    """The files that lie in the folder of the tables, relative to the page's folder."""
    return [Path(os.path.relpath(path, place)).as_posix() for path in noted if path.is_relative_to(tables)]


def _path(name: str, place: Path) -> Path:
    return Path(os.path.normpath(place / name))


def _remove(former: Sequence[str], kept: Set[str], place: Path) -> None:
    """Removes files that a former report wrote; a record that was tampered with reaches no others."""
    alike = {name.casefold() for name in kept}  # where letters' case makes no other file, two names are one
    for name in filter(_REMOVABLE.fullmatch, former):
        path = _path(name, place)
        linked = (place / Path(name).parts[0]).is_symlink()
        if name.casefold() not in alike and path.is_file() and not linked:
            with explained(path):
                path.unlink(missing_ok=True)


def current_page(results: SuiteResults, folder: Path) -> Path | None:
    """The page of a suite's folder if it says all that the results say; None if it has to be written."""
    place = folder / REPORT
    try:
        record = json.loads((place / MADE_FROM).read_text(encoding="utf-8"))
        known, listed = record["sha256"], [place / str(name) for name in record.get("files", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    needed = (place / PAGE, folder / "results.csv", folder / "selection.csv", folder / "choices.csv", *listed)
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
