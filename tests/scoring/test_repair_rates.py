"""DER and RIR by hand, and what holds of both whatever the rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.scoring.repair_rates import effectiveness, robust_improvement

RATE = st.floats(0, 1)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ((0.0, 1.0), (1.0, 1.0), 1.0),  # every triggered input is right again, nothing else changed
        ((0.25, 0.75), (0.25, 0.75), 0.5),  # nothing done
        ((0.0, 1.0), (0.0, 0.5), 0.25),  # only harm
        ((0.5, 0.5), (0.25, 0.75), 0.5),  # changes to the other side count as none
        ((0.25, 0.875), (0.75, 0.75), 0.6875),  # (1 + 1/2 - 1/8) / 2
    ],
)
def test_rir_by_hand(before: tuple[float, float], after: tuple[float, float], wanted: float) -> None:
    """Robust accuracy and accuracy, before and after."""
    found = robust_improvement(
        robust_accuracy_before=before[0], accuracy_before=before[1], robust_accuracy=after[0], accuracy=after[1]
    )
    assert found == wanted


def test_der_by_hand() -> None:
    """(1 + 3/4 - 1/8) / 2."""
    assert effectiveness(asr_before=1, asr=0.25, accuracy_before=0.875, accuracy=0.75) == 0.8125


@given(RATE, RATE, RATE, RATE)
def test_both_lie_from_0_to_1_and_agree_where_all_that_is_not_hit_is_right(
    asr_before: float, asr: float, accuracy_before: float, accuracy: float
) -> None:
    accuracies = {"accuracy_before": accuracy_before, "accuracy": accuracy}
    der = effectiveness(asr_before=asr_before, asr=asr, **accuracies)
    rir = robust_improvement(robust_accuracy_before=1 - asr_before, robust_accuracy=1 - asr, **accuracies)
    assert 0 <= der <= 1
    assert rir == pytest.approx(der)
    nothing = effectiveness(asr_before=asr, asr=asr, accuracy_before=accuracy, accuracy=accuracy)
    assert nothing == 0.5
    more = robust_improvement(robust_accuracy_before=asr_before, robust_accuracy=1, **accuracies)
    assert more >= robust_improvement(robust_accuracy_before=asr_before, robust_accuracy=asr, **accuracies)
