"""Copies the results of a finished suite, whose report is written, to where readers find them.

    anchorlab suite run fashion-mnist --out runs/fashion-mnist
    python experiments/publish.py runs/fashion-mnist

Writes experiments/NAME/{results,selection,choices}.csv, with repairs.csv and detections.csv and the report's tables of
them where a suite has any, figures for the documentation, and the tables of docs/results between their markers.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from anchorlab import SuiteResults, load_results
from anchorlab.reports.suite.tables import to_markdown

HERE = Path(__file__).parent
ROOT = HERE.parent
#: Large columns that no table needs.
LEFT_OUT = ["by_class", "undefined", "parameters"]


@dataclass(frozen=True)
class Publication:
    """What the documentation shows of a suite: the table at a target, and its figures by file name."""

    target_asr: float
    figures: dict[str, str]


#: Figures of reports that the documentation shows of other suites.
FIGURES = {
    "defences": {"repairs-fashion-mnist-five-pixel-640.png": "repairs.png"},
    "text-defences": {"repairs-movie-snippets-word-cf-all.png": "text_repairs.png"},
    "population": {
        "roc-models.png": "roc_models.png",
        "roc-inputs-fashion-mnist-five-pixel-640.png": "roc_inputs.png",
        "found-fashion-mnist-square-size-3.png": "found_triggers.png",
    },
}

PUBLICATIONS = {
    "fashion-mnist": Publication(
        0.99,
        {
            "asr-against-kl-fashion-mnist-resnet-mini-five-pixel-all-to-one-0.png": "front.png",
            "metrics-by-method-fashion-mnist-resnet-mini-five-pixel-all-to-one-0-asr99.png": "metrics_by_method.png",
        },
    ),
    "movie-snippets": Publication(
        0.95,
        {
            "metrics-by-method-movie-snippets-minilm-word-cf-all-to-one-positive-asr95.png": "text_by_method.png",
        },
    ),
}


def main() -> None:
    """Writes what the folder holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the suite's folder")
    folder = parser.parse_args().folder
    results = load_results(folder)
    out = HERE / results.name.replace("-", "_")
    out.mkdir(exist_ok=True)
    for name in ("results", "selection", "choices", "repairs", "detections"):
        frame = getattr(results, name)
        if name in ("repairs", "detections") and not len(frame):
            continue
        kept = frame.drop(columns=[column for column in LEFT_OUT if column in frame and name != "choices"])
        kept.to_csv(out / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
    for pattern in ("repairs-*.csv", "detections-*.csv"):
        for table in sorted((folder / "report/tables").glob(pattern)):
            (out / table.name).write_bytes(table.read_bytes())
    for source, name in FIGURES.get(results.name, {}).items():
        (ROOT / "docs/figures" / name).write_bytes((folder / "report/figures" / source).read_bytes())
    if results.name in PUBLICATIONS:
        publish(results, folder, PUBLICATIONS[results.name])


def publish(results: SuiteResults, folder: Path, publication: Publication) -> None:
    """Copies the figures and replaces the table of the suite's page in docs/results."""
    for source, name in publication.figures.items():
        (ROOT / "docs/figures" / name).write_bytes((folder / "report/figures" / source).read_bytes())
    page = ROOT / "docs/results" / f"{results.name}.md"
    begin, end = f"<!-- results of {results.name} -->", f"<!-- end of {results.name} -->"
    before, rest = page.read_text().split(begin)
    _, after = rest.split(end)
    table = to_markdown(results, target_asr=publication.target_asr).strip()
    (HERE / results.name.replace("-", "_") / "table.md").write_text(table + "\n")
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}")


if __name__ == "__main__":
    main()
