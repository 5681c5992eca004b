"""The inputs that a report shows."""

from __future__ import annotations

import torch

from anchorlab import Task
from anchorlab.suites.examples import attacked_examples, clean_examples
from anchorlab.suites.parts import TriggerSpec


def test_attacked_examples_differ_by_the_trigger_alone(digits: Task) -> None:
    examples = attacked_examples(
        digits, TriggerSpec(trigger="square:size=2", label_rule="source-to-target:3", target=5)
    )
    assert set(examples.labels.tolist()) == {3}
    assert examples.trigger is not None
    changed = (torch.as_tensor(examples.clean) != torch.as_tensor(examples.triggered)).any(0)
    assert not (changed & (examples.trigger == 0)).any()


def test_clean_examples_are_rows_of_test(digits: Task) -> None:
    examples = clean_examples(digits, [4, 1])
    split = digits.split("test")
    assert torch.equal(torch.as_tensor(examples.clean), split.inputs["pixel_values"][[4, 1]])
    assert examples.labels.tolist() == split.labels[[4, 1]].tolist()
