"""How reports write a number."""

from __future__ import annotations

import math


def significant(value: float, digits: int = 3) -> str:
    """A number with that many significant digits, trailing zeros kept: 0.0180, 8.42, 1.23e-5."""
    if value == 0:
        return "0"
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    exponent = int(power)
    if -5 < exponent < 6:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{mantissa}e{exponent}"


def fraction(value: float) -> str:
    """A rate or a correlation with four decimals."""
    return f"{value:.4f}"


def p_value(value: float) -> str:
    """A p value with three decimals and no leading zero, as is usual."""
    return "<.001" if value < 0.0005 else f"{value:.3f}".removeprefix("0")


def span(low: float, high: float) -> str:
    """One whole number if both are the same, or else the least and the greatest."""
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def defined(value: float | None) -> bool:
    """Whether there is a number to show."""
    return value is not None and math.isfinite(value)
