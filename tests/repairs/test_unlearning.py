"""Unlearning of an inverted trigger removes more of the backdoor than fine-tuning."""

from __future__ import annotations

import pytest

from anchorlab import compare
from anchorlab.repairs.repair import repair


@pytest.mark.slow
def test_unlearning_removes_more_than_fine_tuning(planted, digits):
    how = {"defender_data": None, "task": digits}
    tuned = repair(planted, "fine-tuning", **how)
    unlearned = repair(planted, "unlearning", parameters={"search_steps": 60}, **how)
    assert compare(planted, unlearned, task=digits).asr < compare(planted, tuned, task=digits).asr - 0.1
