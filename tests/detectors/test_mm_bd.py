"""MM-BD: margins by linear programming, p by scipy, and a backdoor that has the largest margin."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.stats import gamma
from torch import nn

from anchorlab import AnchorlabError
from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.detectors.mm_bd import MMBD, log_p, margins, scored
from anchorlab.models.word_table import word_table
from tests.zoo import Corner, Linear


def test_margins_by_hand():
    answers = torch.tensor([[1.0, 5.0, 3.0], [4.0, 0.0, -2.0]])
    assert margins(answers, torch.tensor([1, 2])).tolist() == [5 - 3, -2 - 4]


def test_p_is_that_of_scipy():
    """One minus the distribution function, fitted to all margins but the largest one, to the power of their number."""
    found = np.array([3.1, 4.0, 2.7, 9.5, 3.6, 3.3, 4.4, 2.9])
    fitted = gamma.fit(np.delete(found, 3))
    expected = 1 - gamma.cdf(9.5, *fitted) ** 8
    assert 0 < expected < 0.05
    assert log_p(found) == pytest.approx(math.log(expected), rel=1e-6)
    assert scored(found).score == pytest.approx(-math.log10(expected), rel=1e-6)
    assert scored(found).targets.tolist() == [3]
    # So far out that one minus the power is 0 in floating point, a p is still told from others, and never infinite.
    assert scored(np.where(found == 9.5, 30.0, found)).score > scored(np.where(found == 9.5, 20.0, found)).score
    assert scored(np.where(found == 9.5, 1e9, found)).score <= 300


def test_few_classes_give_the_margin_itself_and_equal_ones_nothing():
    few = scored(np.array([1.0, 7.0, 2.0, 3.0]))
    assert (few.score, few.note) == (7.0, "the largest margin itself, because 4 classes are few")
    assert few.targets.tolist() == [1]
    alike = scored(np.full(6, 2.0))
    assert math.isnan(alike.score)
    assert alike.targets is None
    assert "too much alike" in alike.note


def test_the_margin_of_a_linear_model_is_that_of_linear_programming(linear, context):
    """The largest margin over all images is a linear program: m below every difference, pixels between 0 and 1."""
    pixels = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    data = DefenderData(Split({"pixel_values": pixels}, torch.tensor([0])), None, 10, "image")
    details = MMBD(steps=400, starts=4, learning_rate=0.05).score(linear, data, context).details
    weight = linear.layer.weight.detach().double().numpy()
    bias = linear.layer.bias.detach().double().numpy() - 0.45 * weight.sum(1)
    for label in range(10):
        others = [other for other in range(10) if other != label]
        # m + (w_k - w_t) x <= b_t - b_k
        rows = np.hstack([np.ones((9, 1)), weight[others] - weight[label]])
        best = linprog(np.r_[-1, np.zeros(64)], rows, bias[label] - bias[others], bounds=[(None, None), *[(0, 1)] * 64])
        assert details["margin"][label] <= -best.fun + 1e-5
        assert details["margin"][label] == pytest.approx(-best.fun, rel=0.03)


def test_a_corner_that_decides_has_the_largest_margin_and_the_seed_decides_the_rest(corner_data, context):
    """The bright corner adds up to 20 to class 3, and a pixel of its own 8 to each class."""
    detector = MMBD(steps=60, starts=8)
    score = detector.score(Corner().eval(), corner_data, context)
    assert score.details["margin"].tolist() == pytest.approx([8, 8, 8, 28], rel=0.01)
    assert score.score == score.details["margin"].max()
    assert detector.score(Corner().eval(), corner_data, context).score == score.score


def test_embeddings_of_texts_stay_in_their_range_and_are_climbed(texts, context):
    short, long = (MMBD(steps=steps, starts=2, tokens=6).score(texts.model, texts.data, context) for steps in (1, 30))
    assert (long.details["margin"] > short.details["margin"]).all()
    table = next(module for module in texts.model.modules() if isinstance(module, nn.Embedding))
    assert not table._forward_hooks


def test_texts_without_a_tokenizer_are_refused(context):
    ids = {"input_ids": torch.zeros(2, 3, dtype=torch.int32), "attention_mask": torch.ones(2, 3, dtype=torch.bool)}
    data = DefenderData(Split(ids, torch.tensor([0, 1])), None, 10, "text")
    with pytest.raises(AnchorlabError, match="mm-bd reads texts by their model's tokenizer"):
        MMBD().score(Linear(), data, context)


def test_a_network_without_embeddings_is_refused_by_the_detector_s_own_name(linear):
    pixels = {"pixel_values": torch.zeros(1, 1, 8, 8, dtype=torch.uint8)}
    with pytest.raises(AnchorlabError, match=r"mm-bd works on the embeddings of words, but the model has no nn\.Embed"):
        word_table(linear, pixels, "mm-bd")


def test_starts_are_drawn_for_some_labels_at_a_time_and_the_margins_stay(linear, corner_data, context, monkeypatch):
    whole = MMBD(starts=4, steps=3).score(linear, corner_data, context)
    size = corner_data.train.inputs["pixel_values"][0].numel()
    for numbers in (3 * size, 8 * size):  # less than the starts of a label, and those of two labels
        monkeypatch.setattr("anchorlab.detectors.mm_bd._NUMBERS", numbers)
        parts = MMBD(starts=4, steps=3).score(linear, corner_data, context)
        assert parts.score == pytest.approx(whole.score, rel=1e-4)
