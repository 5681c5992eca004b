"""FreeEagle: features by convex optimisation, matrix and quartiles by hand, where networks are split, a backdoor."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.free_eagle import BackPart, FreeEagle, above_quartiles, scored, tried_images
from anchorlab.models.call import predict
from anchorlab.models.pretrained import open_pretrained
from anchorlab.notices import Notice
from anchorlab.seeding import generator, seeded_globally
from tests.refusals import refused
from tests.zoo import IMAGE, SIZE, Corner, Hidden, Linear, Small, save_image


class Tiny(nn.Module):
    """Four pixels, three features after a ReLU, and a linear back part of six classes."""

    def __init__(self) -> None:
        super().__init__()
        self.front, self.back = nn.Linear(4, 3), nn.Linear(3, 6)

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.back(torch.relu(self.front(pixel_values.flatten(1) / 255)))


class Skipped(nn.Module):
    """Adds to the logits of a deep part those of the image itself, so that no place holds all."""

    def __init__(self) -> None:
        super().__init__()
        self.deep, self.direct = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 6)), nn.Linear(64, 6)

    def forward(self, pixel_values: Tensor) -> Tensor:
        pixels = pixel_values.flatten(1) / 255
        return self.deep(pixels) + self.direct(pixels)


def images_of(side: int, classes: int, channels: int = 1) -> DefenderData:
    pixels = torch.zeros(1, channels, side, side, dtype=torch.uint8)
    split = Split({"pixel_values": pixels}, torch.tensor([0]))
    return DefenderData(split, split, classes, "image")


def test_features_matrix_and_score_of_a_linear_back_part_are_those_of_convex_optimisation(context):
    """With a penalty there is one best point for each class, with coordinates of 0 and above: both starts end there."""
    with seeded_globally(0, "tiny"):
        model = Tiny().eval()
        model.back.weight.data *= 4
    weight, bias = (value.detach().double().numpy() for value in (model.back.weight, model.back.bias))

    def loss(features: np.ndarray, label: int) -> float:
        answers = weight @ features + bias
        return np.logaddexp.reduce(answers) - answers[label] + 0.05 / 2 * features @ features

    matrix = np.zeros((6, 6))
    for label in range(6):
        best = minimize(loss, np.ones(3), args=(label,), bounds=[(0, None)] * 3, method="L-BFGS-B", tol=1e-12).x
        powers = np.exp(weight @ best + bias)
        matrix[label] = powers / powers.sum()
    tendency = [sum(matrix[source, label] for source in range(6) if source != label) / 5 for label in range(6)]
    ordered = sorted(tendency)
    found = FreeEagle(penalty=0.05, steps=1500, learning_rate=0.02).score(model, images_of(2, 6), context)
    assert found.details["own_probability"].tolist() == pytest.approx(np.diag(matrix).tolist(), rel=1e-3)
    assert found.details["tendency"].tolist() == pytest.approx(tendency, rel=1e-3)
    assert found.score == pytest.approx((ordered[5] - ordered[4]) / (ordered[4] - ordered[1]), rel=0.01)
    assert f"suspected target: label {tendency.index(ordered[5])}" in found.note


def test_tendencies_and_quartiles_by_hand():
    """Columns without the diagonal have the means 0.01, 0.02, 0.03, 0.05 and 0.2: (0.2 - 0.05) / (0.05 - 0.02)."""
    matrix = np.tile([0.02, 0.2, 0.01, 0.05, 0.03], (5, 1))
    np.fill_diagonal(matrix, 0.9)
    matrix[4, 1], matrix[3, 1] = 0.35, 0.05
    found = scored(matrix)
    assert found.details["tendency"].tolist() == pytest.approx([0.02, 0.2, 0.01, 0.05, 0.03])
    assert found.details["most_from"].tolist()[1] == 4
    assert found.score == pytest.approx(5)
    assert found.note == "suspected target: label 1"
    assert found.targets.tolist() == [1]
    # Of ten values the quartiles are the third from either end.
    assert above_quartiles(np.array([3.0, 9, 1, 4, 2, 8, 7, 5, 6, 30])) == pytest.approx((30 - 8) / (8 - 3))


def test_few_classes_give_the_tendency_itself_and_equal_ones_nothing():
    few = scored(np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4]]))
    assert few.score == pytest.approx(0.25)
    assert few.targets.tolist() == [0]
    assert few.note == "suspected target: label 0; the largest tendency itself, because 3 classes are few"
    alike = scored(np.full((6, 6), 1 / 6))
    assert math.isnan(alike.score)
    assert "too much alike" in alike.note
    broken = scored(np.full((6, 6), np.nan))
    assert math.isnan(broken.score)
    assert "not finite" in broken.note
    missed = scored(np.eye(6)[[1, 1, 2, 3, 4, 5]] + 0.01 * np.arange(6))
    assert "the features of 1 of 6 classes get another answer" in missed.note


def test_few_classes_are_told_before_the_search(context):
    with seeded_globally(0, "small"), pytest.warns(Notice, match="free-eagle scores by the largest tendency itself"):
        FreeEagle(steps=1).score(Small().eval(), images_of(8, 3), context)


def test_the_same_seed_gives_the_same_score(context, elsewhere):
    with seeded_globally(0, "hidden"):
        model = Hidden().eval()
    detector, data = FreeEagle(steps=5), images_of(8, 10)
    first = detector.score(model, data, context)
    assert detector.score(model, data, context).details.equals(first.details)
    assert detector.score(model, data, elsewhere).score != first.score


def split(model: nn.Module, data: DefenderData, context: DefenderContext, depth: float = 0.5) -> tuple[BackPart, str]:
    """The back part, and the name of the module that the features enter."""
    back = BackPart(model, tried_images(data, context), depth)
    return back, next(name for name, module in model.named_modules() if module is back.layer)


def test_a_residual_network_is_split_between_blocks_and_its_parts_give_its_answers(reference, digits, context):
    """Nine convolutions and a linear layer: six before the last stage, three before the second."""
    model, images = reference.model.eval(), digits.split("test").inputs["pixel_values"][:9]
    places = []
    for depth in (0.01, 0.3, 0.5, 1):
        back, name = split(model, images_of(8, 10), context, depth)
        places.append((name.removeprefix("resnet.encoder."), tuple(back.shape), back.is_positive))
        given = []
        handle = back.layer.register_forward_pre_hook(lambda _, args, given=given: given.append(args[0]))
        answers = predict(model, {"pixel_values": images})
        handle.remove()
        torch.testing.assert_close(back(given[0]), answers)
    assert places == [
        ("stages.0.layers.0", (16, 8, 8), True),
        ("stages.1.layers.0", (16, 8, 8), True),
        ("stages.2.layers.0", (32, 4, 4), True),
        ("classifier.1", (64,), True),
    ]


@pytest.mark.parametrize("family", IMAGE)
def test_networks_of_every_family_are_split_within(tmp_path, context, family):
    folder = save_image(family, tmp_path / "model", [str(label) for label in range(6)])
    model = open_pretrained(str(folder), kind="image").eval()
    data = images_of(SIZE[family], 6, channels=3)
    back, name = split(model, data, context)
    assert name
    draw = generator(0, "features")
    assert back(torch.rand(2, *back.shape, generator=draw)).shape == (2, 6)
    assert FreeEagle(steps=2).score(model, data, context).details["label"].tolist() == list(range(6))


def test_networks_without_such_a_place_are_refused(context):
    few = {"pixel_values": images_of(8, 4).train.inputs["pixel_values"][:4]}
    refused("the model has fewer than two: take a detector that asks", FreeEagle().check_model, Linear(), few)
    refused("linear layers, but the model has fewer", FreeEagle().score, Corner(), images_of(8, 4), context)
    with seeded_globally(0, "skipped"):
        model = Skipped().eval()
    refused("the model has no such place", FreeEagle().score, model, images_of(8, 6), context)
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.slow
def test_the_last_layer_names_the_target_of_models_trained_with_a_backdoor(clean_and_backdoored, context):
    """Split in the middle, both are accused of a wrong class."""
    _, backdoored = clean_and_backdoored
    for model, target in zip(backdoored, (1, 4), strict=True):
        found = FreeEagle(depth=1).score(model.model.eval(), images_of(8, 10), context)
        assert found.details["tendency"].idxmax() == target
        assert found.score > 5  # 11 and 22; clean models have 0.7 and 0.8
