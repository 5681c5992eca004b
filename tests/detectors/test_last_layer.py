"""The last layer's rows are compared with each other."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from anchorlab import AnchorlabError
from anchorlab.defender.device import check_fits_task
from anchorlab.detectors.last_layer import LastLayer
from anchorlab.detectors.neural_cleanse import NeuralCleanse
from anchorlab.detectors.universal_scan import UniversalScan
from anchorlab.statistics.deviations import deviations
from tests.zoo import Corner


class Rows(nn.Module):
    """A linear classifier whose third row stands out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 4)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([0.1, 0.2, 5.0, 0.3])[:, None].expand(4, 64))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.layer(pixel_values.float().flatten(1) / 255)


def test_the_last_layer_s_rows_are_compared(corner_data, context):
    score = LastLayer().score(Rows().eval(), corner_data, context)
    assert score.details["deviations"].idxmax() == 2
    assert score.targets.tolist() == [2]
    assert score.score == pytest.approx(float(deviations([0.1, 0.2, 5.0, 0.3])[2]))
    with pytest.raises(AnchorlabError, match="no linear layer that gives its 4 logits"):
        LastLayer().score(Corner().eval(), corner_data, context)


@pytest.mark.parametrize(
    "detector", [NeuralCleanse(), UniversalScan(), LastLayer()], ids=lambda one: type(one).__name__
)
def test_two_classes_are_too_few_to_compare(detector):
    pets = SimpleNamespace(name="pets", kind="image", classes=["cat", "dog"])
    with pytest.raises(AnchorlabError, match="needs 3 at least, but the task pets has 2: take another"):
        check_fits_task(detector, pets, "it")
    pets.classes.append("fish")
    check_fits_task(detector, pets, "it")
