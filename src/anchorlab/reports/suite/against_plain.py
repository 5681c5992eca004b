"""Do repairs and detectors work differently against other methods than against plain tuning? Paired differences.

Runs are paired by reference and injection seed. Means are over references, because runs on one reference are not
independent; one or two references have no interval.
"""

from __future__ import annotations

import pandas as pd

from anchorlab.reports.suite.detections import comparable_models, detections_of_kind, scored_models
from anchorlab.reports.suite.repairs import split_into_parts
from anchorlab.statistics.clustered_roc import difference_over_references
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import contrast_over_references
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table, estimate_cell
from anchorlab.suites.results import SuiteResults

BASELINE = "plain"


def against_plain_tables(results: SuiteResults) -> list[Table]:
    """Differences from plain tuning: ASR left by repairs, AUROC of detectors of models, and of detectors of inputs."""
    tables = [_of_repairs(results), _of_models(results), _of_inputs(results)]
    return [table for table in tables if table is not None]


def paired_difference(runs: pd.DataFrame, baseline: pd.DataFrame, column: str) -> Estimate:
    """The mean difference of runs from their partners, with Student's interval over references.

    Args:
        runs: one for each reference and seed, with ``reference_seed``, ``seed`` and the column.
        baseline: the partners, with the same columns.
        column: the name of the column that is compared.
    """
    pairs = runs.merge(baseline, on=["reference_seed", "seed"], suffixes=("", "_baseline"))
    pairs = pairs.dropna(subset=[column, f"{column}_baseline"])
    return contrast_over_references(pairs[column], pairs[f"{column}_baseline"], pairs["reference_seed"], "rate")


def _of_repairs(results: SuiteResults) -> Table | None:
    compared = _by_method(results.repairs, ["task", "trigger", "defender"], "defence", "asr")
    return compared and Table(
        "repairs-asr-against-plain",
        "ASR left after each repair, minus the ASR left after the same repair of plain tuning: mean and 95% interval.",
        "repair",
        *compared,
        notes=[
            "Above 0: the repair removes less of this backdoor than of one that was injected by plain tuning. Runs are "
            "paired by reference and seed; intervals are Student's t over references, from three on."
        ],
    )


def _of_inputs(results: SuiteResults) -> Table | None:
    compared = _by_method(detections_of_kind(results, "input"), ["task", "trigger", "defender"], "detector", "auroc")
    return compared and Table(
        "detections-inputs-against-plain",
        "AUROC of detectors of inputs, minus the AUROC on models injected by plain tuning: mean and 95% interval.",
        "detector",
        *compared,
        notes=[
            "Below 0: the detector separates triggered inputs of this model from clean ones less well. "
            "Runs are paired by reference and seed; intervals are Student's t over references, from three on."
        ],
    )


def _by_method(frame: pd.DataFrame, parts: list[str], by: str, column: str) -> tuple[list[Column], list[Rows]] | None:
    """A column for each other method, a row for each repair or detector, in groups. None if nothing is paired."""
    others = _other_methods(frame)
    if not others:
        return None
    groups = []
    for title, part in split_into_parts(frame[frame["role"] == "method"], parts):
        rows = [
            Row(str(label), [_paired_cell(runs, method, column) for method in others])
            for label, runs in part.groupby(by, sort=False)
        ]
        groups.append(Rows(rows, title))
    return [Column(name, name) for name in others], groups


def _paired_cell(runs: pd.DataFrame, method: str, column: str) -> Cell:
    once = runs.drop_duplicates(["method", "identity"])
    ours, plain = (once[once["method"] == name] for name in (method, BASELINE))
    return estimate_cell(paired_difference(ours, plain, column), _signed) if len(ours) and len(plain) else NONE


def _of_models(results: SuiteResults) -> Table | None:
    others = _other_methods(detections_of_kind(results, "model"))
    groups = []
    for title, part in comparable_models(results):
        judged = part[part["score"].notna()]
        if others and (judged["role"] != "method").any():
            rows = [
                Row(str(detector), [estimate_cell(difference_of_auroc(models, method), _signed) for method in others])
                for detector, models in judged.groupby("detector", sort=False)
            ]
            groups.append(Rows(rows, title))
    if not groups:
        return None
    return Table(
        name="detections-models-against-plain",
        caption="AUROC of detectors of models, minus the AUROC on models injected by plain tuning: value and 95% "
        "interval.",
        head="detector",
        columns=[Column(name, name) for name in others],
        groups=groups,
        notes=[
            "Below 0: the detector separates these models from clean ones less well. "
            "Intervals are Student's t over references, with DeLong's variance clustered by them (Obuchowski 1997)."
        ],
    )


def difference_of_auroc(models: pd.DataFrame, method: str) -> Estimate:
    """The AUROC of models injected by a method, minus the AUROC of plain ones, with its interval over references.

    Args:
        models: a row for each, with one detector's ``score``, ``role``, ``method`` and ``reference_seed``.
        method: its name.
    """
    sides = [models["role"] != "method", models["method"] == method, models["method"] == BASELINE]
    clean, ours, plain = (scored_models(models[side]) for side in sides)
    if not (len(clean) and len(ours) and len(plain)):
        return Estimate(None)
    return difference_over_references(clean, ours, plain)


def _other_methods(runs: pd.DataFrame) -> list[str]:
    """Methods other than plain tuning, if plain tuning is there too."""
    methods = list(dict.fromkeys(runs[runs["role"] == "method"]["method"])) if len(runs) else []
    return [name for name in methods if name != BASELINE] if BASELINE in methods else []


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
