"""A regression so small that its fit can be followed step by step."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import nn

from anchorlab.seeding import generator
from anchorlab.training.fit import Optimisation, Step, StepLoss, fit
from tests.devices import accelerated_by


class Regression(nn.Module):
    """A weight, and a BatchNorm for its buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))


class Drawn:
    """Squared error on points that the step number determines; notes what it is asked, and sums its weights."""

    def __init__(self, model: Regression) -> None:
        self.model = model
        self.asked: list[int] = []
        self.after: list[Step] = []
        self.state = {"sum": torch.zeros(3)}

    def loss(self, step):
        self.asked.append(step)
        points = torch.randn(8, 3, generator=generator(0, "points", step))
        residual = self.model.norm(points) * self.model.weight - 3 * points.roll(1, dims=1)
        return StepLoss(residual.square().sum(1).mean(), lambda: {"largest": residual.detach().abs().max()})

    def after_step(self, step):
        self.after.append(step)
        self.state["sum"] = self.state["sum"] + self.model.weight.detach()


def run(objective, steps=50, optimiser="adamw", **options):
    settings = Optimisation(steps, 0.05, weight_decay=0.1, warmup=0.3, clip=5.0, optimiser=optimiser)
    with accelerated_by(torch.device("cpu")):  # where its points are
        return fit(objective.model, objective, settings, accelerator=Accelerator(), name="the regression", **options)
