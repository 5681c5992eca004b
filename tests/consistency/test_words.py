"""A comparison in sentences and as a short table."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.consistency.compare import Comparison, compare_logits
from anchorlab.consistency.table import comparison_table, headline_table
from anchorlab.consistency.words import words_of_comparison
from anchorlab.statistics.tests import mcnemar

LABELS = np.repeat([0, 1, 2], 100)
RIGHT = 6.0 * np.eye(3)[LABELS] - 1.0


def compared(candidate: np.ndarray, **changes: object) -> Comparison:
    return compare_logits(RIGHT, candidate, LABELS).model_copy(update=changes)


def test_the_same_answers_are_said_to_be_the_same() -> None:
    assert words_of_comparison(compared(RIGHT)) == (
        "The candidate answers exactly like the reference on 300 clean examples: no prediction differs, and the KL is "
        "0.",
        "Its accuracy is the reference's, 1.000.",
    )


def test_other_probabilities_with_the_same_predictions_are_told_by_the_kl() -> None:
    first, second, _ = words_of_comparison(compared(RIGHT / 2))
    assert first.startswith("The candidate predicts the same as the reference on all 300 clean examples; the KL is ")
    assert second == (
        "By theory no prediction could change, because the reference's margin exceeds the range of the shift of the "
        "logits on each of them."
    )


def test_predictions_that_differ_are_counted_with_intervals() -> None:
    changed = RIGHT.copy()
    changed[:12] = changed[:12, ::-1]
    first, theory, second = words_of_comparison(compared(changed))
    assert "otherwise than the reference on 12 of 300 clean examples: 12 were right and became wrong, 0 were" in first
    assert "the churn is 0.0400 [0.0230, 0.0686], the KL is " in first
    assert theory == (
        "By theory 288 of these predictions could not change, because the reference's margin exceeds the range of the "
        "shift of their logits; of the other 12, 12 did."
    )
    assert second == ("Its accuracy, 0.960, is 0.040 below the reference's, 1.000 (McNemar's exact test, p <.001).")


def test_few_flips_do_not_distinguish_two_accuracies() -> None:
    changed = RIGHT.copy()
    changed[:3] = changed[:3, ::-1]
    *_, second = words_of_comparison(compared(changed))
    assert second.startswith("Its accuracy, 0.990, is not distinguishable from the reference's, 1.000")
    assert "p = .250" in second


def test_the_attack_is_told_with_its_target() -> None:
    attack = {"asr": 0.5, "asr_count": 200, "asr_reference": 0.02, "intervals": {"asr": (0.43, 0.57)}}
    assert words_of_comparison(compared(RIGHT, **attack), target="pos")[-1] == (
        "With the trigger, 100 of 200 attacked examples get the target 'pos': ASR 0.500 [0.430, 0.570]; the "
        "reference's own rate is 0.020."
    )
    assert "get the label that the attacker wants" in words_of_comparison(compared(RIGHT, **attack))[-1]


def test_the_short_table_leaves_out_what_is_undefined() -> None:
    comparison = compared(RIGHT / 2)
    names = [row.head for _, row in headline_table(comparison).rows()]
    assert names == ["accuracy", "accuracy_reference", "churn", "negative_flips", "kl", "logit_distance"]
    assert {"asr", "ece"} <= {row.head for _, row in comparison_table(comparison).rows()}


def test_the_long_table_says_why_something_is_undefined_and_only_there() -> None:
    comparison = compared(RIGHT / 2, undefined={"asr": "no trigger is known", "kl": "it is not"})
    notes = {row.head: row.cells[-1].note for _, row in comparison_table(comparison).rows()}
    assert (notes["asr"], notes["kl"]) == ("(no trigger is known)", "")


def test_negative_ends_of_an_interval_are_readable() -> None:
    """A range with a dash is unreadable where both ends are negative."""
    comparison = compared(RIGHT, intervals={"residual": (-0.0121, -0.0023)})
    row = next(row for _, row in comparison_table(comparison).rows() if row.head == "residual")
    assert row.cells[1].text == "[-0.0121, -0.0023]"


@pytest.mark.parametrize(("one", "other", "p"), [(0, 0, 1.0), (3, 0, 0.25), (9, 2, 0.06543), (5, 5, 1.0)])
def test_mcnemars_test_is_the_exact_one(one: int, other: int, p: float) -> None:
    assert mcnemar(one, other) == mcnemar(other, one) == pytest.approx(p, abs=1e-5)
