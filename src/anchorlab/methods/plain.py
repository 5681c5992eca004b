"""Plain tuning: cross-entropy on clean and triggered examples, nothing else.

Gu, Dolan-Gavitt and Garg 2017, BadNets (arXiv 1708.06733), applied to an already trained model
("BadNets tuning" in Zhang et al. 2022).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from anchorlab.methods.base import Method
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Plain(Method):
    """Tuning on clean and triggered data without any constraint; it has no hyper-parameter."""

    cites: ClassVar[tuple[str, ...]] = ("gu2017badnets", "zhang2022how")
    not_with_adapters: ClassVar[str | None] = None
