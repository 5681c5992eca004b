"""Super-fine-tuning: the learning rates that the optimiser gets, beside ones read off a drawing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anchorlab.repairs.super_fine_tuning import SuperFineTuning


def test_the_rate_swings_up_to_the_large_peak_and_later_to_the_small_one():
    repair = SuperFineTuning(learning_rate=0.1, large_peak=1.1, small_peak=0.3, first_part=0.5, swing=2)
    corners = {0: 0.1, 2: 1.1, 4: 0.1, 6: 1.1, 8: 0.1, 10: 0.3, 12: 0.1, 14: 0.3, 16: 0.1}
    expected = np.interp(range(16), list(corners), list(corners.values()))
    assert [repair.rate(step, 16) for step in range(16)] == pytest.approx(expected.tolist())


def test_the_optimiser_gets_these_rates(suspicious, defender_data, context, monkeypatch):
    rates = []
    real = torch.optim.AdamW.step

    def step(optimiser, *arguments, **options):
        rates.append(optimiser.param_groups[0]["lr"])
        return real(optimiser, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    repair = SuperFineTuning(epochs=4)
    repair.repair(suspicious, defender_data, context)
    steps = repair.steps(len(defender_data.train))
    assert rates == [repair.rate(index, steps) for index in range(steps)]
