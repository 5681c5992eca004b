"""Means of a suite's runs with their intervals, as a frame and as a plot: of runs whose backdoor works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from anchorlab.consistency.influences import Influences, influences
from anchorlab.consistency.runs import estimates_of
from anchorlab.metrics import METRICS, InstanceTable
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.plotting import Measured, plot_estimates
from anchorlab.suites.success import works

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What a table shows if nothing is named.
SHOWN = ("asr", "accuracy", "kl", "churn")

#: What is compared with each other: runs that differ in one of these stand in different rows.
_PLACE = ["task", "model", "trigger", "rule", "target", "anchors_asked", "target_asr"]


def means_frame(
    runs: pd.DataFrame,
    instances: Callable[[str], InstanceTable],
    metrics: Sequence[str],
    examples: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """A row for each method and place, see ``SuiteResults.table``.

    Args:
        runs: the reported runs.
        instances: the per-instance table of a run by its identity.
        metrics: names of measurements.
        examples: hash of what a run was measured on, by its identity, where it is known.

    Raises:
        AnchorlabError: for an unknown metric.
    """
    names = [METRICS[name].name for name in metrics]

    def read(identity: str) -> Influences:
        return influences(instances(identity), names, (examples or {}).get(identity, ""))

    rows = []
    for keys, group, failed in _groups(runs):
        means = estimates_of(group, read) if len(group) else {}
        row = {**keys, "references": group["reference_seed"].nunique(), "runs": len(group), "failed": failed}
        for name in names:
            mean = means.get(name, Estimate(None))
            row |= {name: mean.value, f"{name}_lower": mean.lower, f"{name}_upper": mean.upper}
        rows.append(row)
    measured = [f"{name}{end}" for name in names for end in ("", "_lower", "_upper")]
    return pd.DataFrame(rows, columns=[*_PLACE, "method", "role", "references", "runs", "failed", *measured])


def plot_means(runs: pd.DataFrame, means: pd.DataFrame, metric: str) -> Figure:
    """Each run as a dot and each mean with its interval, a panel for each place."""
    panels: dict[str, list[Measured]] = {}
    targets = means["target_asr"].dropna().unique()
    varying = [name for name in _PLACE if len(means[name].dropna().unique()) > 1]
    for (keys, group, _), mean in zip(_groups(runs), means.to_dict("records"), strict=True):
        estimate = Estimate(mean[metric], mean[f"{metric}_lower"], mean[f"{metric}_upper"])
        values = [float(value) for value in group[metric].astype(float)]
        # A benign update has no target, and stands beside the methods at each of them.
        own = [target for target in targets if target == keys["target_asr"]]
        for target in own or targets:
            place = {**keys, "target_asr": target}
            title = ", ".join([METRICS[metric].title, *(f"{name.replace('_', ' ')} {place[name]}" for name in varying)])
            rows = panels.setdefault(title, [])
            rows.append(Measured(str(keys["method"]), estimate, values, kind=len(rows)))
    return plot_estimates(panels, logarithmic=list(panels) if METRICS[metric].logarithmic else [])


def _groups(runs: pd.DataFrame) -> Iterator[tuple[dict[str, object], pd.DataFrame, int]]:
    """The working runs of each method in each place, without the noise floor, and the number of those that failed."""
    reported = runs[runs["role"] != "noise"] if len(runs) else runs
    columns = [*_PLACE, "method", "role"]
    for keys, group in reported.groupby(columns, sort=False, dropna=False) if len(reported) else ():
        working = works(group)
        yield dict(zip(columns, keys, strict=True)), group[working], int((~working).sum())
