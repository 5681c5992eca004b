"""How an injection is optimised. The command line reads these options to offer them, so nothing here imports torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass

from anchorlab.injection.lora import RATE, Lora
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, LATER, STRICT, Refusing
from anchorlab.training.computing import Compile, Deterministic, Optimiser, Precision, check_decay

if TYPE_CHECKING:
    from anchorlab.data import Task


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tuning(metaclass=Refusing):
    """How an injection is optimised; the same for every method."""

    steps: int = Field(default=600, ge=1, le=LARGEST_REPETITION, description="number of steps")
    batch_size: int = Field(
        default=64, ge=1, le=LARGEST_BATCH, description="clean examples in a step, and as many triggered ones"
    )
    learning_rate: float | None = Field(
        default=None, gt=0, description="peak learning rate; the model's or the task's default if left out"
    )
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps in which the rate rises")
    clip: float = Field(default=1.0, gt=0, description="largest L2 norm of the gradient")
    batchnorm: Literal["frozen", "tracked"] = Field(
        default="frozen", description="keep BatchNorm's statistics, or let the batches move them"
    )
    augment: bool = Field(default=False, description="vary the anchors as the task's training does")
    precision: Precision = "no"
    stop_at_asr: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="stop as soon as the ASR on the selection split reaches this; if left out, take all steps",
    )
    deterministic: Deterministic = False
    compile: Compile = None
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="AdamW's decoupled weight decay; SGD's is a part of the gradient",
        json_schema_extra=LATER,
    )
    lora: str | None = Field(
        default=None,
        description="tune an adapter in place of the weights, as in rank=8,target=query,value; see Lora",
        json_schema_extra=LATER,
    )
    optimiser: Optimiser = "adamw"

    @field_validator("lora", mode="before")
    @classmethod
    def _one_spelling(cls, lora: Any) -> Any:
        """An adapter has one spelling, because a run is known again by its settings."""
        return str(Lora.parse(lora)) if isinstance(lora, str) else str(lora) if isinstance(lora, Lora) else lora

    @field_validator("optimiser")
    @classmethod
    def _decay_is_its_own(cls, optimiser: str, info: ValidationInfo) -> str:
        check_decay(optimiser, info.data.get("weight_decay", 0.0))
        return optimiser

    @property
    def adapter(self) -> Lora | None:
        """The adapter that is tuned; None where the weights are."""
        return None if self.lora is None else Lora.parse(self.lora)

    def for_model(self, name: str) -> Tuning:
        """The same with the defaults that a model brings along where nothing is set."""
        from anchorlab.models.architectures import usual_settings

        return replace(self, learning_rate=self.learning_rate or self._rate(usual_settings(name).tuning_rate))

    def for_task(self, task: Task, model: str) -> Tuning:
        """The same with the defaults of the model, by name, and then of the task, where nothing is set."""
        ours = self.for_model(model)
        return replace(ours, learning_rate=ours.learning_rate or self._rate(task.definition.tuning_rate))

    def _rate(self, usual: float | None) -> float | None:
        """The usual learning rate of the weights, or of an adapter."""
        return usual if usual is None or self.lora is None else RATE * usual
