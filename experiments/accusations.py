"""Computes the committed tables of accusations again, from the committed scores.

    python experiments/accusations.py defences-images defences-rate deployed

Writes experiments/NAME/accusations.csv as a suite's report does, from its results.csv and detections.csv.
"""

from __future__ import annotations

import argparse

import pandas as pd

from anchorlab.reports.suite.accusations import accusations_table
from anchorlab.statistics.table import to_csv
from figures import HERE, Committed

#: What the table is made of.
TABLES = ("results", "detections")


def main() -> None:
    """Writes the tables of the suites that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="+", help="names of suites whose CSV files are in experiments")
    for suite in parser.parse_args().suites:
        name = suite.replace("-", "_")
        (HERE / name / "accusations.csv").write_text(accusations_of(name))


def accusations_of(name: str) -> str:
    """The table of a folder of experiments, as CSV."""
    frames = {table: pd.read_csv(HERE / name / f"{table}.csv", dtype={"defender": str}) for table in TABLES}
    table = accusations_table(Committed(name, **frames))  # type: ignore[arg-type]  # it reads these two
    assert table is not None
    return to_csv(table)


if __name__ == "__main__":
    main()
