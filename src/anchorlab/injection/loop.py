"""The one tuning loop of all methods: prepare, fit, collect.

Each step: take a clean and a triggered batch of anchors, one forward pass over both, the backdoor loss, the method's
penalty (``anchorlab.injection.objective``), a step of the optimiser, the method's projection. Learning rate, clipping,
checkpoints and divergence are in ``anchorlab.training.fit``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from anchorlab.artifacts.manifest import PrecisionTrial
from anchorlab.attacks.attack import attack_success
from anchorlab.data.batches import WHOLE, Share
from anchorlab.data.inputs import joined, lengths
from anchorlab.injection.objective import Injection, InjectionObjective
from anchorlab.injection.reference_logits import computed_logits, stored_logits
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Plain, Problem
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.batchnorm import synchronised_batchnorm
from anchorlab.models.bf16 import check_bf16
from anchorlab.models.call import track_statistics
from anchorlab.models.device import move_to_cpu, move_to_device, run_arithmetic
from anchorlab.models.forward import Forward, compiles
from anchorlab.models.weights import copy_requires_grad, restrict, to_vector
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.fit import Optimisation, Step, fit
from anchorlab.training.memory import batch_in_memory
from anchorlab.training.precision import as_state, choose_precision, chosen_before
from anchorlab.training.processes import share_of

if TYPE_CHECKING:
    from accelerate import Accelerator

#: Called on each log line with the number of steps done and figures to show.
Report = Callable[[int, dict[str, float]], None]


class Tuned(NamedTuple):
    """What ``tune`` returns.

    Attributes:
        model: the tuned model, on the CPU and in evaluation mode.
        steps: the number of steps taken.
        tuning: the settings, with the precision that was chosen and whether the model was compiled.
        trial: what was found where the precision was left to a trial; else None.
        gradients: ``InjectionObjective.gradients``, on the CPU; None where it was not asked for.
    """

    model: nn.Module
    steps: int
    tuning: Tuning
    trial: PrecisionTrial | None = None
    gradients: Tensor | None = None


@torch.enable_grad()
def tune(
    injection: Injection,
    *,
    checkpoint: Checkpoint | None = None,
    report: Report | None = None,
    shared: bool = True,
    record_gradients: bool = False,
) -> Tuned:
    """Tunes the start of an injection by its method until the model carries the backdoor.

    Several processes share out each batch, and end with the same model.

    Args:
        injection: what is injected into what.
        checkpoint: where to write the state and continue from.
        report: called on each log line.
        shared: share out the batches among the processes, if there are several; without, each does all of
            the run, to the same bits.
        record_gradients: note before the first step and on each log line, of which the last step is one, how the
            gradients of the losses agree; this changes nothing of the run. A checkpoint without the record of what
            came before gives one that begins there.

    Returns:
        The tuned model, the number of steps taken, and the record of the gradients.

    Raises:
        AnchorlabError: for a batch that cannot be shared out evenly among the processes, or when the loss is
            no longer finite.
    """
    device = find_accelerator().device
    with run_arithmetic(device, deterministic=injection.tuning.deterministic):
        run = _prepare(injection, checkpoint, shared=shared)
        with closing(run.objective.forward):
            steps = _fit(run, checkpoint, report, record_gradients=record_gradients)
    tuned = move_to_cpu(run.accelerator.unwrap_model(run.net))
    copy_requires_grad(injection.start, tuned)
    gradients = run.objective.gradients.cpu() if record_gradients else None
    return Tuned(tuned, steps, run.tuning_as_done, run.trial, gradients)


@dataclass(frozen=True)
class _Run:
    """An injection before its first step.

    Attributes:
        injection: what is injected, the anchors on the device.
        accelerator: of this process.
        share: this process's part of each batch.
        model: the model that is tuned, on the device.
        net: the same as the accelerator prepared it.
        reference: the clean model on the device.
        objective: the loss, with what the method prepared.
        trial: what was found where the precision was left to a trial.
        resumed: whether a checkpoint continues an earlier run.
    """

    injection: Injection
    accelerator: Accelerator
    share: Share
    model: nn.Module
    net: nn.Module
    reference: nn.Module
    objective: InjectionObjective
    trial: PrecisionTrial | None
    resumed: bool

    @property
    def tuning_as_done(self) -> Tuning:
        """The settings; where compiling was asked for or done, they say whether it was done."""
        tuning, compiled = self.injection.tuning, self.objective.forward.compiled
        return tuning if tuning.compile is None and not compiled else replace(tuning, compile=compiled)


def _prepare(injection: Injection, checkpoint: Checkpoint | None, *, shared: bool) -> _Run:
    """Everything on the device, and the method prepared, whose tensors a resumed run takes from its checkpoint."""
    resumed = checkpoint is not None and checkpoint.path.exists()
    accelerator = find_accelerator()
    device = accelerator.device
    share = share_of(accelerator, injection.tuning.batch_size) if shared else WHOLE
    model = move_to_device(copy.deepcopy(injection.start), device)
    reference = move_to_device(copy.deepcopy(injection.reference), device).requires_grad_(requires_grad=False).eval()
    injection = replace(injection, anchors=injection.anchors.to(device))
    restrict(model, injection.method.trained(model))
    net = accelerator.prepare_model(model).eval() if shared else model.eval()
    trial = None
    if injection.tuning.precision == "auto":
        trial = chosen_before(checkpoint) or _try_precisions(injection, model, share, accelerator)
        injection = replace(injection, tuning=replace(injection.tuning, precision=trial.chosen))
    tuning = injection.tuning
    if tuning.precision == "bf16":
        check_bf16(model, injection.anchors.select(torch.arange(1, device=device)).inputs)
    # The method may look at any batch, also at anchors that the run will not visit.
    answers = computed_logits(reference, tuning.precision)
    computed = InjectionObjective(net, injection, answers, share=share)
    state = {} if resumed else injection.method.prepare(_problem(injection, model, computed))
    if trial is not None and not resumed:
        state |= as_state(trial, device)
    if not injection.augments:
        visited = computed.visited(injection.steps)
        known, processes = injection.known_logits, share.processes
        answers = stored_logits(reference, injection.anchors, visited, tuning, known=known, processes=processes)
    objective = InjectionObjective(net, injection, answers, share=share, forward=_forward(injection, net, share))
    objective.state = state
    return _Run(injection, accelerator, share, model, net, reference, objective, trial, resumed)


def _forward(injection: Injection, net: nn.Module, share: Share) -> Forward:
    """How the steps call the model."""
    tuning, device = injection.tuning, injection.anchors.labels.device
    compiled = compiles(
        tuning.compile, device, injection.steps, deterministic=tuning.deterministic, processes=share.processes
    )
    return Forward(
        net, compiled=compiled, fixed_size=lengths(injection.anchors.inputs) is None, deterministic=tuning.deterministic
    )


def _try_precisions(injection: Injection, model: nn.Module, share: Share, accelerator: Accelerator) -> PrecisionTrial:
    """The trial on the run's first batch, with the model in the mode of the run."""
    full = replace(injection, tuning=replace(injection.tuning, precision="no"))
    objective = InjectionObjective(model, full, lambda indices, _: indices, share=share)
    batch = objective.batch(0, share)
    labels = torch.cat([objective.anchors.labels[batch.clean_indices], batch.targets])
    if injection.tracks_batchnorm:
        track_statistics(model)
    trial = choose_precision(
        model, joined(batch.clean, batch.triggered), labels, steps=injection.steps, accelerator=accelerator
    )
    model.eval()
    return trial


def _problem(injection: Injection, model: nn.Module, objective: InjectionObjective) -> Problem:
    """What the method may look at when it prepares."""
    weights = to_vector(model).detach()

    def trial(share_of_steps: float) -> Tensor:
        steps = max(1, round(injection.tuning.steps * share_of_steps))
        shorter = replace(injection.tuning, steps=steps, stop_at_asr=None)
        # The same parameters are tuned as by the method.
        start = copy.deepcopy(injection.start)
        restrict(start, injection.method.trained(start))
        # Not shared out, because the order in which processes sum could decide which weights change most.
        plain = tune(replace(injection, start=start, method=Plain(), tuning=shorter), shared=False)
        return to_vector(plain.model).detach().to(weights.device) - weights

    return Problem(
        model=model,
        reference=weights.clone(),
        anchors=injection.anchors,
        backdoor_loss=objective.backdoor_loss,
        trial=trial,
        seed=injection.seed,
        pieces=injection.attack.pieces if injection.method.injects_backdoor else {},
    )


def _fit(run: _Run, checkpoint: Checkpoint | None, report: Report | None, *, record_gradients: bool) -> int:
    """The steps; returns their number."""
    tuning, method = run.injection.tuning, run.injection.method
    assert tuning.learning_rate is not None, "Tuning.for_task sets it"
    # Evaluation mode: no dropout, BatchNorm by its statistics.
    run.net.eval()
    if run.injection.tracks_batchnorm:
        track_statistics(run.net)

    def on_line(done: int, scalars: dict[str, float]) -> None:
        # Before the checkpoint of this line is written, which has to hold it.
        if record_gradients:
            run.objective.record_gradients(done, run.reference)
        if report is not None:
            report(done, scalars)

    if record_gradients and not run.resumed:
        run.objective.record_gradients(0, run.reference)
    name = f"the injection by {METHODS.label(method)}"
    with (
        synchronised_batchnorm(run.model, run.share.processes),
        batch_in_memory(name, tuning.batch_size, run.accelerator.device),
    ):
        return fit(
            run.net,
            run.objective,
            Optimisation(
                run.injection.steps,
                tuning.learning_rate,
                tuning.weight_decay,
                tuning.warmup,
                tuning.clip,
                optimiser=tuning.optimiser,
            ),
            accelerator=run.accelerator,
            name=name,
            checkpoint=checkpoint,
            report=on_line,
            stop=_stopping_rule(run),
            arithmetic=nullcontext(),
        )


def _stopping_rule(run: _Run) -> Callable[[Step], bool] | None:
    """Whether the ASR on the selection split is high enough and the method's constraint holds; None if never asked."""
    goal = run.injection.tuning.stop_at_asr
    if goal is None:
        return None
    selection = run.injection.selection.to(run.accelerator.device)

    def reached(step: Step) -> bool:
        asr, _ = attack_success(run.model, run.injection.attack, selection)
        return step.progress >= run.injection.method.constraint_from and asr is not None and asr >= goal

    return reached
