"""What detectors see: scores of a model, and scores of clean and triggered inputs, with thresholds from clean data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.provenance import RunCost, RunMeter
from anchorlab.artifacts.resolve import attack_of, common_task, module_of
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.consistency.statistics import Estimate
from anchorlab.data import Split, Task
from anchorlab.data.inputs import MODEL_INPUTS, joined, kind_of
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.data import draw_defender_data
from anchorlab.defender.device import check_modality, copy_to_device, data_to_device
from anchorlab.detectors import DETECTORS
from anchorlab.detectors.base import FeatureDetector, InputDetector, ModelDetector, ModelScore, gathered
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.call import predict
from anchorlab.progress import progress_bar
from anchorlab.seeding import generator, seeded_globally
from anchorlab.statistics.rates import auroc, hits, threshold
from anchorlab.triggers import Trigger

#: Rates of false alarms at which detection is told.
RATES = (0.01, 0.05)

#: Triggered inputs in a set that is judged as one, for each clean one.
_SHARE = 0.05

#: Steps of the progress bar, whatever a detector counts.
_BAR = 100


@dataclass(frozen=True)
class InputScore:
    """How well a detector tells triggered inputs of the test split from clean ones.

    Attributes:
        clean: scores of clean inputs, float64 ``[N]``.
        triggered: scores of the attacked inputs with the trigger on them, float64 ``[M]``.
        held_count: held-back clean examples of the defender's that thresholds rest on.
        auroc: the area under the ROC curve.
        thresholds: rate of false alarms to the threshold that keeps it on the defender's held-back clean examples.
        false_alarms: rate to the share of clean test inputs above that threshold.
        detected: rate to the share of triggered ones above it.
        seconds: for all scores.
        peak_bytes: the largest memory.
    """

    clean: NDArray[np.float64]
    triggered: NDArray[np.float64]
    held_count: int
    auroc: Estimate
    thresholds: Mapping[float, float]
    false_alarms: Mapping[float, Estimate]
    detected: Mapping[float, Estimate]
    seconds: float
    peak_bytes: int

    def table(self) -> pd.DataFrame:
        """Every score: columns ``triggered`` (bool) and ``score`` (float64), the clean inputs first."""
        triggered = np.r_[np.zeros(len(self.clean), dtype=bool), np.ones(len(self.triggered), dtype=bool)]
        return pd.DataFrame({"triggered": triggered, "score": np.r_[self.clean, self.triggered]})

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single scores, as JSON values."""

        def ends(one: Estimate) -> list[float | None]:
            return [one.value, one.lower, one.upper]

        rates = {
            f"{rate:g}": {
                "threshold": self.thresholds[rate],
                "false_alarms": ends(self.false_alarms[rate]),
                "detected": ends(self.detected[rate]),
            }
            for rate in RATES
        }
        return {
            "auroc": ends(self.auroc),
            "at_rate": rates,
            "clean_count": len(self.clean),
            "triggered_count": len(self.triggered),
            "held_count": self.held_count,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
        }


def score_model(
    model: Artifact | nn.Module,
    detector: ModelDetector,
    *,
    defender_data: int | None = 640,
    task: Task | None = None,
    seed: int = 0,
) -> ModelScore:
    """What a detector says of a model; it sees the model and the defender's clean examples, and nothing else.

    Args:
        model: with its manifest, or a bare classifier of raw inputs.
        detector: of models.
        defender_data: clean examples that the defender has, drawn from the split ``defender``; None for all.
        task: data; None for those of the model's manifest.
        seed: of all draws.

    Raises:
        AnchorlabError: if the detector is not for such a model, or the data do not suffice.
    """
    task = common_task(task, model, [])
    name, drawn_by = DETECTORS.label(detector), type(detector).__name__
    check_modality(detector, task, name)
    with progress_bar(f"scoring by {name}", _BAR) as bar:
        module, data, context = _given(model, task, detector.min_examples, defender_data, seed, bar)
        with seeded_globally(seed, "detector", drawn_by, device=context.device):
            return detector.score(module, data, context)


def score_inputs(model: Artifact | nn.Module, detector: InputDetector, **how: Any) -> InputScore:
    """``score_all_inputs`` with one detector."""
    (found,) = score_all_inputs(model, [detector], **how)
    return found


def score_all_inputs(
    model: Artifact | nn.Module,
    detectors: Sequence[InputDetector],
    *,
    defender_data: int | None = 640,
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    split: str = "test",
    examples: int | None = 500,
    seed: int = 0,
) -> list[InputScore]:
    """How well detectors tell triggered inputs from clean ones. The attack is used for scoring alone.

    Detectors that look at activations share one pass; the first of them is said to take its time.

    Args:
        model: with its manifest, or a bare classifier of raw inputs.
        detectors: of inputs.
        defender_data: clean examples that the defender has; None for all of the split ``defender``.
        task: data; None for those of the model's manifest.
        trigger: of the attack; None for that of the model's manifest.
        target: the attacker's label; None for that of the model's manifest.
        label_rule: who is attacked; None for that of the model's manifest.
        split: where the inputs come from; not ``defender``.
        examples: how many clean ones are drawn, half of the split at most, and as many attacked ones of the others, as
            far as there are; None for all of the split as both. A detector that judges sets gets them in one set with
            the defender's held-back ones, a triggered one for 20 clean ones of the split.
        seed: of all draws.

    Raises:
        AnchorlabError: if no attack is known, a detector is not for such a model, or the data do not suffice.
    """
    task = common_task(task, model, [])
    if split == "defender":
        raise AnchorlabError(
            "inputs to score cannot come from the split 'defender', whose examples the detectors have: take another, "
            "for example test"
        )
    for detector in detectors:
        check_modality(detector, task, DETECTORS.label(detector))
    attack = attack_of(model, task, trigger=trigger, target=target, label_rule=label_rule)
    if attack is None:
        raise AnchorlabError(
            "no trigger is known to score a detector of inputs with: give --trigger and --target, for the model has no "
            "manifest that names them"
        )
    found = []
    with progress_bar(f"scoring by {', '.join(map(DETECTORS.label, detectors))}", _BAR) as bar:
        least = max(2, *(detector.min_examples for detector in detectors))  # one to learn from, and one to hold back
        module, data, context = _given(model, task, least, defender_data, seed, bar)
        trial = _Trial(module, data, context, task.split(split), attack, examples, seed)
        for detector in detectors:
            meter = RunMeter(context.device)
            with seeded_globally(seed, "detector", type(detector).__name__, device=context.device):
                scores = trial.scores(detector)
            found.append(_score(*scores, meter.cost()))
    return found


def _score(
    held: NDArray[np.float64],
    clean: NDArray[np.float64],
    triggered: NDArray[np.float64],
    cost: RunCost,
) -> InputScore:
    thresholds = {rate: threshold(held, rate) for rate in RATES}
    return InputScore(
        clean,
        triggered,
        len(held),
        auroc(clean, triggered),
        thresholds,
        {rate: hits(clean, above) for rate, above in thresholds.items()},
        {rate: hits(triggered, above) for rate, above in thresholds.items()},
        cost.seconds,
        cost.peak_bytes,
    )


def _given(
    model: Artifact | nn.Module, task: Task, least: int, defender_data: int | None, seed: int, bar: Any
) -> tuple[nn.Module, DefenderData, DefenderContext]:
    """Model and data on the device, and where to work."""
    accelerator = find_accelerator()
    drawn, _ = draw_defender_data(task, defender_data, seed=seed, min_examples=least)
    fresh, data = copy_to_device(module_of(model), accelerator.device), data_to_device(drawn, accelerator.device)
    if not predict(fresh, data.train.inputs).isfinite().all():
        raise AnchorlabError(
            "the model answers clean examples with values that are no finite numbers, so that nothing can be scored: "
            "look at its weights"
        )

    def report(done: int, total: int, figures: dict[str, float]) -> None:
        bar(_BAR * done // total, figures)

    context = DefenderContext(accelerator, seed, report=report)
    return fresh, data, context


def _alike(parts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Inputs that do not tell by their form which of them carry a trigger: what models read, texts of one width."""
    if kind_of(parts[0]) != "text":
        return [dict(part) for part in parts]
    width = max(part["input_ids"].shape[1] for part in parts)
    return [
        {name: functional.pad(part[name], (0, width - part[name].shape[1])) for name in MODEL_INPUTS} for part in parts
    ]


@dataclass(frozen=True)
class _Trial:
    """What detectors of inputs are tried on: held-back examples of the defender's, clean inputs and triggered ones."""

    model: nn.Module
    data: DefenderData
    context: DefenderContext
    split: Split
    attack: Attack
    examples: int | None
    seed: int

    def scores(self, detector: InputDetector) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Scores of these three, in their order."""
        if not detector.is_set_level:
            of_held, of_clean, of_triggered = (
                detector.scores(self.model, self.data, one, self.context) for one in self.parts(is_set_level=False)
            )
            return of_held, of_clean, of_triggered
        # All in one set, for scores of another set would be on another scale.
        if isinstance(detector, FeatureDetector):
            together = detector.scores_of_features(*self.features, self.context)
        else:
            together = detector.scores(self.model, self.data, self.together, self.context)
        held, clean, _ = (len(next(iter(part.values()))) for part in self.parts(is_set_level=True))
        return together[:held], together[held : held + clean], together[held + clean :]

    def parts(self, *, is_set_level: bool) -> list[dict[str, Tensor]]:
        """Held-back, clean and triggered inputs; of the last a few where a set is judged as one."""
        order = torch.randperm(len(self.split), generator=generator(self.seed, "inputs"))
        # Where not all are asked for, triggered ones are others than the clean ones.
        count = len(order) if self.examples is None else min(self.examples, max(1, len(order) // 2))
        clean, rest = order[:count], order if self.examples is None else order[count:]
        attacked = rest[self.attack.label_rule.applies(self.split.labels)[rest]][: self.examples]
        if len(attacked) == 0:
            raise AnchorlabError(
                "none of the inputs to score is one that the attack's label rule attacks: take another split or "
                "more examples"
            )
        if is_set_level:
            attacked = attacked[: max(1, round(_SHARE * len(clean)))]
        shown, hit = (self.split.select(rows).to(self.context.device).inputs for rows in (clean, attacked))
        return _alike([self.data.validation.inputs, shown, self.attack.apply(hit)])

    @cached_property
    def together(self) -> dict[str, Tensor]:
        """The set that is judged as one."""
        held, clean, triggered = self.parts(is_set_level=True)
        return joined(joined(held, clean), triggered)

    @cached_property
    def features(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Its activations before the last layer, float64 ``[N, D]``, and predictions, int64 ``[N]``."""
        return gathered(self.model, self.together)
