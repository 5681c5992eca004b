"""TED: ranks by brute force, outlier scores by principal components, and the layers of images and texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from anchorlab import AnchorlabError
from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.detectors.ted import TED, activations, grouped, outlier_scores, ranks
from anchorlab.models.call import predict
from anchorlab.seeding import generator, seeded_globally
from tests.detectors.test_ibd_psc import small, some_images
from tests.zoo import Corner


def by_brute_force(x: np.ndarray, label: int, clean: np.ndarray, labels: np.ndarray, own: int | None) -> int:
    """Orders the other clean examples by distance, and looks for the first one of the label."""
    others = [index for index in range(len(clean)) if index != own]
    others.sort(key=lambda index: np.sqrt(((clean[index] - x) ** 2).sum()))
    for place, index in enumerate(others):
        if labels[index] == label:
            return place
    return len(others)


def test_ranks_are_those_of_brute_force():
    draw = np.random.default_rng(0)
    clean, labels = draw.normal(size=(40, 5)), draw.integers(0, 4, size=40)
    labels[labels == 3] = 2
    labels[7] = 3  # the only one of its label, so that among the others it comes last
    given, predicted = draw.normal(size=(30, 5)), draw.integers(0, 5, size=30)  # no clean example has the label 4
    tensors = [torch.tensor(value) for value in (given, predicted, clean, labels)]
    expected = [by_brute_force(x, label, clean, labels, None) for x, label in zip(given, predicted, strict=True)]
    assert ranks(*tensors).tolist() == expected
    assert max(expected) == 40
    among = ranks(tensors[2], tensors[3], tensors[2], tensors[3], leave_out=True).tolist()
    assert among == [by_brute_force(clean[at], labels[at], clean, labels, at) for at in range(40)]
    assert among[7] == 39


def test_outlier_scores_are_the_sum_over_principal_components():
    """By the eigenvectors of the covariance: squared distances along each, over its variance and one."""
    draw = np.random.default_rng(0)
    usual, found = draw.poisson(2, size=(50, 4)).astype(float), draw.poisson(9, size=(6, 4)).astype(float)
    usual[:, 3] = 0  # a layer in which every clean example finds its class at once
    variances, directions = np.linalg.eigh(np.cov(usual.T, bias=True))
    along = (found - usual.mean(0)) @ directions
    expected = (along**2 / (variances + 1)).sum(1)
    np.testing.assert_allclose(outlier_scores(torch.tensor(usual), torch.tensor(found)), expected)


def test_layers_are_convolutions_relus_and_linear_layers_in_the_order_of_calls(context):
    model, pixels = small(), some_images(20)
    layers = [model.first, model.second, model.last]
    found, labels = activations(model, layers, {"pixel_values": pixels})
    with torch.no_grad():
        first = model.first(pixels / 255)
        second = model.second(torch.relu(model.first_norm(first)))
        logits = model(pixels)
    for one, other in zip(found, (first.flatten(1), second.flatten(1), logits), strict=True):
        torch.testing.assert_close(one, other)
    assert torch.equal(labels, logits.argmax(1))
    right = DefenderData(Split({"pixel_values": pixels[:15]}, labels[:15]), None, 3, "image")
    scores = TED().scores(model, right, {"pixel_values": pixels[15:]}, context)
    usual = torch.stack([ranks(one[:15], labels[:15], one[:15], labels[:15], leave_out=True) for one in found], 1)
    given = torch.stack([ranks(one[15:], labels[15:], one[:15], labels[:15]) for one in found], 1)
    np.testing.assert_allclose(scores, outlier_scores(usual, given), rtol=1e-6)
    wrong = DefenderData(Split({"pixel_values": pixels[:15]}, (labels[:15] + 1) % 3), None, 3, "image")
    with pytest.raises(AnchorlabError, match="clean examples that the model answers rightly, but there are 0 of them"):
        TED().scores(model, wrong, {"pixel_values": pixels[15:]}, context)


class Shared(nn.Module):
    """Calls one ReLU twice, and a linear layer for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.each, self.last = nn.ReLU(), nn.Linear(1, 3), nn.Linear(3, 2)

    def forward(self, input_ids, attention_mask):
        hidden = self.relu(self.each(input_ids.float()[:, :, None]))
        weights = attention_mask.float()[:, :, None]
        return self.relu(self.last((hidden * weights).sum(1)))


def test_a_model_in_training_mode_is_asked_in_evaluation_mode_and_stays_in_training_mode(context):
    model, pixels = small(), some_images(40)
    labels = predict(model, {"pixel_values": pixels[:30]}).argmax(1)
    data = DefenderData(Split({"pixel_values": pixels[:30]}, labels), None, 3, "image")
    expected = TED().scores(model, data, {"pixel_values": pixels[30:]}, context)
    found = TED().scores(model.train(), data, {"pixel_values": pixels[30:]}, context)
    np.testing.assert_array_equal(found, expected)
    assert all(module.training for module in model.modules())


def test_a_text_is_the_mean_of_its_own_tokens_and_watching_changes_nothing():
    model = Shared().eval()
    ids = torch.randint(0, 9, (6, 5), generator=generator(0, "ids"))
    mask = torch.arange(5) < torch.tensor([5, 3, 4, 1, 2, 5])[:, None]
    inputs = {"input_ids": ids, "attention_mask": mask}
    with torch.no_grad():
        expected = model(**inputs)
    found, labels = activations(model, [model.relu, model.each], inputs)
    assert torch.equal(labels, expected.argmax(1))
    for row in range(6):
        own = ids[row][mask[row]].float()[:, None]
        torch.testing.assert_close(found[1][row], model.each(own).mean(0).detach())
        torch.testing.assert_close(found[0][row], torch.relu(model.each(own)).mean(0).detach())


class Biased(nn.Module):
    """Adds what a layer makes of a constant of some rows, ``[rows, 6]``, to what another makes of each input."""

    def __init__(self, rows: int = 1) -> None:
        super().__init__()
        self.rows = rows
        self.each, self.bias, self.last = nn.Linear(64, 6), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, pixel_values):
        hidden = self.each(pixel_values.flatten(1) / 255) + self.bias(torch.ones(self.rows, 4)).mean(0)
        return self.last(torch.relu(hidden))


@pytest.mark.parametrize("table", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 8, 9])
def test_a_layer_whose_output_has_no_row_an_input_is_left_out(context, monkeypatch, count, table):
    """It has one where a batch happens to be of as many inputs as its table has rows."""
    monkeypatch.setattr("anchorlab.detectors.ted._TOGETHER", 8)
    with seeded_globally(0, "biased"):
        model = Biased(table).eval()
    pixels = torch.randint(0, 256, (20 + count, 1, 8, 8), generator=generator(0, "pixels"), dtype=torch.uint8)
    with torch.no_grad():
        labels = model(pixels[:20]).argmax(1)
    data = DefenderData(Split({"pixel_values": pixels[:20]}, labels), None, 3, "image")
    assert [*grouped(model, [model.each, model.bias, model.last], data.train.inputs, 10**6)] == [
        [model.each, model.last]
    ]
    assert TED().scores(model, data, {"pixel_values": pixels[20:]}, context).shape == (count,)


def test_a_model_whose_layers_put_out_no_vectors_is_refused(context):
    model = Biased().eval()
    del model.each, model.last
    model.forward = lambda pixel_values: model.bias(torch.ones(1, 4))[:, :3].expand(len(pixel_values), 3)
    pixels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    label = int(model(pixels[:1]).argmax())
    data = DefenderData(Split({"pixel_values": pixels}, torch.full((4,), label)), None, 3, "image")
    with pytest.raises(AnchorlabError, match="but no linear layer, convolution or ReLU of the model puts out a vector"):
        TED().scores(model, data, {"pixel_values": pixels}, context)


def test_a_model_without_layers_is_refused(corner_data, context):
    with pytest.raises(AnchorlabError, match="ted looks into linear layers, convolutions and ReLUs, but the model has"):
        TED().scores(Corner(), corner_data, corner_data.train.inputs, context)


def test_the_activations_of_few_inputs_are_held_at_once_and_scores_are_the_same(context, monkeypatch):
    """All layers of ten thousand images of a ResNet-18 would fill 40 GB."""
    model, pixels = small(), some_images(30)
    with torch.no_grad():
        labels = model(pixels[:20]).argmax(1)
    data = DefenderData(Split({"pixel_values": pixels[:20]}, labels), None, 3, "image")
    whole = TED().scores(model, data, {"pixel_values": pixels}, context)
    sizes = []

    def noted(model, layers, inputs):
        sizes.append(len(inputs["pixel_values"]))
        return activations(model, layers, inputs)

    monkeypatch.setattr("anchorlab.detectors.ted._TOGETHER", 8)
    monkeypatch.setattr("anchorlab.detectors.ted.activations", noted)
    np.testing.assert_allclose(TED().scores(model, data, {"pixel_values": pixels}, context), whole, rtol=1e-5)
    assert sizes == [20, 8, 8, 8, 6]  # the clean examples first


@pytest.mark.parametrize("numbers", [1, 20 * 150, 20 * 400])
def test_the_layers_are_taken_in_groups_of_bounded_size_and_scores_are_the_same(context, monkeypatch, numbers):
    """Of 20 clean examples: two convolutions of 4 · 36 and 6 · 16 numbers, ReLUs aside, and a layer of 3."""
    model, pixels = small(), some_images(30)
    with torch.no_grad():
        labels = model(pixels[:20]).argmax(1)
    inputs = {"pixel_values": pixels[:20]}
    data = DefenderData(Split(inputs, labels), None, 3, "image")
    whole = TED().scores(model, data, {"pixel_values": pixels}, context)
    groups = grouped(model, [model.first, model.second, model.last], inputs, numbers)
    assert [len(group) for group in groups] == {1: [1, 1, 1], 20 * 150: [1, 2], 20 * 400: [3]}[numbers]
    monkeypatch.setattr("anchorlab.detectors.ted._NUMBERS", numbers)
    np.testing.assert_allclose(TED().scores(model, data, {"pixel_values": pixels}, context), whole, rtol=1e-9)


def test_what_is_kept_of_a_layer_is_a_vector_an_input_and_no_view(context):
    """Also where the network goes on to change what the layer put out."""

    class Changed(nn.Module):
        def __init__(self):
            super().__init__()
            self.each, self.last = nn.Linear(64, 6), nn.Linear(6, 3)

        def forward(self, pixel_values):
            hidden = self.each(pixel_values.flatten(1) / 255)
            return self.last(hidden.mul_(0))

    with seeded_globally(0, "changed"):
        model = Changed().eval()
    pixels = torch.randint(0, 256, (5, 1, 8, 8), generator=generator(0, "pixels"), dtype=torch.uint8)
    ((found, _), _) = activations(model, [model.each, model.last], {"pixel_values": pixels})
    torch.testing.assert_close(found, model.each(pixels.flatten(1) / 255).detach())
