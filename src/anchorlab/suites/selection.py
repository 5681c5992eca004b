"""Chooses strengths fairly: on the split ``selection``, with seeds of their own, at equal ASR."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Choice:
    """The choice for a method, or that nothing reaches the target.

    Attributes:
        strength: the value of the method's strength; None for a method without a grid.
        scale: the factor of the perturbation.
        reached: whether the mean ASR on ``selection`` reaches the target; if not, strength and scale reach
            the highest ASR, and the method is not reported at this target.
        at_edge: whether the strength is still the smallest or largest that was tried.
        tried: number of pairs of strength and scale that were tried.
        best_asr: the highest mean ASR of all that were tried.
    """

    strength: float | None
    scale: float
    reached: bool
    at_edge: bool
    tried: int
    best_asr: float


def means(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean ASR and KL of each strength and scale over the runs that choose.

    Args:
        runs: a row for each run and scale, with ``strength`` (NaN for a method without a grid), ``scale``,
            ``asr`` and ``kl`` as measured on ``selection``.

    Returns:
        A row for each strength and scale, ascending; an undefined ASR counts as 0.
    """
    runs = runs.assign(asr=runs["asr"].astype(float).fillna(0.0))
    return runs.groupby(["strength", "scale"], dropna=False, as_index=False)[["asr", "kl"]].mean()


def choose(tried: pd.DataFrame, target_asr: float) -> Choice:
    """The pair of strength and scale of least KL that reaches the target; if none does, the pair of highest ASR.

    Args:
        tried: the frame that ``means`` returns, with at least one row.
        target_asr: the ASR to reach.
    """
    reaching = tried[tried["asr"] >= target_asr]
    index = reaching["kl"].argmin() if len(reaching) else tried["asr"].argmax()
    best = (reaching if len(reaching) else tried).iloc[int(index)]
    strength = None if math.isnan(best["strength"]) else float(best["strength"])
    return Choice(
        strength=strength,
        scale=float(best["scale"]),
        reached=len(reaching) > 0,
        at_edge=strength in (tried["strength"].min(), tried["strength"].max()),
        tried=len(tried),
        best_asr=float(tried["asr"].max()),
    )


def extension(tried: pd.DataFrame, ratio: float, target_asr: float) -> float | None:
    """The next strength to try while the best lies at the edge of a geometric grid; None if it does not."""
    best = choose(tried, target_asr).strength
    if best is None:
        return None
    if best == tried["strength"].max():
        return _rounded(best * ratio)
    if best == tried["strength"].min():
        return _rounded(best / ratio)
    return None


def _rounded(strength: float) -> float:
    """The strength without the last bits of its arithmetic, which would show in tables and identities."""
    return float(f"{strength:.6g}")
