"""Reads back an analysis that was written to a folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json
from anchorlab.perturbation.analysis import FORMAT, Analysis
from anchorlab.perturbation.tables import TABLES
from anchorlab.statistics.comma_separated import read_csv

#: The file that tells an analysis.
RECORD = "analysis.json"

_REMEDY = "run anchorlab analyze again with another --out"


def read_analysis(folder: Path) -> Analysis:
    """The analysis in a folder that ``write_analysis`` filled.

    Raises:
        AnchorlabError: if a file is missing, damaged, or of another version.
    """
    record = read_json(folder / RECORD, _REMEDY)
    if record.pop("format", None) != FORMAT:
        raise AnchorlabError(f"{folder / RECORD} is of another version, expected format {FORMAT}: {_REMEDY}")
    record |= {name: tuple(record.get(name, ())) for name in ("candidates", "buffers_left_out", "findings", "left_out")}
    try:
        return Analysis(**record, tables={name: _table(folder, name) for name in TABLES})
    except TypeError as error:
        raise AnchorlabError(f"{folder / RECORD} is damaged ({error}): {_REMEDY}") from error


def _table(folder: Path, name: str) -> pd.DataFrame:
    """A table; one without rows where it was not measured."""
    path = folder / "tables" / f"{name}.csv"
    if not path.is_file():
        return pd.DataFrame()
    try:
        return read_csv(path)
    except (OSError, ValueError) as error:
        raise AnchorlabError(f"{path} cannot be read ({error}): {_REMEDY}") from error
