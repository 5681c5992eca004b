"""``detect``: a detector's score of a model, or how well it separates triggered inputs from clean ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.merge import whole
from anchorlab.artifacts.provenance import RunMeter
from anchorlab.artifacts.resolve import attack_of, common_task, module_of, named_task, note_other_cut
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.data import Task
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.data import DefenderCount, draw_defender_data
from anchorlab.defender.device import check_answers, check_fits_form, check_fits_task, copy_to_device, data_to_device
from anchorlab.detectors import DETECTORS
from anchorlab.detectors.base import InputDetector, ModelDetector, ModelScore
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_accelerator
from anchorlab.progress import progress_bar
from anchorlab.scoring.input_score import InputScore
from anchorlab.scoring.trial import Trial
from anchorlab.seeding import seeded_globally
from anchorlab.triggers import Trigger

#: Steps of the progress bar, whatever a detector counts.
_BAR = 100

_NO_TRIGGER = (
    "no trigger is known to score a detector of inputs with: give --trigger and --target, because the model has no "
    "manifest that names them; or give --inputs FILE, whose rows are ranked without one"
)


@checked
def detect(
    model: Artifact | nn.Module,
    detector: str | ModelDetector | InputDetector = "neural-cleanse",
    *,
    parameters: Mapping[str, Any] | None = None,
    defender_data: DefenderCount = "usual",
    task: Task | str | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    split: str = "test",
    examples: int | None = 500,
    seed: int = 0,
) -> ModelScore | InputScore:
    """Scores a model, or clean and triggered inputs of the model, by a detector.

    The detector sees the model, the defender's clean examples and, if it judges inputs, inputs without marks. The
    attack serves to make the triggered inputs and to measure.

    Args:
        model: the model, with its manifest or as a bare classifier of raw inputs.
        detector: a detector of models or of inputs, or its registered name.
        parameters: hyper-parameters of a detector given by name.
        defender_data: number of clean examples that the defender has, drawn from the split ``defender`` with the seed;
            ``usual`` for 640, or all if there are fewer; None for all.
        task: the task with its data, or its name; the manifest's if None.
        trigger: the attack's trigger, for a detector of inputs; the manifest's if None.
        target: the attacker's label, for a detector of inputs; the manifest's if None.
        label_rule: the attack's label rule, for a detector of inputs; the manifest's if None.
        split: the split that the inputs come from; not ``defender``.
        examples: number of clean inputs, half of the split at most, and as many triggered ones made of others, as far
            as there are; None for all of the split as both. A detector that judges sets gets the defender's validation
            examples, the clean inputs, and a triggered one for 20 clean ones as one set.
        seed: seed of all draws.

    Returns:
        A ``ModelScore`` of a detector of models, an ``InputScore`` of a detector of inputs.

    Raises:
        AnchorlabError: for an unknown name or parameter, a detector that does not fit the model, too few data, an
            attack for a detector of models, or no known attack for a detector of inputs.
    """
    built, task = DETECTORS.build(detector, parameters), named_task(task, model)
    note_other_cut([model], task, "defender", *([split] if isinstance(built, InputDetector) else []))
    if isinstance(built, ModelDetector):
        if (trigger, target, label_rule) != (None, None, None):
            raise AnchorlabError(
                f"{DETECTORS.label(built)} scores models and needs no attack: leave trigger, target and label_rule out"
            )
        return score_model(model, built, defender_data=defender_data, task=task, seed=seed)
    (score,) = score_inputs(
        model,
        [built],
        defender_data=defender_data,
        task=task,
        trigger=trigger,
        target=target,
        label_rule=label_rule,
        split=split,
        examples=examples,
        seed=seed,
    )
    return score


def score_model(
    model: Artifact | nn.Module,
    detector: ModelDetector,
    *,
    defender_data: DefenderCount = "usual",
    task: Task | None = None,
    seed: int = 0,
    title: str | None = None,
) -> ModelScore:
    """``detect`` with a detector of models; arguments and errors are as in ``detect``, and ``title`` is of its bar."""
    task = common_task(task, model, [])
    name = DETECTORS.label(detector)
    check_fits_task(detector, task, name)
    check_fits_form(detector, module_of(model), name, task=task)
    with progress_bar(title or f"scoring by {name}", _BAR) as bar:
        module, data, context = prepare(
            model, task, detector.min_examples, defender_data, seed, bar, merged=not detector.takes_adapters
        )
        with seeded_globally(seed, "detector", type(detector).__name__, device=context.device):
            score = detector.score(module, data, context)
    if not isinstance(score, ModelScore) or not _is_number(score.score):
        raise AnchorlabError(
            f"the detector {name} returned {type(score).__name__}: let score return a ModelScore of one number"
        )
    return replace(score, score=float(score.score))  # NumPy's and torch's numbers cannot be written as JSON


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):  # an array or a tensor of several numbers
        return False
    return not isinstance(value, str)


def score_inputs(
    model: Artifact | nn.Module,
    detectors: Sequence[InputDetector],
    *,
    defender_data: DefenderCount = "usual",
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    split: str = "test",
    examples: int | None = 500,
    seed: int = 0,
) -> list[InputScore]:
    """``detect`` with several detectors of inputs; arguments and errors are as in ``detect``.

    Detectors that look at features share one pass, whose time counts for the first of them.
    """
    if examples is not None and examples < 1:
        raise AnchorlabError(f"{examples} examples to score are not possible: give 1 or more, or all (None in Python)")
    task = common_task(task, model, [])
    if split == "defender":
        raise AnchorlabError(
            "inputs to score cannot come from the split 'defender', whose examples the detectors have: take another, "
            "for example test"
        )
    for detector in detectors:
        check_fits_task(detector, task, DETECTORS.label(detector))
        check_fits_form(detector, module_of(model), DETECTORS.label(detector), task=task)
    attack = attack_of(model, task, trigger=trigger, target=target, label_rule=label_rule)
    if attack is None:
        raise AnchorlabError(_NO_TRIGGER)
    scores = []
    with progress_bar(f"scoring by {', '.join(map(DETECTORS.label, detectors))}", _BAR) as bar:
        # At least one example to learn from, and one for validation.
        min_examples = max(2, *(detector.min_examples for detector in detectors))
        module, data, context = prepare(model, task, min_examples, defender_data, seed, bar)
        trial = Trial(module, data, context, task.split(split), attack, examples, seed)
        for detector in detectors:
            meter = RunMeter(context.device)
            with seeded_globally(seed, "detector", type(detector).__name__, device=context.device):
                scores_of_parts = trial.scores(detector)
            scores.append(InputScore.of(scores_of_parts, meter.cost()))
    return scores


def check_detectors(
    model: Artifact | nn.Module,
    detectors: Sequence[ModelDetector | InputDetector],
    *,
    defender_data: DefenderCount = "usual",
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    seed: int = 0,
) -> None:
    """Raises the errors of all detectors that can be known before any of them runs; arguments are as in ``detect``."""
    task = common_task(task, model, [])
    for detector in detectors:
        check_fits_task(detector, task, DETECTORS.label(detector))
        check_fits_form(detector, module_of(model), DETECTORS.label(detector), task=task)
    if any(isinstance(detector, InputDetector) for detector in detectors):
        attack = attack_of(model, task, trigger=trigger, target=target, label_rule=label_rule)
        if attack is None:
            raise AnchorlabError(_NO_TRIGGER)
    most = max((detector.min_examples for detector in detectors), default=2)
    draw_defender_data(task, defender_data, seed=seed, min_examples=max(2, most))


def prepare(
    model: Artifact | nn.Module,
    task: Task,
    min_examples: int,
    defender_data: DefenderCount,
    seed: int,
    bar: Any,
    *,
    merged: bool = True,
) -> tuple[nn.Module, DefenderData, DefenderContext]:
    """Model and data on the device, and the defender's context; an adapter is merged into the weights if asked."""
    accelerator = find_accelerator()
    drawn, _ = draw_defender_data(task, defender_data, seed=seed, min_examples=min_examples)
    # Most detectors look into the network, and know nothing of adapters.
    module = module_of(model)
    module = copy_to_device(whole(module) if merged else module, accelerator.device)
    data = data_to_device(drawn, accelerator.device)
    check_answers(module, data.train.inputs)

    def report(done: int, total: int, figures: dict[str, float]) -> None:
        bar(_BAR * done // total, figures)

    return module, data, DefenderContext(accelerator, seed, report=report)
