"""Still figures of detectors, as PNG and SVG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anchorlab.reports.drawing import shorten, written_figure
from anchorlab.reports.suite.detections import Curve, FoundTriggers, ShownTrigger

#: Colours (Okabe and Ito's) and lines of the detectors, in their order.
_LINES = (
    ("#0072b2", "-"),
    ("#d55e00", "--"),
    ("#009e73", "-."),
    ("#cc79a7", ":"),
    ("#e69f00", (0, (6, 2))),
    ("#000000", (0, (1, 1))),
)


def draw_roc_curves(panels: Mapping[str, Mapping[str, Curve]], stem: Path, *, of: str) -> None:
    """ROC curves, a panel for each method and a line for each detector.

    Args:
        panels: method to detector to its curve.
        stem: the files to write, less ``.png`` and ``.svg``.
        of: the inputs or models that the FPR is a share of, in words.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    with written_figure(stem, 2.2 + 2.6 * len(panels), 3.4) as figure:
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axis, (title, curves) in zip(axes, panels.items(), strict=True):
            axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
            for name, (false, true) in curves.items():
                colour, line = _LINES[names.index(name) % len(_LINES)]
                label = shorten(name, 24) if axis is axes[0] else None
                axis.plot(false, true, color=colour, linestyle=line, linewidth=1.6, label=label)
            axis.set(title=shorten(title, 24), aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axis.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes[0].set_ylabel("TPR")
        # One label for all panels: below each panel it would reach into the next panel.
        figure.supxlabel(f"FPR (share of {of})", fontsize="medium")
        figure.legend(loc="outside right upper")


def draw_found_triggers(triggers: FoundTriggers, stem: Path) -> None:
    """The true trigger beside the triggers that detectors found in a model of each method.

    Args:
        triggers: the triggers of one task and true trigger.
        stem: the files to write, less ``.png`` and ``.svg``.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    columns = triggers.columns
    with written_figure(stem, 1.6 + 1.35 * (1 + len(columns)), 0.5 + 1.35 * len(triggers.rows)) as figure:
        axes = figure.subplots(len(triggers.rows), 1 + len(columns), squeeze=False)
        for axis, title in zip(axes[0], ["true trigger", *columns], strict=True):
            axis.set_title("\n".join(shorten(line, 18) for line in title.split("\n")), fontsize=8)
        for line, (method, row) in zip(axes, triggers.rows.items(), strict=True):
            line[0].set_ylabel("clean reference" if method == "reference" else shorten(method, 18))
            # A model without a backdoor has no true trigger.
            first = None if method in ("reference", "benign") else triggers.true
            for axis, trigger in zip(line, [first, *(row.get(column) for column in columns)], strict=True):
                _draw(axis, trigger)


def _draw(axis: Any, trigger: ShownTrigger | None) -> None:
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    if trigger is None:
        axis.spines[:].set_visible(False)
        axis.text(0.5, 0.5, "none", ha="center", va="center", color="#555555", transform=axis.transAxes)
        return
    pixels = trigger.picture.float() / 255
    image = pixels.permute(1, 2, 0) if len(pixels) == 3 else pixels.mean(dim=0)
    axis.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.set_xlabel(f"to {shorten(trigger.label, 14)}" if trigger.label else "", fontsize=8)
