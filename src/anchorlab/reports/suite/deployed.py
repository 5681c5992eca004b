"""What is deployed: the reported models in each form, measured and judged again."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from anchorlab.reports.suite.interval_words import of_references
from anchorlab.reports.suite.repairs import cell_of, split_into_parts
from anchorlab.statistics.references import mean_over_references
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults

#: Measurements: the column's title, and how its means are made.
_MEASURED = {
    "accuracy": "accuracy", "asr": "ASR", "kl": "KL", "churn": "churn", "kl_twin": "KL of twin",
    "churn_twin": "churn of twin",
}  # fmt: skip

#: Measurements of detectors of inputs.
_JUDGED = {"auroc": "AUROC", "tpr_at_1": "TPR at 1%", "tpr_at_5": "TPR at 5%", "false_alarms_at_5": "FPR at 5%"}


def deployed_tables(results: SuiteResults) -> Iterator[Table]:
    """A table of measurements by form and method, and one of each detector of inputs; none without such a form."""
    frame = results.deployed
    if not len(frame):
        return
    measured, judged = frame[frame["detector"] == ""], frame[frame["kind"] == "input"]
    if len(measured):
        yield _table(
            "deployed",
            "What is deployed: each method in each form, mean over references and 95% interval.",
            measured,
            ["task", "trigger"],
            ["form", "method"],
            _MEASURED,
            "Accuracy, ASR, KL and churn are of a deployed model against its reference in the same form. KL and churn "
            "of the twin are against the same model in float32.",
        )
    if len(judged):
        yield _table(
            "deployed-detections",
            "What is deployed: how well detectors separate triggered test inputs from clean ones in each form.",
            judged,
            ["task", "trigger", "defender"],
            ["detector", "form", "method"],
            _JUDGED,
            "Each form has thresholds of its own, on the defender's clean examples.",
        )


def _table(
    name: str, caption: str, frame: pd.DataFrame, parts: list[str], by: list[str], columns: dict[str, str], note: str
) -> Table:
    groups = [
        Rows(
            [
                Row(str(key[0]), [_mean(runs, column) for column in columns], sub=", ".join(map(str, key[1:])))
                for key, runs in part.groupby(by, sort=False)
            ],
            title,
        )
        for title, part in split_into_parts(frame, parts)
    ]
    counts = frame.groupby([*by, *parts])["reference_seed"].nunique()
    return Table(
        name=name,
        caption=caption,
        head=by[0],
        columns=[Column(column, title) for column, title in columns.items()],
        groups=groups,
        notes=[note, of_references(counts.min(), counts.max(), groups)],
    )


def _mean(runs: pd.DataFrame, name: str) -> Cell:
    each = runs.drop_duplicates("identity").dropna(subset=name)
    if not len(each):
        return NONE
    divergence = name.startswith("kl")
    estimate = mean_over_references(each[name], each["reference_seed"], "geometric" if divergence else "rate")
    return cell_of(estimate, "kl" if divergence else "asr")
