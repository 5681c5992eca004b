"""A model with a backdoor that works, and what a defender has."""

from __future__ import annotations

import copy

import pytest
from accelerate import Accelerator
from torch import nn

from anchorlab import Tuning, inject
from anchorlab.artifacts.artifact import Artifact
from anchorlab.data import Task
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.data import draw_defender_data


@pytest.fixture(scope="session")
def planted(digits: Task, reference: Artifact) -> Artifact:
    """The reference with a corner square that leads to 3; must not be changed."""
    how = Tuning(steps=150, batch_size=32)
    return inject(reference, method="plain", trigger="square:size=2", target=3, tuning=how, task=digits)


@pytest.fixture
def suspicious(planted: Artifact) -> nn.Module:
    return copy.deepcopy(planted.model).eval().requires_grad_()


@pytest.fixture(scope="session")
def defender_data(digits: Task) -> DefenderData:
    """All of the split: some seventy digits, not enough for a good repair and enough for a test."""
    data, _ = draw_defender_data(digits, None, seed=0)
    return data


@pytest.fixture
def context() -> DefenderContext:
    return DefenderContext(Accelerator(), seed=0)
