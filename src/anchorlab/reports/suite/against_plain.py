"""Do repairs and detectors work differently against other methods than against plain tuning? Paired differences.

Runs are paired by reference and injection seed. Means are over references, because runs on one reference are not
independent; where there is only one reference, they are over seeds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from anchorlab.reports.suite.detections import comparable_models, detections_of_kind
from anchorlab.reports.suite.repairs import split_into_parts
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.intervals import DECIMAL_TAILS, between_replicates, student_mean
from anchorlab.statistics.roc import auroc
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table, estimate_cell
from anchorlab.suites.results import SuiteResults

BASELINE = "plain"

#: Of the bootstrap over references.
_RESAMPLES, _SEED = 2000, 0


def against_plain_tables(results: SuiteResults) -> list[Table]:
    """Differences from plain tuning: ASR left by repairs, AUROC of detectors of models, and of detectors of inputs."""
    found = [_of_repairs(results), _of_models(results), _of_inputs(results)]
    return [table for table in found if table is not None]


def paired_difference(runs: pd.DataFrame, baseline: pd.DataFrame, column: str) -> Estimate:
    """The mean difference of runs from their partners, with Student's interval over references, or over seeds of one.

    Args:
        runs: one a reference and seed, with ``reference_seed``, ``seed`` and the column.
        baseline: the partners, with the same columns.
        column: what is compared.
    """
    pairs = runs.merge(baseline, on=["reference_seed", "seed"], suffixes=("", "_baseline"))
    differences = pairs[column] - pairs[f"{column}_baseline"]
    by = "reference_seed" if len(pairs["reference_seed"].unique()) > 1 else "seed"
    return student_mean(differences.groupby(pairs[by]).mean().tolist())


def _of_repairs(results: SuiteResults) -> Table | None:
    shown = _by_method(results.repairs, ["task", "trigger", "defender"], "defence", "asr")
    return shown and Table(
        "repairs-asr-against-plain",
        "ASR left after each repair, less the ASR left after the same repair of plain tuning: mean and 95% interval.",
        "repair",
        *shown,
        notes=[
            "Above 0: the repair removes less of this backdoor than of one that was injected by plain tuning. Runs are "
            "paired by reference and seed; intervals are Student's t over references."
        ],
    )


def _of_inputs(results: SuiteResults) -> Table | None:
    shown = _by_method(detections_of_kind(results, "input"), ["task", "trigger", "defender"], "detector", "auroc")
    return shown and Table(
        "detections-inputs-against-plain",
        "AUROC of detectors of inputs, less that on models injected by plain tuning: mean and 95% interval.",
        "detector",
        *shown,
        notes=[
            "Below 0: the detector tells triggered inputs of this model from clean ones less well. "
            "Runs are paired by reference and seed; intervals are Student's t over references."
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
            Row(str(label), [_paired_cell(here, method, column) for method in others])
            for label, here in part.groupby(by, sort=False)
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
                Row(str(detector), [estimate_cell(difference_of_auroc(here, method), _signed) for method in others])
                for detector, here in judged.groupby("detector", sort=False)
            ]
            groups.append(Rows(rows, title))
    if not groups:
        return None
    return Table(
        name="detections-models-against-plain",
        caption="AUROC of detectors of models, less that on models injected by plain tuning: value and 95% interval.",
        head="detector",
        columns=[Column(name, name) for name in others],
        groups=groups,
        notes=[
            "Below 0: the detector tells these models from clean ones less well. "
            "Intervals are of the bootstrap over references, each drawn with all models made from it."
        ],
    )


def difference_of_auroc(models: pd.DataFrame, method: str) -> Estimate:
    """The AUROC of models injected by a method, less the AUROC of plain ones, with its interval over references.

    Args:
        models: one detector's ``score`` of each, with ``role``, ``method`` and ``reference_seed``.
        method: its name.
    """
    sides = [models["role"] != "method", models["method"] == method, models["method"] == BASELINE]
    by_reference = [
        [part["score"].to_numpy(dtype=np.float64)[np.asarray(side[part.index], dtype=bool)] for side in sides]
        for _, part in models.groupby("reference_seed")
    ]
    value = _difference(by_reference)
    rng = np.random.default_rng(_SEED)
    count = len(by_reference)
    drawn = [_difference([by_reference[at] for at in rng.integers(count, size=count)]) for _ in range(_RESAMPLES)]
    known = [one for one in drawn if one is not None]
    if value is None or count < 2:
        return Estimate(value, units=count)
    return Estimate(value, *between_replicates(known, DECIMAL_TAILS), units=count)


def _difference(references: list[list[np.ndarray]]) -> float | None:
    clean, ours, plain = (np.concatenate(side) for side in zip(*references, strict=True))
    if not (len(clean) and len(ours) and len(plain)):
        return None
    of_ours, of_plain = auroc(clean, ours).value, auroc(clean, plain).value
    return None if of_ours is None or of_plain is None else of_ours - of_plain


def _other_methods(runs: pd.DataFrame) -> list[str]:
    """Methods other than plain tuning, if plain tuning is there too."""
    methods = list(dict.fromkeys(runs[runs["role"] == "method"]["method"])) if len(runs) else []
    return [name for name in methods if name != BASELINE] if BASELINE in methods else []


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
