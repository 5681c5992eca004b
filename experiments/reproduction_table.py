"""The tables of docs/reproduction.md: the columns that a public review of the paper names, from committed CSV files.

    python experiments/reproduction_table.py cifar10

A table stands between ``<!-- reproduction of NAME -->`` and ``<!-- end of reproduction -->``. Its runs are as reported,
each at its own ASR, because the paper's columns are. Failed runs are in no mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.reports.suite.interval_words import too_narrow
from anchorlab.suites.success import works
from short_tables import ROOT, line, read_together, replace_between, written

PAGE = ROOT / "docs/reproduction.md"
#: Success and accuracy, then the five instance-wise metrics.
COLUMNS = {
    "asr": "ASR",
    "accuracy": "Top-1",
    "top_5_accuracy": "Top-5",
    "asr_plus_accuracy": "ASR + ACC",
    "logit_distance": "logit distance",
    "probability_distance": "probability distance",
    "kl": "KL",
    "kl_symmetric": "symmetric KL",
    "pearson_correct": "Pearson",
}


def main() -> None:
    """Writes the tables of the suites that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="+", help="names of suites whose CSV files are in experiments")
    for name in parser.parse_args().suites:
        write_reproduction(name)


def write_reproduction(name: str, page: Path = PAGE) -> None:
    """Replaces the table of a suite on the page, if the page has one."""
    table = reproduction_table(read_together(name, "results"))
    replace_between(page, f"<!-- reproduction of {name} -->", "<!-- end of reproduction -->", table)


def reproduction_table(results: pd.DataFrame) -> str:
    """A row a method and number of anchors, a column a measure: the mean over references, and its interval.

    Args:
        results: a row a reported run.
    """
    shown = {name: title for name, title in COLUMNS.items() if name in results and results[name].notna().any()}
    lines = [
        line(["method", "anchors", "references", *shown.values()]),
        line(["---", "---", "---:", *["---:"] * len(shown)]),
    ]
    runs, every = results[(results["role"] == "method") & works(results)], []
    for (asked, method), rows in runs.groupby(["anchors_asked", "method"], sort=False):
        means = [METRICS[name].over_references(rows[name], rows["reference_seed"]) for name in shown]
        every += means
        cells = [written(mean, name) for mean, name in zip(means, shown, strict=True)]
        lines.append(line([f"`{method}`", str(asked), str(rows["reference_seed"].nunique()), *cells]))
    return "\n".join([*lines, "", *too_narrow(every)]).rstrip()


if __name__ == "__main__":
    main()
