"""Writes the tables of the experiments again from their committed runs, as today's reports make them.

    python experiments/tables.py

It writes table.md and the tables of repairs and detections beside the CSV files of runs, and the long tables of
docs/results. No model is needed; ``experiments/publish.py`` does the same for a suite that has just run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

from anchorlab.reports.suite.accusations import accusations_table
from anchorlab.reports.suite.against_plain import against_plain_tables
from anchorlab.reports.suite.detections import inputs_table, population_table
from anchorlab.reports.suite.relearning import relearning_tables
from anchorlab.reports.suite.repair_matrix import repair_matrix
from anchorlab.reports.suite.repair_rates import repair_rates_tables
from anchorlab.reports.suite.repairs import repairs_tables
from anchorlab.reports.suite.tables import to_markdown
from anchorlab.statistics.table import to_csv
from anchorlab.suites.results import SuiteResults
from figures import Committed
from publish import REPORTED, TABLES, write_table

HERE = Path(__file__).parent


def main() -> None:
    """Writes every table that an experiment has already."""
    for name, target in TABLES.items():
        shown = Committed.of(name.replace("-", "_"))
        if not len(shown.results):  # because the suite has not run
            continue
        text = to_markdown(shown, target_asr=target, conditions=[shown.condition(target)])  # type: ignore[arg-type]  # it reads the conditions
        write_table(name, text)
    patterns = [pattern for of_kind in REPORTED.values() for pattern in of_kind]
    every = [file for pattern in patterns for file in HERE.glob(f"*/{pattern}")]
    for folder in sorted({file.parent for file in every}):
        runs = Committed.of(folder.name)
        if len(runs.repairs) and "note" not in runs.repairs:  # repairs said nothing when these ran
            runs = replace(runs, repairs=runs.repairs.assign(note=None))
        results = cast(SuiteResults, runs)  # they read the frames
        made = [population_table(results), accusations_table(results), inputs_table(results)]
        made += [*repairs_tables(results), *against_plain_tables(results), *repair_rates_tables(results)]
        made += [*relearning_tables(results), *repair_matrix(results)]
        for table in made:
            if table is not None and folder / f"{table.name}.csv" in every:
                (folder / f"{table.name}.csv").write_text(to_csv(table))


if __name__ == "__main__":
    main()
