"""What detectors and repairs of somebody else's return is checked where they are called."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic.dataclasses import dataclass
from torch import nn

from anchorlab import Artifact, Task, detect, detect_inputs, repair
from anchorlab.detectors import InputDetector, ModelDetector
from anchorlab.repairs import Repair
from tests.refusals import refused


@dataclass(frozen=True)
class Returns(InputDetector):
    """Returns what it is told to make of the number of inputs."""

    make: Callable[[int], Any] = np.zeros

    def scores(self, model: Any, data: Any, inputs: Any, context: Any) -> Any:
        return self.make(len(inputs["pixel_values"]))


@dataclass(frozen=True)
class ReturnsNothing(ModelDetector):
    def score(self, model: Any, data: Any, context: Any) -> Any:
        return None


@dataclass(frozen=True)
class Makes(Repair):
    """Returns what it is told to make of the model."""

    make: Callable[[nn.Module], Any] = copy.deepcopy

    def repair(self, model: nn.Module, data: Any, context: Any) -> Any:
        return self.make(model)


def without_number(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda count: None,
        lambda count: 0.5,
        lambda count: np.zeros(count - 1),
        lambda count: np.zeros((count, 1)),
        lambda count: np.full(count, np.nan),
        lambda count: np.full(count, np.inf),
        lambda count: ["a"] * count,
    ],
)
def test_scores_of_inputs_are_a_finite_number_each(
    make: Callable[[int], Any], injected: Artifact, digits: Task
) -> None:
    words = "the detector Returns returned .*: let scores return an array of numpy, a finite number for each input"
    refused(words, detect, injected, Returns(make), task=digits, examples=5)
    images = digits.split("test").inputs["pixel_values"][:4]
    refused(words, detect_inputs, injected, images, [Returns(make)], task=digits)


@pytest.mark.parametrize(
    "make",
    [
        lambda count: [0.5] * count,
        lambda count: np.arange(count) % 2 == 0,
        lambda count: np.arange(count, dtype=np.uint8),
    ],
)
def test_numbers_of_any_kind_are_as_good_as_floats(
    make: Callable[[int], Any], injected: Artifact, digits: Task
) -> None:
    detect(injected, Returns(make), task=digits, examples=5)
    images = digits.split("test").inputs["pixel_values"][:4]
    ranked = detect_inputs(injected, images, [Returns(make)], task=digits)
    (scores,) = ranked.scores.values()
    assert ranked.order[0] == int(np.argmax(scores))


def test_a_score_of_a_model_is_a_model_score(injected: Artifact, digits: Task) -> None:
    refused("ReturnsNothing returned NoneType: let score return a ModelScore", detect, injected, ReturnsNothing())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda model: None, "the repair Makes returned NoneType: let repair return the repaired copy"),
        (lambda model: (model, 1), "the repair Makes returned tuple"),
        (lambda model: model.state_dict(), "the repair Makes returned OrderedDict"),
        (lambda model: nn.Linear(2, 2), "the repair Makes returned another architecture"),
        (without_number, "the repair Makes left weights that are not finite"),
    ],
)
def test_a_repair_returns_the_same_model_with_finite_weights(
    make: Callable[[nn.Module], Any], words: str, injected: Artifact, digits: Task
) -> None:
    refused(words, repair, injected, Makes(make), task=digits)
