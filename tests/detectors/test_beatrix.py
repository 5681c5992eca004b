"""Beatrix: Gram matrices and their deviations by numpy, and which features are compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from anchorlab import AnchorlabError
from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.detectors import beatrix
from anchorlab.detectors.beatrix import Beatrix, deviations, gram, maps_and_predictions
from anchorlab.models.hooks import feature_maps
from anchorlab.notices import Notice
from tests.detectors.test_ibd_psc import small, some_images
from tests.zoo import Linear


def test_a_gram_matrix_by_hand():
    """Channels (1, 2) and (-3, 1) at two positions.

    Order 1: 1 + 4 = 5, -3 + 2 = -1, 9 + 1 = 10. Order 2, of the squares (1, 4) and (9, 1): the roots of 17, 13 and 82.
    """
    features = torch.tensor([[[1.0, 2.0], [-3.0, 1.0]]])
    assert gram(features, 1).tolist() == [[5, -1, 10]]
    np.testing.assert_allclose(gram(features, 2), [[17**0.5, 13**0.5, 82**0.5]])
    # Order 3, of the cubes (1, 8) and (-27, 1): 65, -19 and 730, whose roots keep the sign.
    np.testing.assert_allclose(gram(features, 3), [[65 ** (1 / 3), -(19 ** (1 / 3)), 730 ** (1 / 3)]])


def by_numpy(clean: np.ndarray, given: np.ndarray, orders: int, width: float) -> np.ndarray:
    """The deviation entry by entry, as the paper defines it."""
    result = np.zeros(len(given))
    channels = clean.shape[1]
    for order in range(1, orders + 1):
        means, parts = [], []
        for a in range(channels):
            for b in range(a, channels):
                entry = lambda f, a=a, b=b, p=order: np.sum(f[:, a] ** p * f[:, b] ** p, axis=1)  # noqa: E731
                root = lambda x, p=order: np.sign(x) * np.abs(x) ** (1 / p)  # noqa: E731
                known, found = root(entry(clean)), root(entry(given))
                median = np.median(known)
                spread = width * np.median(np.abs(known - median))
                means.append(np.abs(known).mean())
                parts.append((found, median - spread, median + spread))
        floor = 1e-3 * np.mean(means)
        for found, low, high in parts:
            below = np.maximum(low - found, 0) / max(abs(low), floor)
            above = np.maximum(found - high, 0) / max(abs(high), floor)
            result += (below + above) / len(parts)
    return result / orders


@pytest.mark.parametrize("count", [7, 8])
def test_deviations_are_those_of_numpy(count):
    draw = np.random.default_rng(0)
    clean, given = draw.normal(1, 1, size=(count, 4, 3)), draw.normal(1, 3, size=(5, 4, 3))
    clean[:, 2] = 0  # a channel that no clean example wakes
    found = deviations(torch.tensor(clean), torch.tensor(given), 8, 1.5)
    np.testing.assert_allclose(found, by_numpy(clean, given, 8, 1.5), rtol=1e-6)
    # No change of scale changes them, and a clean example near the medians has none.
    np.testing.assert_allclose(deviations(100 * torch.tensor(clean), 100 * torch.tensor(given), 8, 1.5), found)
    assert deviations(torch.tensor(clean), torch.tensor(clean), 8, 1e6).tolist() == [0] * count


def test_an_input_is_compared_with_clean_examples_of_its_predicted_label(context):
    model, pixels = small(), some_images(40)
    maps, labels = maps_and_predictions(model, {"pixel_values": pixels})
    # The last map of this network is what its second BatchNorm puts out.
    assert maps.shape == (40, 6, 16)
    with torch.no_grad():
        expected = model.second_norm(model.second(torch.relu(model.first_norm(model.first(pixels / 255)))))
    torch.testing.assert_close(maps, expected.flatten(2))
    data = DefenderData(Split({"pixel_values": pixels[:30]}, labels[:30]), None, 3, "image")
    found = Beatrix().scores(model, data, {"pixel_values": pixels[30:]}, context)
    for index in range(10):
        members = maps[:30][labels[:30] == labels[30 + index]]
        np.testing.assert_allclose(
            found[index], deviations(members, maps[30 + index][None], 8, 10.0)[0], rtol=1e-5, atol=1e-9
        )


def test_a_network_without_maps_gives_its_features_before_the_last_layer(linear, context):
    pixels = some_images(9)
    vectors, labels = maps_and_predictions(linear, {"pixel_values": pixels})
    torch.testing.assert_close(vectors[:, :, 0], Linear.features(pixels))
    data = DefenderData(Split({"pixel_values": pixels[:1]}, labels[:1]), None, 10, "image")
    with pytest.raises(AnchorlabError, match="but the defender has fewer than 2: give more"):
        Beatrix().scores(linear, data, {"pixel_values": pixels}, context)


def test_inputs_are_judged_in_groups_whose_maps_are_held_at_once(context, monkeypatch):
    """In one group where all fit, with the same scores, and the same notice of all inputs."""
    model, pixels = small(), some_images(1200)
    _, labels = maps_and_predictions(model, {"pixel_values": pixels[:30]})
    kept = (labels != labels[0]).nonzero().flatten()
    data = DefenderData(Split({"pixel_values": pixels[kept]}, labels[kept]), None, 3, "image")
    lengths, ask = [], beatrix.maps_and_predictions

    def watched(model, inputs):
        lengths.append(len(inputs["pixel_values"]))
        return ask(model, inputs)

    monkeypatch.setattr(beatrix, "maps_and_predictions", watched)
    with pytest.warns(Notice, match="of 1,200 inputs with clean examples of all labels") as at_once:
        expected = Beatrix(orders=2).scores(model, data, {"pixel_values": pixels}, context)
    monkeypatch.setattr(beatrix, "_NUMBERS", 6 * 16 * 700)
    with pytest.warns(Notice) as in_groups:
        found = Beatrix(orders=2).scores(model, data, {"pixel_values": pixels}, context)
    assert lengths == [len(kept), 1200, len(kept), 500, 500, 200]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert [str(each.message) for each in in_groups] == [str(each.message) for each in at_once]


def test_a_model_in_training_mode_is_asked_in_evaluation_mode_and_stays_in_training_mode(context):
    model, pixels = small(), some_images(40)
    data = DefenderData(Split({"pixel_values": pixels[:30]}, torch.arange(30) % 3), None, 3, "image")
    expected = Beatrix().scores(model, data, {"pixel_values": pixels[30:]}, context)
    np.testing.assert_array_equal(
        Beatrix().scores(model.train(), data, {"pixel_values": pixels[30:]}, context), expected
    )
    assert all(module.training for module in model.modules())


def test_inputs_of_a_label_with_too_few_clean_examples_are_compared_with_all(context):
    """Such a label has one clean example or none; the scores of the inputs of other labels stay."""
    model, pixels = small(), some_images(40)
    maps, labels = maps_and_predictions(model, {"pixel_values": pixels})
    rare = int(labels[30:].mode().values)
    kept = [index for index in range(30) if labels[index] != rare]
    whole = DefenderData(Split({"pixel_values": pixels[:30]}, labels[:30]), None, 3, "image")
    few = DefenderData(Split({"pixel_values": pixels[kept]}, labels[kept]), None, 3, "image")
    expected = Beatrix().scores(model, whole, {"pixel_values": pixels[30:]}, context)
    mine = (labels[30:] == rare).numpy()
    with pytest.warns(Notice, match=rf"{mine.sum()} of 10 inputs with clean examples of all labels, .* \({rare}\) to"):
        found = Beatrix().scores(model, few, {"pixel_values": pixels[30:]}, context)
    np.testing.assert_array_equal(found[~mine], expected[~mine])
    np.testing.assert_allclose(found[mine], deviations(maps[kept], maps[30:][mine], 8, 10.0), rtol=1e-5, atol=1e-9)


class Patches(nn.Module):
    """As a vision transformer: a convolution cuts an image into tokens, which are changed and averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.change, self.last = nn.Conv2d(1, 6, 2, stride=2), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, pixel_values: Tensor) -> Tensor:
        tokens = self.cut(pixel_values.float() / 255).flatten(2).transpose(1, 2)
        return self.last(torch.tanh(self.change(tokens)).mean(1))


def test_the_patches_of_a_transformer_are_no_map_of_features():
    """They are a linear map of the pixels, and the network has hardly begun."""
    model, pixels = Patches().eval(), some_images(5)
    vectors, _ = maps_and_predictions(model, {"pixel_values": pixels})
    with torch.no_grad():
        tokens = model.cut(pixels / 255).flatten(2).transpose(1, 2)
        torch.testing.assert_close(vectors, torch.tanh(model.change(tokens)).mean(1)[:, :, None])


def test_the_last_map_may_be_put_out_by_a_module_that_is_called_again(one_relu):
    """More examples than a batch, so that calls are counted anew in each."""
    pixels = torch.rand(700, 1, 8, 8)
    maps, labels = maps_and_predictions(one_relu, {"pixel_values": pixels})
    expected = one_relu.second(one_relu.first(pixels).relu()).relu().flatten(2)
    torch.testing.assert_close(maps, expected.detach())
    assert labels.tolist() == one_relu(pixels).argmax(1).tolist()


@pytest.mark.parametrize("entries", [1, 24, 60, 2**25])
def test_deviations_do_not_depend_on_how_many_entries_are_held_at_once(monkeypatch, entries):
    draw = np.random.default_rng(1)
    clean, given = draw.normal(1, 1, size=(6, 5, 3)), draw.normal(1, 3, size=(14, 5, 3))
    monkeypatch.setattr("anchorlab.detectors.beatrix._ENTRIES", entries)
    found = deviations(torch.tensor(clean), torch.tensor(given), 4, 1.5)
    np.testing.assert_allclose(found, by_numpy(clean, given, 4, 1.5), rtol=1e-6)


class ChannelsLast(nn.Module):
    """Cuts an image into patches of 4 by 4, and goes on with the channels last, as Swin does."""

    def __init__(self):
        super().__init__()
        self.patches, self.inner, self.head = nn.Conv2d(1, 6, 4, 4), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, pixel_values):
        cut = self.patches(pixel_values.float() / 255).permute(0, 2, 3, 1)
        return self.head(torch.relu(self.inner(cut)).mean((1, 2)))


def test_outputs_with_the_channels_last_are_no_maps():
    model = ChannelsLast().eval()
    inputs = {"pixel_values": some_images(3)}
    found, _ = maps_and_predictions(model, inputs)
    assert found.shape == (3, 6, 1)  # the features before the last layer


def test_a_map_after_a_pooling_that_is_no_module_is_a_map():
    """As in PyTorch's example for MNIST: the last module that puts out a map is the dropout."""

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.dropout, self.head = nn.Conv2d(1, 6, 3), nn.Dropout(), nn.Linear(54, 3)

        def forward(self, pixel_values):
            pooled = nn.functional.max_pool2d(self.conv(pixel_values.float() / 255), 2)
            return self.head(self.dropout(pooled).flatten(1))

    model = Pooled().eval()
    inputs = {"pixel_values": some_images(3)}
    found, _ = maps_and_predictions(model, inputs)
    assert found.shape == (3, 6, 9)
    assert [size for _, size in feature_maps(model, inputs)] == [(6, 6), (3, 3)]
