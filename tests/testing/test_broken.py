"""Each rule finds the one who breaks it, and the sentence says how to mend it."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.detectors import InputDetector, ModelDetector, ModelScore, logits
from anchorlab.methods import Method
from anchorlab.metrics import Metric
from anchorlab.repairs import Repair
from anchorlab.testing import (
    Contract,
    check_detector,
    check_method,
    check_metric,
    check_repair,
    check_trigger,
)
from anchorlab.triggers import ImageTrigger

settings = dataclass(frozen=True, kw_only=True)


def broken(contract: Contract) -> dict[str, str]:
    """Rule to sentence, of those that are broken, without the kind of data."""
    return {finding.rule.partition(": ")[2] or finding.rule: finding.sentence for finding in contract.broken}


def only(contract: Contract, rule: str) -> str:
    """The sentence of the only broken rule."""
    found = broken(contract)
    assert list(found) == [rule]
    return found[rule]


@settings
class Kept(Method):
    strength_name: ClassVar[str | None] = "strength"
    strength: float = Field(default=1.0, ge=0, description="weight of the penalty")

    @property
    def weight(self):
        return self.strength

    def penalty(self, model, clean_logits, reference_logits, state):
        return (clean_logits - reference_logits).square().mean()


def test_a_method_that_keeps_all() -> None:
    contract = check_method(Kept)
    assert contract.kept
    assert {finding.outcome for finding in contract.findings} == {"kept"}


def test_a_class_that_is_no_dataclass_or_no_method() -> None:
    class Bare(Method):
        pass

    assert "write @dataclass(frozen=True" in broken(check_method(Bare))["is a frozen pydantic dataclass"]
    assert "derive it" in only(check_method(Shrink), "is a method with defaults")  # type: ignore[arg-type]

    @dataclass(kw_only=True)
    class Loose(Method):
        pass

    assert "can be changed afterwards" in broken(check_method(Loose))["is a frozen pydantic dataclass"]


def test_settings_without_default_or_description() -> None:
    @settings
    class Needing(Kept):
        further: int = Field(description="a number")

    assert "give each setting a default" in only(check_method(Needing), "is a method with defaults")

    @settings
    class Silent(Kept):
        further: int = 3

    assert "'further' says nothing" in only(check_method(Silent), "says what each setting is")


def test_a_strength_that_is_no_setting() -> None:
    @settings
    class Misnamed(Kept):
        strength_name: ClassVar[str | None] = "weight"

    assert "which is no setting" in only(check_method(Misnamed), "names a setting as its strength")


def test_a_penalty_that_is_not_zero_at_the_reference() -> None:
    @settings
    class Offset(Kept):
        def penalty(self, model, clean_logits, reference_logits, state):
            return (clean_logits - reference_logits).square().mean() + 1

    assert "zero_at_start: ClassVar[bool] = False" in only(
        check_method(Offset), "has a penalty of exactly 0 at the reference"
    )

    @settings
    class Meant(Offset):
        zero_at_start: ClassVar[bool] = False

    assert check_method(Meant).kept


def test_a_penalty_whose_gradient_is_not_finite() -> None:
    @settings
    class Root(Kept):
        def penalty(self, model, clean_logits, reference_logits, state):
            return (clean_logits - reference_logits).square().mean().sqrt()

    assert "avoid roots" in only(check_method(Root), "injects")


def test_a_method_that_draws_without_the_seed() -> None:
    drawn = iter(range(100))

    @settings
    class Drawing(Kept):
        def prepare(self, problem):
            return {"noise": torch.rand((), generator=torch.Generator().manual_seed(next(drawn)))}

        def penalty(self, model, clean_logits, reference_logits, state):
            return state["noise"] * (clean_logits - reference_logits).square().mean()

    assert "Problem.generator" in only(check_method(Drawing), "gives the same weights for the same seed")


def test_a_method_that_spoils_the_model_when_it_prepares() -> None:
    @settings
    class Spoiling(Kept):
        def prepare(self, problem):
            with torch.no_grad():
                next(problem.model.parameters()).mul_(2)
            return {}

    assert "work on a copy" in broken(check_method(Spoiling))["leaves the model as it is when it prepares"]


@settings
class Row(ImageTrigger):
    row: int = Field(default=0, ge=0, description="the row")

    def constants(self, shape):
        return (torch.tensor(self.row),)

    def apply(self, images, row):
        changed = images.clone()
        changed[..., row, :] = 255
        return changed


def test_triggers_that_change_their_input_their_dtype_or_nothing() -> None:
    assert broken(check_trigger(Row)) == {}

    @settings
    class InPlace(Row):
        def apply(self, images, row):
            images[..., row, :] = 255
            return images

    assert "work on a clone" in only(check_trigger(InPlace), "leaves its inputs as they are")

    @settings
    class Float(Row):
        def apply(self, images, row):
            return images.float()

    assert "stay torch.uint8" in only(check_trigger(Float), "gives the same names, shapes and dtypes")

    @settings
    class Nothing(Row):
        def apply(self, images, row):
            return images.clone()

    assert "triggered inputs are the clean ones" in only(check_trigger(Nothing), "changes something")

    @settings
    class OfTheBatch(Row):
        def apply(self, images, row):
            return (images.float().mean(dim=0, keepdim=True) / 2 + images / 2).to(torch.uint8)

    assert "depends on the batch" in only(check_trigger(OfTheBatch), "changes each example by itself")


def test_a_trigger_whose_check_fails_otherwise_than_by_a_refusal() -> None:
    @settings
    class Failing(Row):
        def check(self, inputs, encoding):
            super().check(inputs, encoding)
            if inputs["pixel_values"].shape[-1] == 28:
                raise ZeroDivisionError("by nought")

    contract = check_trigger(Failing)
    sentence = only(contract, "fits images or texts")
    assert sentence.startswith("it raised ZeroDivisionError: by nought in test_broken.py, line ")
    assert any(finding.rule.startswith("on images of 3×32×32: ") for finding in contract.findings)


@settings
class Shrink(Repair):
    modality: ClassVar[Any] = "image"

    def repair(self, model, data, context):
        return self.shrunk(copy.deepcopy(model))

    def shrunk(self, model):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.9)
        return model


def test_repairs_that_keep_and_break_their_contract() -> None:
    assert check_repair(Shrink).kept

    @settings
    class InPlace(Shrink):
        def repair(self, model, data, context):
            return self.shrunk(model)

    found = broken(check_repair(InPlace))
    assert set(found) == {"returns a copy", "leaves the given model as it is"}
    assert "copy.deepcopy(model)" in found["returns a copy"]

    @settings
    class Training(Shrink):
        def repair(self, model, data, context):
            return copy.deepcopy(model).train()

    assert "repaired.eval()" in only(check_repair(Training), "returns it in evaluation mode")

    @settings
    class Nothing(Shrink):
        def repair(self, model, data, context):
            return None

    assert "return the repaired model" in only(check_repair(Nothing), "returns a model")

    @settings
    class Spoiling(Shrink):
        def repair(self, model, data, context):
            data.train.inputs["pixel_values"].zero_()
            return copy.deepcopy(model)

    assert "work on clones" in only(check_repair(Spoiling), "leaves the data as they are")

    @settings
    class Freezing(Shrink):
        def repair(self, model, data, context):
            repaired = super().repair(model, data, context)
            model.requires_grad_(False).train()
            return repaired

    assert "the given model changes (requires_grad of " in only(
        check_repair(Freezing), "leaves the given model as it is"
    )

    @settings
    class Narrow(Shrink):
        def repair(self, model, data, context):
            return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4)).eval()

    assert "same architecture" in broken(check_repair(Narrow))["keeps the architecture"]

    @settings
    class Varied(Shrink):
        stability_grid: ClassVar[Any] = {"factor": (0.8, 0.95)}
        factor: float = Field(default=0.9, gt=0, le=1, description="what weights are multiplied by")

    assert check_repair(Varied).kept

    @settings
    class Misnamed(Varied):
        stability_grid: ClassVar[Any] = {"faktor": (0.8, 0.95)}

    assert "stability_grid cannot be tried" in only(check_repair(Misnamed), "has other settings that can be tried")


def test_a_repair_that_draws_without_the_seed_and_one_with_bad_quick_values() -> None:
    drawn = iter(range(1, 100))

    @settings
    class Drawing(Shrink):
        def repair(self, model, data, context):
            repaired = copy.deepcopy(model)
            with torch.no_grad():
                next(repaired.parameters()).add_(next(drawn))
            return repaired

    assert "context.generator" in only(check_repair(Drawing), "gives the same weights for the same seed")

    @settings
    class Misnamed(Shrink):
        quick_values: ClassVar[Any] = {"steps": 3}

    assert "which are no settings" in only(check_repair(Misnamed), "has a quick form")


@settings
class Sureness(InputDetector):
    def scores(self, model, data, inputs, context):
        with torch.no_grad():
            return logits(model, inputs).softmax(1).max(1).values.double().cpu().numpy()


def test_detectors_of_inputs() -> None:
    assert check_detector(Sureness).kept

    @settings
    class Halved(Sureness):
        def scores(self, model, data, inputs, context):
            return inputs / 2

    sentence = broken(check_detector(Halved))["gives a score for each input"]
    assert sentence.startswith("it raised TypeError: unsupported operand type(s) for /: 'dict' and 'int'")

    @settings
    class Single(Sureness):
        def scores(self, model, data, inputs, context):
            return super().scores(model, data, inputs, context).astype(np.float32)

    assert "ndarray float32: return float64" in only(check_detector(Single), "gives a score for each input")

    @settings
    class Compared(Sureness):
        def scores(self, model, data, inputs, context):
            scores = super().scores(model, data, inputs, context)
            return scores - scores[0] + len(scores)

    assert "is_set_level" in only(check_detector(Compared), "scores each input by itself")

    @settings
    class UpsideDown(InputDetector):
        modality: ClassVar[Any] = "image"

        def scores(self, model, data, inputs, context):
            corner = inputs["pixel_values"][..., -2, -2].double().flatten(1).mean(1)
            return -corner.cpu().numpy()

    rule = "does not score triggered inputs below clean ones"
    assert "give minus the score" in only(check_detector(UpsideDown), rule)


def test_detectors_of_models() -> None:
    @settings
    class Bias(ModelDetector):
        def score(self, model, data, context):
            return ModelScore(1.0)

    assert check_detector(Bias).kept

    @settings
    class Number(Bias):
        def score(self, model, data, context):
            return 1.0

    assert "return ModelScore(number)" in only(check_detector(Number), "gives a score")

    @settings
    class NaN(Bias):
        def score(self, model, data, context):
            return ModelScore(float("nan"))

    assert "say why" in only(check_detector(NaN), "gives a score")

    @settings
    class Spoiling(Bias):
        def score(self, model, data, context):
            with torch.no_grad():
                next(model.parameters()).zero_()
            return ModelScore(1.0)

    assert "it changes the model" in only(check_detector(Spoiling), "leaves model and data as they are")

    @settings
    class Watching(Bias):
        def score(self, model, data, context):
            next(module for name, module in model.named_modules() if name).register_forward_hook(lambda *_: None)
            return ModelScore(1.0)

    assert "it changes the model (hooks of " in only(check_detector(Watching), "leaves model and data as they are")


def test_metrics() -> None:
    good = Metric("largest", "largest", "The largest.", each=lambda pair, _: np.abs(pair.shift).max(1))
    assert check_metric(good).kept
    summed = dataclasses.replace(good, each=lambda pair, _: np.abs(pair.shift).sum())
    assert "sum over classes" in broken(check_metric(summed))["gives a value of each instance"]
    ranked = dataclasses.replace(good, each=lambda pair, _: np.arange(len(pair.shift), dtype=float))
    assert "depends on the others" in only(check_metric(ranked), "measures each instance by itself")
    assert "registered as 'other'" in only(check_metric(good, "other"), "says what it is")


@pytest.mark.parametrize("check", [check_method, check_trigger, check_repair, check_detector, check_metric])
def test_what_is_something_else_is_one_finding(check: Any) -> None:
    (finding,) = check(3).findings
    assert finding.outcome == "broken"
