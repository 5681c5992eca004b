"""The feature mask: its search in numpy, the score by hand, and a neuron that clean images leave silent."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from anchorlab import AnchorlabError
from anchorlab.detectors.feature_mask import FeatureMask, relative_norm, scored
from anchorlab.detectors.free_eagle import FreeEagle
from anchorlab.seeding import generator, seeded_globally
from anchorlab.statistics.arrays import Floats
from tests.zoo import Linear, Narrow, corner_data


def slope(mask: Floats, found: Floats, hot: Floats, weight: Floats, bias: Floats) -> Floats:
    """The slope of the objective without penalty, from the softmax's own: masked features less the rest of them."""
    total = np.zeros_like(mask)
    for part in (mask, 1 - mask):
        answers = (part * found) @ weight.T + bias
        likely = np.exp(answers - answers.max(1, keepdims=True))
        likely /= likely.sum(1, keepdims=True)
        # The rest counts with a minus, and so does its own dependence on the mask: both come in with a plus.
        total += (((likely - hot) @ weight) * found).mean(0)
    return total


def test_the_search_is_that_of_numpy(context):
    """Adam by its published rule on the slope by hand; the penalty's is the weight over the norm, for each feature."""
    with seeded_globally(0, "head"):
        layer = nn.Linear(5, 3).requires_grad_(False)
    found = torch.rand(12, 5, generator=generator(0, "features")) * 3
    labels = layer(found).argmax(1)
    detector = FeatureMask(steps=40, learning_rate=0.02, mask_weight=0.4)
    weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
    hot = np.eye(3)[labels.numpy()]
    mask = torch.rand(5, generator=context.generator("mask", 2)).double().numpy()
    first, second = np.zeros(5), np.zeros(5)
    for step in range(1, 41):
        steep = slope(mask, found.double().numpy(), hot, weight, bias) + 0.4 / mask.sum()
        first, second = 0.9 * first + 0.1 * steep, 0.999 * second + 0.001 * steep**2
        mask = mask - 0.02 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        mask = mask.clip(0, 1)
    assert len(np.unique(mask)) > 2
    np.testing.assert_allclose(detector.learned_mask(layer, found, labels, context, 2), mask, atol=1e-4)


def test_the_penalty_is_always_one_and_its_slope_one_over_the_norm():
    mask = torch.tensor([0.5, 1.0, 0.5], requires_grad=True)
    value = relative_norm(mask)
    value.backward()
    assert (value.item(), mask.grad.tolist()) == (1.0, [0.5, 0.5, 0.5])
    assert float(relative_norm(torch.zeros(3))) == 0


def test_the_score_by_hand():
    """Of eight examples four are 0; starts answer 1 five and seven times, the labels two times: (3 + 5) / 2 / 8."""
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    predicted = torch.tensor([[1, 1, 1, 1, 1, 0, 2, 2], [1, 1, 1, 1, 1, 1, 1, 0], [2] * 8])
    masks = torch.tensor([[1.0, 0.5], [0.0, 0.2], [1.0, 0.995]])
    score = scored(predicted, masks, labels, 4)
    assert score.score == 0.5
    assert score.targets.tolist() == [1]
    assert score.note == (
        "75% of the examples fall on label 1, the suspected target; "
        "from 1 of 3 starts the mask takes all features, so that the rest says nothing"
    )
    rows = score.details[score.details["restart"] == 0]
    assert rows["own_share"].tolist() == [0.5, 0.25, 0.25, 0]
    assert rows["predicted_share"].tolist() == [0.125, 0.625, 0.25, 0]
    assert rows["excess"].tolist() == [-0.375, 0.375, 0, 0]
    assert score.details["kept"].tolist() == [True] * 8 + [False] * 4


def test_nothing_left_to_answer_from_gives_no_score():
    score = scored(torch.zeros(2, 4, dtype=torch.int64), torch.ones(2, 3), torch.arange(4), 4)
    assert math.isnan(score.score)
    assert score.targets is None
    assert score.note.endswith("the rest says nothing: raise mask_weight")


class Woken(nn.Module):
    """Each of four pixels speaks for a class, twice; a ninth channel, nearly silent, speaks for class 3 if it may."""

    def __init__(self, backdoor: float) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(9), nn.Linear(9, 4, bias=False)
        with torch.no_grad():
            self.norm.bias[8] = -1
            self.head.weight.copy_(torch.cat([6 * torch.eye(4), 6 * torch.eye(4), torch.zeros(4, 1)], dim=1))
            self.head.weight[3, 8] = backdoor

    def forward(self, pixel_values: Tensor) -> Tensor:
        x = pixel_values.float()[:, 0] / 255
        own = [x[:, 1, 1], x[:, 1, 5], x[:, 5, 1], x[:, 5, 5]]
        channels = torch.stack([*own, *own, torch.full_like(own[0], 0.8)], dim=1)[:, :, None, None]
        return self.head(functional.softplus(self.norm(channels), beta=20).flatten(1))


def test_noise_wakes_a_neuron_that_clean_images_leave_silent(context, elsewhere):
    clean, backdoored = (Woken(strength).eval() for strength in (0, 40))
    data = corner_data()
    for model in (clean, backdoored):
        assert (model(**data.train.inputs).argmax(1) == data.train.labels).all()
    below, above = (FeatureMask().score(model, data, context) for model in (clean, backdoored))
    assert below.score < 0.3 < 0.4 < above.score
    assert above.targets.tolist() == [3]
    # Without noise, the neuron sleeps.
    assert FeatureMask(radius=0).score(backdoored, data, context).score < 0.2


def test_the_seed_decides(context, elsewhere):
    detector = FeatureMask(restarts=1, steps=20)
    first, again, other = (
        detector.score(Woken(40).eval(), corner_data(), means).details for means in (context, context, elsewhere)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_a_model_without_batchnorm_is_refused_before_anything_runs():
    with pytest.raises(AnchorlabError, match="feature-mask works on channels by BatchNorm, but the model has none: "):
        FeatureMask().check_model(Linear(), {})


@pytest.mark.parametrize("member", [FeatureMask(steps=2, restarts=1), FreeEagle(steps=2)])
def test_a_model_in_bfloat16_is_scored(defender_data, context, member):
    details = member.score(Narrow().to(context.device).bfloat16().eval(), defender_data, context).details
    assert len(details) == 10
