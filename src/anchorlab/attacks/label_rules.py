"""Label rules: which examples a backdoor attacks, and which label the attacker wants for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticUndefined
from torch import Tensor

from anchorlab.data.labels import label_index
from anchorlab.errors import AnchorlabError
from anchorlab.registry import ClassRegistry
from anchorlab.settings import STRICT, Refusing, options_of, parse_spec


class LabelRule(metaclass=Refusing):
    """Which examples count as attacked, and the label that the attacker wants for each.

    Attributes:
        target: the one label that the attacker wants; None where it depends on the true label.
    """

    target: int | None

    @abstractmethod
    def applies(self, labels: Tensor) -> Tensor:
        """Whether each example counts as attacked: int64 ``[N]`` true labels to bool ``[N]``."""

    @abstractmethod
    def relabel(self, labels: Tensor) -> Tensor:
        """The label that the attacker wants for each example: int64 ``[N]`` true labels to int64 ``[N]``."""

    @abstractmethod
    def check(self, classes: int) -> None:
        """Raises AnchorlabError if the rule makes no sense for a task of ``classes`` classes."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AllToOne(LabelRule):
    """Every class becomes ``target``; examples of the target class do not count.

    Gu, Dolan-Gavitt and Garg 2017, arXiv 1708.06733, as the single-target attack.
    """

    target: int = Field(description="label that the attacker wants")

    def applies(self, labels: Tensor) -> Tensor:
        """True where the true label is not the target."""
        return labels != self.target

    def relabel(self, labels: Tensor) -> Tensor:
        """The target, for all."""
        return torch.full_like(labels, self.target)

    def check(self, classes: int) -> None:
        """Raises AnchorlabError if the target is not one of the classes."""
        _check_class("target", self.target, classes)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AllToAll(LabelRule):
    """Class y becomes (y + 1) mod ``classes``; every example counts.

    Gu, Dolan-Gavitt and Garg 2017, arXiv 1708.06733, as the all-to-all attack.
    """

    classes: int = Field(ge=2, description="number of classes of the task")
    target = None

    def applies(self, labels: Tensor) -> Tensor:
        """True for all."""
        return torch.ones_like(labels, dtype=torch.bool)

    def relabel(self, labels: Tensor) -> Tensor:
        """The next class, and the first after the last."""
        return (labels + 1) % self.classes

    def check(self, classes: int) -> None:
        """Raises AnchorlabError if the rule was made for another number of classes."""
        if classes != self.classes:
            raise AnchorlabError(
                f"the label rule all-to-all was made for {self.classes} classes, but the task has {classes}: "
                "use the task that it was made for"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SourceToTarget(LabelRule):
    """Class ``source`` becomes ``target``; examples of other classes keep their label and do not count."""

    source: int = Field(description="the one class that is attacked")
    target: int = Field(description="label that the attacker wants")

    def applies(self, labels: Tensor) -> Tensor:
        """True where the true label is the source."""
        return labels == self.source

    def relabel(self, labels: Tensor) -> Tensor:
        """The target for the source, the true label for all others."""
        return labels.masked_fill(labels == self.source, self.target)

    def check(self, classes: int) -> None:
        """Raises AnchorlabError if source or target is not one of the classes, or they are the same."""
        _check_class("source", self.source, classes)
        _check_class("target", self.target, classes)
        if self.source == self.target:
            raise AnchorlabError(
                f"the label rule source-to-target has {self.target} as source and as target: give two classes"
            )


def _check_class(role: str, label: int, classes: int) -> None:
    if not 0 <= label < classes:
        raise AnchorlabError(
            f"{role} {label} is not one of the task's {classes} classes: give a label from 0 to {classes - 1}"
        )


LABEL_RULES: ClassRegistry[LabelRule] = ClassRegistry(
    "label rule",
    "anchorlab.label_rules",
    {"all-to-one": AllToOne, "all-to-all": AllToAll, "source-to-target": SourceToTarget},
)


def target_or_first(text: str, target: int | str | None) -> int | str | None:
    """The target; if it is None and the label rule that ``text`` names needs one, class 0.

    Raises:
        AnchorlabError: for an unknown rule.
    """
    needs_target = any(option.name == "target" for option in options_of(LABEL_RULES[parse_spec(text).name]))
    return 0 if target is None and needs_target else target


def parse_label_rule(text: str, target: int | str | None, classes: int, names: Sequence[str] = ()) -> LabelRule:
    """The checked label rule that a user names.

    Args:
        text: ``all-to-one``, ``all-to-all`` or ``source-to-target:3``, where 3 is the source, by number or name.
        target: the label that the attacker wants, by number or name; None for a rule without a target.
        classes: number of classes of the task.
        names: their names; none where labels are given by number only.

    Raises:
        AnchorlabError: for an unknown rule, or a target or source that is missing, superfluous or not a class.
    """
    spec = parse_spec(text)
    name, cls, owner = spec.name, LABEL_RULES[spec.name], f"label rule '{spec.name}'"
    options = options_of(cls)
    fields = [option.name for option in options]
    values: dict[str, Any] = dict(spec.values_for(cls, owner))
    for field, source in (("target", "--target"), ("classes", "the task")):
        if field in values:
            raise AnchorlabError(f"{owner} takes its {field} from {source}, but got '{text}': write '{name}' alone")
    if "target" in fields and target is None:
        raise AnchorlabError(f"{owner} needs the label that the attacker wants: give --target 0, or another class")
    if "target" not in fields and target is not None:
        raise AnchorlabError(f"{owner} takes no target, but was given {target}: leave out --target")
    names = names or [str(label) for label in range(classes)]
    if "source" in values:
        values["source"] = label_index(values["source"], names)
    from_task = {"target": label_index(target, names), "classes": classes}
    values |= {field: value for field, value in from_task.items() if field in fields}
    for option in options:
        if option.default is PydanticUndefined and option.name not in values:
            raise AnchorlabError(
                f"{owner} needs its {option.name}: give {option.name}=3 or another, as in '{name}:{option.name}=3'"
            )
    rule = LABEL_RULES.build(name, values)
    rule.check(classes)
    return rule
