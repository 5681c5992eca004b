"""Tables of the record of a suite: its references, and the cells that failed."""

from __future__ import annotations

import pandas as pd

from anchorlab.statistics.numbers import fraction
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults


def failed_table(failed: pd.DataFrame) -> Table | None:
    """The cells that failed, with the error of each; None if none did."""
    if failed.empty:
        return None
    rows = [
        Row(str(row["what"]), [Cell(str(row[name]), str(row[name])) for name in ("stage", "error")])
        for _, row in failed.iterrows()
    ]
    return Table(
        "failed",
        "Cells that failed.",
        "cell",
        [Column("stage", "stage", is_text=True), Column("error", "error", is_text=True)],
        [Rows(rows)],
    )


def references_table(results: SuiteResults) -> Table:
    """The trained references."""
    rows = [
        Row(
            f"{reference['task']}, seed {reference['seed']}",
            [
                Cell(str(reference.get("model", "")), str(reference.get("model", ""))),
                Cell(fraction(float(reference["accuracy"])), float(reference["accuracy"])),
                Cell(f"{float(reference['seconds']):.1f}", float(reference["seconds"])),
                Cell(str(reference["weights_sha256"]), str(reference["weights_sha256"])),
            ],
        )
        for reference in results.references
    ]
    columns = [
        Column("model", "model", is_text=True),
        Column("accuracy", "accuracy", "on selection"),
        Column("seconds", "training", "seconds"),
        Column("weights_sha256", "SHA-256 of the weights", is_text=True),
    ]
    return Table("references", "The references.", "reference", columns, [Rows(rows)])
