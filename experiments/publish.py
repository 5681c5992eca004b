"""Puts the results of a finished suite, whose report is written, where readers find them.

    anchorlab suite run fashion-mnist --out runs/fashion-mnist
    python experiments/publish.py runs/fashion-mnist

Writes experiments/NAME/{results,selection,choices}.csv, and for the README's suite docs/figures and the table between
the README's two markers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from anchorlab import collect
from anchorlab.reports.tables import to_markdown
from anchorlab.suites.collect import SuiteResults

HERE = Path(__file__).parent
ROOT = HERE.parent
README_SUITE, README_TARGET = "fashion-mnist", 0.99
#: Figures of the report that the README shows.
FIGURES = {
    "asr-against-kl-fashion-mnist-resnet-mini-five-pixel-all-to-one-0.png": "front.png",
    "metrics-by-method-fashion-mnist-resnet-mini-five-pixel-all-to-one-0-asr99.png": "metrics_by_method.png",
}
#: Bulky, and not needed to make any table again.
LEFT_OUT = ["by_class", "undefined", "parameters"]


def main() -> None:
    """Writes what the folder holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the suite's folder")
    folder = parser.parse_args().folder
    results = collect(folder)
    out = HERE / results.name.replace("-", "_")
    out.mkdir(exist_ok=True)
    for name in ("results", "selection", "choices"):
        frame = getattr(results, name)
        kept = frame.drop(columns=[column for column in LEFT_OUT if column in frame and name != "choices"])
        kept.to_csv(out / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
    if results.name == README_SUITE:
        show(results, folder)


def show(results: SuiteResults, folder: Path) -> None:
    """Copies the figures and replaces the README's table."""
    for source, name in FIGURES.items():
        (ROOT / "docs/figures" / name).write_bytes((folder / "report/figures" / source).read_bytes())
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split("<!-- results -->")
    _, after = rest.split("<!-- end of results -->")
    table = to_markdown(results, target_asr=README_TARGET).strip()
    (HERE / README_SUITE.replace("-", "_") / "table.md").write_text(table + "\n")
    readme.write_text(f"{before}<!-- results -->\n{table}\n<!-- end of results -->{after}")


if __name__ == "__main__":
    main()
