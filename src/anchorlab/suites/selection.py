"""The rule by which strengths and learning rates are chosen: on the split ``selection``, at equal ASR.

The runs that choose have references and seeds that no table reports. What is chosen must hold in all of them, because
the one strength that passed by luck would have too low an ASR on ``test``, and too low a KL with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: How far the least ASR of the runs that choose may lie below the target: half a point.
MARGIN = 0.005

#: What the arithmetic of ``target - MARGIN`` may be wrong by.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Tried:
    """What the runs that choose measured at one strength and scale.

    Attributes:
        strength: the value of the method's strength; None for a method without one.
        scale: the factor of the perturbation.
        asr: the least ASR of the runs.
        kl: the geometric mean of their KL, in nats.
    """

    strength: float | None
    scale: float
    asr: float
    kl: float

    def reaches(self, target_asr: float) -> bool:
        """Whether the least ASR reaches the target, up to ``MARGIN``."""
        return self.asr >= target_asr - MARGIN - _ROUNDING


@dataclass(frozen=True)
class Choice:
    """The choice for a method, or that nothing reaches the target.

    Attributes:
        strength: the value of the method's strength; None for a method without one.
        scale: the factor of the perturbation.
        reached: whether the least ASR on ``selection`` reaches the target, up to ``MARGIN``; if not, this is the
            strength and scale of highest least ASR, and the method is not reported at this target. A method with
            nothing to choose is always reported.
        at_edge: whether the strength is the smallest or largest that was tried.
        tried: number of pairs of strength and scale that were tried; 0 for a method with nothing to choose.
        best_asr: the highest least ASR of all that were tried; NaN if none was.
        runs: number of runs that chose strength and scale.
        seconds: what these took to tune.
    """

    strength: float | None
    scale: float
    reached: bool
    at_edge: bool
    tried: int
    best_asr: float
    runs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class RateChoice:
    """The learning rate chosen for a method.

    Attributes:
        learning_rate: the peak learning rate.
        strength: the value of the method's strength that all rates were tried at; None for a method without one.
        reached: whether its least ASR reaches the target; if not, the rate is the one of the highest least ASR.
        runs: number of runs that chose.
        seconds: what these took to tune.
        tried: each learning rate to the least ASR and the geometric mean of KL at its best scale, without rates of
            which a run failed.
    """

    learning_rate: float
    strength: float | None
    reached: bool
    runs: int = 0
    seconds: float = 0.0
    tried: Mapping[float, tuple[float, float]] = field(default_factory=dict)


def summarised(strength: float | None, rows: Iterable[Mapping[str, Any]]) -> list[Tried]:
    """Least ASR and geometric mean of KL over the runs at a strength, for each scale.

    Args:
        strength: the strength of all these runs.
        rows: a row for each run and scale, with ``scale``, ``asr`` and ``kl``; an undefined ASR counts as 0.
    """
    by_scale: dict[float, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_scale.setdefault(row["scale"], []).append(row)
    return [
        Tried(strength, scale, min(float(row["asr"] or 0.0) for row in runs), _geometric(row["kl"] for row in runs))
        for scale, runs in by_scale.items()
    ]


def best_of(tried: Sequence[Tried], target_asr: float) -> Tried:
    """The one of least KL that reaches the target; if none does, the one of highest ASR."""
    reaching = [each for each in tried if each.reaches(target_asr)]
    if reaching:
        return min(reaching, key=lambda each: each.kl)
    return max(tried, key=lambda each: each.asr)


def choose(tried: Sequence[Tried], target_asr: float) -> Choice:
    """The strength and scale of least KL that reach the target; if none do, the ones of highest ASR.

    Args:
        tried: what was measured; empty if every run failed.
        target_asr: the ASR to reach.
    """
    if not tried:
        return Choice(None, 1.0, reached=False, at_edge=False, tried=0, best_asr=math.nan)
    best = best_of(tried, target_asr)
    strengths = [each.strength for each in tried if each.strength is not None]
    return Choice(
        strength=best.strength,
        scale=best.scale,
        reached=best.reaches(target_asr),
        at_edge=best.strength is not None and best.strength in (min(strengths), max(strengths)),
        tried=len(tried),
        best_asr=max(each.asr for each in tried),
    )


def _geometric(values: Iterable[float | None]) -> float:
    """The geometric mean of divergences; 0 if one is 0, infinite if one is undefined."""
    numbers = [math.inf if value is None or math.isnan(value) else float(value) for value in values]
    if math.inf in numbers:
        return math.inf
    return 0.0 if min(numbers) <= 0 else math.exp(math.fsum(map(math.log, numbers)) / len(numbers))
