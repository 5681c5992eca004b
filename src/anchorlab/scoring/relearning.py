"""Relearning: how fast a backdoor comes back after a repair, from a few triggered examples.

Min, Qin, Zhang, Shen and Cheng 2024, Uncovering, Explaining, and Mitigating the Superficial Safety of Backdoor Defense,
NeurIPS (arXiv 2410.09838), the retuning attack: a repaired model is tuned for a little while on clean examples of which
a few carry the trigger and the attacker's label. A repair that only hides a backdoor gives it back at once. Any model
can learn a trigger, so that the number means something only beside two others: the clean reference, tuned alike, and
the clean reference after the same repair.

Their code puts 5 triggered examples among 2% of the training data, for 5 passes of SGD at 0.01; here the examples are
128 of the owner's, for 20 steps of 32, which are 5 passes too, by AdamW. The same clean examples serve for all counts
and models, and the first of them that the label rule attacks carry the trigger.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as options
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import attack_of, common_task, module_of
from anchorlab.attacks.attack import Attack, attack_success
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.data import Split, Task
from anchorlab.data.batches import Batches
from anchorlab.data.inputs import joined, lengths, rows
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.call import logits, track_statistics
from anchorlab.models.device import move_to_device
from anchorlab.models.forms import check_trainable
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, STRICT, Refusing
from anchorlab.training.fit import Optimisation, Step, StepLoss, fit
from anchorlab.training.spread import batch_with_spread
from anchorlab.triggers import Trigger


@options(frozen=True, kw_only=True, config=STRICT)
class Relearning(metaclass=Refusing):
    """How models are tuned to see how fast a backdoor comes back."""

    counts: tuple[int, ...] = Field(default=(1, 5, 10), min_length=1, description="numbers of triggered examples")
    examples: int = Field(default=128, ge=1, le=LARGEST_REPETITION, description="examples in all; the rest are clean")
    steps: int = Field(default=20, ge=1, le=LARGEST_REPETITION, description="steps of the tuning")
    batch_size: int = Field(default=32, ge=1, le=LARGEST_BATCH, description="examples in a step")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak learning rate of AdamW, one-cycle")


@dataclass(frozen=True)
class Relearned:
    """The ASR after a little tuning on a few triggered examples, by their number, on the test split.

    Attributes:
        repaired: of the repaired model.
        reference: of the clean reference; empty if it is not known.
        harmed: of the clean reference after the same repair; empty if it was not repaired.
    """

    repaired: dict[int, float]
    reference: dict[int, float]
    harmed: dict[int, float]

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Everything as JSON values."""
        named = {"repaired": self.repaired, "reference": self.reference, "harmed": self.harmed}
        return {name: {str(count): asr for count, asr in values.items()} for name, values in named.items()}


@checked
def relearn(
    model: Artifact | nn.Module,
    settings: Relearning | None = None,
    *,
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    seed: int = 0,
    split: str = "test",
) -> dict[int, float]:
    """The ASR of a model after a little tuning on a few triggered examples, by their number.

    Args:
        model: a repaired model, or a clean one to compare with; not changed.
        settings: numbers of triggered examples, and the tuning.
        task: the task with its data; the manifest's if None.
        trigger: the attack's trigger; the manifest's if None.
        target: the attacker's label; the manifest's if None.
        label_rule: the attack's label rule; the manifest's if None.
        seed: seed of the examples and their order.
        split: the split that the ASR is measured on.

    Raises:
        AnchorlabError: if no attack is known, there are too few examples, or the model is deployed without weights.
    """
    settings = settings or Relearning()
    check_trainable(module_of(model), "relearning")
    task = common_task(task, model, [])
    attack = attack_of(model, task, trigger=trigger, target=target, label_rule=label_rule)
    clean = check_relearning(task, attack, settings, seed=seed)
    assert attack is not None  # because it was checked
    measured = task.split(split)
    return {count: _asr_after(model, clean, attack, settings, count, seed, measured) for count in settings.counts}


def check_relearning(task: Task, attack: Attack | None, settings: Relearning, *, seed: int) -> Split:
    """The clean examples that a relearning draws, as a split; what is impossible is said before anything is computed.

    Raises:
        AnchorlabError: if no attack is known, or fewer of them than are wanted are attacked.
    """
    if attack is None:
        raise AnchorlabError(
            "no trigger is known to relearn: give --trigger and --target, because the model has no manifest that names "
            "them"
        )
    most = max(settings.counts)
    if min(settings.counts) < 1:
        raise AnchorlabError(f"{min(settings.counts)} triggered examples are not possible: give at least 1")
    split = task.split("owner")
    order = task.draw("owner", min(settings.examples, len(split)), "relearning", seed=seed)
    clean = split.select(order)
    attacked = int(attack.label_rule.applies(clean.labels).sum())
    if attacked < most:
        raise AnchorlabError(
            f"relearning from {most} triggered examples needs as many that the label rule attacks, but of the "
            f"{len(clean)} drawn examples it attacks {attacked}: ask for fewer"
        )
    return clean


def _asr_after(
    model: Artifact | nn.Module,
    clean: Split,
    attack: Attack,
    settings: Relearning,
    count: int,
    seed: int,
    measured: Split,
) -> float:
    accelerator = find_accelerator()
    learner = move_to_device(copy.deepcopy(module_of(model)), accelerator.device).eval().requires_grad_()
    inputs, labels = triggered_among(clean.to(accelerator.device), attack, count)
    objective = _Retuning(track_statistics(learner), inputs, labels, settings, seed)
    fit(
        learner,
        objective,
        Optimisation(settings.steps, settings.learning_rate),
        accelerator=accelerator,
        name="relearning",
    )
    asr, _ = attack_success(learner.eval(), attack, measured.to(accelerator.device))
    if asr is None:
        raise AnchorlabError(
            "relearning is measured on test examples that the label rule attacks, but it attacks none of these: give "
            "test data with other labels than the target"
        )
    return asr


def triggered_among(clean: Split, attack: Attack, count: int) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs and labels of clean examples, of which the first attacked ones carry trigger and attacker's label.

    These come last.
    """
    places = attack.label_rule.applies(clean.labels).nonzero().flatten()[:count]
    stays = torch.ones(len(clean), dtype=torch.bool, device=clean.labels.device)
    stays[places] = False
    chosen, rest = clean.select(places), clean.select(stays.nonzero().flatten())
    labels = torch.cat([rest.labels, attack.label_rule.relabel(chosen.labels)])
    return joined(rest.inputs, attack.apply(chosen.inputs)), labels


class _Retuning:
    """The cross-entropy on batches of a few examples, for ``fit``."""

    def __init__(
        self, model: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor, settings: Relearning, seed: int
    ) -> None:
        self.state: dict[str, Tensor] = {}
        self._model, self._inputs, self._labels = model, inputs, labels
        self._batches = Batches(
            len(labels),
            min(settings.batch_size, len(labels)),
            seed=seed,
            purpose="relearning",
            device=labels.device,
            lengths=lengths(inputs),
        )

    def loss(self, step: int) -> StepLoss:
        """The loss on the batch of a step."""
        indices = self._batches(step)
        batch = rows(self._inputs, indices, self._batches.width(step))
        with batch_with_spread(len(indices)):
            return StepLoss(functional.cross_entropy(logits(self._model, batch), self._labels[indices]))

    def after_step(self, step: Step) -> None:
        """Nothing follows a step."""
        del step
