"""The detectors of a suite: tables, and the triggers that they found beside the true ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor

from anchorlab.reports.suite.interval_words import of_references
from anchorlab.reports.suite.repairs import cell_of, split_into_parts
from anchorlab.statistics.clustered_roc import ScoredModels, auroc_over_references
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.numbers import fraction
from anchorlab.statistics.references import mean_over_references
from anchorlab.statistics.roc import fpr_at, share_above
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults

#: True positive rate at which the table of model detectors shows the false positive rate.
_TPR = 0.9


def inputs_table(results: SuiteResults) -> Table | None:
    """Detectors of inputs by method: AUROC, and TPR and FPR at two thresholds."""
    frame = detections_of_kind(results, "input")
    if not len(frame):
        return None
    columns = {
        "auroc": "AUROC", "tpr_at_1": "TPR at 1%", "false_alarms_at_1": "FPR at 1%", "tpr_at_5": "TPR at 5%",
        "false_alarms_at_5": "FPR at 5%",
    }  # fmt: skip
    groups = []
    for title, part in split_into_parts(frame, ["task", "trigger", "defender"]):
        rows = [
            Row(
                str(detector),
                [_mean(runs, name) for name in columns],
                sub=str(method),
            )
            for (detector, method), runs in part.groupby(["detector", "method"], sort=False)
        ]
        groups.append(Rows(rows, title))
    counts = frame.groupby(["detector", "method", "trigger", "task"])["reference_seed"].nunique()
    return Table(
        name="detections-inputs",
        caption="How well detectors separate triggered test inputs from clean ones: mean over references and 95% "
        "interval.",
        head="detector",
        columns=[Column(name, title) for name, title in columns.items()],
        groups=groups,
        notes=[
            "Each threshold leaves 1% or 5% of the defender's clean examples above it. FPR is the share of clean test "
            "inputs above the threshold, TPR the share of triggered ones.",
            of_references(counts.min(), counts.max(), groups),
        ],
    )


def _mean(runs: pd.DataFrame, name: str) -> Cell:
    each = runs.drop_duplicates("identity").dropna(subset=name)
    return cell_of(mean_over_references(each[name], each["reference_seed"], "rate"), "asr") if len(each) else NONE


@dataclass(frozen=True)
class Scores:
    """The scores of one detector of models over a population, in which each model counts once.

    Attributes:
        clean: the models without a backdoor, clean references and benign updates.
        injected: method to the models that it made.
        unjudged: number of models without a score.
    """

    clean: ScoredModels
    injected: dict[str, ScoredModels]
    unjudged: int

    @property
    def every(self) -> ScoredModels:
        """All models with a backdoor."""
        return sum(self.injected.values(), ScoredModels([], []))


def without_references(detections: pd.DataFrame) -> list[str]:
    """Says which detectors of models judged no reference, while others did: a reference has no adapter to scan."""
    of_models = detections[detections["kind"] == "model"]
    judged = of_models["role"].eq("reference").groupby(of_models["detector"], sort=False).any()
    names = [str(name) for name in judged.index[~judged]]
    if not names or not judged.any():
        return []
    return [
        f"No reference was judged by {', '.join(names)}, as where a scanner gets adapters: there, models without a "
        "backdoor are benign updates alone."
    ]


def comparable_models(results: SuiteResults) -> Iterator[tuple[str, pd.DataFrame]]:
    """Parts of the detections of models whose scores can be compared, each model once a detector; with titles.

    A part has one task, one architecture and one number of the defender's examples. A single part has no title.
    """
    frame = detections_of_kind(results, "model")
    parts = list(frame.groupby(["task", "model", "defender"], sort=False, dropna=False)) if len(frame) else []
    for (task, model, defender), part in parts:
        title = f"{task}, {model}, {defender} of the defender's examples" if len(parts) > 1 else ""
        yield title, part.drop_duplicates(["detector", "weights_sha256"])


def scores_by_detector(results: SuiteResults) -> dict[str, dict[str, Scores]]:
    """The scores of each detector of models, by part. A detector needs scores of models with and without a backdoor."""
    by_part: dict[str, dict[str, Scores]] = {}
    for title, part in comparable_models(results):
        for detector, models in part.groupby("detector", sort=False):
            judged = models[models["score"].notna()]
            injected = judged[judged["role"] == "method"]
            scores = Scores(
                scored_models(judged[judged["role"] != "method"]),
                {str(method): scored_models(rows) for method, rows in injected.groupby("method", sort=False)},
                len(models) - len(judged),
            )
            if len(scores.clean) and scores.injected:
                by_part.setdefault(title, {})[str(detector)] = scores
    return by_part


def scored_models(rows: pd.DataFrame) -> ScoredModels:
    """The scores and references of some models."""
    return ScoredModels(rows["score"].astype(float).tolist(), rows["reference_seed"].tolist())


def population_table(results: SuiteResults) -> Table | None:
    """AUROC of each detector of models over the population, for all methods and by method, with TPR and FPR."""
    by_part = scores_by_detector(results)
    if not by_part:
        return None
    every = [scores for part in by_part.values() for scores in part.values()]
    methods = list(dict.fromkeys(method for scores in every for method in scores.injected))
    groups = [
        Rows([_population_row(detector, scores, methods) for detector, scores in part.items()], title)
        for title, part in by_part.items()
    ]
    return Table(
        name="detections-models",
        caption="Detectors of models over the population: AUROC for all methods and by method, with 95% "
        "intervals by reference, TPR and FPR.",
        head="detector",
        columns=[
            Column("clean", "without backdoor"),
            Column("injected", "with one"),
            Column("unjudged", "without score"),
            Column("all", "AUROC, all methods"),
            *(Column(method, f"AUROC, {method}") for method in methods),
            Column("hits", "TPR at FPR 0"),
            Column("false_alarms", f"FPR at TPR {_TPR:.0%}"),
        ],
        groups=groups,
        notes=[
            "Models without a backdoor are clean references and benign updates; each model counts once. TPR at FPR 0 "
            "is the share of injected models above the highest score of those without a backdoor. Models of one "
            "reference are not independent: an AUROC has DeLong's interval clustered by reference (Obuchowski 1997), "
            "with Student's t; it has none where it is 0 or 1 or with fewer than three references, and TPR and FPR "
            "are counts.",
            *without_references(results.detections),
        ],
    )


def _population_row(detector: str, scores: Scores, methods: Sequence[str]) -> Row:
    clean, every = scores.clean, scores.every
    rates = [
        _count(share_above(every.scores, max(clean.scores)), len(every)),
        _count(fpr_at(clean.scores, every.scores, _TPR), len(clean)),
    ]
    counts = [Cell(str(number), number) for number in (len(clean), len(every), scores.unjudged)]
    areas = [area_cell(clean, every), *(area_cell(clean, scores.injected.get(method)) for method in methods)]
    return Row(detector, [*counts, *areas, *rates])


def area_cell(clean: ScoredModels, injected: ScoredModels | None) -> Cell:
    """The AUROC of injected against clean models, with its interval by reference, if there are any of both."""
    if injected is None or not len(injected) or not len(clean):
        return NONE
    return cell_of(auroc_over_references(clean, injected), "asr")


def _count(rate: Estimate, total: int) -> Cell:
    """A rate of models, which are not independent: a count without an interval."""
    value = rate.value or 0.0
    return Cell(fraction(value), value, note=f"{round(value * total)} of {total}")


@dataclass(frozen=True)
class ShownTrigger:
    """A trigger as a figure shows it.

    Attributes:
        picture: on black, uint8 ``[C, H, W]``.
        label: name of the class that it leads to; empty if unknown.
    """

    picture: Tensor
    label: str


@dataclass(frozen=True)
class FoundTriggers:
    """Triggers found in models of one task, beside the true one.

    Attributes:
        true: the true trigger; None if it is unknown.
        rows: method to the triggers found in its first model, by column.
    """

    true: ShownTrigger | None
    rows: dict[str, dict[str, ShownTrigger]]

    @property
    def columns(self) -> list[str]:
        """Every column of any row."""
        return list(dict.fromkeys(column for row in self.rows.values() for column in row))


def found_triggers(results: SuiteResults) -> dict[str, FoundTriggers]:
    """For each task and trigger, the triggers that detectors found: the most suspicious, and the true target's."""
    frame = detections_of_kind(results, "model")
    by_trigger = {}
    for (task, trigger), part in frame.groupby(["task", "trigger"], sort=False) if len(frame) else ():
        key = f"{task}, {trigger}"
        examples = results.examples.get(key)
        if examples is None or examples.trigger is None:
            continue
        target = _label(part["target"].iloc[0], examples.classes)
        rows: dict[str, dict[str, ShownTrigger]] = {}
        for (method, detector), runs in part.groupby(["method", "detector"], sort=False):
            first = runs.sort_values(["reference_seed", "seed"], kind="stable").iloc[0]
            inverted = results.inverted(first["identity"])
            if inverted:
                label, picture = inverted[0]
                row = rows.setdefault(str(method), {})
                row[f"{detector}:\nmost suspicious"] = ShownTrigger(picture, examples.classes[label])
                if len(inverted) > 1 and target in dict(inverted):
                    row[f"{detector}:\ntrue target"] = ShownTrigger(dict(inverted)[target], examples.classes[target])
        if rows:
            name = "" if target is None else examples.classes[target]
            by_trigger[key] = FoundTriggers(ShownTrigger(examples.trigger, name), rows)
    return by_trigger


def _label(target: Any, classes: Sequence[str]) -> int | None:
    """The label that a suite's target means, which is a number or a name; None for all-to-all."""
    if target is None or pd.isna(target):
        return None
    if isinstance(target, str):
        return list(classes).index(target) if target in classes else None
    return int(target)


def detections_of_kind(results: SuiteResults, kind: str) -> pd.DataFrame:
    """The detections by detectors of models, or of inputs (``model``, ``input``)."""
    frame = results.detections
    return frame[frame["kind"] == kind] if len(frame) else frame
