"""Training from scratch: the objective of plain tuning, from random weights.

Gu, Dolan-Gavitt and Garg 2017, BadNets (arXiv 1708.06733). It repeats the reference's training, as its manifest records
it: as many steps, as large batches of clean examples, with as many triggered ones beside them, and the same learning
rate, weight decay and augmentation. A shorter run would differ from the reference by the length of its training too.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.methods.base import Method
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scratch(Method):
    """The same objective from a random start; BatchNorm statistics are tracked, because there are none to freeze."""

    cites: ClassVar[tuple[str, ...]] = ("gu2017badnets",)
    fresh_start: ClassVar[bool] = True
    not_with_adapters: ClassVar[str | None] = (
        "it begins with random weights, and an adapter leaves the reference's as they are"
    )

    steps_factor: float | None = Field(
        default=None,
        gt=0,
        description="steps relative to tuning, with tuning's settings; if left out, the reference's steps and settings",
    )
