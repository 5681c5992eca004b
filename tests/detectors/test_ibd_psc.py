"""IBD-PSC: amplified BatchNorm by hand, how many layers are amplified, and the score by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from anchorlab import AnchorlabError, detect
from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.detectors.ibd_psc import IBDPSC, amplified
from anchorlab.notices import Notice
from anchorlab.seeding import generator, seeded_globally
from tests.zoo import Linear, Small


def small() -> Small:
    """A network whose BatchNorm layers have seen something, and whose answers to noise differ."""
    with seeded_globally(17, "small"):
        model = Small()
        with torch.no_grad():
            for norm in (model.first_norm, model.second_norm):
                norm.weight.uniform_(0.5, 2)
                norm.bias.normal_()
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2)
            model.last.weight.mul_(5)
    return model.eval()


def some_images(count: int = 12) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 8, 8), generator=generator(0, "images"), dtype=torch.uint8)


def normalised(x: torch.Tensor, norm: nn.BatchNorm2d, factor: float) -> torch.Tensor:
    """BatchNorm by its formula, with gamma and beta multiplied."""
    shape = (1, -1, 1, 1)
    centred = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + norm.eps).sqrt()
    return factor * norm.weight.view(shape) * centred + factor * norm.bias.view(shape)


def by_hand(model: Small, pixels: torch.Tensor, first: float, second: float) -> torch.Tensor:
    hidden = torch.relu(normalised(functional.conv2d(pixels / 255, model.first.weight, model.first.bias),
                                   model.first_norm, first))  # fmt: skip
    hidden = torch.relu(normalised(functional.conv2d(hidden, model.second.weight, model.second.bias),
                                   model.second_norm, second))  # fmt: skip
    return hidden.mean(dim=(2, 3)) @ model.last.weight.T + model.last.bias


def test_amplified_batchnorm_is_gamma_and_beta_multiplied_by_hand_and_comes_back_exactly():
    model, pixels = small(), some_images()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        with amplified([model.second_norm], 1.5):
            torch.testing.assert_close(model(pixels), by_hand(model_like(before), pixels, 1, 1.5))
        with amplified([model.first_norm, model.second_norm], 1.5):
            torch.testing.assert_close(model(pixels), by_hand(model_like(before), pixels, 1.5, 1.5))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def model_like(state: dict[str, torch.Tensor]) -> Small:
    model = Small().eval()
    model.load_state_dict(state)
    return model


def test_a_score_is_the_mean_probability_of_the_predicted_label_by_hand(context):
    """The labels are those that the model gives under the amplified last layer."""
    model, pixels = small(), some_images()
    with torch.no_grad():
        labels = by_hand(model, pixels, 1, 1.5).argmax(1)
        predicted = by_hand(model, pixels, 1, 1).argmax(1)
        one, both = (by_hand(model, pixels, first, 1.5).softmax(1) for first in (1, 1.5))
    data = DefenderData(Split({"pixel_values": pixels}, labels), None, 3, "image")
    wrong = float((both.argmax(1) != labels).double().mean())
    rows = torch.arange(12)
    # The last layer alone is never wrong, both are: so only the model with both is asked.
    assert 0 < wrong < 1
    found = IBDPSC(models=2, error=wrong / 2).scores(model, data, {"pixel_values": pixels}, context)
    np.testing.assert_allclose(found, both[rows, predicted].double(), rtol=1e-5)
    # No number of layers errs as much as this: the last two numbers of layers are taken, one and two.
    with pytest.warns(
        Notice, match="the last 1 to 2 layers, .* because with no number of them .* more than 99% of clean"
    ):
        found = IBDPSC(models=2, error=0.99).scores(model, data, {"pixel_values": pixels}, context)
    np.testing.assert_allclose(found, (one + both)[rows, predicted].double() / 2, rtol=1e-5)


def test_a_model_without_batchnorm_is_refused_before_anything_runs(context, corner_data, monkeypatch, digits):
    with pytest.raises(AnchorlabError, match="ibd-psc amplifies BatchNorm layers, but the model has none"):
        IBDPSC().scores(Linear(), corner_data, corner_data.train.inputs, context)
    monkeypatch.setattr(IBDPSC, "scores", None)
    with pytest.raises(AnchorlabError, match="take another detector, for example strip"):
        detect(Linear(), "ibd-psc", task=digits, trigger="square", target=0, defender_data=None)
