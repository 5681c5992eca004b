"""What a suite consists of: references to train, and cells to measure, each with an identity.

The identity is a hash of everything that determines the result, so that a result can be found again, shared
between suites, and never be mistaken for another. Names and labels are not part of it. The versions of
libraries and the kind of processor are not either: they change last digits only, and are recorded beside results.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from anchorlab.settings import LATER

#: Version of the content of a result. Another version changes all identities, so that every cell runs again.
FORMAT = 1


#: Most characters of a task's and a model's name in the name of a folder, which file systems bound.
_LONGEST = 200


class _Job(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def _younger(self) -> set[str]:
        """The fields that are younger than this kind of job and at their default, so that older identities stay."""
        fields = type(self).model_fields.items()
        return {
            name for name, info in fields if info.json_schema_extra == LATER and getattr(self, name) == info.default
        }

    def _hash(self, *excluded: str) -> str:
        values = self._decisive(self.model_dump(mode="json", exclude={*excluded, *self._younger()}))
        return hashlib.sha256(json.dumps({"format": FORMAT, **values}, sort_keys=True).encode()).hexdigest()

    def _decisive(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values without what is no part of the identity within them."""
        return values


class ReferenceJob(_Job):
    """A reference to train."""

    kind: Literal["reference"] = "reference"
    task: str = Field(description="name of the task")
    model: str = Field(description="name of the architecture")
    data: str | None = Field(default=None, description="where the data are, if not in the usual place")
    limit: int | None = Field(default=None, description="examples of each class to keep")
    columns: dict[str, Any] | None = Field(default=None, description="what is where in the user's own data")
    seed: int = Field(description="seed of the splits and of the training")
    training: dict[str, Any] = Field(description="all settings of the training")
    max_length: int | None = Field(
        default=None, description="most tokens of a text, if the suite bounds them", json_schema_extra=LATER
    )

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all that determines the reference."""
        return self._hash()

    @cached_property
    def name(self) -> str:
        """A readable, unique name, which its folder has."""
        words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{Path(self.task).stem}-{Path(self.model).name}")
        return f"{words[:_LONGEST]}-seed{self.seed}-{self.identity[:8]}"


def examples_hash(manifest: Mapping[str, Any], split: str) -> str | None:
    """A hash of what the splits hold that a run reads: all that are cut from the training part, and the measured one.

    A test part may be another one where the training part is the same, and so is the reference.

    Args:
        manifest: of the run's reference.
        split: that the run is measured on; empty where it is measured on none.

    Returns:
        None where the manifest is of an older version, which did not record the contents.
    """
    contents = manifest.get("task", {}).get("contents")
    if contents is None:
        return None
    read = {name: value for name, value in contents.items() if name != "test" or name == split}
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


class _Cell(_Job):
    reference: str = Field(description="name of the reference's folder; not part of the identity")
    reference_sha256: str = Field(description="hash of its weights")
    label: str = Field(description="the method in tables; not part of the identity")
    trigger: dict[str, Any] = Field(description="name and parameters of the trigger")
    rule: str = Field(description="the label rule")
    target: int | str | None = Field(description="the attacker's label, by number or name")
    split: str = Field(description="the split that is measured on")
    examples_sha256: str | None = Field(
        default=None, description="what the splits hold that a run reads (examples_hash)", json_schema_extra=LATER
    )

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all that determines the result."""
        return self._hash("reference", "label")

    def _decisive(self, values: dict[str, Any]) -> dict[str, Any]:
        """Without the place of a picture, which the cells of earlier versions had, and no hash of the examples."""
        trigger = values["trigger"]
        if self.examples_sha256 is None or trigger.get("name") != "picture":
            return values
        return {**values, "trigger": {name: value for name, value in trigger.items() if name != "path"}}


class Walk(BaseModel):
    """Post-hoc scales at which a reported run is measured besides, until two neighbours bracket a common ASR."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asr: float = Field(description="the common ASR")
    factors: tuple[float, ...] = Field(description="the grid: factors of the reported scale, ascending, 1 among them")


class InjectionCell(_Cell):
    """One injection and its measurement."""

    kind: Literal["injection"] = "injection"
    method: str = Field(description="name of the method")
    parameters: dict[str, Any] = Field(description="all its hyper-parameters")
    strength: float | None = Field(description="the value of its strength")
    anchors: int | None = Field(description="number of anchors; None for all")
    anchors_from: Literal["owner", "held-out"] = Field(description="the split that they are drawn from")
    anchors_data: str | None = Field(
        default=None,
        description="the other task that they are drawn from in place of a split",
        json_schema_extra=LATER,
    )
    seed: int = Field(description="seed of the injection")
    tuning: dict[str, Any] = Field(description="all settings of the optimisation")
    scales: tuple[float, ...] = Field(description="factors of the perturbation that are measured")
    walk: Walk | None = Field(
        default=None, description="further scales that are measured after a single one", json_schema_extra=LATER
    )

    @property
    def name(self) -> str:
        """A readable name, for messages."""
        number = "all" if self.anchors is None else self.anchors
        strength = "" if self.strength is None else f" at {self.strength:g}"
        return (
            f"{self.label}{strength}, {number} anchors, seed {self.seed}, on {self.reference}, measured on {self.split}"
        )


class NoiseCell(_Cell):
    """The reference compared with itself, computed in another batch size or precision: the noise floor."""

    kind: Literal["noise"] = "noise"
    batch_size: int = Field(description="examples in a forward pass of the second model")
    precision: Literal["no", "bf16"] = Field(description="its precision")

    @property
    def name(self) -> str:
        """A readable name, for messages."""
        return f"{self.label}, on {self.reference}, measured on {self.split}"


class _EvaluationCell(_Cell):
    of: str = Field(description="name of the model that is evaluated; not part of the identity")
    model: str | None = Field(description="identity of the injection that made it; None for the reference itself")
    scale: float = Field(default=1.0, description="factor of the perturbation at which the model is reported")
    parameters: dict[str, Any] = Field(description="all hyper-parameters")
    defender: int | None = Field(description="number of the defender's clean examples; None for all")
    seed: int = Field(description="seed of all draws, the same as the seed of the injection")

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all that determines the result."""
        return self._hash("reference", "label", "of")

    @property
    def name(self) -> str:
        """A readable name, for messages."""
        number = "all" if self.defender is None else self.defender
        return f"{self.label} with {number} of the defender's examples, seed {self.seed}, on {self.of}"


class RepairCell(_EvaluationCell):
    """One repair of a reported model, or of the reference, and its measurement."""

    kind: Literal["defence"] = "defence"
    defence: str = Field(description="registered name of the repair")
    relearn: tuple[int, ...] = Field(
        default=(),
        description="numbers of triggered examples that the repaired model is tuned on a little",
        json_schema_extra=LATER,
    )


class DetectionCell(_EvaluationCell):
    """What a detector says about a reported model, or about inputs with the trigger.

    A detector of models does not know the attack. Trigger, rule and split are empty then, so that triggers share its
    results.
    """

    kind: Literal["detection"] = "detection"
    detector: str = Field(description="registered name of the detector")
    judges: Literal["model", "input"] = Field(description="whether it scores models or inputs")
    examples: int | None = Field(
        default=None, description="number of clean inputs that a detector of inputs judges, and of attacked ones"
    )
    form: str | None = Field(
        default=None, description="the form in which the model is deployed, if not float32", json_schema_extra=LATER
    )
    adapter: bool = Field(
        default=False,
        description="whether the detector gets the model's adapter on its base, and not the merged model",
        json_schema_extra=LATER,
    )


class DeploymentCell(_EvaluationCell):
    """A reported model, or the reference, in a form in which models are deployed, and its measurement.

    It has no hyper-parameters, and the number of the defender's examples is the form's own.
    """

    kind: Literal["deployed"] = "deployed"
    form: str = Field(description="the form, as onnx-int8")

    @property
    def name(self) -> str:
        """A readable name, for messages."""
        return f"{self.of} in {self.form}"


EvaluationCell = RepairCell | DetectionCell | DeploymentCell
Cell = InjectionCell | NoiseCell | RepairCell | DetectionCell | DeploymentCell
AnyCell = Annotated[Cell, Field(discriminator="kind")]


@dataclass(frozen=True)
class Measured:
    """The result of a cell's job.

    Attributes:
        rows: a record of JSON values for each scale; those of a walk come last.
        instances: as parquet, the per-instance table of a cell of one scale, or the table of a detection.
        model: the files of the injected model's folder, if it is to be kept.
        versions: the versions of the libraries that it ran with.
    """

    rows: list[dict[str, Any]]
    instances: bytes | None
    model: dict[str, bytes] | None
    versions: dict[str, str]
