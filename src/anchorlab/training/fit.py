"""The optimisation loop that training, injection and repairs share.

It knows nothing of backdoors: an ``Objective`` gives the loss of each step, and ``fit`` lowers it with AdamW or SGD
under a one-cycle learning rate and gradient clipping, writes checkpoints, and stops with an error when the loss is no
longer finite. All randomness lies in the objective and is a function of the step number, so a run that continues from
a checkpoint ends with the same weights as one never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError, DivergenceError
from anchorlab.models.device import exact_arithmetic
from anchorlab.models.weights import trainable
from anchorlab.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, time_spent
from anchorlab.training.clipping import clip_gradients
from anchorlab.training.computing import Optimiser

if TYPE_CHECKING:
    from accelerate import Accelerator

#: Steps between two lines of the log; each is the only moment when the device is waited for.
LOG_EVERY = 20


@dataclass(frozen=True)
class Step:
    """A step that was just taken, for an objective's ``after_step``.

    Attributes:
        index: number of the step just taken, from 0.
        progress: share of the run that is done, in (0, 1].
        learning_rate: the learning rate with which the step was taken.
    """

    index: int
    progress: float
    learning_rate: float


class StepLoss(NamedTuple):
    """What an objective says of a step.

    Attributes:
        value: the loss, a differentiable scalar.
        figures: called on log lines alone, right after the step; returns further scalars to show, by name.
    """

    value: Tensor
    figures: Callable[[], dict[str, Tensor]] = dict


class Objective(Protocol):
    """What ``fit`` minimises."""

    #: Tensors besides weights and optimiser that a resumed run needs; written into checkpoints.
    state: dict[str, Tensor]

    def loss(self, step: int) -> StepLoss:
        """The loss of one step."""

    def after_step(self, step: Step) -> None:
        """Called after each step of the optimiser, for example to project the weights."""


@dataclass(frozen=True)
class Optimisation:
    """How ``fit`` optimises.

    Attributes:
        steps: number of steps.
        learning_rate: the highest learning rate of the one-cycle schedule.
        weight_decay: AdamW's decoupled weight decay; SGD's is a part of the gradient.
        warmup: share of the steps in which the learning rate rises.
        clip: largest L2 norm of the gradient.
        schedule: learning rate of a step, in place of the one-cycle schedule.
        optimiser: AdamW, or SGD with Nesterov's momentum of 0.9.
    """

    steps: int
    learning_rate: float
    weight_decay: float = 0.0
    warmup: float = 0.1
    clip: float = 1.0
    schedule: Callable[[int], float] | None = None
    optimiser: Optimiser = "adamw"

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        if self.schedule is not None:
            return self.schedule(step)
        return one_cycle(step, self.steps, self.learning_rate, self.warmup)


def one_cycle(step: int, steps: int, peak: float, warmup: float) -> float:
    """The learning rate of Smith and Topin's one-cycle policy (arXiv 1708.07120) with cosine arms.

    It rises from ``peak / 25`` to ``peak`` over the share ``warmup`` of the steps and falls to nearly 0
    at the last. The same numbers as ``torch.optim.lr_scheduler.OneCycleLR``, as a pure function of the
    step, so that there is no scheduler state to save.
    """
    floor, top = peak / 25, max(warmup * steps - 1, 0.0)
    last = peak / 25 / 1e4
    if step <= top and top > 0:
        return _cosine(floor, peak, step / top)
    return _cosine(peak, last, (step - top) / ((steps - 1 - top) or 1))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


@torch.enable_grad()
def fit(
    model: nn.Module,
    objective: Objective,
    settings: Optimisation,
    *,
    accelerator: Accelerator,
    name: str,
    checkpoint: Checkpoint | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
    stop: Callable[[Step], bool] | None = None,
    arithmetic: AbstractContextManager[None] | None = None,
) -> int:
    """Minimises an objective over the trainable parameters of a model, in place.

    Args:
        model: the model as prepared by the accelerator; with several processes, each takes a share of the batch.
        objective: gives the loss; its random draws must depend on the step number only.
        settings: how it is optimised.
        accelerator: backward pass, clipping, processes.
        name: what is being fitted, for messages, for example ``"method anchoring"``.
        checkpoint: where to write the state; a file that is there already is continued from.
        report: called on each log line with the number of steps done and the objective's scalars, averaged
            over the processes.
        stop: asked on each log line, on the main process alone; True ends the run early, on all of them.
        arithmetic: the precision of the steps, if it is not exact: ``nullcontext()`` for what is set outside.

    Returns:
        The number of steps taken, those before a resumption included.

    Raises:
        DivergenceError: when the loss is not finite, naming the step, ``name`` and the learning rate.
        AnchorlabError: if the checkpoint is damaged, or some processes do not see it, nothing can be trained, or the
            loss has no gradient.
    """
    parameters = trainable(model)
    device = accelerator.device
    optimiser = _optimiser(parameters, settings, fused=device.type in ("cpu", "cuda"))
    start, before = 0, time_spent(checkpoint)
    if checkpoint is not None and checkpoint.path.exists():
        start = load_checkpoint(checkpoint.path, accelerator.unwrap_model(model), optimiser, objective.state)
    _check_together(start, accelerator, checkpoint)
    # Loss and norm of the gradient of the steps since the last log line. They are looked at there only, because reading
    # each step's would stall a GPU.
    recent: list[tuple[Tensor, Tensor]] = []
    written = time.monotonic()
    with exact_arithmetic(device) if arithmetic is None else arithmetic:
        for index in range(start, settings.steps):
            rate = settings.rate(index)
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss, figures = objective.loss(index)
            if not loss.requires_grad:
                raise AnchorlabError(
                    f"{name}: the loss has no gradient: let the model's forward answer without detach and torch.no_grad"
                )
            accelerator.backward(loss)
            recent.append((loss.detach(), clip_gradients(parameters, settings.clip, accelerator)))
            optimiser.step()
            step = Step(index, (index + 1) / settings.steps, rate)
            objective.after_step(step)
            optimiser.zero_grad()
            if (index + 1) % LOG_EVERY and index + 1 < settings.steps:
                continue
            first_bad = _first_bad(recent, index + 1, settings.steps)
            worst, means = _over_processes(first_bad, {"loss": loss, **figures()}, accelerator)
            _check_finite(worst, settings, name)
            recent.clear()
            if report is not None:
                report(index + 1, means)
            if stop is not None and _main_decides(stop, step, accelerator):
                return index + 1
            if checkpoint is not None and time.monotonic() - written >= checkpoint.seconds:
                if accelerator.is_main_process:
                    spent = before + time.monotonic() - checkpoint.began
                    network = accelerator.unwrap_model(model)
                    save_checkpoint(checkpoint.path, index + 1, network, optimiser, objective.state, seconds=spent)
                written = time.monotonic()
    return settings.steps


def _optimiser(parameters: list[nn.Parameter], settings: Optimisation, *, fused: bool) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=0.9, nesterov=True, fused=fused)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=fused)


def _first_bad(recent: list[tuple[Tensor, Tensor]], end: int, steps: int) -> Tensor:
    """The first step whose loss or gradient is not finite; ``steps`` if there is none.

    Args:
        recent: loss and norm of the gradient of the last steps.
        end: number of the last of them, plus 1.
        steps: of the whole run.
    """
    losses, norms = (torch.stack(scalars) for scalars in zip(*recent, strict=True))
    numbers = torch.arange(end - len(recent), end, device=losses.device)
    return torch.where(losses.isfinite() & norms.isfinite(), steps, numbers).min()


def _over_processes(
    first_bad: Tensor, scalars: dict[str, Tensor], accelerator: Accelerator
) -> tuple[int, dict[str, float]]:
    """The first bad step of any process, and the means of their scalars: the same numbers on all of them."""
    own = torch.stack([first_bad.float(), *(value.detach().float() for value in scalars.values())])
    table: Tensor = accelerator.gather(own.unsqueeze(0))
    # In double precision, so that the mean of one process is its own value.
    means = table.cpu().double().mean(0)[1:].tolist()
    return int(table[:, 0].min()), dict(zip(scalars, means, strict=True))


def _main_decides(stop: Callable[[Step], bool], step: Step, accelerator: Accelerator) -> bool:
    """The main process's decision: two processes could decide differently, and one would wait for ever."""
    own = torch.tensor([int(accelerator.is_main_process and stop(step))], device=accelerator.device)
    return bool(accelerator.gather(own).any())


def _check_together(start: int, accelerator: Accelerator, checkpoint: Checkpoint | None) -> None:
    """Raises AnchorlabError if some processes would continue from another step than the others."""
    starts = accelerator.gather(torch.tensor([start], device=accelerator.device))
    if checkpoint is not None and bool((starts != start).any()):
        raise AnchorlabError(
            f"the processes do not all see the checkpoint {checkpoint.path}: put the output on a disk that all "
            "machines share, or delete the checkpoint"
        )


def _check_finite(first_bad: int, settings: Optimisation, name: str) -> None:
    if first_bad >= settings.steps:
        return
    rate = settings.rate(first_bad)
    raise DivergenceError(
        f"{name} diverged: the loss was not finite at step {first_bad} of {settings.steps}, at learning rate "
        f"{rate:.2g} (peak {settings.learning_rate:.2g}); use a lower learning rate, a longer warm-up or a smaller "
        "strength"
    )
