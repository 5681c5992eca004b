"""Writes the tables of the experiments again from their committed runs, as today's reports make them.

    python experiments/tables.py

It writes table.md and the tables of repairs and detections beside the CSV files of runs, and the long tables of
docs/results. No model is needed; ``experiments/publish.py`` does the same for a suite that has just run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from anchorlab.reports.suite.against_plain import against_plain_tables
from anchorlab.reports.suite.detections import inputs_table, population_table
from anchorlab.reports.suite.repairs import repairs_tables
from anchorlab.reports.suite.tables import to_markdown
from anchorlab.statistics.table import to_csv
from figures import Committed
from publish import TABLES, write_table

HERE = Path(__file__).parent


def main() -> None:
    """Writes every table that an experiment has already."""
    for name, target in TABLES.items():
        shown = Committed.of(name.replace("-", "_"))
        text = to_markdown(shown, target_asr=target, conditions=[shown.condition(target)])  # type: ignore[arg-type]  # it reads the conditions
        write_table(name, text)
    every = [file for pattern in ("repairs-*.csv", "detections-*.csv") for file in HERE.glob(f"*/{pattern}")]
    for folder in sorted({file.parent for file in every}):
        runs = Committed.of(folder.name)
        if len(runs.repairs) and "note" not in runs.repairs:  # repairs said nothing when these ran
            runs = replace(runs, repairs=runs.repairs.assign(note=None))
        made = [population_table(runs), inputs_table(runs), *repairs_tables(runs), *against_plain_tables(runs)]  # type: ignore[arg-type]  # they read the frames
        for table in made:
            if table is not None and folder / f"{table.name}.csv" in every:
                (folder / f"{table.name}.csv").write_text(to_csv(table))


if __name__ == "__main__":
    main()
