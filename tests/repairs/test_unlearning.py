"""Unlearning of an inverted trigger removes more of the backdoor than fine-tuning."""

from __future__ import annotations

import pytest
import torch

from anchorlab import compare
from anchorlab.repairs import Unlearning
from anchorlab.repairs.repair import repair


def test_a_search_that_finds_nothing_says_so_and_leaves_the_model(suspicious, defender_data, context):
    least = -(-len(defender_data.train) // 32)
    repaired = Unlearning(search_steps=least - 1, epochs=1).repair(suspicious, defender_data, context)
    before = suspicious.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in repaired.state_dict().items())
    (note,) = context.notes
    assert note.startswith("nothing was unlearned, and the model is as it was")
    assert note.endswith(f"set search_steps to at least {least}")


@pytest.mark.slow
def test_unlearning_removes_more_than_fine_tuning(planted, digits):
    how = {"defender_data": None, "task": digits}
    tuned = repair(planted, "fine-tuning", **how)
    unlearned = repair(planted, "unlearning", parameters={"search_steps": 60}, **how)
    assert compare(planted, unlearned, task=digits).asr < compare(planted, tuned, task=digits).asr - 0.1
