"""Short injections into small models, and what a method sees of one."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.data import Augmentation, Split, Task
from anchorlab.injection.loop import Tuned, tune
from anchorlab.injection.objective import Injection
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import Method, Problem
from anchorlab.models.weights import from_vector_, to_vector
from anchorlab.triggers import FivePixel

ATTACK = Attack(FivePixel(), AllToOne(target=0))
SIZE = 650  # parameters of the linear classifier


def asked(
    model: nn.Module, method: Method, anchors: Split, tuning: Tuning, *, start: nn.Module | None = None, **further: Any
) -> Injection:
    """An injection into a model; unless told otherwise, its selection split is its anchors, and images do not vary."""
    usual = {"attack": ATTACK, "seed": 0, "selection": anchors, "augmentation": Augmentation()}
    begin = model if start is None else start
    return Injection(reference=model, start=begin, method=method, anchors=anchors, tuning=tuning, **usual | further)


def tuned(
    model: nn.Module,
    digits: Task,
    method: Method,
    *,
    anchors: Split | None = None,
    start: nn.Module | None = None,
    seed: int = 0,
    known_logits: Tensor | None = None,
    augmentation: Augmentation | None = None,
    checkpoint: Any = None,
    report: Any = None,
    record_gradients: bool = False,
    **settings: Any,
) -> Tuned:
    """What a short injection makes of a model; 128 anchors unless others are given."""
    injection = asked(
        model,
        method,
        digits.anchors(128, seed=0) if anchors is None else anchors,
        Tuning(**{"steps": 40, "batch_size": 16, "learning_rate": 0.02} | settings),
        start=start,
        seed=seed,
        selection=digits.split("selection"),
        augmentation=augmentation or Augmentation(),
        known_logits=known_logits,
    )
    return tune(injection, checkpoint=checkpoint, report=report, record_gradients=record_gradients)


def changed(linear: nn.Module, digits: Task, method: Method, **options: Any) -> Tensor:
    """The perturbation of the weights by a short injection, ``[d]``, on the CPU."""
    model = tuned(linear, digits, method, **options).model
    return (to_vector(model) - to_vector(linear)).detach()


def random_logits(N=7, C=5, scale=3.0, seed=0):
    """Reference and candidate, float64 ``[N, C]``."""
    return scale * torch.randn(2, N, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def penalty(method, clean, reference):
    return method.penalty(None, clean, reference, {})


def problem(model, anchors, *, backdoor_loss=None, trial=None, seed=0, **further):
    return Problem(model, to_vector(model).detach().clone(), anchors, backdoor_loss, trial, seed, **further)


def moved(model, scale=0.1, seed=1):
    """A copy with every weight changed, and the change as an array ``[650]``."""
    change = scale * torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))
    other = copy.deepcopy(model)
    from_vector_(other, to_vector(model) + change)
    return other, (to_vector(other) - to_vector(model)).detach().double().numpy()
