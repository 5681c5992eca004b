"""The points of a figure as CSV: a row for each run, and for each mean with its interval."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from anchorlab.metrics import Metric
from anchorlab.reports.suite.settings import Setting, at_setting
from anchorlab.reports.suite.strengths import strength_name
from anchorlab.reports.suite.summary import Condition, Entry, Group
from anchorlab.statistics.comma_separated import frame_csv
from anchorlab.suites.results import SuiteResults


def metrics_csv(condition: Condition, group: Group, entries: Sequence[Entry], columns: Sequence[Metric]) -> str:
    """The points of ``draw_metrics``: metric, method, and each run's value, then the mean with its interval."""
    rows = [
        {"metric": metric.name, "method": entry.label, "role": entry.role, **point}
        for metric in columns
        for entry in entries
        for point in _points(entry, metric.name)
    ]
    frame = pd.DataFrame(rows, columns=["metric", "method", "role", "what", *_VALUES])
    return frame_csv(frame.assign(target_asr=condition.target_asr, anchors=group.asked))


_VALUES = ("reference_seed", "seed", "value", "lower", "upper")


def _points(entry: Entry, name: str) -> list[dict[str, object]]:
    if name not in entry.runs:
        return []
    runs: list[dict[str, object]] = [
        {"what": "run", "reference_seed": row["reference_seed"], "seed": row["seed"], "value": row[name]}
        for row in entry.runs.to_dict("records")
    ]
    mean = entry.estimate(name)
    return [*runs, {"what": "mean", "value": mean.value, "lower": mean.lower, "upper": mean.upper}] if runs else []


def front_csv(
    results: SuiteResults,
    setting: Setting,
    asked: str,
    metric: Metric,
    entries: Sequence[tuple[float, Entry]],
    labels: Sequence[str],
) -> str:
    """The points of ``draw_front``: each run of the selection, each reported run, and each mean with its intervals.

    Args:
        results: of the suite.
        setting: task, model, trigger and label rule.
        asked: the number of anchors as the suite asked for it.
        metric: of the horizontal axis.
        entries: target ASR and entry of everything that is reported.
        labels: the methods whose strengths are shown.
    """
    tried = at_setting(results.selection, setting)
    if len(tried):
        tried = tried[(tried["anchors_asked"].astype(str) == asked) & tried["method"].isin(labels)]
    rows = [{"what": "tried", "split": "selection", **_run(results, row, metric)} for row in tried.to_dict("records")]
    for target, entry in entries:
        at = {"split": "test", "target_asr": target}
        rows += [{"what": "reported", **at, **_run(results, row, metric)} for row in entry.runs.to_dict("records")]
        mean: dict[str, object] = {"what": "mean", **at, "method": entry.label}
        for name in ("asr", metric.name):
            estimate = entry.estimate(name)
            mean |= {name: estimate.value, f"{name}_lower": estimate.lower, f"{name}_upper": estimate.upper}
        rows += [mean] if len(entry.runs) else []
    columns = ["what", "split", "target_asr", "method", "strength_name", "strength", "scale", "reference_seed", "seed"]
    measured = [f"{name}{end}" for name in dict.fromkeys(("asr", metric.name)) for end in ("", "_lower", "_upper")]
    return frame_csv(pd.DataFrame(rows, columns=[*columns, *measured]).assign(anchors=asked))


def _run(results: SuiteResults, row: Mapping[Hashable, object], metric: Metric) -> dict[str, object]:
    names = ("method", "strength", "scale", "reference_seed", "seed", "asr", metric.name)
    return {
        **{name: row.get(name) for name in names},
        "strength_name": strength_name(results.suite, str(row["method"])),
    }
