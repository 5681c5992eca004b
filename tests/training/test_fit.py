"""The optimisation loop: its schedule, its step, its divergence check, and several processes."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from anchorlab.errors import AnchorlabError
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.fit import LOG_EVERY, StepLoss, _check_together, _over_processes, one_cycle
from tests.training.regression import Drawn, Regression, run

pytestmark = pytest.mark.usefixtures("on_cpu")


@pytest.mark.parametrize(("steps", "warmup"), [(600, 0.1), (100, 0.3), (33, 0.25), (20, 0.1), (7, 0.5), (50, 0.99)])
def test_one_cycle_is_torchs(steps, warmup):
    optimiser = torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=0.02, total_steps=steps, pct_start=warmup, anneal_strategy="cos", cycle_momentum=False
    )
    for step in range(steps):
        assert one_cycle(step, steps, 0.02, warmup) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9, abs=1e-12)
        optimiser.step()
        schedule.step() if step + 1 < steps else None


def test_without_warm_up_the_rate_starts_at_its_peak_and_falls_to_nothing():
    rates = [one_cycle(step, 30, 0.02, 0.0) for step in range(30)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.02 / 25e4)
    assert rates == sorted(rates, reverse=True)
    assert one_cycle(0, 1, 0.02, 0.0) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("adamw", partial(torch.optim.AdamW, weight_decay=0.1, fused=False)),
        ("sgd", partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1, fused=False)),
    ],
)
def test_fit_is_the_optimiser_of_torch_with_clipping_under_the_one_cycle_rate(name, make):
    ours, theirs = Drawn(Regression()), Drawn(Regression())
    run(ours, optimiser=name)
    parameters = list(theirs.model.parameters())
    optimiser = make(parameters)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.05, 50, pct_start=0.3, cycle_momentum=False)
    clipped = 0
    for step in range(50):
        optimiser.zero_grad()
        theirs.loss(step).value.backward()
        clipped += float(nn.utils.clip_grad_norm_(parameters, 5.0)) > 5
        optimiser.step()
        schedule.step() if step < 49 else None
    assert 0 < clipped < 50
    for name, value in theirs.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_each_step_is_told_where_the_run_stands():
    objective = Drawn(Regression())
    assert run(objective) == 50
    assert objective.asked == list(range(50))
    assert [step.index for step in objective.after] == list(range(50))
    assert [step.progress for step in objective.after] == pytest.approx([k / 50 for k in range(1, 51)])
    assert [step.learning_rate for step in objective.after] == [one_cycle(k, 50, 0.05, 0.3) for k in range(50)]


def test_reports_come_with_every_log_line_and_at_the_end():
    objective, lines = Drawn(Regression()), []
    run(objective, report=lambda done, scalars: lines.append((done, set(scalars), scalars["loss"])))
    assert [done for done, _, _ in lines] == [LOG_EVERY, 2 * LOG_EVERY, 50]
    assert all(names == {"loss", "largest"} for _, names, _ in lines)
    assert lines[-1][2] < lines[0][2]


class Counting(Drawn):
    """Notes for which steps its figures are asked."""

    def __init__(self, model):
        super().__init__(model)
        self.shown = []

    def loss(self, step):
        loss, figures = super().loss(step)
        return StepLoss(loss, lambda: (self.shown.append(step), figures())[1])


def test_figures_are_computed_on_log_lines_alone():
    objective = Counting(Regression())
    run(objective)
    assert objective.shown == [LOG_EVERY - 1, 2 * LOG_EVERY - 1, 49]


def test_a_stopping_rule_ends_the_run_where_it_says():
    objective = Drawn(Regression())
    assert run(objective, steps=100, stop=lambda step: step.progress >= 0.5) == 60
    assert objective.asked[-1] == 59


class Diverging(Drawn):
    """A loss that is not a number from one step on, or a gradient that is not, beside a loss that is."""

    def __init__(self, model, bad, through):
        super().__init__(model)
        self.bad, self.through = bad, through

    def loss(self, step):
        loss, figures = super().loss(step)
        if step >= self.bad:
            zero = 0 * self.model.weight.sum()
            loss = loss + {"loss": zero * torch.nan, "gradient": zero.sqrt()}[self.through]
        return StepLoss(loss, figures)


@pytest.mark.parametrize("through", ["loss", "gradient"])
@pytest.mark.parametrize("bad", [0, 7, 20, 49])
def test_divergence_names_step_run_and_learning_rate(bad, through):
    objective, reported = Diverging(Regression(), bad, through), []
    with pytest.raises(AnchorlabError) as caught:
        run(objective, report=lambda done, _: reported.append(done))
    message = str(caught.value)
    assert "the regression diverged" in message
    assert f"step {bad} of 50" in message
    assert f"learning rate {one_cycle(bad, 50, 0.05, 0.3):.2g} " in message
    assert all(done <= bad for done in reported)


def test_no_checkpoint_is_written_of_a_run_that_diverged(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(AnchorlabError, match="diverged"):
        run(Diverging(Regression(), 3, "loss"), checkpoint=Checkpoint(path, seconds=0))
    assert not path.exists()


class Others:
    """The accelerator of a process whose fellow stands at other steps, and has other numbers."""

    def __init__(self, theirs):
        self.theirs = theirs

    is_main_process = True
    device = torch.device("cpu")

    def gather(self, own):
        return torch.cat([own, torch.tensor(self.theirs, dtype=own.dtype).view(1, *own.shape[1:])])


def test_scalars_are_means_over_processes_and_any_process_may_be_the_first_to_go_bad():
    scalars = {"loss": torch.tensor(1.0), "asr": torch.tensor(0.5)}
    assert _over_processes(torch.tensor(50), scalars, Others([7, 2, 0.25])) == (7, {"loss": 1.5, "asr": 0.375})
    assert _over_processes(torch.tensor(5), scalars, Others([7, 2, 0.25]))[0] == 5


def test_a_process_that_does_not_see_the_checkpoint_is_told_of(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors")
    _check_together(20, Others([20]), checkpoint)
    with pytest.raises(AnchorlabError, match=r"do not all see the checkpoint .*checkpoint.safetensors: put the output"):
        _check_together(20, Others([0]), checkpoint)
