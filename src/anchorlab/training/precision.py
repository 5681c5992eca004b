"""``precision: auto``: a trial of two seconds at the start of a long run takes bf16 where that is clearly faster.

How fast bf16 is depends on the processor, on the model and on the batch, so it is measured on them, and never guessed.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.artifacts.manifest import PrecisionTrial
from anchorlab.models.bf16 import computes_bf16, undefined_gradient
from anchorlab.models.call import logits
from anchorlab.models.device import mixed_precision
from anchorlab.notices import notice
from anchorlab.seeding import seeded_globally
from anchorlab.training.checkpoint import Checkpoint, objective_tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

#: Length of a trial in seconds, and the largest share of a run that it may take.
_TRIAL, _SHARE = 2.0, 0.03

#: Steps of bf16 must be so many times as fast. Two runs of the same steps differ by a few hundredths.
_MARGIN = 1.1

#: Seconds that are timed at once, so that waiting for the device does not count, and fewest and most of such turns.
_TURN, _FEWEST, _MOST = 0.05, 5, 100

#: Where a run's checkpoint says what its trial chose: JSON as bytes, among the objective's tensors.
STATE = "precision trial"


def chosen_before(checkpoint: Checkpoint | None) -> PrecisionTrial | None:
    """What the trial of an interrupted run chose; None if there is no checkpoint that says it."""
    stored = objective_tensor(checkpoint, STATE)
    return None if stored is None else PrecisionTrial.model_validate(json.loads(bytes(stored.tolist())))


def as_state(trial: PrecisionTrial, device: torch.device) -> dict[str, Tensor]:
    """The same for the state of an objective."""
    return {STATE: torch.tensor(list(trial.model_dump_json().encode()), dtype=torch.uint8, device=device)}


def choose_precision(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    labels: Tensor,
    *,
    steps: int,
    accelerator: Accelerator,
    seconds: Callable[[Callable[[], None], torch.device], float] | None = None,
) -> PrecisionTrial:
    """Tries a copy of a model in float32 and in bf16, and says on the screen what was chosen.

    Model and random generators are as before. Several processes take what the main one measured.

    Args:
        model: the model, on the device, in the mode of the run.
        inputs: of a step of the run, first dimension B.
        labels: of its examples, int64 ``[B]``.
        steps: the run's length.
        accelerator: of this process.
        seconds: the duration of a piece of work on a device; None for the clock.
    """
    from accelerate.utils import broadcast_object_list

    trial = _trial(model, inputs, labels, steps, seconds or _by_the_clock)
    if accelerator.num_processes > 1:
        (trial,) = broadcast_object_list([trial])
    if accelerator.is_main_process:
        notice(f"precision auto takes {'bf16' if trial.chosen == 'bf16' else 'float32'}: {trial.reason}")
    return trial


def _trial(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    labels: Tensor,
    steps: int,
    seconds: Callable[[Callable[[], None], torch.device], float],
) -> PrecisionTrial:
    device = labels.device
    if not computes_bf16(device):
        return PrecisionTrial(chosen="no", reason="this processor has no instructions for bf16")
    if (why := undefined_gradient(model, inputs)) is not None:
        return PrecisionTrial(chosen="no", reason=why)
    tried = copy.deepcopy(model)

    def work(precision: str, times: int) -> None:
        for _ in range(times):
            with mixed_precision(precision, device):
                answers = logits(tried, inputs)
            functional.cross_entropy(answers, labels).backward()  # type: ignore[no-untyped-call]

    def timed(precision: str, times: int = 1) -> float:
        return seconds(partial(work, precision, times), device)

    with seeded_globally(0, "precision trial", device=device):
        timed("no")  # the first step also chooses algorithms
        step = timed("no")
        if steps * step < _TRIAL / _SHARE:
            return PrecisionTrial(
                chosen="no", reason=f"a run of about {steps * step:.0f} s is too short for a trial of {_TRIAL:.0f} s"
            )
        timed("bf16")
        return _compared(timed, max(1, round(_TURN / max(step, 1e-6))))


def _compared(timed: Callable[[str, int], float], times: int) -> PrecisionTrial:
    """Turns of both, until the trial has been long enough."""
    full: list[float] = []
    mixed: list[float] = []
    while len(full) < _FEWEST or (len(full) < _MOST and sum(full) + sum(mixed) < _TRIAL):
        full.append(timed("no", times))
        mixed.append(timed("bf16", times))
    ratio = statistics.median(one / other for one, other in zip(full, mixed, strict=True))
    speeds = [times / statistics.median(turns) for turns in (full, mixed)]
    than = f"bf16 does {speeds[1]:.3g} steps a second here and float32 {speeds[0]:.3g}, {ratio:.2f} times as many"
    needed = "" if ratio >= _MARGIN else f", and {_MARGIN} times are asked for"
    return PrecisionTrial(
        chosen="bf16" if ratio >= _MARGIN else "no",
        reason=than + needed,
        ratio=ratio,
        float32_steps_per_second=speeds[0],
        bf16_steps_per_second=speeds[1],
    )


def _by_the_clock(work: Callable[[], None], device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
