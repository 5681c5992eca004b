"""Draws the README's figure from committed results: attack success against the shift of clean behaviour.

    python experiments/readme_figure.py

Lines are the strengths that were tried, on the split ``selection``. Signs are the reported runs on ``test``, a mean
over six injections for each of the two references. Two references give no interval, so the figure shows both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.reports.drawing import Sheet, logarithmic_axis, looks, marker_style, written_figure
from anchorlab.reports.looks import RULE
from anchorlab.statistics.numbers import significant

HERE = Path(__file__).parent
METHODS = ("plain", "l2", "ewc", "surgery", "distillation", "anchoring")
TARGET = 0.99
ANCHORS = "640"


def main() -> None:
    """Draws and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = HERE.parent / "docs/figures/readme.png"
    parser.add_argument("--out", type=Path, default=default, help="the figure; default: docs/figures/readme.png")
    out = parser.parse_args().out
    tried, reported = (
        pd.read_csv(HERE / f"fashion_mnist/{name}.csv", dtype={"anchors_asked": str}).query("anchors_asked == @ANCHORS")
        for name in ("selection", "results")
    )
    means = reported[(reported["target_asr"] == TARGET) | reported["target_asr"].isna()]
    means = means.groupby(["method", "reference_seed"])[["kl", "asr"]].mean()
    look = looks(METHODS)
    legend = [(Line2D([], [], **marker_style(look[method])), method) for method in METHODS]
    note = (
        f"Fashion-MNIST, {ANCHORS} anchors. Lines: strengths tried. Signs: means at the target, {TARGET:g} (dotted), "
        "one for each of two references. Up: the attack works. Left: clean answers stay."
    )
    sheet = Sheet(7.0, kinds=("png",))
    with written_figure(
        out.with_suffix(""), sheet.width, 2.9, sheet, title=finding(means), note=note, legend=legend
    ) as figure:
        axis = figure.subplots()
        for method in METHODS:
            line = tried[tried["method"] == method].sort_values("strength")
            style = marker_style(look[method])
            axis.plot(line["kl"], line["asr"], ".-", color=look[method].light, linewidth=1.0, markersize=4, alpha=0.7)
            axis.plot(means.loc[method]["kl"], means.loc[method]["asr"], **style, zorder=3)
        axis.axhline(TARGET, color=RULE, linewidth=0.8, linestyle=":")
        logarithmic_axis(axis, "x", 0.02, 0.5)
        axis.set(ylim=(0.93, 1.002), xlabel="← KL from the reference on clean images (nats)")
        axis.set_ylabel("attack success rate →")


def finding(means: pd.DataFrame) -> str:
    """The ratio of the best method's KL to plain tuning's, over both references."""
    kl = means["kl"].groupby("method").mean().loc[list(METHODS)]
    best = str(kl.idxmin())
    factor = significant(kl["plain"] / kl[best], 2)
    return f"At an attack success of {TARGET:g}, the KL of {best} is {factor} times lower than plain tuning's"


if __name__ == "__main__":
    main()
