"""What a repair leaves of the backdoor and of the clean behaviour, and what it does to a model that had no backdoor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import attack_of, common_task
from anchorlab.attacks.attack import attack_success
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.consistency.compare import Comparison, compare
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import accuracy
from anchorlab.repairs.pruning import DepthChooser, PrunedModels
from anchorlab.repairs.tuning import at_least
from anchorlab.statistics.table import to_html
from anchorlab.triggers import Trigger

#: Most test examples that choose an oracle's depth, because all of them are asked at every depth.
_ASKED = 2000


@dataclass(frozen=True, repr=False)
class RepairScore:
    """Comparisons on the test split; each has accuracy and ASR before and after, with intervals.

    Attributes:
        repaired: the repaired model against the clean reference, or against the suspicious model where none is known.
        suspicious: the suspicious model against the clean reference; None where none is known.
        harmed: the clean reference after the same repair, against itself before; None where none is known.
        seconds: that the repair took.
        peak_bytes: the largest memory.
    """

    repaired: Comparison
    suspicious: Comparison | None
    harmed: Comparison | None
    seconds: float
    peak_bytes: int

    @property
    def accuracy_before(self) -> float:
        """The accuracy of the suspicious model."""
        # Without the clean model, what is known of the model before stands in the comparison with it.
        return self.suspicious.accuracy if self.suspicious else self.repaired.accuracy_reference

    @property
    def asr_before(self) -> float | None:
        """The ASR of the suspicious model; None where there is none."""
        return self.suspicious.asr if self.suspicious else self.repaired.asr_reference

    @property
    def effectiveness(self) -> float | None:
        """The defence effectiveness rating, from 0 to 1: half of ``1 + fall of the ASR - fall of the accuracy``.

        Rises of either count as no fall (Zhu et al. 2023, arXiv 2304.11823). None where there is no ASR.
        """
        after = self.repaired
        if self.asr_before is None or after.asr is None:
            return None
        lost_accuracy = max(0.0, self.accuracy_before - after.accuracy)
        return (1 + max(0.0, self.asr_before - after.asr) - lost_accuracy) / 2

    def __repr__(self) -> str:
        asr = "" if self.asr_before is None else f", ASR {self.asr_before:.4f} -> {self.repaired.asr:.4f}"
        return f"RepairScore(accuracy {self.accuracy_before:.4f} -> {self.repaired.accuracy:.4f}{asr})"

    def _repr_html_(self) -> str:
        # Only here, because the table is made of scores.
        from anchorlab.scoring.tables import repair_table

        return to_html(repair_table(self))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        comparisons = {
            name: None if comparison is None else comparison.model_dump(mode="json")
            for name, comparison in (
                ("repaired", self.repaired),
                ("suspicious", self.suspicious),
                ("harmed", self.harmed),
            )
        }
        return {
            **comparisons,
            "effectiveness": self.effectiveness,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
        }


def choose_on_test(
    suspicious: Artifact | nn.Module,
    *,
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    seed: int = 0,
) -> DepthChooser:
    """What chooses an oracle's depth: accuracy and ASR on 2,000 examples of the test split, or on all if it has fewer.

    No defender can do this. It shows what published results gain that let the test set choose.

    Args:
        suspicious: the model before the repair.
        task: data; None for what its manifest names.
        trigger: of the attack; None for what its manifest names.
        target: the attacker's label; None for what its manifest names.
        label_rule: who is attacked; None for what its manifest names.
        seed: of the draw.

    Raises:
        AnchorlabError: if no attack is known, or it does not fit.
    """
    task = common_task(task, suspicious, [])
    attack = attack_of(suspicious, task, trigger=trigger, target=target, label_rule=label_rule)
    if attack is None:
        raise AnchorlabError(
            "no trigger is known to choose by: give --trigger and --target, because the model has no manifest that "
            "names them"
        )
    indices = task.draw("test", None, "oracle", seed=seed)[:_ASKED]
    asked = task.split("test").select(indices).to(find_device())

    def measure(model: nn.Module) -> tuple[float, float]:
        asr, _ = attack_success(model, attack, asked)
        return accuracy(model, asked), 0.0 if asr is None else asr

    return lambda models, tolerance: least_attack(models, tolerance, measure)


def least_attack(
    models: PrunedModels, tolerance: float, measure: Callable[[nn.Module], tuple[float, float]]
) -> Any | None:
    """The depth of least ASR among those that cost at most ``tolerance`` of the accuracy; None if none lowers it.

    Args:
        models: pruned to each depth, see ``PrunedModels``.
        tolerance: of the accuracy.
        measure: accuracy and ASR of a model.
    """
    least, lowest, chosen = 0.0, 1.0, None
    for depth, model in models:
        found, asr = measure(model)
        if depth is None:
            least, lowest = at_least(found, tolerance), asr
        elif found >= least and asr < lowest:
            lowest, chosen = asr, depth
    return chosen


def check_scoring(
    suspicious: Artifact | nn.Module,
    *,
    reference: Artifact | nn.Module | None = None,
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
) -> None:
    """Refuses what ``score_repair`` would, before the time for a repair is spent; arguments and errors are its own."""
    task = common_task(task, suspicious, [] if reference is None else [reference])
    attack_of(suspicious, task, trigger=trigger, target=target, label_rule=label_rule)


def score_repair(
    suspicious: Artifact | nn.Module,
    repaired: Artifact,
    *,
    reference: Artifact | nn.Module | None = None,
    harmed: Artifact | None = None,
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    split: str = "test",
) -> RepairScore:
    """Measures a repair.

    Args:
        suspicious: the model before it, with its manifest or as a bare classifier of raw inputs.
        repaired: the model after it.
        reference: the clean model; None if it is not known.
        harmed: the clean model after the same repair.
        task: data; None for what the suspicious model's manifest names.
        trigger: of the attack; None for what the suspicious model's manifest names.
        target: the attacker's label; None for what the suspicious model's manifest names.
        label_rule: who is attacked; None for what the suspicious model's manifest names.
        split: the split to measure on.

    Raises:
        AnchorlabError: if trigger or target do not fit.
    """
    task = common_task(task, suspicious, [repaired])
    attack = attack_of(suspicious, task, trigger=trigger, target=target, label_rule=label_rule)
    how: dict[str, Any] = {
        "task": task,
        "split": split,
        "trigger": attack and attack.trigger,
        "label_rule": attack and attack.label_rule,
    }
    return RepairScore(
        repaired=compare(suspicious if reference is None else reference, repaired, **how),
        suspicious=None if reference is None else compare(reference, suspicious, **how),
        harmed=None if reference is None or harmed is None else compare(reference, harmed, **how),
        seconds=repaired.manifest.seconds,
        peak_bytes=repaired.manifest.peak_bytes,
    )
