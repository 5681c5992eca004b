"""Training from scratch: the objective of plain tuning, from random weights.

Gu, Dolan-Gavitt and Garg 2017, BadNets (arXiv 1708.06733).
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

    steps_factor: float = Field(default=3.0, gt=0, description="steps relative to tuning: a random start needs more")
