"""The figure of docs/theory.md: what the shift of the logits allows, beside what happened."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.reports.drawing import Sheet, written_figure
from anchorlab.reports.looks import GRID, LOOKS, SOFT

BOUNDS = Path(__file__).parent / "perturbation/fashion_mnist/bounds.csv"
#: From the least to the most that their shift allows.
SHOWN = ("anchoring", "benign", "surgery", "plain", "scratch")
#: Bounds of the mean KL and the signs of their means.
SIGNS = {"measured": ("o", "mean KL, measured"), "KL by range": ("|", "r²/8"), "KL by norm": ("x", "|c|²/4")}


def bounds() -> pd.DataFrame:
    """Measured and allowed, a row a candidate, bound and reference."""
    table = pd.read_csv(BOUNDS)
    return table[table["candidate"].isin(SHOWN)]


def draw_theory(stem: Path, sheet: Sheet) -> None:
    """Left the KL, right the predictions; each reference is a sign or a bar."""
    table = bounds()
    references = table["reference_seed"].nunique()
    step = 0.75 / references
    title = "Nothing lies beyond what its shift allows, and most lies far within"
    note = (
        f"Fashion-MNIST, {references} references, clean test images. Left: mean over inputs. Right: share of "
        "predictions that changed (coloured), that could have but did not (dark), and that theory says could not "
        "(light)."
    )
    legend = [
        (Line2D([], [], color="black", marker=sign, linestyle="", markersize=5), words)
        for sign, words in SIGNS.values()
    ]
    with written_figure(stem, sheet.width, 3.4, sheet, title=title, note=note, legend=legend) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for place, name in enumerate(SHOWN):
            own = table[table["candidate"] == name].set_index("bound")
            colour = LOOKS[name].light
            for number in range(references):
                height = place + (number - (references - 1) / 2) * step
                for bound, (sign, _) in SIGNS.items():
                    value = own.loc["KL by range", "measured"] if bound == "measured" else own.loc[bound, "bound_mean"]
                    left.plot(value.iloc[number], height, sign, color=colour, markersize=4)
                churn, could = (own.loc["flip by range", column].iloc[number] for column in ("measured", "bound_mean"))
                right.barh(height, 1, 0.8 * step, color=GRID)
                right.barh(height, could, 0.8 * step, color=SOFT)
                right.barh(height, churn, 0.8 * step, color=colour)
        left.set_xscale("log")
        left.set_xlabel("nats")
        left.set_yticks(range(len(SHOWN)), SHOWN)
        left.invert_yaxis()
        right.set_xlim(0, 1)
        right.set_xlabel("share of predictions")
