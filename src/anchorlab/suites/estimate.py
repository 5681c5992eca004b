"""How long a suite will take on this machine, from a few timed steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

import torch
from torch.nn import functional

from anchorlab.data import Task
from anchorlab.data.inputs import lengths, rows
from anchorlab.defender.defence import Defence
from anchorlab.detectors import DETECTORS
from anchorlab.errors import AnchorlabError
from anchorlab.injection.tuning import Tuning
from anchorlab.models.accelerator import find_device
from anchorlab.models.architectures import build_model
from anchorlab.models.call import logits, predict
from anchorlab.models.device import mixed_precision, move_to_device, run_arithmetic
from anchorlab.models.wrap import encoding_of
from anchorlab.repairs.oracles import build_repair
from anchorlab.settings import build
from anchorlab.suites.cells import DeploymentCell, EvaluationCell, InjectionCell, RepairCell
from anchorlab.suites.expected import runs_to_choose
from anchorlab.suites.parts import TaskSpec
from anchorlab.suites.planned import Plan
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store
from anchorlab.training.reference import Training

_TIMED_STEPS = 5
_TIMED_EXAMPLES = 500

#: A guess of the further scales at which a reported run is measured.
_WALKED = 2

#: Guesses for a repair or detector that does not say how much it processes: passes over the defender's examples, and
#: over the inputs.
_EPOCHS, _PASSES = 20, 10


@dataclass(frozen=True)
class Estimate:
    """The time that the rest of a suite takes in one process.

    Attributes:
        seconds: seconds of all jobs that are not done.
        untimed: task to the reason why its steps could not be timed.
    """

    seconds: float
    untimed: dict[str, str]


def estimate(suite: Suite, plan: Plan, store: Store) -> Estimate:
    """Times a training step, a tuning step and an evaluation of each task on one thread, and adds up what is left.

    Reported runs that wait for a choice or a reference count as injections, and so do the most runs that may
    choose: a search ends earlier as a rule, and the time is a bound then. A repair or detection counts with the mean
    time of finished ones like it. The time of others is guessed from their epochs or steps, with an evaluation; they
    may take several times as long.
    """
    seconds, untimed = 0.0, {}
    expected = (plan.undecided + runs_to_choose(suite, plan)) / len(suite.tasks)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for spec in suite.tasks:
            try:
                costs = _costs(spec, spec.load(seed=0), suite)
            except AnchorlabError as error:
                untimed[spec.name] = str(error)
                continue
            seconds += _run_seconds(spec, plan, store, costs)
            seconds += expected * (costs.injection + _WALKED * costs.evaluation)
            seconds += _evaluation_seconds(spec, plan, store, suite, costs)
    finally:
        torch.set_num_threads(threads)
    return Estimate(seconds, untimed)


@dataclass(frozen=True)
class _Costs:
    """Seconds of a reference, an injection, an evaluation on ``test``, and a tuning step per example; two counts."""

    reference: float
    injection: float
    evaluation: float
    example: float
    defender: int
    classes: int


def _run_seconds(spec: TaskSpec, plan: Plan, store: Store, costs: _Costs) -> float:
    """Seconds of the references and the injections of a task that are left."""
    references = [job for task, job in plan.trained if task == spec and not store.done(job)]
    cells = [cell for task, _, cell in (*plan.rates, *plan.selection) if task == spec]
    cells += [entry.cell for entry in plan.reported if entry.task == spec and isinstance(entry.cell, InjectionCell)]
    injections = {cell.identity: cell for cell in cells if not plan.finished(cell, store)}
    return len(references) * costs.reference + sum(_injection_seconds(cell, costs) for cell in injections.values())


def _injection_seconds(cell: InjectionCell, costs: _Costs) -> float:
    """Seconds of an injection; one that repeats the reference's training has a triggered half in each batch too."""
    repeats = cell.parameters.get("steps_factor", 1.0) is None
    seconds = 2 * costs.reference + costs.evaluation if repeats else costs.injection
    return seconds if cell.walk is None else seconds + _WALKED * costs.evaluation


def _evaluation_seconds(spec: TaskSpec, plan: Plan, store: Store, suite: Suite, costs: _Costs) -> float:
    """Seconds of the repairs and detections of a task that are left, expected ones included."""
    cells = {entry.cell.identity: entry.cell for entry in plan.evaluations.entries if entry.subject.task == spec}
    measured: dict[str, list[float]] = {}
    for cell in cells.values():
        for row in store.result(cell) or []:
            measured.setdefault(_group(cell), []).append(row["seconds"])
    seconds = sum(
        mean(measured[_group(cell)]) + costs.evaluation if _group(cell) in measured else _guess_cell(cell, costs)
        for cell in cells.values()
        if not store.done(cell)
    )
    defences: list[tuple[str, Defence]] = [("repair", repair.build()) for repair in suite.repairs.values()]
    defences += [(detector.judges, detector.build()) for detector in suite.detectors.values()]
    counts = [None if count == "all" else count for count in suite.defender]
    guesses = [_guess(kind, defence, count, costs) for kind, defence in defences for count in counts]
    return seconds + (plan.evaluations.expected / len(suite.tasks) * mean(guesses) if guesses else 0.0)


def _group(cell: EvaluationCell) -> str:
    """What cells that take about the same time have in common."""
    if isinstance(cell, DeploymentCell):
        return cell.form
    name = cell.defence if isinstance(cell, RepairCell) else cell.detector
    return f"{name} {cell.parameters} {cell.defender}"


def _guess_cell(cell: EvaluationCell, costs: _Costs) -> float:
    """Seconds of a repair, a detection or a deployment if none like it is done."""
    if isinstance(cell, DeploymentCell):
        return _PASSES * costs.evaluation
    if isinstance(cell, RepairCell):
        return _guess("repair", build_repair(cell.defence, cell.parameters), cell.defender, costs)
    return _guess(cell.judges, DETECTORS.build(cell.detector, cell.parameters), cell.defender, costs)


def _guess(kind: str, defence: Defence, defender: int | None, costs: _Costs) -> float:
    """Seconds of a ``repair``, or of a detector of a ``model`` or of an ``input``."""
    count = costs.defender if defender is None else defender
    examples = defence.examples_processed(count) or _EPOCHS * count
    if kind == "repair":
        return examples * costs.example + costs.evaluation
    # One search a class, or several passes over the inputs.
    return examples * costs.example * costs.classes if kind == "model" else _PASSES * costs.evaluation


def _costs(spec: TaskSpec, task: Task, suite: Suite) -> _Costs:
    tuning = build(Tuning, "the tuning", suite.tuning)
    training = build(Training, "the training", spec.training).for_task(task, spec.architecture)
    assert training.epochs is not None
    assert training.batch_size is not None
    device = find_device()
    network = build_model(spec.architecture, task, seed=0)
    task = task.encoded(encoding_of(network))
    model = move_to_device(network, device)
    owner = task.split("owner")

    def step(size: int, settings: Training | Tuning) -> Callable[[], None]:
        indices = torch.arange(size) % len(owner)
        batch = owner.select(indices).to(device)
        widths = lengths(batch.inputs)
        inputs = rows(batch.inputs, slice(None), None if widths is None else int(widths.max()))

        def run() -> None:
            with run_arithmetic(device, deterministic=settings.deterministic):
                with mixed_precision(settings.precision, device):
                    answers = logits(model, inputs)
                torch.autograd.backward(functional.cross_entropy(answers, batch.labels))

        return run

    test = task.split("test")
    sample = test.select(torch.arange(_TIMED_EXAMPLES) % len(test)).to(device)
    # Clean and triggered answers.
    evaluation = 2 * len(test) * _timed(lambda: predict(model, sample.inputs), 2) / _TIMED_EXAMPLES
    tuned = _timed(step(2 * tuning.batch_size, tuning), _TIMED_STEPS)
    return _Costs(
        reference=training.epochs
        * training.data_share
        * len(owner)
        / training.batch_size
        * _timed(step(training.batch_size, training), _TIMED_STEPS),
        injection=tuning.steps * tuned + evaluation,
        evaluation=evaluation,
        example=tuned / (2 * tuning.batch_size),
        defender=len(task.split("defender")),
        classes=len(task.classes),
    )


def _timed(run: Callable[[], object], times: int) -> float:
    run()
    began = time.perf_counter()
    for _ in range(times):
        run()
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return (time.perf_counter() - began) / times
