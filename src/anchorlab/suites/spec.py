"""The suite file: it says what to run. A person writes it as YAML, and pydantic checks it.

    tasks x reference seeds x triggers x methods with strength grids x numbers of anchors x injection seeds,

at one or more target attack success rates. ``docs/suites.md`` explains every key; ``suite.schema.json`` in
this folder is the JSON schema for editors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import yaml
from pydantic import Field, ValidationInfo, field_validator, model_validator

from anchorlab.data import AnchorSource, find_task
from anchorlab.errors import unknown
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.models.forms import check_form
from anchorlab.repairs.variations import variations
from anchorlab.scoring.relearning import Relearning
from anchorlab.settings import build, check_seed
from anchorlab.suites.parts import (
    DetectorSpec,
    MethodSpec,
    Part,
    RepairSpec,
    Resources,
    SelectionSpec,
    TaskSpec,
    TriggerSpec,
    refusals_as_value_errors,
)
from anchorlab.suites.short_forms import as_list, long_defences, long_entries, long_methods, long_seeds

#: Labels of the controls that every table has.
STOPPED, BENIGN = "plain (stopped)", "benign"
CONTROL_LABELS = (STOPPED, BENIGN)
#: What tables of repairs and detectors call the clean reference among methods, and the model as it was among repairs.
REFERENCE_LABEL, NO_REPAIR_LABEL = "reference", "no repair"

#: The ASR at which runs are compared with each other, by the kind of the task.
COMMON_ASR = {"image": 0.99, "text": 0.95}

#: Most runs of a suite.
MOST_RUNS = 100_000


class Suite(Part):
    """A suite file."""

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
    controls: bool = Field(default=True, description="noise floor, plain stopped early, and a benign update")
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

    @field_validator("methods")
    @classmethod
    def _methods_fit_the_tasks(cls, methods: dict[str, MethodSpec], info: ValidationInfo) -> dict[str, MethodSpec]:
        for label, part in methods.items():
            for task in info.data.get("tasks", []):
                _check_modality(label, METHODS[part.method].modality, task)
        return methods

    @field_validator("repairs", "detectors")
    @classmethod
    def _fits_the_tasks(cls, parts: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        for label, part in parts.items():
            for task in info.data.get("tasks", []):
                _check_modality(label, part.build().modality, task)
        return parts

    @field_validator("relearn")
    @classmethod
    def _can_be_relearned(cls, counts: list[int], info: ValidationInfo) -> list[int]:
        for count in counts:
            if not 1 <= count <= Relearning().examples:
                raise ValueError(
                    f"a number of triggered examples lies from 1 to {Relearning().examples}, not at {count}"
                )
        if counts and not info.data.get("repairs"):
            raise ValueError(
                "relearn measures repaired models, but the suite has no repairs: name some, or leave it out"
            )
        return counts

    @field_validator("stability")
    @classmethod
    def _can_be_varied(cls, wanted: bool, info: ValidationInfo) -> bool:
        repairs = info.data.get("repairs", {}) if wanted else {}
        if wanted and not repairs and "repairs" in info.data:
            raise ValueError("stability varies repairs, but the suite has none: name some, or leave it out")
        with refusals_as_value_errors():
            for label, part in repairs.items():
                variations(part.build(), label)
        return wanted

    @field_validator("deploy")
    @classmethod
    def _are_forms(cls, forms: list[str], info: ValidationInfo) -> list[str]:
        with refusals_as_value_errors():
            for form in forms:
                check_form(form)
        for task in info.data.get("tasks", []) if {"int8", "int4"} & set(forms) else ():
            if find_task(task.name, task.data, task.columns)[0].kind == "image":
                raise ValueError(f"int8 and int4 are for texts, but {task.name} holds images: take onnx-int8")
        return forms

    @field_validator("methods")
    @classmethod
    def _other_anchors_fit_the_tasks(
        cls, methods: dict[str, MethodSpec], info: ValidationInfo
    ) -> dict[str, MethodSpec]:
        for label, method in methods.items():
            for task in info.data.get("tasks", []) if method.anchors_data is not None else ():
                _check_other_anchors(label, str(method.anchors_data), task)
        return methods

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

    @model_validator(mode="after")
    def _seeds_of_their_own(self) -> Self:
        shared = sorted(set(self.seeds) & set(self.selection.seeds))
        if shared:
            raise ValueError(f"the seed {shared[0]} both chooses strengths and is reported: give selection others")
        shared = sorted(set(self.references) & set(self.selection.references))
        if shared:
            raise ValueError(
                f"the reference of seed {shared[0]} both chooses strengths and is reported: give "
                "selection.references others"
            )
        reserved = [label for label in self.methods if label in CONTROL_LABELS]
        if reserved and self.controls:
            raise ValueError(f"the label '{reserved[0]}' belongs to a control: choose another, or set controls: false")
        if self.has_evaluations and REFERENCE_LABEL in self.methods:
            raise ValueError(f"the label '{REFERENCE_LABEL}' belongs to the clean reference: choose another")
        if NO_REPAIR_LABEL in self.repairs:
            raise ValueError(f"the label '{NO_REPAIR_LABEL}' belongs to the model before its repair: choose another")
        return self

    @model_validator(mode="after")
    def _can_be_planned(self) -> Self:
        conditions = len(self.tasks) * len(self.references) * len(self.triggers) * len(self.anchors)
        per_seed = len(self.target_asr) * len(self.methods) + 2 * self.controls
        judged = len(self.detectors) * (1 + len(self.deploy))
        evaluations = (len(self.repairs) + judged) * len(self.defender) + len(self.deploy)
        runs = conditions * len(self.seeds) * per_seed * (1 + evaluations) + self.most_runs_that_choose
        runs += conditions // len(self.references) * per_seed * self.variations * len(self.defender)
        if runs > MOST_RUNS:
            raise ValueError(
                f"this suite has {runs:,} runs, and at most {MOST_RUNS:,} can be planned: give fewer seeds, "
                "references, strengths or methods, or split it into several suites"
            )
        return self

    @model_validator(mode="after")
    def _clean_models_beside_the_injected(self) -> Self:
        model_detectors = [label for label, spec in self.detectors.items() if spec.judges == "model"]
        if model_detectors and not self.controls:
            raise ValueError(
                f"{model_detectors[0]} scores models, which says nothing without benign updates to compare with: leave "
                "controls: false out"
            )
        return self

    def common_asr_of(self, task: TaskSpec) -> float:
        """The ASR at which runs on a task are compared with each other."""
        if self.common_asr is not None:
            return self.common_asr
        return COMMON_ASR[find_task(task.name, task.data, task.columns)[0].kind]

    @property
    def has_evaluations(self) -> bool:
        """Whether the reported models are repaired, judged or deployed."""
        return bool(self.repairs or self.detectors or self.deploy)

    @property
    def variations(self) -> int:
        """How often a run is repaired for the stability of all repairs."""
        parts = self.repairs.items() if self.stability else ()
        return sum(len(variations(part.build(), label)) for label, part in parts)

    def chooses(self, method: MethodSpec) -> bool:
        """Whether there is anything to choose for a method: a strength, a scale or a learning rate."""
        rates = len(self.learning_rates) > 1 and method.takes_rates
        return bool(method.grid) or method.searched or len(self.scales) > 1 or rates

    @property
    def most_runs_that_choose(self) -> int:
        """The most runs that choose strengths and learning rates; searches end earlier as a rule."""
        tries = self.selection.tries * len(self.target_asr)
        chosen = [method for method in self.methods.values() if self.chooses(method)]
        strengths = sum(tries if method.searched else max(1, len(method.grid)) for method in chosen)
        rates = sum(len(self.learning_rates) for method in chosen if method.takes_rates)
        parts = len(self.triggers) * len(self.anchors)
        return len(self.tasks) * self.selection.runs * (parts * strengths + rates)

    def with_data(self, sources: dict[str, str]) -> Suite:
        """The suite with the data of some tasks read from elsewhere.

        Args:
            sources: name of a task to the file or folder of its data.

        Raises:
            AnchorlabError: for a task that is not in the suite.
        """
        for name in sources:
            if name not in {task.name for task in self.tasks}:
                raise unknown("task of this suite", name, {task.name for task in self.tasks})
        tasks = [task.model_copy(update={"data": sources.get(task.name, task.data)}) for task in self.tasks]
        return self.model_copy(update={"tasks": tasks})

    def to_yaml(self) -> str:
        """The suite as a file; defaults are left out, but the references that choose stand there in any case.

        They distinguish a folder from one of an older version, see ``former_choice``.
        """
        values = self.model_dump(mode="json", exclude_defaults=True)
        values["selection"] = {"references": self.selection.references} | values.get("selection", {})
        text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        return text


def _check_other_anchors(label: str, name: str, task: TaskSpec) -> None:
    """Refuses anchors of the task itself, or texts for a task of images or the other way round."""
    if name == task.name:
        raise ValueError(f"{label} takes its anchors from {name}, its own task: name another one, or leave it out")
    kind, found = find_task(task.name, task.data, task.columns)[0].kind, find_task(name)[0].kind
    if kind != found:
        raise ValueError(f"{label} takes {found}s of {name} for anchors, but {task.name} holds {kind}s: name another")


def _check_modality(label: str, modality: str, task: TaskSpec) -> None:
    """Refuses a method, repair or detector of images beside a task of texts, or the other way round."""
    kind = find_task(task.name, task.data, task.columns)[0].kind
    if modality not in ("any", kind):
        raise ValueError(
            f"{label} is for {modality}s, but the task {task.name} holds {kind}s: take another, or a suite of its own"
        )
