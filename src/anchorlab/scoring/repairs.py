"""Measures the backdoor and the clean behaviour after a repair, and the harm to a model that had no backdoor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import attack_of, check_trusted, common_task, in_order_of
from anchorlab.attacks.attack import attack_success
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.consistency.compare import Comparison, compare
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError
from anchorlab.metrics import METRICS
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import accuracy
from anchorlab.repairs.pruning import DepthChooser, PrunedModels
from anchorlab.repairs.stopping import lowest_accuracy
from anchorlab.scoring import repair_rates
from anchorlab.scoring.relearning import Relearned, Relearning, check_relearning, relearn
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.plotting import Measured, plot_estimates
from anchorlab.statistics.table import to_html
from anchorlab.triggers import Trigger

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Most test examples that choose an oracle's depth, because the model answers all of them at every depth.
_EXAMPLES = 2000


@dataclass(frozen=True, repr=False)
class RepairScore:
    """Comparisons on the test split; each has accuracy and ASR before and after, with intervals.

    Attributes:
        repaired: the repaired model against the clean reference, or against the suspicious model if no reference is
            known.
        suspicious: the suspicious model against the clean reference; None if no reference is known.
        harmed: the clean reference after the same repair, against itself before; None if it was not repaired.
        seconds: time of the repair.
        peak_bytes: peak memory, of the GPU or else of the process since its start.
        grown_bytes: how far the memory rose during the repair; None if it is not known.
        note: what the repair has to say, for example that it changed nothing, and why; None for nothing.
        relearned: the ASR after a little tuning on a few triggered examples; None if it was not measured.
    """

    repaired: Comparison
    suspicious: Comparison | None
    harmed: Comparison | None
    seconds: float
    peak_bytes: int
    note: str | None = None
    relearned: Relearned | None = None
    grown_bytes: int | None = None

    @property
    def accuracy_before(self) -> float:
        """The accuracy of the suspicious model."""
        # Without a clean model, the suspicious model is the reference of the comparison.
        return self.suspicious.accuracy if self.suspicious else self.repaired.accuracy_reference

    @property
    def asr_before(self) -> float | None:
        """The ASR of the suspicious model; None if it is undefined."""
        return self.suspicious.asr if self.suspicious else self.repaired.asr_reference

    @property
    def robust_accuracy_before(self) -> float | None:
        """The suspicious model's accuracy on triggered attacked inputs; None if it is undefined."""
        return self.suspicious.robust_accuracy if self.suspicious else self.repaired.robust_accuracy_reference

    @property
    def effectiveness(self) -> float | None:
        """The defence effectiveness rating DER, from 0 to 1: half of ``1 + fall of the ASR - fall of the accuracy``.

        A rise counts as a fall of 0 (Zhu et al. 2023, arXiv 2304.11823). None if there is no ASR.
        """
        before, after = self.asr_before, self.repaired.asr
        if before is None or after is None:
            return None
        accuracies = {"accuracy_before": self.accuracy_before, "accuracy": self.repaired.accuracy}
        return repair_rates.effectiveness(asr_before=before, asr=after, **accuracies)

    @property
    def robust_improvement(self) -> float | None:
        """The robust improvement rate RIR, from 0 to 1: half of ``1 + rise of robust accuracy - fall of the accuracy``.

        As BackdoorBench has it (Wu et al. 2025, IJCV). None if there is no robust accuracy.
        """
        before, after = self.robust_accuracy_before, self.repaired.robust_accuracy
        if before is None or after is None:
            return None
        accuracies = {"accuracy_before": self.accuracy_before, "accuracy": self.repaired.accuracy}
        return repair_rates.robust_improvement(robust_accuracy_before=before, robust_accuracy=after, **accuracies)

    @property
    def reference_accuracy_lost(self) -> float | None:
        """The accuracy that the same repair costs the clean reference; None if that was not repaired."""
        return None if self.harmed is None else self.harmed.accuracy_reference - self.harmed.accuracy

    def __repr__(self) -> str:
        asr = "" if self.asr_before is None else f", ASR {self.asr_before:.4f} -> {self.repaired.asr:.4f}"
        note = "" if self.note is None else f"; {self.note}"
        return f"RepairScore(accuracy {self.accuracy_before:.4f} -> {self.repaired.accuracy:.4f}{asr}{note})"

    def table(self) -> pd.DataFrame:
        """Each measurement of each model: columns ``model``, ``measurement``, ``value``, ``lower`` and ``upper``."""
        import pandas as pd

        rows = [
            (model, name, estimate.value, estimate.lower, estimate.upper)
            for model, measured in self._measured().items()
            for name, estimate in measured.items()
        ]
        return pd.DataFrame(rows, columns=["model", "measurement", "value", "lower", "upper"])

    def plot(self) -> Figure:
        """Accuracy and ASR before and after the repair, with 95% intervals; a notebook shows the figure."""
        models = self._measured()
        return plot_estimates(
            {
                METRICS[name].title: [
                    Measured(model, measured[name], kind=kind) for kind, (model, measured) in enumerate(models.items())
                ]
                for name in ("accuracy", "asr")
            }
        )

    def _measured(self) -> dict[str, dict[str, Estimate]]:
        """The model before and after its repair, and the clean model after the same repair, to their measurements."""
        names = ("accuracy", "asr", "robust_accuracy", "kl", "logit_distance", "churn", "negative_flips")

        def of(comparison: Comparison, name: str) -> Estimate:
            lower, upper = comparison.intervals.get(name, (None, None))
            return Estimate(getattr(comparison, name, None), lower, upper)

        if self.suspicious is None:
            before = {name: of(self.repaired, f"{name}_reference") for name in ("accuracy", "asr", "robust_accuracy")}
        else:
            before = {name: of(self.suspicious, name) for name in names}
        models = {"before": before, "after": {name: of(self.repaired, name) for name in names}}
        if self.harmed is not None:
            models["the clean model, after"] = {name: of(self.harmed, name) for name in names}
        return models

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
            "robust_improvement": self.robust_improvement,
            "reference_accuracy_lost": self.reference_accuracy_lost,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "grown_bytes": self.grown_bytes,
            "note": self.note,
            **({} if self.relearned is None else {"relearned": self.relearned.to_dict()}),
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
    """Chooses an oracle's depth by accuracy and ASR on 2,000 examples of the test split, or on all if it has fewer.

    No defender can do this. It shows the gain of published results for which the test set chooses.

    Args:
        suspicious: the model before the repair.
        task: the task with its data; the manifest's if None.
        trigger: the attack's trigger; the manifest's if None.
        target: the attacker's label; the manifest's if None.
        label_rule: the attack's label rule; the manifest's if None.
        seed: seed of the draw.

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
    indices = task.draw("test", None, "oracle", seed=seed)[:_EXAMPLES]
    examples = task.split("test").select(indices).to(find_device())
    if len(attack.attacked(examples)) == 0:
        raise AnchorlabError(
            "the split 'test' has no example that the attack's label rule attacks, so that no ASR can choose: give "
            "test data with such examples, or another --target or --label-rule"
        )

    def measure(model: nn.Module) -> tuple[float, float]:
        asr, _ = attack_success(model, attack, examples)
        return accuracy(model, examples), 0.0 if asr is None else asr

    return lambda models, tolerance: least_attack(models, tolerance, measure, len(examples))


def least_attack(
    models: PrunedModels,
    tolerance: float | None,
    measure: Callable[[nn.Module], tuple[float, float]],
    count: int,
) -> Any | None:
    """The depth of least ASR among the depths that cost at most ``tolerance`` of the accuracy; None if none lowers it.

    Args:
        models: the models pruned to each depth, see ``PrunedModels``.
        tolerance: the largest fall of the accuracy; see ``lowest_accuracy``.
        measure: gives accuracy and ASR of a model.
        count: number of examples that it measures the accuracy on.
    """
    least_accuracy, lowest_asr, chosen = 0.0, 1.0, None
    for depth, model in models:
        present, asr = measure(model)
        if depth is None:
            least_accuracy, lowest_asr = lowest_accuracy(present, count, tolerance), asr
        elif present >= least_accuracy and asr < lowest_asr:
            lowest_asr, chosen = asr, depth
    return chosen


def check_scoring(
    suspicious: Artifact | nn.Module,
    *,
    reference: Artifact | nn.Module | None = None,
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    relearning: Relearning | None = None,
    seed: int = 0,
) -> None:
    """Raises the errors of ``score_repair`` before the time for a repair is spent; arguments are as there."""
    check_trusted(reference, "the clean reference of a repair")
    others = [] if reference is None else [in_order_of(suspicious, reference, task)]
    task = common_task(task, suspicious, others)
    attack = attack_of(suspicious, task, trigger=trigger, target=target, label_rule=label_rule)
    if relearning is not None:
        check_relearning(task, attack, relearning, seed=seed)


@checked
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
    relearning: Relearning | None = None,
    seed: int = 0,
) -> RepairScore:
    """Measures a repair.

    Args:
        suspicious: the model before the repair, with its manifest or as a bare classifier of raw inputs.
        repaired: the model after the repair.
        reference: the clean model; None if it is not known.
        harmed: the clean model after the same repair.
        task: the task with its data; the suspicious model's manifest's if None.
        trigger: the attack's trigger; the manifest's if None.
        target: the attacker's label; the manifest's if None.
        label_rule: the attack's label rule; the manifest's if None.
        split: the split to measure on.
        relearning: how to measure how fast the backdoor comes back from a few triggered examples, ``Relearning()``; of
            the reference and of ``harmed`` too; None not to.
        seed: seed of the relearning.

    Raises:
        AnchorlabError: if trigger or target do not fit, nothing can be relearned, or the reference may carry a
            backdoor by its own files.
    """
    check_trusted(reference, "the clean reference of a repair")
    task = common_task(task, suspicious, [repaired])
    attack = attack_of(suspicious, task, trigger=trigger, target=target, label_rule=label_rule)
    # The label rule numbers classes as the suspicious model does, so that all models must.
    reference = None if reference is None else in_order_of(suspicious, reference, task)
    if harmed is not None:
        harmed = cast("Artifact", in_order_of(suspicious, harmed, task))

    def relearned(model: Artifact | nn.Module | None) -> dict[int, float]:
        if model is None:
            return {}
        given: dict[str, Any] = {"trigger": attack and attack.trigger, "label_rule": attack and attack.label_rule}
        return relearn(model, relearning, task=task, **given, seed=seed, split=split)

    options: dict[str, Any] = {
        "task": task,
        "split": split,
        "trigger": attack and attack.trigger,
        "label_rule": attack and attack.label_rule,
    }
    return RepairScore(
        repaired=compare(suspicious if reference is None else reference, repaired, **options),
        suspicious=None if reference is None else compare(reference, suspicious, **options),
        harmed=None if reference is None or harmed is None else compare(reference, harmed, **options),
        seconds=repaired.manifest.seconds,
        peak_bytes=repaired.manifest.peak_bytes,
        grown_bytes=repaired.manifest.grown_bytes,
        note=repaired.manifest.note,
        relearned=None
        if relearning is None
        else Relearned(relearned(repaired), relearned(reference), relearned(None if reference is None else harmed)),
    )
