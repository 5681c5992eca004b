"""An attack: a trigger with a label rule, checked against a task, and how often it succeeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.attacks.label_rules import LABEL_RULES, LabelRule, parse_label_rule
from anchorlab.data import Kind, Split, Task
from anchorlab.data.encoding import TextEncoding
from anchorlab.models.call import predict
from anchorlab.triggers import TRIGGERS, Trigger
from anchorlab.triggers.base import InputMap


@dataclass(frozen=True)
class Attack:
    """What is injected: a trigger, and the label that the attacker wants for each triggered example.

    Attributes:
        trigger: how inputs are changed.
        label_rule: which examples are attacked, and the label that the attacker wants for each.
        encoding: how the task's texts become tensors; None for images.
    """

    trigger: Trigger
    label_rule: LabelRule
    encoding: TextEncoding | None = field(default=None, repr=False)

    def apply(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The triggered inputs."""
        return self._map(inputs)

    def attacked(self, split: Split, *, limit: int | None = None) -> Split:
        """The examples that the label rule attacks, in their order; the first ``limit`` of them, None for all."""
        return split.select(self.label_rule.applies(split.labels).nonzero().flatten()[:limit])

    def on_black(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The trigger on a black image of the same size as the inputs, uint8 ``[C, H, W]``."""
        return self.apply({"pixel_values": torch.zeros_like(inputs["pixel_values"][:1])})["pixel_values"][0]

    @property
    def record(self) -> dict[str, Any]:
        """Trigger and label rule as JSON values."""
        return {"trigger": TRIGGERS.to_dict(self.trigger), "label_rule": LABEL_RULES.to_dict(self.label_rule)}

    @property
    def key(self) -> str:
        """The record as one text, for what is kept for each attack; a ``repr`` leaves the pixels of pictures out."""
        return json.dumps(self.record, sort_keys=True)

    @property
    def split_words(self) -> dict[str, int]:
        """The trigger's single words that the model's tokenizer splits, each with the number of its tokens."""
        return {word: count for word, count in self.tokens.items() if count > 1 and " " not in word}

    @property
    def tokens(self) -> dict[str, int]:
        """The trigger's pieces of text, each with the number of its tokens; none for images."""
        return {piece: len(ids) for piece, ids in self.pieces.items()}

    @property
    def pieces(self) -> dict[str, tuple[int, ...]]:
        """The trigger's pieces of text, each with its token ids; none for images."""
        return dict(getattr(self._map, "pieces", {}))

    @cached_property
    def _map(self) -> InputMap:
        return self.trigger.bind(self.encoding)


#: The default trigger, by what the task's examples are.
DEFAULT_TRIGGERS: dict[Kind, str] = {"image": "five-pixel", "text": "word"}


def build_attack(
    task: Task,
    trigger: str | Trigger | None,
    label_rule: str | LabelRule,
    target: int | str | None,
    *,
    used: bool = True,
) -> Attack:
    """An attack on a task, checked against it.

    Args:
        task: the task; one of texts must be encoded.
        trigger: a trigger, or its text as on the command line; None for the default of the task's kind.
        label_rule: a label rule, or its text as on the command line.
        target: the label that the attacker wants, by number or name; None for a rule without a target.
        used: whether the trigger is applied, and so has to fit.

    Raises:
        AnchorlabError: for an unknown name, a target outside the classes, a trigger that does not fit.
    """
    trigger = DEFAULT_TRIGGERS[task.kind] if trigger is None else trigger
    built = TRIGGERS.parse(trigger) if isinstance(trigger, str) else trigger
    classes = task.classes
    chosen = parse_label_rule(label_rule, target, len(classes), classes) if isinstance(label_rule, str) else label_rule
    chosen.check(len(classes))
    if used:
        built.check(task.split("test").inputs, task.encoding)
    return Attack(built, chosen, task.encoding)


def attack_success(model: nn.Module, attack: Attack, clean: Split) -> tuple[float | None, int]:
    """ASR and its count: the share of triggered attacked examples that get the attacker's label.

    Examples that the label rule does not attack, above all examples of the target class, do not count. The ASR is
    None if there are no others.

    Args:
        model: a classifier on the device of the examples.
        attack: trigger and label rule.
        clean: clean examples with their true labels.
    """
    attacked = attack.attacked(clean)
    if len(attacked) == 0:
        return None, 0
    answers = predict(model, attacked.inputs, transform=attack.apply).argmax(1)
    return (answers == attack.label_rule.relabel(attacked.labels)).sum().item() / len(attacked), len(attacked)
