"""The suite: it says what to run. A person writes it as YAML, and pydantic checks it.

    tasks x reference seeds x triggers x methods with strength grids x numbers of anchors x injection seeds,

at one or more target attack success rates. ``docs/suites.md`` explains every key; ``suite.schema.json`` in
this folder is the JSON schema for editors. The keys stand in ``keys``; here is whether they fit together, and what
follows from them.
"""

from __future__ import annotations

from typing import Any, Self

import yaml
from pydantic import ValidationInfo, field_validator, model_validator

from anchorlab.data import find_task
from anchorlab.errors import unknown
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.models.forms import check_form
from anchorlab.repairs.variations import variations
from anchorlab.scoring.relearning import Relearning
from anchorlab.settings import build
from anchorlab.suites.keys import SuiteKeys
from anchorlab.suites.part import refusals_as_value_errors
from anchorlab.suites.parts import MethodSpec, TaskSpec
from anchorlab.suites.search import FURTHER

#: Labels of the controls that every table has.
STOPPED, BENIGN = "plain (stopped)", "benign"
CONTROL_LABELS = (STOPPED, BENIGN)
#: What tables of repairs and detectors call the clean reference among methods, and the model as it was among repairs.
REFERENCE_LABEL, NO_REPAIR_LABEL = "reference", "no repair"

#: The ASR at which runs are compared with each other, by the kind of the task.
COMMON_ASR = {"image": 0.99, "text": 0.95}

#: Most runs of a suite.
MOST_RUNS = 100_000


class Suite(SuiteKeys):
    """A suite file."""

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
        per_seed = len(self.target_asr) * len(self.methods) + 2 * bool(self.controls)
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
                "controls: false out, or set controls: benign"
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
    def plain(self) -> str | None:
        """The label of the plain tuning whose settings the controls have; None without any."""
        alike = [label for label, method in self.methods.items() if method.method == "plain"]
        # Rather plain tuning as it is than with settings of its own.
        as_it_is = (label for label in alike if self.methods[label] == MethodSpec(method="plain"))
        return next(as_it_is, next(iter(alike), None))

    @property
    def tunes_adapters(self) -> bool:
        """Whether every injected model and benign update is the same kind of adapter, as it was tuned.

        A scanner of adapters gets them then. Otherwise whole models would stand among adapters, or adapters of several
        ranks, and a scanner could tell by the files what was done.
        """
        controls = None if self.plain is None else self.methods[self.plain]
        adapter, *others = {self.tuning_of(method).lora for method in (controls, *self.methods.values())}
        return adapter is not None and not others and self.scales == [1]

    def tuning_of(self, method: MethodSpec | None) -> Tuning:
        """The settings of a method's optimisation; of None those that the suite has for all."""
        return build(Tuning, "the tuning", {**self.tuning, **({} if method is None else method.tuning)})

    @property
    def variations(self) -> int:
        """How often a run is repaired for the stability of all repairs."""
        parts = self.repairs.items() if self.stability else ()
        return sum(len(variations(part.build(), label)) for label, part in parts)

    @property
    def takes_all_anchors(self) -> bool:
        """Whether any run has all of the owner's examples as anchors; learning rates are chosen so."""
        return self.anchors_from == "owner" and ("all" in self.anchors or len(self.learning_rates) > 1)

    def chooses(self, method: MethodSpec) -> bool:
        """Whether there is anything to choose for a method: a strength, a scale or a learning rate."""
        rates = len(self.learning_rates) > 1 and method.takes_rates
        return bool(method.grid) or method.searched or len(self.scales) > 1 or rates

    @property
    def most_runs_that_choose(self) -> int:
        """The most runs that choose strengths and learning rates; searches end earlier as a rule."""
        tries = (self.selection.tries + FURTHER) * len(self.target_asr)
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
