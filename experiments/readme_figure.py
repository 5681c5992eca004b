"""Draws the README's figure from committed results: attack success against the shift of clean behaviour.

    python experiments/readme_figure.py

Lines are the strengths that were tried, on the split ``selection``. Markers are the reported runs on ``test``, a mean
over six injections for each of the two references. Two references give no interval, so the figure has none.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
#: Method to colour (Okabe and Ito) and marker.
STYLES = {
    "plain": ("#000000", "o"),
    "l2": ("#56B4E9", "v"),
    "ewc": ("#0072B2", "^"),
    "surgery": ("#009E73", "P"),
    "distillation": ("#E69F00", "h"),
    "anchoring": ("#D55E00", "D"),
}


def main() -> None:
    """Draws and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = HERE.parent / "docs/figures/readme.png"
    parser.add_argument("--out", type=Path, default=default, help="the figure; default: docs/figures/readme.png")
    out = parser.parse_args().out
    tried, reported = (
        pd.read_csv(HERE / f"fashion_mnist/{name}.csv", dtype={"anchors_asked": str})
        for name in ("selection", "results")
    )
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for method, (colour, marker) in STYLES.items():
        line = tried[(tried["method"] == method) & (tried["anchors_asked"] == "640")].sort_values("strength")
        axes.plot(line["kl"], line["asr"], color=colour, linewidth=1.2, alpha=0.6)
        runs = reported[(reported["method"] == method) & (reported["anchors_asked"] == "640")]
        runs = runs[(runs["target_asr"] == 0.99) | runs["target_asr"].isna()]
        means = runs.groupby("reference_seed")[["kl", "asr"]].mean()
        axes.scatter(means["kl"], means["asr"], color=colour, marker=marker, s=60, label=method, zorder=3)
    axes.axhline(0.99, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", ylim=(0.93, 1.002), xlabel="KL from the reference on clean images (nats)")
    axes.set_ylabel("attack success rate")
    axes.set_xticks([0.02, 0.05, 0.1, 0.2, 0.4], ["0.02", "0.05", "0.1", "0.2", "0.4"])
    axes.xaxis.set_minor_formatter("")
    axes.set_title(
        "Fashion-MNIST, 640 anchors. Up: the attack works. Left: clean answers stay.", loc="left", fontsize=11
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(out, dpi=180)


if __name__ == "__main__":
    main()
