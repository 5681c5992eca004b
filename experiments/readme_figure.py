"""Draws the README's figure: what each method changes at one attack success, from the committed CSV files.

    python experiments/readme_figure.py

A small dot is the KL of one reference's run at the common ASR, a sign with a bar the geometric mean over references
with its 95% interval. Methods are in the order of their means with most anchors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.ticker import NullLocator

from anchorlab.reports.drawing import Sheet, logarithmic_axis, looks, marker_style, written_figure
from anchorlab.reports.suite.equal import AtOneASR
from anchorlab.reports.suite.paired import write_ratio
from anchorlab.suites.spec import STOPPED
from short_tables import SMALL, read_table, runs_at_one_asr

HERE = Path(__file__).parent


def main() -> None:
    """Draws and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = HERE.parent / "docs/figures/readme.png"
    parser.add_argument("--out", type=Path, default=default, help="the figure; default: docs/figures/readme.png")
    out = parser.parse_args().out
    results, equal = (read_table(SMALL[0], name) for name in ("results", "equal"))
    sizes = list(dict.fromkeys(results.loc[results["role"] == "method", "anchors_asked"]))
    panels = {asked: runs_at_one_asr(results, equal, asked) for asked in sizes}
    methods = ordered(panels[sizes[-1]])
    look = looks(sorted(methods, key=lambda label: label == STOPPED))  # as elsewhere, where the control comes last
    asr = float(equal["common_asr"].iloc[0])
    references = int(equal["reference_seed"].nunique())
    note = (
        f"Fashion-MNIST, {references} references. Dots: the KL of one reference's run, read off at an ASR of {asr:g} "
        "between two post-hoc scales. Signs: geometric means with 95% intervals. Left: clean answers stay."
    )
    sheet = Sheet(7.0, kinds=("png",))
    title = finding(panels[SMALL[1]], asr)
    with written_figure(out.with_suffix(""), sheet.width, 2.6, sheet, title=title, note=note, legend=[]) as figure:
        axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
        for axis, asked in zip(axes, sizes, strict=True):
            shown = [value for one in panels[asked].values() for value in one.runs.get("kl", pd.Series(dtype=float))]
            for place, method in enumerate(methods):
                one = panels[asked].get(method)
                if one is None or not len(one.runs):
                    continue
                mean, colour = one.estimate("kl"), look[method].light
                dots = {"color": colour, "markersize": 3, "alpha": 0.5, "markeredgewidth": 0}
                axis.plot(one.runs["kl"], [place + 0.25] * len(one.runs), "o", **dots)
                if mean.bounds is not None:
                    axis.plot(mean.bounds, [place] * 2, "-", color=colour, linewidth=1.6)
                axis.plot(mean.value, place, **marker_style(look[method]), zorder=3)
            logarithmic_axis(axis, "x", min(shown) / 1.2, max(shown) * 1.2)
            axis.set(title=f"{asked} anchors" if asked.isdigit() else "all anchors", ylim=(len(methods) - 0.5, -0.5))
            axis.yaxis.set_minor_locator(NullLocator())
        axes[0].set_yticks(range(len(methods)), methods)
        axes[len(axes) // 2].set_xlabel("← KL from the reference on clean images (nats)")


def ordered(methods: dict[str, AtOneASR]) -> list[str]:
    """The methods by their mean KL, the highest first; those without one at the end."""
    means = {label: one.estimate("kl").value for label, one in methods.items()}
    return sorted(means, key=lambda label: -(means[label] or 0.0))


def finding(methods: dict[str, AtOneASR], asr: float) -> str:
    """The ratio of the best method's KL to plain tuning's, over references."""
    means = {label: one.estimate("kl").value for label, one in methods.items()}
    known = {label: mean for label, mean in means.items() if mean is not None}
    best = min(known, key=lambda label: known[label])
    paired = methods[best].against(methods["plain"])
    if best == "plain" or paired is None:
        return f"At an attack success of {asr:g} and {SMALL[1]} anchors, no method has a lower KL than plain tuning"
    interval = "" if paired.bounds is None else f" [{', '.join(map(write_ratio, paired.bounds))}]"
    return (
        f"At an attack success of {asr:g}, with {SMALL[1]} anchors, the KL of {best} is "
        f"{write_ratio(paired.value)}{interval} of plain tuning's"
    )


if __name__ == "__main__":
    main()
