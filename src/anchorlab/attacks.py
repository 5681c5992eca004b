"""What is attacked: a trigger with a label rule, checked against a task, and how often it succeeds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from anchorlab.errors import AnchorlabError
from anchorlab.label_rules import LabelRule, label_rule
from anchorlab.models import class_count, predict
from anchorlab.tasks import Split, Task
from anchorlab.triggers import Trigger, parse_trigger


@dataclass(frozen=True)
class Attack:
    """What is injected: a trigger, and the label that each triggered example should get."""

    trigger: Trigger
    rule: LabelRule

    def apply(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The triggered inputs."""
        return self.trigger(inputs)


def build_attack(task: Task, trigger: str | Trigger, rule: str | LabelRule, target: int | None) -> Attack:
    """The trigger and label rule that are meant, checked against the task.

    Raises:
        AnchorlabError: for an unknown name, a target outside the classes, a trigger larger than the image.
    """
    built = parse_trigger(trigger) if isinstance(trigger, str) else trigger
    chosen = label_rule(rule, target, len(task.classes)) if isinstance(rule, str) else rule
    chosen.check(len(task.classes))
    built.fits(tuple(task.split("test").inputs["pixel_values"].shape[1:]))
    return Attack(built, chosen)


def check_classes(model: nn.Module, task: Task) -> None:
    """Raises AnchorlabError if a model cannot read the task's examples, or has another number of classes."""
    try:
        found = class_count(model, task.split("test").inputs)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise AnchorlabError(
            f"the model cannot read the examples of the task {task.name} ({reason}): "
            "give the task that the model was trained on"
        ) from error
    if found != len(task.classes):
        raise AnchorlabError(
            f"the model answers with {found} classes, but the task {task.name} has {len(task.classes)}: "
            "give the task that the model was trained on"
        )


def attack_success(model: nn.Module, attack: Attack, clean: Split) -> tuple[float | None, int]:
    """ASR and its count: the share of triggered attacked examples that get the attacker's label.

    Examples that the label rule leaves alone, above all those of the target class, do not count; the ASR is
    None if no others are there.

    Args:
        model: a classifier on the device of the examples.
        attack: trigger and label rule.
        clean: clean examples with their true labels.
    """
    attacked = clean.select(attack.rule.applies(clean.labels).nonzero().flatten())
    if len(attacked) == 0:
        return None, 0
    answers = predict(model, attacked.inputs, transform=attack.apply).argmax(1)
    return (answers == attack.rule.relabel(attacked.labels)).sum().item() / len(attacked), len(attacked)
