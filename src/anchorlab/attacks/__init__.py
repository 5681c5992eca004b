"""Attacks: a trigger on inputs, and the label rule that says which examples are attacked and which label they get."""

from __future__ import annotations

from anchorlab.attacks.attack import Attack, attack_success, build_attack
from anchorlab.attacks.label_rules import LABEL_RULES, AllToAll, AllToOne, LabelRule, SourceToTarget

__all__ = [
    "LABEL_RULES",
    "AllToAll",
    "AllToOne",
    "Attack",
    "LabelRule",
    "SourceToTarget",
    "attack_success",
    "build_attack",
]
