"""Copies the results of a finished suite to where readers find them.

    anchorlab suite run fashion-mnist --out runs/fashion-mnist
    python experiments/publish.py runs/fashion-mnist

Writes experiments/NAME/{results,selection,choices}.csv; scales.csv and equal.csv, where runs were measured at several
scales; repairs.csv and detections.csv and the tables of them (relearning too), where a suite has any;
deployed.csv, where it deploys; and the tables of README and docs between their markers. Then draws the figures of the
documentation from these files.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from accusations import accusations_of
from anchorlab import load_results
from anchorlab.reports.suite.defence_tables import defence_tables
from anchorlab.reports.suite.tables import to_markdown
from anchorlab.statistics.table import to_csv
from anchorlab.suites.results import OPTIONAL_FRAMES, SuiteResults
from defence_tables import write_defences
from deployed_table import write_deployed
from reproduction_table import write_reproduction
from short_tables import SMALL, replace_between, tables_with, write_short_tables

HERE = Path(__file__).parent
ROOT = HERE.parent
#: What every suite has; of the rest it has some.
ALWAYS = ("results", "selection", "choices")
#: Large columns that no table needs.
LEFT_OUT = ["by_class", "undefined", "parameters"]
#: The columns of scales.csv: what says which run it is, and what is read off at the common ASR in README and docs.
KEPT_OF_SCALES = [
    *("method", "anchors_asked", "seed", "reference_seed", "identity", "common_asr", "reported", "scale"),
    *("asr", "asr_count", "accuracy", "kl", "churn", "negative_flips", "logit_distance"),
]

#: The report's tables of repairs and of detectors, but for the matrix, which has the same numbers in another order.
REPORTED = ("repairs-[!m]*.csv", "repair-rates.csv", "relearning.csv", "detections-*.csv", "accusations.csv")
#: The figure of a suite's report that no CSV file has the data of, and its name in the documentation.
FOUND = {"population": ("found-fashion-mnist-square-size-3.png", "found_triggers.png")}
#: The figures that figures.py draws from a suite.
FIGURES = {
    "fashion-mnist": ("metrics_by_method",),
    "movie-snippets": ("text_by_method",),
    "defences-images": ("repairs", "relearning", "roc_models", "detectors_of_inputs"),
    "text-defences": ("text_repairs",),
}
#: The target ASR of the table that the documentation shows of a suite.
TABLES = {
    "fashion-mnist": 0.99,
    "fashion-mnist-square": 0.99,
    "fashion-mnist-scratch": 0.99,
    "ablation": 0.99,
    "cifar10": 0.95,
    "sst2": 0.95,
    "sst2-more": 0.95,
    "sst2-lora": 0.95,
    "imdb": 0.95,
    "movie-snippets": 0.95,
}


def main() -> None:
    """Writes what the folder holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the suite's folder")
    folder = parser.parse_args().folder
    results = load_results(folder)
    out = HERE / results.name.replace("-", "_")
    out.mkdir(exist_ok=True)
    for name in (*ALWAYS, *OPTIONAL_FRAMES):
        frame = getattr(results, name)
        if name not in ALWAYS and not len(frame):
            continue
        if name == "scales":
            frame = frame[KEPT_OF_SCALES].drop_duplicates(["identity", "common_asr", "scale"])
        kept = frame.drop(columns=[column for column in LEFT_OUT if column in frame and name != "choices"])
        kept.to_csv(out / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
    write_defence_tables(results, out)
    if results.name in FOUND:
        source, name = FOUND[results.name]
        (ROOT / "docs/figures" / name).write_bytes((folder / "report/figures" / source).read_bytes())
    if results.name in TABLES:
        write_table(results.name, to_markdown(results, target_asr=TABLES[results.name]))
    if len(results.equal):
        for name in tables_with(results.name):
            write_short_tables(name)
            write_reproduction(name)
    write_defences(results.name)
    if results.name == "deployed":
        write_deployed()
    if results.name == SMALL[0]:
        subprocess.run([sys.executable, str(HERE / "readme_figure.py")], check=True)
    if results.name in FIGURES:
        subprocess.run([sys.executable, str(HERE / "figures.py"), *FIGURES[results.name]], check=True)


def write_defence_tables(results: SuiteResults, out: Path) -> None:
    """Writes the tables of repairs and detectors of a suite that the documentation has numbers of."""
    for table in defence_tables(results):
        name = f"{table.name}.csv"
        if any(fnmatch(name, pattern) for pattern in REPORTED):
            (out / name).write_text(to_csv(table))
    if (out / "accusations.csv").is_file():  # ranks of the scores as they are committed, because rounded ones may tie
        (out / "accusations.csv").write_text(accusations_of(out.name))


def write_table(name: str, text: str) -> None:
    """Replaces a suite's table on the page of docs/results that has its markers, and the one beside its CSV files."""
    begin, end = f"<!-- results of {name} -->", f"<!-- end of {name} -->"
    table = text.strip()
    (HERE / name.replace("-", "_") / "table.md").write_text(table + "\n")
    for page in (ROOT / "docs/results").glob("*.md"):
        replace_between(page, begin, end, table)


if __name__ == "__main__":
    main()
