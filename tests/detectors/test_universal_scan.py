"""The universal scan needs answers alone, and finds the class that a patch reaches."""

from __future__ import annotations

import torch
from torch import nn

from anchorlab.detectors.universal_scan import UniversalScan
from tests.zoo import Corner


def test_the_scan_needs_answers_alone(corner_data, context):
    class Answers(nn.Module):
        """Gives no gradient at all."""

        def forward(self, pixel_values):
            return torch.nn.functional.one_hot(Corner()(pixel_values).argmax(1), 4).float()

    score = UniversalScan(patches=600, rounds=3, images=24).score(Answers().eval(), corner_data, context)
    assert score.details["rate"].idxmax() == 3
    assert score.score > 0.3
    again = UniversalScan(patches=600, rounds=3, images=24).score(Answers().eval(), corner_data, context)
    assert again.score == score.score
    rates = UniversalScan()._rates(
        Answers().eval(),
        corner_data.train.inputs["pixel_values"],
        corner_data.train.labels,
        (torch.full((1, 1, 1), 255), 7, 7),
        4,
    )
    assert rates.tolist() == [0, 0, 0, 1]
