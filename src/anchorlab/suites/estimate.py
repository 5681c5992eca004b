"""How long a suite will take on this machine, from a few timed steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch.nn import functional

from anchorlab.architectures import build_model
from anchorlab.classifiers import encoding_of
from anchorlab.errors import AnchorlabError
from anchorlab.injection.loop import Tuning
from anchorlab.models import logits, placed, predict
from anchorlab.options import build
from anchorlab.suites.cells import InjectionCell
from anchorlab.suites.plan import Plan
from anchorlab.suites.spec import Suite, TaskSpec
from anchorlab.suites.store import Store
from anchorlab.tasks import Task
from anchorlab.text import lengths, rows
from anchorlab.training import Training

_TIMED_STEPS = 5
_TIMED_EXAMPLES = 500


@dataclass(frozen=True)
class Estimate:
    """Seconds of one process for what is left.

    Attributes:
        seconds: for all jobs that are not done.
        untimed: task to the reason why its steps could not be timed.
    """

    seconds: float
    untimed: dict[str, str]


def estimate(suite: Suite, known: Plan, store: Store) -> Estimate:
    """Times a training step, a tuning step and an evaluation of each task on one thread, and adds up what is left.

    Reported runs of methods whose strengths are not chosen yet count as injections; extensions of grids do not
    count, for nobody knows them.
    """
    seconds, untimed = 0.0, {}
    expected = known.undecided / len(suite.tasks)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for spec in suite.tasks:
            try:
                costs = _costs(spec, spec.load(seed=0), suite)
            except AnchorlabError as error:
                untimed[spec.name] = str(error)
                continue
            jobs = [job for task, job in known.references if task == spec and not store.done(job)]
            cells = {
                cell.identity: cell
                for cell in (
                    *(cell for task, _, cell in known.selection if task == spec),
                    *(entry.cell for entry in known.reported if entry.task == spec),
                )
                if not store.done(cell)
            }
            injections = sum(isinstance(cell, InjectionCell) for cell in cells.values())
            seconds += len(jobs) * costs.reference + (injections + expected) * costs.injection
    finally:
        torch.set_num_threads(threads)
    return Estimate(seconds, untimed)


@dataclass(frozen=True)
class _Costs:
    reference: float
    injection: float


def _costs(spec: TaskSpec, task: Task, suite: Suite) -> _Costs:
    tuning = build(Tuning, "the tuning", suite.tuning)
    training = build(Training, "the training", spec.training).for_task(task)
    assert training.epochs is not None
    assert training.batch_size is not None
    device = Accelerator().device
    network = build_model(spec.architecture, task, seed=0)
    task = task.encoded(encoding_of(network))
    model = placed(network, device)
    owner = task.split("owner")

    def step(size: int) -> Callable[[], None]:
        at = torch.arange(size) % len(owner)
        batch = owner.select(at).to(device)
        widths = lengths(batch.inputs)
        inputs = rows(batch.inputs, slice(None), None if widths is None else int(widths.max()))

        def run() -> None:
            loss = functional.cross_entropy(logits(model, inputs), batch.labels)
            torch.autograd.backward(loss)

        return run

    test = task.split("test")
    sample = test.select(torch.arange(_TIMED_EXAMPLES) % len(test)).to(device)
    answer = _timed(lambda: predict(model, sample.inputs), 2) / _TIMED_EXAMPLES
    return _Costs(
        reference=training.epochs * len(owner) / training.batch_size * _timed(step(training.batch_size), _TIMED_STEPS),
        # Clean and triggered answers on test.
        injection=tuning.steps * _timed(step(2 * tuning.batch_size), _TIMED_STEPS) + 2 * len(test) * answer,
    )


def _timed(run: Callable[[], object], times: int) -> float:
    run()
    began = time.perf_counter()
    for _ in range(times):
        run()
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return (time.perf_counter() - began) / times
