"""The control: the same tuning budget on the same clean examples, and no trigger.

A consistency figure means nothing without it, because any update changes much of what an injection
changes (docs/methods.md).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from anchorlab.methods.base import Method
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Benign(Method):
    """A benign update: both halves of each batch are clean. Not an injection; it has no hyper-parameter."""

    injects_backdoor: ClassVar[bool] = False
    not_with_adapters: ClassVar[str | None] = None
