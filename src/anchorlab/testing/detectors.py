"""The contract of detectors: scores that are numbers, the higher the more suspicious, and nothing changed."""

from __future__ import annotations

import json
import math
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from anchorlab.data import Kind
from anchorlab.detectors import DETECTORS, InputDetector, ModelDetector, ModelScore
from anchorlab.statistics.roc import auroc
from anchorlab.testing.bench import bench, seeded
from anchorlab.testing.contract import BrokenError, Contract, Finding, NotTriedError, Rule, require
from anchorlab.testing.defences import judge_defence
from anchorlab.testing.settings import contract_of
from anchorlab.testing.unchanged import changed, copies, tensors_of, whole

#: Of a detector whose scores are upside down the AUROC is near 0; below this no weak one comes by chance.
_UPSIDE_DOWN = 0.2

#: Triggered inputs in a set.
_FEW = 4


class _Trial:
    """A detector in its quick form on the planted model, watched."""

    def __init__(self, detector: ModelDetector | InputDetector, kind: Kind) -> None:
        self.detector: Any = detector.quick()
        self.bench = bench(kind)
        self.changed: dict[str, list[str]] = {}

    def run(self, rows: slice = slice(None)) -> Any:
        """What the detector makes of the model, or of some of the inputs."""
        model, data = self.bench.model(), self.bench.data(self.detector.min_examples)
        inputs = {name: value[rows].clone() for name, value in self.bench.inputs.items()}
        lent = {"the model": whole(model), "the data": tensors_of(data), "the inputs": inputs}
        before = {what: copies(tensors) for what, tensors in lent.items()}
        with seeded(self.bench, type(self.detector).__name__):
            if isinstance(self.detector, ModelDetector):
                result: Any = self.detector.score(model, data, self.bench.context())
            else:
                result = self.detector.scores(model, data, inputs, self.bench.context())
        lent["the model"] = whole(model)
        self.changed = {what: changed(copy, lent[what]) for what, copy in before.items()}
        return result

    @cached_property
    def result(self) -> Any:
        """The first result."""
        return self.run()


def _leaves_all(trial: _Trial) -> None:
    assert trial.result is not None
    for what, names in trial.changed.items():
        require(not names, f"it changes {what} ({', '.join(names[:3])}): work on a copy")


def _gives_a_score(trial: _Trial) -> None:
    result = trial.result
    require(isinstance(result, ModelScore), f"score returns {type(result).__name__}: return ModelScore(number)")
    require(
        isinstance(result.score, float) and not math.isinf(result.score),
        f"the score is {result.score!r}: give a Python float, NaN with a note where there is nothing to judge",
    )
    require(not math.isnan(result.score) or result.note, "the score is NaN: say why in ModelScore(note=...)")


def _gives_details(trial: _Trial) -> None:
    result: ModelScore = trial.result
    require(isinstance(result.details, pd.DataFrame), "details are no table: give a pandas DataFrame, or leave it out")
    if result.patterns is not None:
        require(
            result.patterns.dtype == torch.uint8 and result.patterns.dim() == 4,
            f"patterns are {result.patterns.dtype} {tuple(result.patterns.shape)}: give uint8 [n, C, H, W]",
        )
        require(
            result.targets is not None and result.targets.shape == result.patterns.shape[:1],
            "patterns come without a label each: give targets, int64 [n]",
        )
    try:
        json.dumps(result.to_dict())
    except (TypeError, ValueError) as error:
        raise BrokenError(f"details cannot be written as JSON ({error}): use numbers and texts") from error


def _scores_again(trial: _Trial) -> None:
    first, second = trial.result.score, trial.run().score
    require(
        first == second or (math.isnan(first) and math.isnan(second)),
        f"the same seed gives {first:.6g} and then {second:.6g}: draw from context.generator",
    )


def _gives_scores(trial: _Trial) -> None:
    scores, count = trial.result, len(trial.bench.is_triggered)
    require(
        isinstance(scores, np.ndarray) and scores.dtype == np.float64,
        f"scores returns {_what(scores)}: return float64 of numpy, as in tensor.double().cpu().numpy()",
    )
    require(scores.shape == (count,), f"scores have the shape {scores.shape} for {count} inputs: give one for each")


def _what(scores: Any) -> str:
    dtype = getattr(scores, "dtype", "")
    return f"{type(scores).__name__} {dtype}".strip()


def _gives_numbers(trial: _Trial) -> None:
    require(np.isfinite(trial.result).all(), "some scores are not finite: give numbers, also where all are alike")


def _repeats(trial: _Trial) -> None:
    require(
        np.array_equal(trial.result, trial.run()),
        "the same seed gives other scores the second time: draw from context.generator",
    )


def _scores_each_alone(trial: _Trial) -> None:
    if trial.detector.is_set_level:
        raise NotTriedError("the detector says is_set_level, so that a score may depend on the other inputs")
    some = slice(len(trial.result) // 4, 3 * len(trial.result) // 4)
    scale = max(float(np.ptp(trial.result)), 1e-6)
    require(
        np.allclose(trial.result[some], trial.run(some), rtol=1e-3, atol=1e-3 * scale),
        "a score depends on which other inputs there are: score each by itself, or write is_set_level: "
        "ClassVar[bool] = True",
    )


def _looks_up(trial: _Trial) -> None:
    clean = len(trial.bench.is_triggered) // 2
    # In a set, triggered inputs are few: who judges a set finds what is rare.
    scores = trial.run(slice(clean + _FEW)) if trial.detector.is_set_level else trial.result
    value = auroc(scores[:clean], scores[clean:]).value or 0.0
    require(
        value >= _UPSIDE_DOWN,
        f"triggered inputs get lower scores than clean ones (AUROC {value:.2f}): the higher, the more suspicious, so "
        "give minus the score",
    )


_OF_MODELS: tuple[Rule[_Trial], ...] = (
    Rule("gives a score", _gives_a_score, needed=True),
    Rule("gives details that can be written", _gives_details),
    Rule("leaves model and data as they are", _leaves_all),
    Rule("gives the same score for the same seed", _scores_again),
)

_OF_INPUTS: tuple[Rule[_Trial], ...] = (
    Rule("gives a score for each input", _gives_scores, needed=True),
    Rule("gives finite scores", _gives_numbers),
    Rule("leaves model, data and inputs as they are", _leaves_all),
    Rule("gives the same scores for the same seed", _repeats),
    Rule("scores each input by itself", _scores_each_alone),
    Rule("does not score triggered inputs below clean ones", _looks_up),
)


def check_detector(
    detector: ModelDetector | InputDetector | type[ModelDetector] | type[InputDetector], name: str = ""
) -> Contract:
    """The contract of a detector: its settings, and what its quick form says of tiny models with a backdoor.

    Args:
        detector: an instance, or a class whose settings all have defaults.
        name: what to call it; its registered name if left out.
    """
    return contract_of(
        detector,
        name,
        registry=DETECTORS,
        base=ModelDetector | InputDetector,
        derive="its class derives neither from ModelDetector nor from InputDetector of anchorlab.detectors: derive it",
        findings=_findings,
    )


def _findings(detector: ModelDetector | InputDetector) -> list[Finding]:
    rules = _OF_MODELS if isinstance(detector, ModelDetector) else _OF_INPUTS
    return judge_defence(detector, rules, lambda kind: _Trial(detector, kind))
