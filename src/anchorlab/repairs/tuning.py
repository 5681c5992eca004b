"""Tuning on the defender's clean examples, by the loop that training and injection share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Split
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import accuracy, logits
from anchorlab.repairs.clean_batches import Augment, CleanBatches
from anchorlab.repairs.stopping import Tolerance, lowest_accuracy
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, STRICT
from anchorlab.training.fit import Optimisation, Step, StepLoss, fit
from anchorlab.training.memory import batch_in_memory
from anchorlab.training.spread import batch_with_spread


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Schedule:
    """Fields that all repairs by tuning share."""

    quick_values: ClassVar[Mapping[str, Any]] = {"epochs": 1}
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"epochs": (10, 40), "learning_rate": (3e-4, 3e-3)}

    epochs: int = Field(default=20, ge=1, le=LARGEST_REPETITION, description="passes over the defender's examples")
    batch_size: int = Field(default=32, ge=1, le=LARGEST_BATCH, description="examples in a step")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak learning rate of AdamW, one-cycle")
    tolerance: Tolerance = None
    augment: Augment = "shift"

    def steps(self, examples: int) -> int:
        """Number of steps that the repair takes on a number of examples."""
        return max(1, self.epochs * examples // min(self.batch_size, examples))

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``."""
        return self.epochs * examples


#: The loss to lower: a differentiable scalar of a model, the inputs of a batch and their labels.
Loss = Callable[[nn.Module, Mapping[str, Tensor], Tensor], Tensor]


def cross_entropy(model: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
    """The mean cross-entropy towards the labels."""
    return functional.cross_entropy(logits(model, inputs), labels)


class _CleanObjective:
    """The objective, for ``fit``: a loss on batches of the defender's examples."""

    def __init__(self, model: nn.Module, batches: CleanBatches, loss: Loss, after: Callable[[Step], None]) -> None:
        self.model = model
        self.state: dict[str, Tensor] = {}
        self._batches = batches
        self._loss = loss
        self._after = after

    def loss(self, step: int) -> StepLoss:
        """The loss on the batch of a step."""
        inputs, labels = self._batches(step)
        with batch_with_spread(len(labels)):
            return StepLoss(self._loss(self.model, inputs, labels))

    def after_step(self, step: Step) -> None:
        """Calls the function of the repair that follows each step."""
        self._after(step)


def tune(
    model: nn.Module,
    data: DefenderData,
    settings: Schedule,
    context: DefenderContext,
    *,
    name: str,
    loss: Loss = cross_entropy,
    after_step: Callable[[Step], None] = lambda _: None,
    weight_decay: float = 0.0,
    schedule: Callable[[int], float] | None = None,
    guarded: bool = True,
    suspicious: nn.Module | None = None,
) -> None:
    """Lowers a loss over the trainable parameters of a model, in place, on the defender's training examples.

    The loop measures the accuracy on the validation examples at each log line. At the end the model is in the last
    state that cost at most ``settings.tolerance`` of it (see ``lowest_accuracy``), or in the most accurate one if all
    cost more. The state of least clean loss would nearly always be the first, because a backdoored model answers clean
    examples well. Where the state is not that of the last step, or costs more, ``context.notes`` say so.

    Args:
        model: the model, on the device; its modules keep their modes.
        data: the defender's data.
        settings: length, batch size, learning rate, and how images vary.
        context: device, seed, progress.
        name: name of the repair, for messages.
        loss: the loss to lower.
        after_step: called after each step, for example to keep pruned weights at 0.
        weight_decay: AdamW's decoupled weight decay.
        schedule: learning rate of a step, in place of the one-cycle schedule.
        guarded: whether to choose among states by the accuracy; if not, the state of the last step stays.
        suspicious: the model whose accuracy a state may cost; None for the model as it comes. A repair that has already
            drawn or mixed weights gives it, because its own accuracy says nothing by then.

    Raises:
        DivergenceError: when the loss is no longer finite.
        AnchorlabError: if a batch is too small for BatchNorm, or too large for the memory.
    """
    batch_size = min(settings.batch_size, len(data.train))
    steps = settings.steps(len(data.train))
    batches = CleanBatches(data.train, batch_size, seed=context.derive("batches"), variation=settings.augment)
    objective = _CleanObjective(model, batches, loss, after_step)
    latest = Latest(model, data.validation, settings.tolerance, suspicious)

    def on_line(done: int, figures: dict[str, float]) -> None:
        if guarded:
            latest.consider(done)
        context.report(done, steps, figures)

    with batch_in_memory(name, batch_size, context.device):
        fit(
            model,
            objective,
            Optimisation(steps, settings.learning_rate, weight_decay, schedule=schedule),
            accelerator=context.accelerator,
            name=name,
            report=on_line,
        )
    kept = latest.restore()
    if kept is not None and not latest.accurate:
        context.notes.append(
            f"{name} kept the weights after {kept} of {steps} steps, the most accurate ones, because all cost more "
            "of the accuracy on the held-back part than they may"
        )
    elif kept not in (None, steps):
        context.notes.append(
            f"{name} kept the weights after {kept} of {steps} steps, because later ones cost more of the accuracy on "
            "the held-back part than it may"
        )


class Latest:
    """The latest state of a model that costs at most a tolerance of the accuracy on held-back examples, as a copy.

    The accuracy is the suspicious model's, or the model's own before the first step if no other is given. While no
    state does, it is the most accurate state. The state before the first step is never taken, because that would repair
    nothing.
    """

    def __init__(
        self, model: nn.Module, validation: Split, tolerance: float | None, suspicious: nn.Module | None = None
    ) -> None:
        self._model = model
        self._validation = validation
        before = accuracy(model if suspicious is None else suspicious, validation)
        self._least = lowest_accuracy(before, len(validation), tolerance)
        self._accuracy = 0.0
        self._state: dict[str, Tensor] = {}
        self._step: int | None = None

    def consider(self, step: int) -> None:
        """Takes the model's present state, after some steps, if it is accurate enough, or the most accurate so far."""
        present = accuracy(self._model, self._validation)
        if present >= min(self._least, self._accuracy):
            self._accuracy, self._step = present, step
            self._state = copy.deepcopy(self._model.state_dict())

    @property
    def accurate(self) -> bool:
        """Whether the chosen state costs at most the tolerance."""
        return self._accuracy >= self._least

    def restore(self) -> int | None:
        """Gives the model the chosen state, and returns after how many steps it was taken; None if none was."""
        if self._state:
            self._model.load_state_dict(self._state)
        return self._step


def copied(model: nn.Module) -> nn.Module:
    """A copy to repair, in evaluation mode, every parameter trainable."""
    return copy.deepcopy(model).eval().requires_grad_()
