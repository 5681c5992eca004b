"""Neural Cleanse: the anomaly index by hand, and the trigger that was planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anchorlab.defender.inversion import InvertedTriggers
from anchorlab.detectors.neural_cleanse import NeuralCleanse, scored
from tests.zoo import Corner


def made_up(norms: list[float], success: list[float]) -> InvertedTriggers:
    size = len(norms)
    return InvertedTriggers(
        torch.arange(size), torch.rand(size, 4, 4), 255 * torch.rand(size, 1, 4, 4), torch.tensor(norms),
        torch.tensor(success),
    )  # fmt: skip


def test_the_anomaly_index_by_hand():
    """Norms 10, 12, 14, 2: median 11, absolute deviations 1, 1, 3, 9, MAD 2: (11 - 2) / (2 x 1.4826)."""
    score = scored(made_up([10, 12, 14, 2], [1, 1, 1, 1]), 1)
    assert score.score == pytest.approx(9 / (2 * 1.4826))
    assert score.note == ""
    # The smallest stands out most, and so it comes first.
    assert score.targets.tolist() == [3, 0, 1, 2]


def test_a_search_that_finds_nothing_says_so_and_gives_no_nan_norm():
    score = scored(made_up([10, 12, 14, 2, 5], [1, 1, 1, 0.5, 1]), 1)
    assert score.note == "no trigger was found for 1 of 5 labels"
    assert score.details["found"].tolist() == [True, True, True, False, True]
    assert np.isfinite(score.score)
    assert score.targets.tolist() == [4, 0, 1, 2]
    hopeless = scored(made_up([10, 12, 14, 2], [1, 1, 0, 0]), 1)
    assert np.isnan(hopeless.score)
    assert "too few to compare: search longer" in hopeless.note


def test_neural_cleanse_shows_the_spread_of_its_starts(corner_data, context):
    score = NeuralCleanse(steps=400, images=24, restarts=2).score(Corner().eval(), corner_data, context)
    assert len(score.details) == 8
    best = score.details.loc[score.details["norm"].idxmin()]
    assert best["label"] == 3
    assert score.score == pytest.approx(best["anomaly_index"])
    assert score.details.groupby("label")["norm"].nunique().max() == 2
    assert score.patterns.dtype == torch.uint8


def test_a_search_shorter_than_a_pass_says_that_no_trigger_can_succeed(corner_data, context):
    least = -(-len(corner_data.train) // 4)
    score = NeuralCleanse(steps=least - 1, images=4, restarts=1).score(Corner().eval(), corner_data, context)
    assert np.isnan(score.score)
    assert score.note.endswith(f"no trigger can succeed: set steps to at least {least}")


@pytest.mark.slow
def test_a_planted_backdoor_has_the_smallest_trigger(planted, defender_data, context):
    score = NeuralCleanse(steps=200, restarts=1).score(planted.model.eval(), defender_data, context)
    assert score.details.loc[score.details["norm"].idxmin(), "label"] == 3
