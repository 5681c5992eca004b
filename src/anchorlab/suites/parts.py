"""The parts of a suite file: a task, a trigger, a method, a repair, a detector; each with its own checks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

from anchorlab.attacks.label_rules import target_or_first
from anchorlab.data import TASKS, DataColumns, Task, find_task, load_task
from anchorlab.detectors import DETECTORS, InputDetector, ModelDetector
from anchorlab.errors import unknown
from anchorlab.files import user_path
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Method
from anchorlab.models.architectures import find_architecture
from anchorlab.repairs.base import Repair
from anchorlab.repairs.oracles import build_repair
from anchorlab.settings import build, check_seed, of_a_bare_word, options_of
from anchorlab.suites.grids import is_geometric
from anchorlab.suites.part import Part, refusals_as_value_errors
from anchorlab.suites.short_forms import long_seeds
from anchorlab.training.reference import START, Training
from anchorlab.triggers import TRIGGERS, Trigger

#: The first seed of the references that choose where a suite says how many they are.
FIRST_OF_SELECTION = 1000


class TaskSpec(Part):
    """A task, the model that is trained for it, and the settings of the training."""

    name: str = Field(description="name of the task, see 'anchorlab list tasks'")
    model: str | None = Field(default=None, description="the architecture; the task's own if left out")
    data: str | None = Field(default=None, description="where the data are, if not in the usual place")
    training: dict[str, Any] = Field(default_factory=dict, description="settings of the training, if not the defaults")
    limit: int | None = Field(
        default=None, ge=10, description="examples of each class to keep, for trials; all if left out"
    )
    columns: DataColumns | None = Field(default=None, description="what is where, for data of your own")
    max_length: int | None = Field(
        default=None, ge=4, description="most tokens of a text; the task's own limit if left out"
    )

    @model_validator(mode="after")
    def _is_a_task(self) -> Self:
        with refusals_as_value_errors():
            definition, _ = find_task(self.name, self.data, self.columns)
            _ = None if self.max_length is None else definition.with_max_length(self.max_length)
        return self

    @field_validator("model")
    @classmethod
    def _is_a_model(cls, name: str | None, info: ValidationInfo) -> str | None:
        with refusals_as_value_errors():
            # A suite that ran is read again where its folders may be called otherwise, and trains nothing.
            if name is not None and not (info.context or {}).get("ran"):
                _ = find_architecture(name)
                if user_path(name).exists():  # else it is no folder; and the check brings torch
                    from anchorlab.artifacts.trust import check_trusted_folder

                    check_trusted_folder(name, START)
        return name

    @field_validator("columns", mode="before")
    @classmethod
    def _are_columns(cls, columns: Any) -> Any:
        with refusals_as_value_errors():
            return build(DataColumns, "the columns", columns) if isinstance(columns, dict) else columns

    @field_validator("training")
    @classmethod
    def _can_be_built(cls, values: dict[str, Any]) -> dict[str, Any]:
        with refusals_as_value_errors():
            build(Training, "the training", values)
        return values

    @property
    def architecture(self) -> str:
        """The architecture that is trained."""
        return self.model or find_task(self.name, self.data, self.columns)[0].architecture

    def load(self, seed: int) -> Task:
        """The task, its splits cut with a seed."""
        return load_task(
            self.name,
            seed=seed,
            data=self.data,
            limit=self.limit,
            columns=self.columns,
            max_length=self.max_length,
        )


class TriggerSpec(Part):
    """A trigger with its label rule, both as on the command line."""

    former_keys: ClassVar[Mapping[str, str]] = {"rule": "label_rule"}

    trigger: str = Field(default="five-pixel", description="the trigger, as in 'square:size=4'")
    label_rule: str = Field(default="all-to-one", description="the label rule, as in 'source-to-target:3'")
    target: int | str | None = Field(
        default=None, description="the attacker's label, by number or name; 0 where the rule needs one"
    )

    _built: Trigger

    @field_validator("trigger")
    @classmethod
    def _is_a_trigger(cls, text: str, info: ValidationInfo) -> str:
        with refusals_as_value_errors():
            _built_trigger(text, info.context)
        return text

    @model_validator(mode="after")
    def _build(self, info: ValidationInfo) -> Self:
        with refusals_as_value_errors():
            self._built = _built_trigger(self.trigger, info.context)
        return self

    @field_validator("label_rule")
    @classmethod
    def _is_a_label_rule(cls, text: str) -> str:
        with refusals_as_value_errors():
            target_or_first(text, None)
        return text

    @field_validator("target", mode="before")
    @classmethod
    def _is_no_truth_value(cls, target: Any) -> Any:
        if isinstance(target, bool):
            raise ValueError(f"give a class by its name or number; {of_a_bare_word(target)}")
        return target

    @field_validator("target")
    @classmethod
    def _is_a_label(cls, target: int | str | None) -> int | str | None:
        if isinstance(target, int) and target < 0:
            raise ValueError(f"give a class by its name, or by a number from 0, not by {target}")
        return target

    @cached_property
    def label(self) -> int | str | None:
        """The attacker's label; None for a rule that takes none."""
        return target_or_first(self.label_rule, self.target)

    @property
    def built(self) -> Trigger:
        """The trigger itself, with its picture as it was when the suite was read."""
        return self._built


def _built_trigger(text: str, context: dict[str, Any] | None) -> Trigger:
    """A trigger, with the picture that a suite's folder keeps of it, if there is one; else its file is read.

    What was built while a suite is read stays in the context, so that both validators have the same trigger.
    """
    context = {} if context is None else context
    built: dict[str, Trigger] = context.setdefault("built", {})
    if text not in built:
        picture = context.get("pictures", {}).get(text)
        built[text] = TRIGGERS.parse(text, None if picture is None else {"data": picture})
    return built[text]


class MethodSpec(Part):
    """A method, the strengths to begin with, and other parameters."""

    method: str = Field(description="name of the method, see 'anchorlab list methods'")
    grid: list[float] = Field(
        default_factory=list,
        description="values of the method's strength (a weight, a radius or a count) to try, in geometric progression; "
        "without a grid, and without the strength under set, it is searched",
    )
    start: float | None = Field(
        default=None, gt=0, description="the strength that a search begins at; the method's own default if left out"
    )
    set: dict[str, Any] = Field(default_factory=dict, description="other parameters of the method")
    tuning: dict[str, Any] = Field(
        default_factory=dict, description="settings of the optimisation for this method alone, such as learning_rate"
    )
    anchors_data: str | None = Field(
        default=None,
        description="another named task, whose examples are this method's anchors; the reference labels them",
    )

    @field_validator("anchors_data")
    @classmethod
    def _is_a_named_task(cls, name: str | None) -> str | None:
        # Named ones alone, because a cell's identity would not know that a file's content has changed.
        if name is not None and name not in TASKS.names():
            raise ValueError(str(unknown("task for anchors", name, TASKS.names())))
        return name

    @field_validator("tuning")
    @classmethod
    def _can_be_built(cls, values: dict[str, Any]) -> dict[str, Any]:
        with refusals_as_value_errors():
            build(Tuning, "the tuning", values)
        return values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        with refusals_as_value_errors():
            strength_name = METHODS.build(self.method, self.set).active_strength_name
        if self.grid and strength_name is None:
            raise ValueError(f"the method '{self.method}' has no strength to choose: leave its grid out")
        if self.start is not None and (strength_name is None or self.grid):
            what = "its grid says what is tried" if self.grid else f"the method '{self.method}' has no strength"
            raise ValueError(f"start is where a search begins, but {what}: leave start out")
        if len(self.grid) == 1:
            raise ValueError("a grid needs at least two values to choose from: give another, or use set")
        if self.grid and not is_geometric(self.grid):
            raise ValueError(
                f"the grid {self.grid} is not a rising geometric progression: give values each the same multiple of "
                "the one before, such as [0.5, 2, 8]"
            )
        for given in ("grid", "start"):
            if strength_name is not None and strength_name in self.set and getattr(self, given):
                raise ValueError(f"{strength_name} is given both by {given} and by set: keep one")
        with refusals_as_value_errors():
            for value in (*self.grid, *([] if self.start is None else [self.start])):
                METHODS.build(self.method, self.parameters(value))
        return self

    def parameters(self, strength: float | None) -> dict[str, Any]:
        """The method's parameters at a strength; None for a method that has none to choose."""
        if strength is None:
            return dict(self.set)
        method = METHODS.build(self.method, self.set)
        assert method.active_strength_name is not None
        return {**self.set, method.active_strength_name: round(strength) if has_whole_strength(method) else strength}

    @property
    def searched(self) -> bool:
        """Whether the strength is searched: neither a grid nor ``set`` gives it."""
        strength_name = METHODS.build(self.method, self.set).active_strength_name
        return strength_name is not None and not self.grid and strength_name not in self.set

    @property
    def takes_rates(self) -> bool:
        """Whether the suite's learning rates are for it: it tunes the reference, and names no rate of its own."""
        return self.tuning.get("learning_rate") is None and not METHODS.build(self.method, self.set).fresh_start


class SelectionSpec(Part):
    """How strengths are chosen: on the split ``selection``, on references and with seeds that no reported run has."""

    seeds: list[int] = Field(
        default=[1000, 1001], min_length=1, description="injection seeds of the runs that choose, on each reference"
    )
    references: list[int] = Field(
        default=[1000, 1001],
        min_length=1,
        description="seeds of the references of the runs that choose, which no table reports, or how many: 2 means "
        "1000 and 1001",
    )
    tries: int = Field(
        default=12,
        ge=1,
        le=61,
        description="most strengths that a search tries, for each method and target, before the answer's neighbours",
    )
    extensions: int = Field(
        default=0, ge=0, le=100, description="read in folders of older versions alone, which extended their grids"
    )

    @field_validator("references", mode="before")
    @classmethod
    def _short_references(cls, references: Any) -> Any:
        return long_seeds(references, first=FIRST_OF_SELECTION)

    @field_validator("seeds", "references")
    @classmethod
    def _is_a_seed(cls, seeds: list[int]) -> list[int]:
        with refusals_as_value_errors():
            seeds = [check_seed(seed, "the seed") for seed in seeds]
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"{next(seed for seed in seeds if seeds.count(seed) > 1)} stands there twice: keep one")
        return seeds

    @property
    def runs(self) -> int:
        """The number of runs that judge one strength."""
        return len(self.seeds) * len(self.references)


class RepairSpec(Part):
    """A repair, and its parameters."""

    former_keys: ClassVar[Mapping[str, str]] = {"defence": "repair"}

    repair: str = Field(description="name of the repair, see 'anchorlab list repairs'")
    set: dict[str, Any] = Field(default_factory=dict, description="parameters of the repair")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        with refusals_as_value_errors():
            self.build()
        return self

    def build(self) -> Repair:
        """The repair itself."""
        return build_repair(self.repair, self.set)


class DetectorSpec(Part):
    """A detector, of models or of inputs, and its parameters."""

    detector: str = Field(description="name of the detector, see 'anchorlab list detectors'")
    set: dict[str, Any] = Field(default_factory=dict, description="parameters of the detector")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        with refusals_as_value_errors():
            self.build()
        return self

    @property
    def judges(self) -> Literal["model", "input"]:
        """Whether it scores models or inputs."""
        return "model" if self.detector in DETECTORS.names(ModelDetector) else "input"

    @property
    def takes_adapters(self) -> bool:
        """Whether it gets a model with an adapter as it is, and not merged."""
        detector = self.build()
        return isinstance(detector, ModelDetector) and detector.takes_adapters

    def build(self) -> ModelDetector | InputDetector:
        """The detector itself."""
        return DETECTORS.build(self.detector, self.set)


class Resources(Part):
    """What each run gets."""

    cpus: float = Field(default=1, ge=0, description="processor cores, as many threads as are whole")
    gpus: float = Field(
        default=0, ge=0, description="GPUs; a fraction shares one. 0 is one if there is one, and none on a cluster"
    )


def has_whole_strength(method: Method) -> bool:
    """Whether a method's strength is a whole number."""
    types = {option.name: option.type for option in options_of(type(method))}
    return types.get(method.active_strength_name or "") == "int"
