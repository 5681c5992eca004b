"""How closely an analysis looks."""

from __future__ import annotations

from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.settings import LARGEST_NUMBER, STRICT, Refusing


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AnalysisSettings(metaclass=Refusing):
    """How closely an analysis looks."""

    curvature_examples: int = Field(default=256, ge=1, description="clean examples whose mean loss has the Hessian")
    diagonal_examples: int = Field(default=256, ge=2, description="clean examples for what EWC's diagonal sees")
    statistics_examples: int = Field(
        default=512, ge=2, description="the owner's inputs from which BatchNorm's statistics are estimated again"
    )
    eigenvalues: int = Field(default=3, ge=1, le=1000, description="largest eigenvalues of the Hessian")
    trace_vectors: int = Field(
        default=10, ge=2, le=LARGEST_NUMBER, description="random vectors that estimate the Hessian's trace"
    )
    plane_steps: int = Field(default=13, ge=3, le=1001, description="places along either axis of the plane")
    plane_examples: int = Field(default=500, ge=1, description="clean examples measured at each place of the plane")
    resamples: int = Field(
        default=1000, ge=100, le=LARGEST_NUMBER, description="replicates of the bootstrap over instances"
    )
