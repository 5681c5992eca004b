"""The contract of methods: what holds in an injection by one."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, get_args

import torch
from torch import Tensor, nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.data import Kind, Modality
from anchorlab.errors import DivergenceError
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Method, Problem
from anchorlab.settings import options_of
from anchorlab.testing.bench import bench
from anchorlab.testing.contract import BrokenError, Contract, Finding, NotTriedError, Rule, judge, require
from anchorlab.testing.settings import SETTINGS, contract_of
from anchorlab.testing.unchanged import changed, copies, whole
from anchorlab.triggers import Word

#: Deterministic, because on a GPU two runs of one seed differ by rounding otherwise.
_TUNING = Tuning(steps=3, batch_size=8, deterministic=True)

#: On a GPU, logits of one example differ that much between batches of two sizes; on the CPU of the kit's models they do
#: not at all.
_ROUNDING = 1e-5


#: The trigger of texts, a word that is one token of the kit's model: a method may tune what is that token's alone.
_LETTER = Word(words="q")


class _Trial:
    """An injection of a few steps by one method, watched."""

    def __init__(self, method: Method, kind: Kind) -> None:
        self.method = method
        self.bench = bench(kind)
        self.prepared: Any = None
        self.changed_by_prepare: list[str] = []
        self.first_penalty: Any = None
        self.gradient: Tensor | None = None

    @cached_property
    def tuned(self) -> Artifact:
        """The injected model; what was seen on the way is kept."""
        return self._inject(self._watched())

    def again(self) -> Artifact:
        """The same injection, not watched."""
        return self._inject(self.method)

    def _inject(self, method: Method) -> Artifact:
        own = self.bench
        return inject(
            own.reference,
            method=method,
            trigger=own.trigger if own.kind == "image" else _LETTER,
            target=own.target,
            anchors=48,
            tuning=_TUNING,
            task=own.task,
            measure=False,
        )

    def _watched(self) -> Method:
        """A copy of the method whose moments note what they get and give."""
        method = copy.copy(self.method)
        prepare, penalty = self.method.prepare, self.method.penalty

        def watched_prepare(problem: Problem) -> Any:
            before = copies(whole(problem.model))
            self.prepared = prepare(problem)
            self.changed_by_prepare = changed(before, whole(problem.model))
            return self.prepared

        def watched_penalty(model: nn.Module, clean: Tensor, reference: Tensor, own: dict[str, Tensor]) -> Tensor:
            value = penalty(model, clean, reference, own)
            if self.first_penalty is None:
                self.first_penalty = value
                self.gradient = _gradient(value, model, clean)
            return value

        _replace(method, "prepare", watched_prepare)
        _replace(method, "penalty", watched_penalty)
        return method


def _replace(method: Method, name: str, function: Callable[..., Any]) -> None:
    object.__setattr__(method, name, function)  # the instance is frozen, and this one is ours


def _gradient(value: Any, model: nn.Module, clean: Tensor) -> Tensor | None:
    """The gradient of a penalty by all that it may hang on, flat; None if it hangs on nothing."""
    if not isinstance(value, Tensor) or not value.requires_grad or value.numel() != 1:
        return None
    leaves = [clean, *(parameter for parameter in model.parameters() if parameter.requires_grad)]
    parts = torch.autograd.grad(value.sum(), leaves, retain_graph=True, allow_unused=True)
    return torch.cat([part.flatten().float() for part in parts if part is not None])


def _runs(trial: _Trial) -> None:
    try:
        assert trial.tuned is not None
    except DivergenceError as error:
        raise BrokenError(
            "the loss is not finite within three steps: look at the penalty and its gradient where the candidate is "
            "still the reference, and avoid roots and logarithms of 0"
        ) from error


def _prepares_tensors(trial: _Trial) -> None:
    require(isinstance(trial.prepared, dict), "prepare returns no dictionary: return one, {} if nothing is needed")
    for name, value in trial.prepared.items():
        require(
            isinstance(name, str) and isinstance(value, Tensor),
            f"prepare returns {name!r} of type {type(value).__name__}: return tensors by name, which checkpoints hold",
        )


def _leaves_the_model(trial: _Trial) -> None:
    require(
        not trial.changed_by_prepare,
        f"prepare changes the model ({', '.join(trial.changed_by_prepare[:3])}): work on a copy",
    )


def _weighs(trial: _Trial) -> None:
    weight = trial.method.weight
    require(
        isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0,
        f"weight is {weight!r}: return a number from 0 on",
    )


def _watched_penalty(trial: _Trial) -> Tensor:
    if trial.method.weight == 0:
        raise NotTriedError("the method has no penalty")
    value = trial.first_penalty
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise BrokenError(f"penalty returns {shape}: return one number as a tensor, for example a mean")
    return value


def _has_a_gradient(trial: _Trial) -> None:
    value = _watched_penalty(trial)
    require(value.requires_grad, "the penalty has no gradient: compute it from clean_logits or the model's parameters")
    require(
        math.isfinite(value.item()) and trial.gradient is not None and bool(trial.gradient.isfinite().all()),
        "the penalty or its gradient is not finite where the candidate is still the reference: avoid roots and "
        "logarithms of 0",
    )


def _is_zero_at_the_start(trial: _Trial) -> None:
    value = _watched_penalty(trial)
    if trial.method.fresh_start:
        raise NotTriedError("the method starts from random weights")
    if not trial.method.zero_at_start:
        raise NotTriedError("the method says zero_at_start = False")
    require(
        abs(value.item()) <= (0 if value.device.type == "cpu" else _ROUNDING),
        f"the penalty is {value.item():.3g} where the candidate is still the reference: let it be exactly 0 there, or "
        "write zero_at_start: ClassVar[bool] = False if another zero is meant",
    )


def _stays_finite(trial: _Trial) -> None:
    broken = [name for name, value in trial.tuned.model.named_parameters() if not value.isfinite().all()]
    require(not broken, f"weights are not finite after three steps ({', '.join(broken[:3])}): look at after_step")


def _repeats(trial: _Trial) -> None:
    first, second = trial.tuned.manifest.weights_sha256, trial.again().manifest.weights_sha256
    require(
        first == second,
        "the same seed gives other weights the second time: draw from Problem.generator, and keep nothing on the class",
    )


def _leaves_the_reference(trial: _Trial) -> None:
    before = copies(whole(trial.bench.reference.model))
    trial.again()
    names = changed(before, whole(trial.bench.reference.model))
    require(not names, f"the reference changes ({', '.join(names[:3])}): work on copies")


def _names_its_strength(method: Method) -> None:
    names = [option.name for option in options_of(type(method))]
    for attribute in ("strength_name", "active_strength_name"):
        value = getattr(method, attribute)
        require(value is None or value in names, f"{attribute} is '{value}', which is no setting: name one of {names}")


def _says_its_modality(method: Method) -> None:
    require(
        method.modality in get_args(Modality),
        f"modality is {method.modality!r}: write one of {', '.join(get_args(Modality))}",
    )


_SETTINGS: tuple[Rule[Any], ...] = (
    *SETTINGS,
    Rule("names a setting as its strength", _names_its_strength),
    Rule("says which data it is for", _says_its_modality),
)

_RULES: tuple[Rule[_Trial], ...] = (
    Rule("injects", _runs, needed=True),
    Rule("prepares tensors by name", _prepares_tensors),
    Rule("leaves the model as it is when it prepares", _leaves_the_model),
    Rule("has a weight from 0 on", _weighs),
    Rule("has a penalty with a gradient", _has_a_gradient),
    Rule("has a penalty of exactly 0 at the reference", _is_zero_at_the_start),
    Rule("keeps the weights finite", _stays_finite),
    Rule("gives the same weights for the same seed", _repeats),
    Rule("leaves the reference as it is", _leaves_the_reference),
)


def check_method(method: Method | type[Method], name: str = "") -> Contract:
    """The contract of a method: its settings, and injections of three steps into tiny models of what it is for.

    Args:
        method: an instance, or a class whose settings all have defaults.
        name: what to call it; its registered name if left out.
    """
    return contract_of(
        method,
        name,
        registry=METHODS,
        base=Method,
        derive="its class does not derive from anchorlab.methods.Method: derive it",
        findings=_findings,
    )


def _findings(method: Method) -> list[Finding]:
    findings = judge(_SETTINGS, method)
    if findings[0].outcome == "kept":
        for kind, where in (("image", "on images: "), ("text", "on texts: ")):
            if method.modality in ("any", kind):
                findings += judge(_RULES, _Trial(method, kind), where=where)  # type: ignore[arg-type]
    return findings
