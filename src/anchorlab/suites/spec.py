"""The suite file: what is run, as YAML that a person writes and pydantic checks.

    tasks x reference seeds x triggers x methods with strength grids x numbers of anchors x injection seeds,

at one or more target attack success rates. ``docs/suites.md`` explains every key; ``suite.schema.json`` in
this folder is the JSON schema for editors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from anchorlab.attacks.label_rules import LABEL_RULES
from anchorlab.data import AnchorSource, DataColumns, Task, find_task, load_task
from anchorlab.detectors import DETECTORS, InputDetector, ModelDetector
from anchorlab.errors import AnchorlabError, unknown
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.models.architectures import find_architecture
from anchorlab.repairs.base import Repair
from anchorlab.repairs.oracles import build_repair
from anchorlab.settings import build, options_of, parse_spec
from anchorlab.training.reference import Training
from anchorlab.triggers import TRIGGERS

#: What ``--smoke`` makes of a suite: every cell is run, and is tiny.
_SMOKE_EXAMPLES = 20
_SMOKE_TUNING = {"steps": 3, "batch_size": 8}
#: Of these a twentieth is the defender's, who needs some of each class; there are more classes of images than of texts.
_SMOKE_DERIVING = {"image": 100, "text": 200}
#: What repairs and detectors call their effort, and the least of it.
_SMOKE_EFFORT = {"epochs": 1, "steps": 3, "search_steps": 100, "rounds": 1, "restarts": 1}


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns our refusals into those of a validator, to which pydantic adds the place."""
    try:
        yield
    except AnchorlabError as error:
        raise ValueError(str(error)) from error


class _Part(BaseModel):
    """A part of the file; a key that it does not have is refused with the nearest one that it has."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    complaint = str(unknown("key", str(key), cls.model_fields))
                    raise PydanticCustomError("unknown_key", "{complaint}", {"complaint": complaint, "key": key})
        return data


class TaskSpec(_Part):
    """A task, the model that is trained for it, and how."""

    name: str = Field(description="name of the task, see 'anchorlab list tasks'")
    model: str | None = Field(default=None, description="the architecture; the task's own if left out")
    data: str | None = Field(default=None, description="where the data are, if not in the usual place")
    training: dict[str, Any] = Field(default_factory=dict, description="settings of the training, if not the defaults")
    limit: int | None = Field(
        default=None, ge=10, description="examples of each class to keep, for trials; all without"
    )
    columns: DataColumns | None = Field(default=None, description="what is where, for data of your own")

    @model_validator(mode="after")
    def _is_a_task(self) -> Self:
        with _refusing():
            find_task(self.name, self.data, self.columns)
        return self

    @field_validator("model")
    @classmethod
    def _is_a_model(cls, name: str | None) -> str | None:
        with _refusing():
            _ = None if name is None else find_architecture(name)
        return name

    @field_validator("training")
    @classmethod
    def _can_be_built(cls, values: dict[str, Any]) -> dict[str, Any]:
        with _refusing():
            build(Training, "the training", values)
        return values

    @property
    def architecture(self) -> str:
        """The model that is trained."""
        return self.model or find_task(self.name, self.data, self.columns)[0].architecture

    def load(self, seed: int) -> Task:
        """The task, its splits cut with a seed."""
        return load_task(self.name, seed=seed, data=self.data, limit=self.limit, columns=self.columns)


class TriggerSpec(_Part):
    """A trigger with its label rule, both as on the command line."""

    trigger: str = Field(default="five-pixel", description="the trigger, as in 'square:size=4'")
    rule: str = Field(default="all-to-one", description="the label rule, as in 'source-to-target:3'")
    target: int | str | None = Field(
        default=None, description="the attacker's label, by number or name; 0 where the rule needs one"
    )

    @field_validator("trigger")
    @classmethod
    def _is_a_trigger(cls, text: str) -> str:
        with _refusing():
            TRIGGERS.parse(text)
        return text

    @field_validator("rule")
    @classmethod
    def _is_a_rule(cls, text: str) -> str:
        with _refusing():
            _ = LABEL_RULES[parse_spec(text)[0]]
        return text

    @field_validator("target")
    @classmethod
    def _is_a_label(cls, target: int | str | None) -> int | str | None:
        if isinstance(target, int) and target < 0:
            raise ValueError(f"a class is meant by its name, or by a number from 0, not by {target}")
        return target

    @property
    def label(self) -> int | str | None:
        """The attacker's label; None for a rule that takes none."""
        takes_one = any(option.name == "target" for option in options_of(LABEL_RULES[parse_spec(self.rule)[0]]))
        return 0 if self.target is None and takes_one else self.target


class MethodSpec(_Part):
    """A method, the values of its knob to begin with, and what else is set."""

    method: str = Field(description="name of the method, see 'anchorlab list methods'")
    grid: list[float] = Field(
        default_factory=list,
        description="values of the method's knob (a strength, a radius or a count), in geometric progression",
    )
    set: dict[str, Any] = Field(default_factory=dict, description="other parameters of the method")
    tuning: dict[str, Any] = Field(
        default_factory=dict, description="settings of the optimisation for this method alone, such as learning_rate"
    )

    @field_validator("tuning")
    @classmethod
    def _can_be_built(cls, values: dict[str, Any]) -> dict[str, Any]:
        with _refusing():
            build(Tuning, "the tuning", values)
        return values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        with _refusing():
            strength_name = METHODS.build(self.method, self.set).active_strength_name
        if self.grid and strength_name is None:
            raise ValueError(f"the method '{self.method}' has no strength to choose: leave its grid out")
        if len(self.grid) == 1:
            raise ValueError("a grid needs at least two values, so that it can be extended: give another, or use set")
        if self.grid and not _geometric(self.grid):
            raise ValueError(
                f"the grid {self.grid} is no rising geometric progression, so it could not be extended: "
                "give values each the same multiple of the one before, such as [0.5, 2, 8]"
            )
        if strength_name is not None and strength_name in self.set and self.grid:
            raise ValueError(f"{strength_name} is given both by the grid and by set: keep one")
        with _refusing():
            for value in self.grid:
                METHODS.build(self.method, self.parameters(value))
        return self

    def parameters(self, strength: float | None) -> dict[str, Any]:
        """The method's parameters at a value of its knob; None for a method that has no grid."""
        if strength is None:
            return dict(self.set)
        strength_name = METHODS.build(self.method, self.set).active_strength_name
        assert strength_name is not None
        return {**self.set, strength_name: round(strength) if strength_name == "count" else strength}


class SelectionSpec(_Part):
    """How strengths are chosen: on the split ``selection``, with injection seeds that no reported run has."""

    seeds: list[int] = Field(default=[1000], min_length=1, description="injection seeds of the runs that choose")
    references: int | None = Field(
        default=None, ge=1, description="how many of the references take part, the first ones; all without"
    )
    extensions: int = Field(
        default=2, ge=0, description="how often a grid is extended by one value where the best lies at its edge"
    )


class DefenceSpec(_Part):
    """A repair, and what is set of it."""

    defence: str = Field(description="name of the repair, see 'anchorlab list repairs'")
    set: dict[str, Any] = Field(default_factory=dict, description="parameters of the repair")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        with _refusing():
            self.build()
        return self

    def build(self) -> Repair:
        """The repair itself."""
        return build_repair(self.defence, self.set)


class DetectorSpec(_Part):
    """A detector, of models or of inputs, and what is set of it."""

    detector: str = Field(description="name of the detector, see 'anchorlab list detectors'")
    set: dict[str, Any] = Field(default_factory=dict, description="parameters of the detector")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        with _refusing():
            self.build()
        return self

    @property
    def judges(self) -> Literal["model", "input"]:
        """Whether it scores models or inputs."""
        return "model" if self.detector in DETECTORS.names(ModelDetector) else "input"

    def build(self) -> ModelDetector | InputDetector:
        """The detector itself."""
        return DETECTORS.build(self.detector, self.set)


class Resources(_Part):
    """What a Ray cluster sets aside for each run."""

    cpus: float = Field(default=1, ge=0, description="processor cores")
    gpus: float = Field(default=0, ge=0, description="GPUs; a fraction shares one")


class Suite(_Part):
    """A suite file."""

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
    scales: list[float] = Field(
        default=[1.0],
        min_length=1,
        description="post-hoc factors of the perturbation, chosen with the strength, for every method alike",
    )
    selection: SelectionSpec = Field(default=SelectionSpec(), description="how strengths are chosen")
    controls: bool = Field(default=True, description="noise floor, plain stopped early, and a benign update")
    defences: dict[str, DefenceSpec] = Field(
        default_factory=dict, description="label in tables to repair: nothing, or defence and set; or a list of names"
    )
    defender: list[int | Literal["all"]] = Field(
        default=[640], min_length=1, description="numbers of clean examples that the defender holds"
    )
    detectors: dict[str, DetectorSpec] = Field(
        default_factory=dict, description="label in tables to detector: nothing, or detector and set; or a list"
    )
    keep_models: bool = Field(
        default=False, description="save the reported models; those that repairs or detectors need are saved anyway"
    )
    resources: Resources = Field(default=Resources(), description="for a Ray cluster")

    @field_validator("tasks", mode="before")
    @classmethod
    def _short_tasks(cls, tasks: Any) -> Any:
        return [{"name": task} if isinstance(task, str) else task for task in _listed(tasks)]

    @field_validator("triggers", mode="before")
    @classmethod
    def _short_triggers(cls, triggers: Any) -> Any:
        return [{"trigger": trigger} if isinstance(trigger, str) else trigger for trigger in _listed(triggers)]

    @field_validator("anchors", "target_asr", "scales", "defender", mode="before")
    @classmethod
    def _short_list(cls, values: Any) -> Any:
        return _listed(values)

    @field_validator("references", "seeds", mode="before")
    @classmethod
    def _short_seeds(cls, seeds: Any) -> Any:
        return list(range(seeds)) if isinstance(seeds, int) and not isinstance(seeds, bool) else seeds

    @field_validator("methods", mode="before")
    @classmethod
    def _short_methods(cls, methods: Any) -> Any:
        if not isinstance(methods, dict):
            return methods
        return {label: _long_method(label, value) for label, value in methods.items()}

    @field_validator("defences", mode="before")
    @classmethod
    def _short_defences(cls, defences: Any) -> Any:
        return _long_forms(defences, "defence")

    @field_validator("detectors", mode="before")
    @classmethod
    def _short_detectors(cls, detectors: Any) -> Any:
        return _long_forms(detectors, "detector")

    @field_validator("defences", "detectors")
    @classmethod
    def _reads_the_tasks(cls, parts: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        for label, part in parts.items():
            for task in info.data.get("tasks", []):
                _check_reads(label, part.build().modality, task)
        return parts

    @field_validator("tuning")
    @classmethod
    def _can_be_built(cls, values: dict[str, Any]) -> dict[str, Any]:
        with _refusing():
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
                what = "anchors" if info.field_name == "anchors" else "the defender's examples"
                raise ValueError(f"a number of {what} is at least 1, not {count}")
        return counts

    @field_validator("scales")
    @classmethod
    def _is_a_factor(cls, scales: list[float]) -> list[float]:
        for scale in scales:
            if not 0 < scale <= 10:
                raise ValueError(f"a scale of the perturbation lies above 0 and up to 10, not at {scale}")
        return scales

    @field_validator("references", "seeds", "anchors", "target_asr", "scales", "defender")
    @classmethod
    def _no_value_twice(cls, values: list[Any]) -> list[Any]:
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"{value} stands there twice: keep one")
        return values

    @model_validator(mode="after")
    def _seeds_of_their_own(self) -> Self:
        shared = sorted(set(self.seeds) & set(self.selection.seeds))
        if shared:
            raise ValueError(f"the seed {shared[0]} both chooses strengths and is reported: give selection others")
        reserved = [label for label in self.methods if label in CONTROL_LABELS]
        if reserved and self.controls:
            raise ValueError(f"the label '{reserved[0]}' is that of a control: choose another, or set controls: false")
        return self

    @model_validator(mode="after")
    def _clean_models_beside_the_injected(self) -> Self:
        of_models = [label for label, spec in self.detectors.items() if spec.judges == "model"]
        if of_models and not self.controls:
            raise ValueError(
                f"{of_models[0]} scores models, which says nothing without benign updates to compare with: leave "
                "controls: false out"
            )
        return self

    @property
    def derives(self) -> bool:
        """Whether the reported models are repaired or judged."""
        return bool(self.defences or self.detectors)

    def smoke(self) -> Suite:
        """The same cells, each tiny: few examples, one epoch, a handful of steps, and grids that stay as they are."""
        tasks = [
            task.model_copy(update={"limit": self._smoke_limit(task), "training": {**task.training, "epochs": 1}})
            for task in self.tasks
        ]
        methods = {
            label: method.model_copy(update={"tuning": {**method.tuning, **_SMOKE_TUNING}})
            for label, method in self.methods.items()
        }
        anchors = [count if count == "all" else min(count, _SMOKE_EXAMPLES) for count in self.anchors]
        parts = {
            field: {
                label: part.model_copy(update={"set": _quick(part.set, part)})
                for label, part in getattr(self, field).items()
            }
            for field in ("defences", "detectors")
        }
        return self.model_copy(
            update={
                "name": f"{self.name}-smoke",
                "title": f"{self.title} (smoke form: every cell tiny, the figures mean nothing)",
                "tasks": tasks,
                "methods": methods,
                "anchors": list(dict.fromkeys(anchors)),
                "defender": ["all"] if self.derives else self.defender,
                **parts,
                "tuning": {**self.tuning, **_SMOKE_TUNING},
                "selection": self.selection.model_copy(update={"extensions": 0}),
            }
        )

    def _smoke_limit(self, task: TaskSpec) -> int:
        if not self.derives:
            return _SMOKE_EXAMPLES
        return _SMOKE_DERIVING[find_task(task.name, task.data, task.columns)[0].kind]

    def with_data(self, places: dict[str, str]) -> Suite:
        """The suite with other places of some tasks' data.

        Raises:
            AnchorlabError: for a task that is not in the suite.
        """
        for name in places:
            if name not in {task.name for task in self.tasks}:
                raise unknown("task of this suite", name, {task.name for task in self.tasks})
        tasks = [task.model_copy(update={"data": places.get(task.name, task.data)}) for task in self.tasks]
        return self.model_copy(update={"tasks": tasks})

    def to_yaml(self) -> str:
        """The suite as a file; defaults are left out."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        return text


#: Labels of the controls that every table has.
STOPPED, BENIGN = "plain (stopped)", "benign"
CONTROL_LABELS = (STOPPED, BENIGN)


def _listed(values: Any) -> Any:
    return values if isinstance(values, list) else [values]


def _long_method(label: Any, value: Any) -> Any:
    if value is None:
        return {"method": label}
    if isinstance(value, list):
        return {"method": label, "grid": value}
    return {"method": label, **value} if isinstance(value, dict) else value


def _long_forms(values: Any, key: str) -> Any:
    """Label to repair or detector in the long form, from a list of names or a mapping."""
    if isinstance(values, (str, list)):
        names = _listed(values)
        for name in names:
            if not isinstance(name, str):
                raise ValueError(f"a list holds names alone, not {name}: write LABEL: {{{key}: NAME, set: …}} for each")
            if names.count(name) > 1:
                raise ValueError(f"{name} stands there twice: keep one")
        values = dict.fromkeys(names)
    if not isinstance(values, dict):
        return values
    return {
        label: {key: label, **(value or {})} if value is None or isinstance(value, dict) else value
        for label, value in values.items()
    }


def _check_reads(label: str, modality: str, task: TaskSpec) -> None:
    """Refuses a repair or detector of images beside a task of texts, or the other way round."""
    kind = find_task(task.name, task.data, task.columns)[0].kind
    if modality not in ("any", kind):
        raise ValueError(
            f"{label} is for {modality}s, but the task {task.name} holds {kind}s: take another, or a suite of its own"
        )


def _quick(parameters: dict[str, Any], part: DefenceSpec | DetectorSpec) -> dict[str, Any]:
    """Parameters with which a repair or detector does everything once; as they were where it has no such."""
    quick = dict(parameters)
    for option in options_of(type(part.build())):
        if option.name in _SMOKE_EFFORT:
            tried = {**quick, option.name: _SMOKE_EFFORT[option.name]}
            with suppress(ValueError):
                type(part)(**{**part.model_dump(), "set": tried})
                quick = tried
    return quick


def _geometric(grid: list[float]) -> bool:
    ratio = grid[1] / grid[0] if grid[0] > 0 else 0.0
    return ratio > 1 and all(math.isclose(b / a, ratio, rel_tol=0.2) for a, b in itertools.pairwise(grid))
