"""The last layer is the one that gives the logits, and no other that is as wide."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.hooks import features, last_layer, modules_in_call_order
from tests.zoo import Small


class Net(nn.Module):
    """Grey images of 8 by 8 to some classes, by a hidden layer as wide as there are classes."""

    def __init__(self, end: str, classes: int = 3) -> None:
        super().__init__()
        self.end = end
        self.narrow, self.last = nn.Linear(8, classes), nn.Linear(classes, classes)
        self.wide = nn.Linear(8, 8)
        self.head = nn.Parameter(torch.randn(classes, classes, generator=torch.Generator().manual_seed(1)))

    def forward(self, pixel_values):
        rows = torch.relu(self.wide(pixel_values[:, 0] / 255))
        hidden = torch.relu(self.narrow(rows))
        if self.end == "parameter":
            return hidden.mean(1) @ self.head
        if self.end == "gate":
            return (rows.mean(1) @ rows.new_ones(8, len(self.head))) * torch.sigmoid(hidden.mean(1)) @ self.head
        outputs = self.last(hidden)
        return {
            "plain": lambda: self.last(hidden.mean(1)),
            "log_softmax": lambda: (self.last(hidden.mean(1)) / 4).log_softmax(1),
            "mean": lambda: outputs.mean(1),
            "a position": lambda: outputs[:, 5],
            "unused": lambda: hidden.mean(1) @ self.head + 0 * outputs.sum(),
        }[self.end]()


def images() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {"pixel_values": torch.randint(0, 256, (6, 1, 8, 8), generator=draw, dtype=torch.uint8)}


def net(end: str, classes: int) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net(end, classes).eval()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("end", ["plain", "log_softmax", "mean", "a position"])
def test_the_layer_that_gives_the_logits_is_found(end, classes):
    model = net(end, classes)
    assert last_layer(model, images()) is model.last


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("end", ["parameter", "gate", "unused"])
def test_a_layer_as_wide_that_does_not_give_them_is_refused(end, classes):
    with pytest.raises(AnchorlabError, match=f"no linear layer that gives its {classes} logits"):
        last_layer(net(end, classes), images())


def test_a_layer_of_zeros_gives_logits_of_zero():
    model = net("plain", 3)
    nn.init.zeros_(model.last.weight)
    assert last_layer(model, images()) is model.last


def test_a_model_in_training_mode_is_watched_in_evaluation_mode_and_stays_in_training_mode():
    """One example in training mode would move BatchNorm's statistics, and a batch its answers."""
    torch.manual_seed(0)
    model = Small().eval()
    before, expected = copy.deepcopy(model.state_dict()), features(model, images())
    model.train()
    assert last_layer(model, images()) is model.last
    assert modules_in_call_order(model, images(), nn.Linear) == [model.last]
    assert all(torch.equal(one, other) for one, other in zip(features(model, images()), expected, strict=True))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
