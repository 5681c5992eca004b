"""Every strength that was tried: attack success and consistency, measured on ``selection``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from anchorlab.reports.measures import PLOTTED
from anchorlab.reports.suite.settings import Setting, at_setting
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.success import works

#: How far below the lowest target a success rate is still of interest.
_BELOW = 0.15

#: Most runs in a panel whose walks of scales are drawn.
_MOST_WALKS = 60


@dataclass(frozen=True)
class Tried:
    """A strength and scale that was tried, with means over the runs of the selection.

    Attributes:
        strength: the value of the method's strength; None if it has none.
        scale: the factor of the perturbation.
        asr: attack success rate on ``selection``.
        metrics: the other measurements, by name.
        chosen_for: the target success rates that it reaches and was chosen for.
    """

    strength: float | None
    scale: float
    asr: float
    metrics: dict[str, float]
    chosen_for: tuple[float, ...]


def front(results: SuiteResults, setting: Setting, asked: str) -> dict[str, list[list[Tried]]]:
    """Method to its lines: one for each scale, ordered by strength; one ordered by scale if it has no strengths.

    Args:
        results: of the suite.
        setting: task, model, trigger and label rule.
        asked: the number of anchors as the suite asked for it.
    """
    runs, choices = (at_setting(frame, setting) for frame in (results.selection, results.choices))
    if runs.empty:
        return {}
    runs = runs[runs["anchors_asked"].astype(str) == asked]
    choices = choices[choices["anchors_asked"].astype(str) == asked] if len(choices) else choices
    names = [name for name in PLOTTED if name in runs]
    means = runs.assign(**runs[["strength", "scale", "asr", *names]].astype(float))
    means = means.groupby(["method", "strength", "scale"], sort=False, dropna=False, as_index=False)[
        ["asr", *names]
    ].mean()
    by_method: dict[str, list[list[Tried]]] = {}
    for label, rows in means.groupby("method", sort=False):
        chosen = choices[choices["method"] == label] if len(choices) else choices
        points = [_point(row, names, chosen) for _, row in rows.sort_values(["strength", "scale"]).iterrows()]
        if len(rows["strength"].dropna().unique()) > 1:
            by_scale = {point.scale: [other for other in points if other.scale == point.scale] for point in points}
            by_method[str(label)] = list(by_scale.values())
        else:
            by_method[str(label)] = [points]
    return by_method


def walks(results: SuiteResults, setting: Setting, asked: str) -> dict[str, list[list[Tried]]]:
    """Method to its reported runs at several scales, measured on ``test``: a line for each, ordered by scale.

    Runs whose backdoor failed are not there. Nothing is, where there are too many lines to follow one.

    Args:
        results: of the suite.
        setting: task, model, trigger and label rule.
        asked: the number of anchors as the suite asked for it.
    """
    rows = at_setting(results.scales, setting) if len(results.scales) else results.scales
    if rows.empty:
        return {}
    rows = rows[rows["anchors_asked"].astype(str) == asked]
    working = set(rows.loc[rows["reported"].astype(bool) & works(rows), "identity"])
    rows = rows[rows["identity"].isin(working)].drop_duplicates(["identity", "scale"])
    if len(working) > _MOST_WALKS:
        return {}
    names = [name for name in PLOTTED if name in rows]
    rows = rows.assign(**rows[["asr", *names]].astype(float))
    by_method: dict[str, list[list[Tried]]] = {}
    for (label, _), run in rows.groupby(["method", "identity"], sort=False):
        points = [
            Tried(None, row["scale"], row["asr"], {name: row[name] for name in names}, ())
            for row in run.sort_values("scale").to_dict("records")
        ]
        by_method.setdefault(str(label), []).append(points)
    return by_method


def lowest_shown(targets: Iterable[float], rates: Iterable[float]) -> float | None:
    """Where the axis of success rates begins if some are so low that they would squeeze the rest; None otherwise."""
    lowest = min(targets, default=0.0) - _BELOW
    return lowest if any(rate < lowest for rate in rates) else None


def _point(row: pd.Series[float], names: list[str], chosen: pd.DataFrame) -> Tried:
    strength = None if pd.isna(row["strength"]) else float(row["strength"])
    targets = [
        float(choice["target_asr"])
        for _, choice in chosen.iterrows()
        if choice["reached"]
        and _is_same_strength(choice["strength"], strength)
        and math.isclose(choice["scale"], row["scale"])
    ]
    metrics = {name: float(row[name]) for name in names}
    return Tried(strength, float(row["scale"]), float(row["asr"]), metrics, tuple(targets))


def _is_same_strength(chosen: float | None, strength: float | None) -> bool:
    if pd.isna(chosen) or strength is None:
        return bool(pd.isna(chosen)) and strength is None
    assert chosen is not None
    return math.isclose(chosen, strength)
