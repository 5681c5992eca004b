"""Stability: how much the outcome of a repair depends on its settings.

A table of repairs shows each with one choice of its settings. Somebody who chose others may have got another order.
Each repair declares a small grid of its main settings; the model is repaired again with each of its values, one at a
time, with the same examples and the same seed. What two of these settings differ by on average, in the ASR left and in
the accuracy, says how much of a difference between repairs may be due to the choice. It is measured on one model, so
that it has no interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import attack_of, common_task, named_task, note_other_cut
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.consistency.answers import answers
from anchorlab.data import Task
from anchorlab.defender.data import DefenderCount
from anchorlab.repairs.base import Repair
from anchorlab.repairs.oracles import build_repair, full_name, is_oracle
from anchorlab.repairs.repair import check_repair
from anchorlab.repairs.repair import repair as repair_model
from anchorlab.repairs.variations import variations
from anchorlab.scoring.repairs import choose_on_test
from anchorlab.settings import values_of
from anchorlab.statistics.spread import mean_absolute_difference
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table, to_html
from anchorlab.triggers import Trigger

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class StabilityPoint:
    """One setting of a repair, and what became of the model.

    Attributes:
        setting: the setting that differs, as ``epochs=10``; empty for the repair as it is.
        asr: the ASR left on the split; None where no attack is known, or nothing is attacked.
        accuracy: the accuracy on the split.
        seconds: time of the repair.
        note: what the repair had to say; None for nothing.
    """

    setting: str
    asr: float | None
    accuracy: float
    seconds: float
    note: str | None


@dataclass(frozen=True, repr=False)
class Stability:
    """What a repair leaves with each setting of its grid.

    Attributes:
        repair: its name.
        points: the repair as it is, and then with one setting changed.
    """

    repair: str
    points: tuple[StabilityPoint, ...]

    @property
    def asr(self) -> float | None:
        """The mean absolute difference of the ASR left, over all pairs of settings; None if there is no ASR."""
        return mean_absolute_difference(self.asrs)

    @property
    def accuracy(self) -> float | None:
        """The mean absolute difference of the accuracy, over all pairs of settings."""
        return mean_absolute_difference(point.accuracy for point in self.points)

    @property
    def asrs(self) -> list[float]:
        """The ASR left with each setting; empty if there is no ASR."""
        return [point.asr for point in self.points if point.asr is not None]

    def __repr__(self) -> str:
        asr = "" if self.asr is None else f"ASR {self.asr:.4f}, "
        return f"Stability({self.repair}, {len(self.points)} settings, differences: {asr}accuracy {self.accuracy:.4f})"

    def table(self) -> pd.DataFrame:
        """A row for each setting: columns ``setting``, ``asr``, ``accuracy``, ``seconds`` and ``note``."""
        import pandas as pd

        return pd.DataFrame([asdict(point) for point in self.points])

    def _repr_html_(self) -> str:
        return to_html(stability_table(self))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "repair": self.repair,
            "asr": self.asr,
            "accuracy": self.accuracy,
            "points": [asdict(point) for point in self.points],
        }


@checked
def score_stability(
    suspicious: Artifact | nn.Module,
    repair: str | Repair = "nad",
    *,
    parameters: Mapping[str, Any] | None = None,
    defender_data: DefenderCount = "usual",
    task: Task | str | None = None,
    trusted: Artifact | nn.Module | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    split: str = "test",
    repaired: Artifact | None = None,
    seed: int = 0,
) -> Stability:
    """Repairs a model with each setting of a repair's grid, and measures what is left of backdoor and accuracy.

    Args:
        suspicious: the model before the repair, with its manifest or as a bare classifier of raw inputs.
        repair: a repair, or its registered name; ``oracle-NAME`` for an oracle.
        parameters: hyper-parameters of a repair given by name; the grid changes one at a time.
        defender_data: number of clean examples that the defender has, as in ``repair``.
        task: the task with its data, or its name; the manifest's if None.
        trusted: an earlier version of the model that the defender trusts, for repairs that need one.
        trigger: the attack's trigger; the manifest's if None.
        target: the attacker's label; the manifest's if None.
        label_rule: the attack's label rule; the manifest's if None.
        split: the split to measure on.
        repaired: the model as the repair leaves it, if it is at hand; else it is repaired here.
        seed: seed of all draws.

    Raises:
        AnchorlabError: if an argument is impossible, the repair does not fit the model, or it has no grid.
    """
    built = build_repair(repair, parameters or {})
    name = full_name(repair, built)
    others = variations(built, name)
    options: dict[str, Any] = {"defender_data": defender_data, "trusted": trusted, "seed": seed}
    task = named_task(task, suspicious)
    note_other_cut([suspicious], task, "defender")
    task = common_task(task, suspicious, [])
    task = check_repair(suspicious, built, name, task=task, **options)
    attack = attack_of(suspicious, task, trigger=trigger, target=target, label_rule=label_rule)
    given: dict[str, Any] = {"task": task, **options}
    if is_oracle(repair):
        attacked: dict[str, Any] = {"trigger": attack and attack.trigger, "label_rule": attack and attack.label_rule}
        given["choose_depth"] = choose_on_test(suspicious, task=task, **attacked, seed=seed)

    def repaired_by(one: Repair) -> Artifact:
        if is_oracle(repair):
            return repair_model(suspicious, name, parameters=values_of(one), **given)
        return repair_model(suspicious, one, **given)

    points = [_measured("", repaired or repaired_by(built), task, attack, split)]
    points += [_measured(setting, repaired_by(other), task, attack, split) for setting, other in others]
    return Stability(name, tuple(points))


def _measured(setting: str, repaired: Artifact, task: Task, attack: Attack | None, split: str) -> StabilityPoint:
    examples = task.split(split)
    found = answers(repaired.model, examples, attack)
    asr = None
    if attack is not None and found.triggered is not None and len(found.triggered):
        wanted = attack.label_rule.relabel(attack.attacked(examples).labels)
        asr = (found.triggered.argmax(1) == wanted).double().mean().item()
    accuracy = (found.clean.argmax(1) == examples.labels).double().mean().item()
    return StabilityPoint(setting, asr, accuracy, repaired.manifest.seconds, repaired.manifest.note)


def stability_table(stability: Stability) -> Table:
    """A row for each setting."""
    rows = [
        Row(
            point.setting or "as it is",
            (
                NONE if point.asr is None else Cell(f"{point.asr:.4f}", point.asr),
                Cell(f"{point.accuracy:.4f}", point.accuracy),
                Cell(f"{point.seconds:.1f}", point.seconds),
                Cell(point.note or ""),
            ),
        )
        for point in stability.points
    ]
    columns = (
        Column("asr", "ASR left"),
        Column("accuracy", "accuracy"),
        Column("seconds", "time", "seconds"),
        Column("note", "note", is_text=True),
    )
    return Table(
        "stability", f"{stability.repair} with other settings, one at a time", "setting", columns, (Rows(rows),)
    )


def words_of_stability(stability: Stability) -> tuple[str, str]:
    """How much the outcome depends on the settings, and what each of them left."""
    accuracies = [point.accuracy for point in stability.points]
    parts = [] if stability.asr is None else [_range("the ASR left", stability.asrs, stability.asr)]
    parts += [] if stability.accuracy is None else [_range("the accuracy", accuracies, stability.accuracy)]
    of_each = "ASR left and accuracy" if stability.asrs else "accuracy"
    left = (f"{point.setting or 'as it is'} {_outcome(point)}" for point in stability.points)
    return (
        f"With {len(stability.points)} settings of {stability.repair}, {'; '.join(parts)}.",
        f"{of_each[0].upper()}{of_each[1:]} by setting: {', '.join(left)}.",
    )


def _range(what: str, values: list[float], difference: float) -> str:
    lies = f"{what} lies from {min(values):.3f} to {max(values):.3f}"
    return f"{lies}, and two of them differ by {difference:.3f} on average"


def _outcome(point: StabilityPoint) -> str:
    accuracy = f"{point.accuracy:.3f}"
    return accuracy if point.asr is None else f"{point.asr:.3f} and {accuracy}"
