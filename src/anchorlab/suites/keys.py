"""The keys of a suite file: what each of them is, its short forms, and what its values may be by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from anchorlab.data import AnchorSource
from anchorlab.injection.tuning import Tuning
from anchorlab.settings import build, check_seed
from anchorlab.suites.part import Part, refusals_as_value_errors
from anchorlab.suites.parts import (
    DetectorSpec,
    MethodSpec,
    RepairSpec,
    Resources,
    SelectionSpec,
    TaskSpec,
    TriggerSpec,
)
from anchorlab.suites.short_forms import as_list, long_defences, long_entries, long_methods, long_seeds


class SuiteKeys(Part):
    """The keys of a suite file."""

    former_keys: ClassVar[Mapping[str, str]] = {"defences": "repairs"}

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="short name, of small letters, digits and dashes")
    title: str = Field(description="heading of the report")
    tasks: list[TaskSpec] = Field(min_length=1, description="tasks, by name or with model, data and training")
    references: list[int] = Field(
        default=[0], min_length=1, description="seeds of the references, or how many: 2 means 0 and 1"
    )
    triggers: list[TriggerSpec] = Field(
        default=[TriggerSpec()], min_length=1, description="triggers, as text or with rule and target"
    )
    methods: dict[str, MethodSpec] = Field(
        min_length=1, description="label in tables to method: nothing, a grid, or method, grid, set and tuning"
    )
    anchors: list[int | Literal["all"]] = Field(
        default=["all"], min_length=1, description="numbers of clean examples that the attacker holds"
    )
    anchors_from: AnchorSource = Field(default="owner", description="the split that anchors are drawn from")
    seeds: list[int] = Field(
        default=[0, 1, 2, 3, 4, 5], min_length=1, description="injection seeds on each reference, or how many"
    )
    target_asr: list[float] = Field(
        default=[0.95], min_length=1, description="attack success rates at which methods are compared"
    )
    tuning: dict[str, Any] = Field(default_factory=dict, description="settings of the optimisation for all runs")
    learning_rates: list[float] = Field(
        default=[],
        description="peak learning rates to choose from, for each method that tunes and names none of its own; without "
        "any, that of the tuning",
    )
    scales: list[float] = Field(
        default=[1.0],
        min_length=1,
        description="post-hoc factors of the perturbation, chosen with the strength, for every method alike",
    )
    common_asr: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="the ASR at which runs are compared with each other, between two post-hoc scales; .99 for images "
        "and .95 for texts if left out",
    )
    selection: SelectionSpec = Field(default=SelectionSpec(), description="how strengths and rates are chosen")
    controls: Literal[True, False, "benign"] = Field(
        default=True,
        description="noise floor, plain stopped early, and a benign update; benign: the update alone, which detectors "
        "of models need",
    )
    repairs: dict[str, RepairSpec] = Field(
        default_factory=dict, description="label in tables to repair: nothing, or repair and set; or a list of names"
    )
    relearn: list[int] = Field(
        default_factory=list,
        description="numbers of triggered examples that each repaired model, and its clean reference, is tuned on a "
        "little, to see how fast the backdoor comes back; as 1, 5, 10",
    )
    stability: bool = Field(
        default=False,
        description="repair the runs of the first reference and seed again with other values of each repair's main "
        "settings, to see how much the outcome depends on them",
    )
    defender: list[int | Literal["all"]] = Field(
        default=[640], min_length=1, description="numbers of clean examples that the defender holds"
    )
    detectors: dict[str, DetectorSpec] = Field(
        default_factory=dict, description="label in tables to detector: nothing, or detector and set; or a list"
    )
    deploy: list[str] = Field(
        default_factory=list,
        description="forms in which reported models are measured and judged again: float32, bf16, int8, int4, onnx, "
        "onnx-int8",
    )
    keep_models: bool = Field(
        default=False, description="save the reported models; models that repairs or detectors need are saved anyway"
    )
    resources: Resources = Field(default=Resources(), description="what each run gets")

    @field_validator("tasks", mode="before")
    @classmethod
    def _short_tasks(cls, tasks: Any) -> Any:
        return long_entries(tasks, "name")

    @field_validator("triggers", mode="before")
    @classmethod
    def _short_triggers(cls, triggers: Any) -> Any:
        return long_entries(triggers, "trigger")

    @field_validator("anchors", "target_asr", "learning_rates", "scales", "relearn", "defender", mode="before")
    @classmethod
    def _short_list(cls, values: Any) -> Any:
        return as_list(values)

    @field_validator("references", "seeds", mode="before")
    @classmethod
    def _short_seeds(cls, seeds: Any) -> Any:
        return long_seeds(seeds)

    @field_validator("methods", mode="before")
    @classmethod
    def _short_methods(cls, methods: Any) -> Any:
        return long_methods(methods)

    @field_validator("repairs", mode="before")
    @classmethod
    def _short_repairs(cls, repairs: Any) -> Any:
        return long_defences(repairs, "repair", former_key="defence")

    @field_validator("detectors", mode="before")
    @classmethod
    def _short_detectors(cls, detectors: Any) -> Any:
        return long_defences(detectors, "detector")

    @field_validator("tuning")
    @classmethod
    def _can_be_built(cls, values: dict[str, Any]) -> dict[str, Any]:
        with refusals_as_value_errors():
            tuning = build(Tuning, "the tuning", values)
        if tuning.stop_at_asr is not None:
            raise ValueError("stop_at_asr is for the control 'plain (stopped)', which sets it: leave it out")
        return values

    @field_validator("target_asr")
    @classmethod
    def _is_a_rate(cls, targets: list[float]) -> list[float]:
        for target in targets:
            if not 0 < target <= 1:
                raise ValueError(f"a target attack success rate lies above 0 and up to 1, not at {target}")
        return targets

    @field_validator("anchors", "defender")
    @classmethod
    def _is_a_number(cls, counts: list[int | Literal["all"]], info: ValidationInfo) -> list[int | Literal["all"]]:
        for count in counts:
            if count != "all" and count < 1:
                noun = "anchors" if info.field_name == "anchors" else "the defender's examples"
                raise ValueError(f"a number of {noun} is at least 1, not {count}")
        return counts

    @field_validator("scales")
    @classmethod
    def _is_a_factor(cls, scales: list[float]) -> list[float]:
        for scale in scales:
            if not 0 < scale <= 10:
                raise ValueError(f"a scale of the perturbation lies above 0 and up to 10, not at {scale}")
        return scales

    @field_validator("learning_rates")
    @classmethod
    def _is_a_learning_rate(cls, rates: list[float], info: ValidationInfo) -> list[float]:
        for rate in rates:
            if rate <= 0:
                raise ValueError(f"a learning rate lies above 0, not at {rate}")
        if rates and info.data.get("tuning", {}).get("learning_rate") is not None:
            raise ValueError("the tuning has a learning_rate too: keep that, or the rates to choose from")
        return rates

    @field_validator(
        "references", "seeds", "anchors", "target_asr", "learning_rates", "scales", "relearn", "defender", "deploy"
    )
    @classmethod
    def _no_value_twice(cls, values: list[Any]) -> list[Any]:
        for value, count in Counter(values).items():
            if count > 1:
                raise ValueError(f"{value} stands there twice: keep one")
        return values

    @field_validator("references", "seeds")
    @classmethod
    def _is_a_seed(cls, seeds: list[int]) -> list[int]:
        with refusals_as_value_errors():
            return [check_seed(seed, "the seed") for seed in seeds]
