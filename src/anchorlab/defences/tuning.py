"""Tuning on the defender's clean examples, by the loop that training and injection share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.batches import Batches
from anchorlab.defences.base import DefenderData, Workplace
from anchorlab.fitting import Optimisation, Step, fit
from anchorlab.models import logits, predict
from anchorlab.options import STRICT
from anchorlab.tasks import Split
from anchorlab.text import lengths, rows


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Schedule:
    """Fields that all repairs by tuning share."""

    epochs: int = Field(default=20, ge=1, description="passes over the defender's examples")
    batch_size: int = Field(default=32, ge=1, description="examples in a step")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak learning rate of AdamW, one-cycle")


#: What is lowered, a differentiable scalar of a model, the inputs of a batch and their labels.
Loss = Callable[[nn.Module, Mapping[str, Tensor], Tensor], Tensor]


def cross_entropy(model: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
    """The mean cross-entropy towards the labels."""
    return functional.cross_entropy(logits(model, inputs), labels)


class _Clean:
    """The objective, for ``fit``: a loss on batches of the defender's examples."""

    def __init__(
        self, model: nn.Module, examples: Split, batch_size: int, loss: Loss, seed: int, after: Callable[[Step], None]
    ) -> None:
        self.model = model
        self.examples = examples
        self.state: dict[str, Tensor] = {}
        self._loss = loss
        self._after = after
        self._batches = Batches(
            len(examples),
            batch_size,
            seed=seed,
            purpose="defence",
            device=examples.labels.device,
            lengths=lengths(examples.inputs),
        )

    def loss(self, step: int) -> dict[str, Tensor]:
        """The loss on the batch of a step."""
        at = self._batches(step)
        inputs = rows(self.examples.inputs, at, self._batches.width(step))
        return {"loss": self._loss(self.model, inputs, self.examples.labels[at])}

    def after_step(self, step: Step) -> None:
        """What the repair projects."""
        self._after(step)


def tune(
    model: nn.Module,
    data: DefenderData,
    how: Schedule,
    place: Workplace,
    *,
    name: str,
    loss: Loss = cross_entropy,
    after_step: Callable[[Step], None] = lambda _: None,
) -> None:
    """Lowers a loss over the trainable parameters of a model, in place, on the part ``fit`` of the defender's data.

    At each log line the model is judged by its cross-entropy on the part ``held``, and at the end it is what it was
    at its best.

    Args:
        model: on the device; its mode is left as it is.
        data: of the defender.
        how: how long and how fast.
        place: device, seed, progress.
        name: of the repair, for messages.
        loss: what is lowered.
        after_step: called after each step, for example to keep pruned weights at 0.

    Raises:
        DivergenceError: when the loss is no longer finite.
    """
    batch_size = min(how.batch_size, len(data.fit))
    steps = max(1, how.epochs * len(data.fit) // batch_size)
    objective = _Clean(model, data.fit, batch_size, loss, place.derive("batches"), after_step)
    best = Best(model, data.held)

    def on_line(done: int, figures: dict[str, float]) -> None:
        best.consider()
        place.report(done, steps, figures)

    fit(
        model,
        objective,
        Optimisation(steps, how.learning_rate),
        accelerator=place.accelerator,
        name=name,
        report=on_line,
    )
    best.restore()


class Best:
    """The best state of a model so far, by its cross-entropy on held-back examples; a copy, which later steps leave be.

    The state before the first step does not count: fine-tuning that changes nothing would be no repair.
    """

    def __init__(self, model: nn.Module, held: Split) -> None:
        self._model = model
        self._held = held
        self._loss = float("inf")
        self._state: dict[str, Tensor] = {}

    def consider(self) -> None:
        """Takes the model's present state if it is better than any before."""
        if (loss := held_loss(self._model, self._held)) < self._loss:
            self._loss = loss
            self._state = copy.deepcopy(self._model.state_dict())

    def restore(self) -> None:
        """Makes the model what it was at its best."""
        if self._state:
            self._model.load_state_dict(self._state)


def held_loss(model: nn.Module, held: Split) -> float:
    """The mean cross-entropy on held-back examples, nats, in evaluation mode."""
    answers = predict(model, held.inputs).double()
    return float(functional.cross_entropy(answers, held.labels))


def held_accuracy(model: nn.Module, held: Split) -> float:
    """The accuracy on held-back examples, in evaluation mode."""
    return float((predict(model, held.inputs).argmax(1) == held.labels).double().mean())


def copied(model: nn.Module) -> nn.Module:
    """A copy to repair, in evaluation mode, every parameter trainable."""
    return copy.deepcopy(model).eval().requires_grad_()


def track_statistics(model: nn.Module) -> nn.Module:
    """Puts BatchNorm's layers alone into training mode, so that their statistics follow the defender's examples."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
    return model
