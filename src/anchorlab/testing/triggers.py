"""The contract of triggers: maps on inputs that change nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from anchorlab.data import Kind
from anchorlab.data.encoding import TextEncoding
from anchorlab.data.inputs import MODEL_INPUTS
from anchorlab.errors import AnchorlabError
from anchorlab.seeding import generator
from anchorlab.testing.bench import bench
from anchorlab.testing.contract import BrokenError, Contract, Finding, NotTriedError, Rule, judge, require
from anchorlab.testing.settings import SETTINGS, contract_of
from anchorlab.testing.unchanged import changed, copies
from anchorlab.triggers import TRIGGERS, Trigger

_EXAMPLES = 6


@dataclass(frozen=True)
class _Trial:
    """A trigger on one kind of input that it says it fits."""

    trigger: Trigger
    kind: Kind
    inputs: dict[str, Tensor]
    encoding: TextEncoding | None

    @property
    def what(self) -> str:
        """The inputs in words."""
        if self.kind == "text":
            return "texts"
        return f"images of {'×'.join(map(str, self.inputs['pixel_values'].shape[1:]))}"

    @property
    def names(self) -> set[str]:
        """The names of the inputs that a model reads."""
        return {"pixel_values"} if self.kind == "image" else set(MODEL_INPUTS)

    def triggered(self, inputs: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The triggered inputs, of copies."""
        lent = {name: value.clone() for name, value in (inputs or self.inputs).items()}
        return self.trigger.bind(self.encoding)(lent)

    def rows(self, which: slice) -> dict[str, Tensor]:
        """Some of the inputs."""
        return {name: value[which] for name, value in self.inputs.items()}


@dataclass(frozen=True)
class _Trials:
    """The inputs that a trigger fits, why it does not fit others, and what else its check raised."""

    found: list[_Trial] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


def _trials(trigger: Trigger) -> _Trials:
    """Asks the trigger which of several inputs it fits."""
    draw = generator(0, "contract", "images")
    trials = _Trials()
    for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32)):
        images = torch.randint(0, 256, (_EXAMPLES, *shape), generator=draw, dtype=torch.uint8)
        _try(_Trial(trigger, "image", {"pixel_values": images}, None), trials)
    task = bench("text").task
    texts = {name: value[:_EXAMPLES] for name, value in task.split("test").inputs.items()}
    _try(_Trial(trigger, "text", texts, task.encoding), trials)
    return trials


def _try(trial: _Trial, trials: _Trials) -> None:
    try:
        trial.trigger.check(trial.inputs, trial.encoding)
    except AnchorlabError as error:
        trials.refusals.append(str(error))
    except Exception as error:  # whatever code of a third party raises
        trials.errors.append(error)
    else:
        trials.found.append(trial)


def _gives_inputs(trial: _Trial) -> None:
    try:
        result = trial.triggered()
    except AnchorlabError as error:  # its check said that it fits, so that this is no refusal
        raise BrokenError(str(error)) from error
    require(isinstance(result, dict), f"it returns {type(result).__name__}: return a dictionary from name to tensor")
    require(
        trial.names <= set(result) <= set(trial.inputs),
        f"it returns {sorted(result)}: return the inputs by their own names, {', '.join(sorted(trial.names))} at least",
    )
    for name in result:
        value = trial.inputs[name]
        require(
            isinstance(result[name], Tensor) and result[name].dtype == value.dtype,
            f"'{name}' does not stay {value.dtype}: return tensors of the dtype that came in",
        )
        same = result[name].shape == value.shape if trial.kind == "image" else len(result[name]) == len(value)
        require(same, f"'{name}' goes from {tuple(value.shape)} to {tuple(result[name].shape)}: keep the shape")


def _leaves_its_inputs(trial: _Trial) -> None:
    lent = {name: value.clone() for name, value in trial.inputs.items()}
    before = copies(lent)
    trial.trigger.bind(trial.encoding)(lent)
    names = changed(before, lent)
    require(not names, f"it changes the inputs that it is given ({', '.join(names)}): work on a clone")


def _changes_something(trial: _Trial) -> None:
    result = trial.triggered()
    clean = {name: trial.inputs[name] for name in result}
    require(
        changed(copies(clean), result),
        "triggered inputs are the clean ones: let it change something, or let check refuse such inputs",
    )


def _repeats(trial: _Trial) -> None:
    names = changed(copies(trial.triggered()), trial.triggered())
    require(not names, "it gives other inputs the second time: draw from a seed that is a setting, or not at all")


def _takes_each_example_alone(trial: _Trial) -> None:
    together = trial.triggered()
    for row in range(_EXAMPLES):
        alone = trial.triggered(trial.rows(slice(row, row + 1)))
        for name, value in alone.items():
            width = min(value.shape[-1], together[name].shape[-1])
            require(
                torch.equal(value[0][..., :width], together[name][row][..., :width]),
                "an example's trigger depends on the batch: let each example be changed by itself",
            )


def _fits_something(trials: _Trials) -> None:
    for error in trials.errors:
        raise error
    if not trials.found:
        raise BrokenError("it fits neither images nor texts: " + "; ".join(dict.fromkeys(trials.refusals)))


def _has_a_name(trigger: Trigger) -> None:
    try:
        record = TRIGGERS.to_dict(trigger)
    except AnchorlabError as error:
        raise NotTriedError("it is not registered here") from error
    require(TRIGGERS.from_dict(record) == trigger, "its record in a manifest builds another trigger")


_RULES: tuple[Rule[_Trial], ...] = (
    Rule("gives the same names, shapes and dtypes", _gives_inputs, needed=True),
    Rule("leaves its inputs as they are", _leaves_its_inputs),
    Rule("changes something", _changes_something),
    Rule("gives the same twice", _repeats),
    Rule("changes each example by itself", _takes_each_example_alone),
)


def check_trigger(trigger: Trigger | type[Trigger], name: str = "") -> Contract:
    """The contract of a trigger: its settings, and what it does to images of three shapes and to texts.

    Args:
        trigger: an instance, or a class whose settings all have defaults.
        name: what to call it; its registered name if left out.
    """
    return contract_of(
        trigger,
        name,
        registry=TRIGGERS,
        base=Trigger,
        derive="its class does not derive from one of anchorlab.triggers: derive it",
        findings=_findings,
    )


def _findings(trigger: Trigger) -> list[Finding]:
    settings: tuple[Rule[Any], ...] = (*SETTINGS, Rule("can be built from a manifest", _has_a_name))
    findings = judge(settings, trigger)
    if findings[0].outcome == "kept":
        trials = _trials(trigger)
        fits: Rule[_Trials] = Rule("fits images or texts", _fits_something)
        findings += judge([fits], trials)
        for trial in trials.found:
            findings += judge(_RULES, trial, where=f"on {trial.what}: ")
    return findings
