"""The recorded gradients are numbers, undefined ones too, and a sentence tells their range."""

from __future__ import annotations

import dataclasses

import numpy as np

from anchorlab.artifacts.manifest import GradientRecord
from anchorlab.perturbation.tables.gradients import GRADIENTS
from tests.perturbation.findings import findings

COLUMNS = ("cosine_clean", "cosine_anchor", "norm_backdoor", "norm_clean", "norm_anchor")


def record(step: int, cosine: float | None) -> GradientRecord:
    return GradientRecord(step=step, **dict.fromkeys(COLUMNS, cosine))


def test_steps_are_counts_and_all_else_is_a_number_or_none(context):
    runs = {"a": [record(0, None), record(20, None)], "b": [record(0, 0.5)]}
    table = GRADIENTS.recorded(dataclasses.replace(context, gradients=runs))
    assert table[["candidate", "step"]].to_numpy().tolist() == [["a", 0], ["a", 20], ["b", 0]]
    assert table["step"].dtype == np.int64
    assert {str(table[name].dtype) for name in COLUMNS} == {"float64"}
    assert table["cosine_anchor"].tolist()[2] == 0.5
    assert table["cosine_anchor"].isna().tolist() == [True, True, False]
    assert GRADIENTS.recorded(context).empty


def test_the_sentence_tells_the_range_of_each_run_in_their_order():
    runs = {"z": [0.5, -0.25, 0.0], "a": [None], "b": [0.125]}
    rows = [{"candidate": name, "cosine_clean": cosine} for name, cosines in runs.items() for cosine in cosines]
    (sentence,) = findings(gradients=rows)
    assert sentence.endswith("z -0.25 to 0.50 (median 0.00, 3 steps); b 0.12 to 0.12 (median 0.12, 1 steps).")
