"""What the strength of a method is: a weight, a count of parameters, or a radius."""

from __future__ import annotations

from anchorlab.methods import METHODS
from anchorlab.suites.spec import Suite


def strength_name(suite: Suite, label: str) -> str:
    """The hyper-parameter that a method's grid varies, as in ``strength``, ``count`` or ``radius``; empty for none."""
    spec = suite.methods.get(label)
    return "" if spec is None else METHODS.build(spec.method, spec.set).active_strength_name or ""


def strength_words(name: str, *values: float) -> str:
    """Strengths in words: ``strength 2 and 4``, ``count 64,000``; what is counted is a whole number."""
    return f"{name} {' and '.join(f'{value:,.0f}' if name == 'count' else f'{value:g}' for value in values)}"
