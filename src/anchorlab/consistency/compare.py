"""Two models over one split: how consistent is the candidate with the reference, and how strong is the backdoor?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import attack_of, common_task, in_order_of, module_of, named_task, note_other_cut
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.consistency.frames import check_same_rows, in_same_columns, plain
from anchorlab.consistency.instances import Batch, Columns, build_table, instances, write_instances
from anchorlab.consistency.intervals import intervals as intervals_of
from anchorlab.consistency.stored_logits import StoredLogits, stored_labels
from anchorlab.consistency.summary import Consistency, summarise
from anchorlab.data import Split, Task
from anchorlab.errors import AnchorlabError, printable, renamed_keywords
from anchorlab.files import parquet_path, user_path
from anchorlab.metrics import METRICS, predictions
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import EVALUATION_BATCH, predict
from anchorlab.models.device import lent
from anchorlab.models.hooks import last_layer
from anchorlab.models.probabilities import Watch, Watched
from anchorlab.progress import progress_bar
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.plotting import Measured, plot_estimates
from anchorlab.statistics.table import to_html
from anchorlab.triggers import Trigger

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


#: What the one-line form of a comparison shows.
_MAIN = ("accuracy", "accuracy_reference", "asr", "asr_reference", "kl", "logit_distance", "churn", "negative_flips")


_DISTANCES = "distance"
#: The panels of a comparison's plot.
_PLOTTED = {
    "share of instances": ("accuracy", "accuracy_reference", "asr", "asr_reference"),
    "share of clean instances": ("churn", "negative_flips", "positive_flips", "leakage"),
    _DISTANCES: ("kl", "js", "total_variation", "probability_distance", "logit_distance", "logit_distance_centred"),
}

#: What every pydantic model has; editors that complete a name would show it before the measurements.
_PYDANTIC = frozenset(dir(BaseModel))


class Comparison(Consistency):
    """What ``compare`` measures: rates are fractions; an undefined value is None and ``undefined`` says why."""

    task: str = Field(description="name of the task; empty for stored logits")
    split: str = Field(description="the split measured on; empty for stored logits")
    intervals: dict[str, tuple[float, float]] = Field(
        description="95% intervals, by name: Wilson's for rates, between order statistics for percentiles, of the "
        "bootstrap over instances for all else; none for counts and the maximum"
    )

    def __repr__(self) -> str:
        measured_on = f"{self.task} {self.split}, " if self.task else ""
        values = (f"{name}={value:.4g}" for name in _MAIN if (value := getattr(self, name)) is not None)
        return printable(f"Comparison({measured_on}{self.count} instances, {', '.join(values)})")

    __str__ = __repr__

    def table(self) -> pd.DataFrame:
        """A row a measurement: its ``value``, and the ``lower`` and ``upper`` end of its 95% interval; NaN for none."""
        import pandas as pd

        rows = {name: self._estimate(name) for name in METRICS}
        values = [(each.value, each.lower, each.upper) for each in rows.values()]
        index = pd.Index(list(rows), name="measurement")
        return pd.DataFrame(values, index=index, columns=["value", "lower", "upper"], dtype=float)

    def plot(self) -> Figure:
        """Rates and distances with their 95% intervals; a notebook shows the figure."""
        return plot_estimates(
            {
                title: [Measured(METRICS[name].title, self._estimate(name), kind=kind) for name in names]
                for kind, (title, names) in enumerate(_PLOTTED.items())
            },
            logarithmic=[_DISTANCES],
        )

    def _estimate(self, name: str) -> Estimate:
        lower, upper = self.intervals.get(name, (None, None))
        return Estimate(getattr(self, name, None), lower, upper)

    def __dir__(self) -> list[str]:
        """The measurements and what can be done with them, without pydantic's own names."""
        return [name for name in super().__dir__() if name.startswith("__") or name not in _PYDANTIC]

    def _repr_html_(self) -> str:
        # Only here, because the table is made of comparisons.
        from anchorlab.consistency.table import comparison_table

        return to_html(comparison_table(self))


def _check_names() -> None:
    """Raises AnchorlabError for somebody else's metric that is called as something else of a comparison."""
    for name in METRICS:
        if name not in METRICS.built_in and (name in Comparison.model_fields or hasattr(Comparison, name)):
            raise AnchorlabError(
                f"a metric cannot be called '{name}', because a comparison has something else of that name: "
                f"METRICS.unregister('{name}'), and register it under another"
            )


def comparison_of(
    frame: pd.DataFrame,
    attack: Attack | None,
    *,
    task: str,
    split: str,
    classes: Sequence[str] | None = None,
    intervals: bool = True,
) -> Comparison:
    """The comparison that a per-instance table makes.

    Args:
        frame: see ``anchorlab.consistency.instances``.
        attack: whose triggered answers the table holds; None if there is none.
        task: name of the task, for the record.
        split: name of the split, for the record.
        classes: names of the classes by label; None for the labels themselves.
        intervals: whether to compute intervals, which takes longer than all else.
    """
    why_no_attack = (
        "no trigger is known: the candidate has no manifest that names one"
        if attack is None
        else "no instance of the split is attacked by the label rule"
    )
    _check_names()
    consistency = summarise(frame, classes=classes, why_no_attack=why_no_attack)
    return Comparison(
        **consistency.model_dump(),
        task=task,
        split=split,
        intervals=intervals_of(frame) if intervals else {},
    )


@renamed_keywords(rule="label_rule")
@checked
def compare(
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    *,
    task: Task | str | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    split: str = "test",
    save_instances: str | Path | None = None,
) -> Comparison:
    """Measures a candidate against the reference on clean data, and its backdoor on triggered data.

    A batch at a time: the logits of a whole split are never held.

    Args:
        reference: the trained clean model, with its manifest or as a classifier of raw inputs.
        candidate: the model compared with it, in either form.
        task: the data to measure on, or the name of a task; the task of the reference's manifest if None.
        trigger: the trigger to measure; the candidate's manifest's if None.
        target: the attacker's label, with ``trigger`` or ``label_rule`` or to override the manifest's.
        label_rule: who is attacked and towards what; the candidate's manifest's if None, or else all-to-one.
        split: the split to measure on.
        save_instances: a parquet file to write the per-instance table to; None for none.

    Raises:
        AnchorlabError: if the models' classes are not the task's, or trigger or target do not fit.
    """
    task = named_task(task, reference)
    note_other_cut((reference, candidate), task, split)
    return compared(
        reference,
        candidate,
        task=task,
        trigger=trigger,
        target=target,
        label_rule=label_rule,
        split=split,
        save_instances=save_instances,
    )


def compared(
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    *,
    task: Task | None,
    split: str,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    save_instances: str | Path | None = None,
) -> Comparison:
    """``compare`` for whoever has said himself how the split is cut; arguments and errors are as there."""
    _check_names()
    table = None if save_instances is None else parquet_path(save_instances)
    candidate = in_order_of(reference, candidate, task)
    task = common_task(task, reference, [candidate])
    manifested = candidate if isinstance(candidate, Artifact) else None
    attack = attack_of(manifested, task, trigger=trigger, target=target, label_rule=label_rule)
    task.check_filled(split)
    examples = task.split(split)
    watches = Watch("the reference"), Watch("the candidate")
    try:
        batches = _batches(module_of(reference), module_of(candidate), examples, attack, watches)
        frame = build_table(batches, len(examples))
    except ValueError as error:
        raise AnchorlabError(str(error)) from error
    for watch, model in zip(watches, (reference, candidate), strict=True):
        # Near chance, the logits of a network may all happen to lie between 0 and 1.
        if watch.complaint() is not None and not _are_of_a_linear_layer(module_of(model), examples):
            watch.check()
    if table is not None:
        write_instances(table, frame)
    return comparison_of(frame, attack, task=task.name, split=split, classes=task.classes)


@checked
def compare_logits(
    reference: Any, candidate: Any, labels: Any, *, save_instances: str | Path | None = None
) -> Comparison:
    """Measures a candidate against the reference from their stored logits, of any framework, on clean data.

    Files are read a piece at a time, so that they may be larger than memory. Of two tables of pandas, the columns are
    matched by their names; labels number the reference's columns.

    Args:
        reference: logits ``[N, C]`` of the reference, an array, a table or a .npy file.
        candidate: logits ``[N, C]`` of the candidate, in any of these forms.
        labels: true labels, integer ``[N]``, an array or a .npy file.
        save_instances: a parquet file to write the per-instance table to; None for none.

    Raises:
        AnchorlabError: if a file cannot be read, shapes or the indexes of tables differ, a logit is not finite, masked,
            complex or a probability, or a label is not a class.
    """
    table = None if save_instances is None else parquet_path(save_instances)
    if isinstance(reference, (str, Path)):
        reference = StoredLogits(user_path(reference))
    if isinstance(candidate, (str, Path)):
        candidate = StoredLogits(user_path(candidate))
    from_file = isinstance(labels, (str, Path))
    truth = stored_labels(user_path(labels)) if from_file else plain(labels, "the array of labels")[0]
    check_same_rows([(reference, "the reference"), (candidate, "the candidate"), (labels, "the labels")])
    reference, candidate = in_same_columns(reference, candidate)
    _check_names()
    try:
        first, second = Watched(reference, "the reference"), Watched(candidate, "the candidate")
        with progress_bar("comparing", first.shape[0] if len(first.shape) else 0) as report:
            frame = instances(first, second, truth, report=lambda done: report(done, {}))
    except (ValueError, TypeError) as error:
        raise AnchorlabError(str(error)) from error
    for logits in (first, second):
        logits.watch.check()
    if table is not None:
        write_instances(table, frame)
    consistency = summarise(frame, why_no_attack="only logits of clean instances were given")
    return Comparison(**consistency.model_dump(), task="", split="", intervals=intervals_of(frame))


def _are_of_a_linear_layer(model: nn.Module, examples: Split) -> bool:
    """Whether a model's answers are a linear layer's outputs, so that they are logits whatever their values."""
    try:
        last_layer(model, examples.inputs)
    except AnchorlabError:
        return False
    return True


def _batches(
    reference: nn.Module, candidate: nn.Module, split: Split, attack: Attack | None, watches: tuple[Watch, Watch]
) -> Iterator[Batch]:
    """Both models' answers, a batch at a time, each seen by its watch."""
    device, models = find_device(), (reference, candidate)
    with lent(device, *models):
        for start in range(0, len(split), EVALUATION_BATCH):
            rows = torch.arange(start, min(start + EVALUATION_BATCH, len(split)))
            batch = split.select(rows).to(device)
            labels = batch.labels.cpu().numpy()
            first, second = (predict(model, batch.inputs).cpu() for model in models)
            for watch, answers in zip(watches, (first, second), strict=True):
                watch.see(answers.numpy())
            yield Batch(first, second, labels, {} if attack is None else _triggered(*models, batch, attack))


def _triggered(reference: nn.Module, candidate: nn.Module, batch: Split, attack: Attack) -> Columns:
    """The columns of the attack on a batch: predictions on its attacked instances, triggered."""
    attacked = attack.label_rule.applies(batch.labels)
    columns = {"wanted": attack.label_rule.relabel(batch.labels).where(attacked, -1).cpu().numpy()}
    examples = batch.select(attacked.nonzero().flatten())
    for name, model in (("triggered_reference", reference), ("triggered", candidate)):
        columns[name] = np.full(len(batch), -1, dtype=np.int64)
        if len(examples):
            logits = predict(model, examples.inputs, transform=attack.apply).cpu()
            columns[name][attacked.cpu().numpy()] = predictions(logits.numpy())
    return columns
