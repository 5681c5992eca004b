"""What a suite's repairs and detectors did, as tables: by way of injection, means over runs with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from anchorlab.consistency.statistics import Estimate
from anchorlab.detectors.rates import auroc, curve
from anchorlab.reports.measures import MEASURES
from anchorlab.reports.report import Results
from anchorlab.reports.table import Cell, Column, Row, Rows, Table, number

#: What a repair is judged by, in the order of tables; and the heading of each.
_JUDGED = {"asr": "ASR", "accuracy": "accuracy", "kl": "KL", "churn": "churn"}

#: What the clean reference is called among methods.
_REFERENCE = "reference"

_NONE = Cell("–")


def over_runs(values: Sequence[float]) -> Estimate:
    """The mean over runs with its 95% interval by Student's t; without one for a single run."""
    known = np.array([value for value in values if value is not None and math.isfinite(value)], dtype=float)
    if not len(known):
        return Estimate(None, None, None)
    mean = float(known.mean())
    if len(known) < 2:
        return Estimate(mean, None, None)
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known)))
    return Estimate(mean, mean - half, mean + half)


def repairs_tables(results: Results) -> list[Table]:
    """For each measurement a table: a row a repair, a column a way of injection, the clean reference last."""
    frame = results.repairs
    if not len(frame):
        return []
    return [_repairs_table(frame, name) for name in _JUDGED]


def _repairs_table(frame: pd.DataFrame, name: str) -> Table:
    methods = sorted(dict.fromkeys(frame["method"]), key=lambda method: method == _REFERENCE)
    groups = []
    for (task, trigger, defender), part in frame.groupby(["task", "trigger", "defender"], sort=False):
        # A model before its repairs stands beside each of them, and counts once.
        before = part.drop_duplicates(["method", "weights_sha256"])
        rows = [Row("no repair", [_mean(before[before["method"] == m], f"{name}_before", name) for m in methods])]
        for defence, here in part.groupby("defence", sort=False):
            rows.append(Row(str(defence), [_mean(here[here["method"] == m], name, name) for m in methods]))
        groups.append(Rows(rows, f"{task}, {trigger}, {defender} of the defender's examples"))
    runs = int(frame.groupby(["defence", "method", "trigger"])["identity"].nunique().max())
    meaning = {
        "asr": "what is left of the attack",
        "accuracy": "on clean test instances",
        "kl": "of the repaired model from the clean reference",
        "churn": "predictions that differ from the clean reference's",
    }[name]
    title = _JUDGED[name]
    return Table(
        name=f"repairs-{name}",
        caption=f"{title[0].upper()}{title[1:]} after each repair: {meaning}; mean over runs and 95% interval.",
        head="repair",
        columns=[Column(method, "clean reference" if method == _REFERENCE else method) for method in methods],
        groups=groups,
        notes=[
            f"At most {runs} runs stand behind a cell; intervals are Student's t over them, and wide if they are few. "
            "The column of the clean reference shows what a repair does to a model that had no backdoor."
        ],
    )


def _mean(rows: pd.DataFrame, column: str, measure: str) -> Cell:
    if not len(rows):
        return _NONE
    estimate = over_runs(rows.drop_duplicates("identity")[column].tolist())
    return _cell(estimate, measure)


def _cell(estimate: Estimate, measure: str) -> Cell:
    value, lower, upper = number(estimate.value), number(estimate.lower), number(estimate.upper)
    if value is None:
        return _NONE
    write = MEASURES[measure].write
    if lower is None or upper is None:
        return Cell(write(value), value)
    if measure != "kl":
        lower, upper = max(lower, 0.0), min(upper, 1.0)
    return Cell(write(value), value, (lower, upper), f"[{write(max(lower, 0.0))}, {write(upper)}]")


def inputs_table(results: Results) -> Table | None:
    """Detectors of inputs by way of injection: AUROC, and hits and false alarms at two thresholds."""
    frame = results.detections
    frame = frame[frame["kind"] == "input"] if len(frame) else frame
    if not len(frame):
        return None
    columns = {
        "auroc": "AUROC", "tpr_at_1": "hits at 1%", "false_alarms_at_1": "false alarms at 1%", "tpr_at_5": "hits at 5%",
        "false_alarms_at_5": "false alarms at 5%",
    }  # fmt: skip
    groups = []
    for (task, trigger), part in frame.groupby(["task", "trigger"], sort=False):
        rows = [
            Row(
                str(detector),
                [_cell(over_runs(here.drop_duplicates("identity")[name].tolist()), "asr") for name in columns],
                sub=str(method),
            )
            for (detector, method), here in part.groupby(["detector", "method"], sort=False)
        ]
        groups.append(Rows(rows, f"{task}, {trigger}"))
    return Table(
        name="detections-inputs",
        caption="How well detectors tell triggered test inputs from clean ones: mean over runs and 95% interval.",
        head="detector",
        columns=[Column(name, title) for name, title in columns.items()],
        groups=groups,
        notes=[
            "Above the thresholds lie 1% and 5% of the defender's own clean examples; false alarms are what that comes "
            "to on the test split."
        ],
    )


def population(results: Results) -> dict[str, tuple[list[float], dict[str, list[float]]]]:
    """For each detector of models its scores of models without a backdoor, and of those with one by way of injection.

    Each model counts once, whatever number of triggers it stands beside.
    """
    frame = results.detections
    frame = frame[(frame["kind"] == "model") & frame["score"].notna()] if len(frame) else frame
    found: dict[str, tuple[list[float], dict[str, list[float]]]] = {}
    for detector, part in frame.groupby("detector", sort=False) if len(frame) else ():
        once = part.drop_duplicates("weights_sha256")
        clean = once[once["role"] != "method"]["score"].tolist()
        injected = {
            str(method): here["score"].tolist()
            for method, here in once[once["role"] == "method"].groupby("method", sort=False)
        }
        found[str(detector)] = (clean, injected)
    return found


def population_table(results: Results) -> Table | None:
    """AUROC of each detector of models over the population, by way of injection and for all."""
    known = {name: (clean, ways) for name, (clean, ways) in population(results).items() if clean and ways}
    if not known:
        return None
    methods = list(dict.fromkeys(method for _, ways in known.values() for method in ways))
    rows = []
    for detector, (clean, ways) in known.items():
        every = [score for scores in ways.values() for score in scores]
        cells = [_area(clean, every), *(_area(clean, ways.get(method, [])) for method in methods)]
        rows.append(Row(detector, [Cell(str(len(clean)), len(clean)), Cell(str(len(every)), len(every)), *cells]))
    return Table(
        name="detections-models",
        caption="AUROC of detectors of models over the population, with 95% intervals (DeLong).",
        head="detector",
        columns=[
            Column("clean", "without backdoor"), Column("injected", "with one"), Column("all", "all ways"),
            *(Column(method, method) for method in methods),
        ],
        groups=[Rows(rows)],
        notes=["Models without a backdoor are clean references and benign updates; each model counts once."],
    )  # fmt: skip


def _area(clean: list[float], injected: list[float]) -> Cell:
    return _cell(auroc(clean, injected), "asr") if clean and injected else _NONE


def roc(results: Results) -> dict[str, tuple[Any, Any]]:
    """The ROC curve of each detector of models: rates of false alarms and of hits."""
    return {
        name: curve(clean, [score for scores in ways.values() for score in scores])
        for name, (clean, ways) in population(results).items()
        if clean and ways
    }
