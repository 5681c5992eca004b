"""The table of repairs in docs/results/defences.md, from the committed tables of the suite repairs.

    python experiments/repairs_table.py

It stands between ``<!-- repairs -->`` and ``<!-- end of repairs -->``: for each repair the ASR that is left of plain
tuning's and of anchoring's backdoor, their difference paired by reference, and what the repair costs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from short_tables import line, replace_between

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/results/defences.md"
METHODS = ("plain", "anchoring")


def main() -> None:
    """Writes the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    write_repairs()


def write_repairs() -> None:
    """Replaces the table on the page."""
    replace_between(PAGE, "<!-- repairs -->", "<!-- end of repairs -->", repairs_table())


def repairs_table() -> str:
    """A row a repair, in the order of the suite."""
    asr, accuracy, paired = (
        pd.read_csv(HERE / f"repairs/repairs-{name}.csv").set_index("repair")
        for name in ("asr", "accuracy", "asr-against-plain")
    )
    runs = pd.read_csv(HERE / "repairs/repairs.csv")
    # The table of a report leaves this cell empty, because the reference is what all others are compared with.
    unrepaired = runs.loc[runs["role"] == "reference"].groupby("reference_seed")["accuracy_before"].first().mean()
    accuracy.loc["no repair", "reference"] = unrepaired
    lines = [
        line(["repair", *METHODS, "anchoring minus plain", "accuracy: plain, anchoring, clean reference"]),
        line(["---", *["---:"] * 4]),
    ]
    for repair in asr.index:
        left = [written(asr.loc[repair], method) for method in METHODS]
        difference = written(paired.loc[repair], "anchoring") if repair in paired.index else "–"
        kept = ", ".join(f"{float(accuracy.loc[repair, model]):.3f}" for model in (*METHODS, "reference"))
        name = repair if repair == "no repair" else f"`{repair}`"
        lines.append(line([name, *left, difference, kept]))
    return "\n".join(lines)


def written(row: pd.Series, name: str) -> str:
    """A mean with its interval."""
    value, lower, upper = (float(row[f"{name}{end}"]) for end in ("", "_lower", "_upper"))
    return f"{value:.3f} [{lower:.3f}, {upper:.3f}]".replace("-", "−")


if __name__ == "__main__":
    main()
