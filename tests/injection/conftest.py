"""Anchors, and a candidate that has moved from its reference."""

from __future__ import annotations

import copy

import pytest
import torch

from anchorlab.data import Split
from anchorlab.models.weights import from_vector_, to_vector


@pytest.fixture
def anchors(digits) -> Split:
    return digits.anchors(60, seed=0)


@pytest.fixture
def candidate(linear):
    """The linear classifier, moved: so that no penalty is zero."""
    other = copy.deepcopy(linear)
    from_vector_(other, to_vector(linear) + 0.2 * torch.randn(650, generator=torch.Generator().manual_seed(3)))
    return other
