"""Trigger inversion, and Neural Cleanse, the scan and the last layer, which find what was planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from scipy.stats import median_abs_deviation
from torch import nn

from anchorlab import AnchorlabError
from anchorlab.data import Split
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.data import draw_defender_data
from anchorlab.defender.inversion import InversionSettings, InvertedTriggers, invert_triggers, succeeded
from anchorlab.detectors.last_layer import LastLayer
from anchorlab.detectors.neural_cleanse import NeuralCleanse, scored
from anchorlab.detectors.universal_scan import UniversalScan
from anchorlab.statistics.deviations import deviations


class Corner(nn.Module):
    """Says 3 if the corner's pixel is bright, and else what one pixel of four says: 8 by 8, four classes."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        x = pixel_values.float()[:, 0] / 255
        own = 8 * torch.stack([x[:, 1, 1], x[:, 1, 5], x[:, 5, 1], x[:, 5, 5]], dim=1)
        return own + 40 * torch.relu(x[:, 7, 7] - 0.5)[:, None] * torch.eye(4)[3]


@pytest.fixture(scope="module")
def dots() -> torch.Tensor:
    """Images with one bright pixel of the four, and a dark corner."""
    images = torch.zeros(24, 1, 8, 8, dtype=torch.uint8)
    for number in range(24):
        y, x = ((1, 1), (1, 5), (5, 1), (5, 5))[number % 4]
        images[number, 0, y, x] = 255
    return images


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.arange(24) % 4


@pytest.fixture(scope="module")
def data(dots, labels) -> DefenderData:
    return DefenderData(Split({"pixel_values": dots}, labels), Split({"pixel_values": dots}, labels), 4, "image")


@pytest.fixture
def context() -> DefenderContext:
    return DefenderContext(Accelerator(), seed=0)


HOW = InversionSettings(steps=400, images=24)


@pytest.fixture(scope="module")
def found(dots) -> InvertedTriggers:
    return invert_triggers(Corner().eval(), dots, range(4), HOW, seed=0, restarts=range(2))


def test_the_smallest_trigger_is_the_one_that_was_planted(found):
    assert bool(succeeded(found).all())
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    smallest = int(found.norms.argmin())
    assert found.labels[smallest] == 3
    assert int(found.masks[smallest].argmax()) == 63
    assert float(found.norms[smallest]) < 2
    assert float(found.patterns[smallest, 0, 7, 7]) > 127


def test_stamping_is_what_the_search_did(found, dots):
    at = int(found.norms.argmin())
    stamped = found.stamp(dots, at)
    mask = found.masks[at]
    torch.testing.assert_close(stamped[5], (1 - mask) * dots[5].float() + mask * found.patterns[at])
    assert bool((Corner()(stamped).argmax(1) == 3).all())


def test_all_labels_and_starts_at_once_give_what_each_gives_alone(found, dots):
    for at, (label, restart) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        alone = invert_triggers(Corner().eval(), dots, [label], HOW, seed=0, restarts=[restart])
        torch.testing.assert_close(alone.norms[0], found.norms[at], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(alone.masks[0], found.masks[at], rtol=1e-2, atol=1e-3)


def test_a_few_at_a_time_give_what_all_at_once_give(found, dots, monkeypatch):
    monkeypatch.setattr("anchorlab.defender.inversion._PIXELS", 3 * 64 * len(dots))
    few = invert_triggers(Corner().eval(), dots, range(4), HOW, seed=0, restarts=range(2))
    torch.testing.assert_close(few.norms, found.norms, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(few.masks, found.masks, rtol=1e-2, atol=1e-3)
    assert few.labels.tolist() == found.labels.tolist()


def test_the_model_is_left_as_it_was(dots):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, pixel_values):
            return self.net(pixel_values.float() / 255)

    model = Wrapped().eval()
    net[1].bias.requires_grad_(False)
    before = [value.clone() for value in model.parameters()]
    invert_triggers(model, dots, [0], InversionSettings(steps=3), seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert [value.requires_grad for value in model.parameters()] == [True, False]


@pytest.mark.parametrize("values", [[1.0, 2, 3, 4, 100], [5.0, 5, 5, 6], [0.1, -0.3, 7.0]])
def test_deviations_are_those_of_scipy(values):
    spread = median_abs_deviation(values, scale=1 / 1.4826)
    found = deviations(values)
    if spread > 0:
        np.testing.assert_allclose(found, (np.array(values) - np.median(values)) / spread)
    else:
        assert found.tolist() == [0, 0, 0, np.inf]


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


def test_neural_cleanse_shows_the_spread_of_its_starts(data, context):
    score = NeuralCleanse(steps=400, images=24, restarts=2).score(Corner().eval(), data, context)
    assert len(score.details) == 8
    best = score.details.loc[score.details["norm"].idxmin()]
    assert best["label"] == 3
    assert score.score == pytest.approx(best["anomaly_index"])
    assert score.details.groupby("label")["norm"].nunique().max() == 2
    assert score.patterns.dtype == torch.uint8


def test_the_scan_needs_answers_alone(data, context):
    class Answers(nn.Module):
        """Gives no gradient at all."""

        def forward(self, pixel_values):
            return torch.nn.functional.one_hot(Corner()(pixel_values).argmax(1), 4).float()

    score = UniversalScan(patches=600, rounds=3, images=24).score(Answers().eval(), data, context)
    assert score.details["rate"].idxmax() == 3
    assert score.score > 0.3
    again = UniversalScan(patches=600, rounds=3, images=24).score(Answers().eval(), data, context)
    assert again.score == score.score
    rates = UniversalScan()._rates(
        Answers().eval(), data.train.inputs["pixel_values"], data.train.labels, (torch.full((1, 1, 1), 255), 7, 7), 4
    )
    assert rates.tolist() == [0, 0, 0, 1]


class Rows(nn.Module):
    """A linear classifier whose third row stands out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 4)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([0.1, 0.2, 5.0, 0.3])[:, None].expand(4, 64))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.layer(pixel_values.float().flatten(1) / 255)


def test_the_last_layer_s_rows_are_compared(data, context):
    score = LastLayer().score(Rows().eval(), data, context)
    assert score.details["deviations"].idxmax() == 2
    assert score.score == pytest.approx(float(deviations([0.1, 0.2, 5.0, 0.3])[2]))
    with pytest.raises(AnchorlabError, match="no linear layer that gives its 4 logits"):
        LastLayer().score(Corner().eval(), data, context)


@pytest.mark.parametrize(
    "detector", [NeuralCleanse(), UniversalScan(), LastLayer()], ids=lambda one: type(one).__name__
)
def test_two_classes_are_too_few_to_compare(data, context, detector):
    two = DefenderData(data.train, data.validation, 2, "image")
    with pytest.raises(AnchorlabError, match="but the task has 2: it needs 3 at least"):
        detector.score(Rows().eval(), two, context)


def test_a_planted_backdoor_has_the_smallest_trigger(digits, reference):
    from anchorlab import Tuning, inject

    how = Tuning(steps=150, batch_size=32)
    planted = inject(reference, method="plain", trigger="square:size=2", target=3, tuning=how, task=digits)
    data, _ = draw_defender_data(digits, None, seed=0)
    model = planted.model.eval()
    score = NeuralCleanse(steps=200, restarts=1).score(model, data, DefenderContext(Accelerator(), seed=0))
    assert score.details.loc[score.details["norm"].idxmin(), "label"] == 3
