"""Chooses strengths fairly: on the split ``selection``, with a seed of its own, at equal ASR."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Choice:
    """The strength that was chosen for one method.

    Attributes:
        strength: the value of the method's knob.
        reached: whether the ASR on ``selection`` reached the target; if not, the strength is the one
            with the highest ASR.
        at_edge: whether the strength is still the smallest or largest that was tried.
        tried: a row for each strength that was run, ascending.
    """

    strength: float
    reached: bool
    at_edge: bool
    tried: pd.DataFrame


def best(tried: pd.DataFrame, target_asr: float) -> tuple[float, bool]:
    """Among the strengths that reach the target, the one of least KL; if none does, that of highest ASR.

    Args:
        tried: columns ``strength``, ``asr`` and ``kl``, measured on ``selection``.
        target_asr: the ASR to be reached.

    Returns:
        The strength, and whether the target is reached.
    """
    reaching = tried[tried["asr"] >= target_asr]
    if len(reaching):
        return _strength(reaching, int(reaching["kl"].to_numpy().argmin())), True
    return _strength(tried, int(tried["asr"].to_numpy().argmax())), False


def extension(tried: pd.DataFrame, ratio: float, target_asr: float) -> float | None:
    """The next strength to try while the best lies at the edge of a geometric grid; None if it does not."""
    strength, _ = best(tried, target_asr)
    if strength == tried["strength"].max():
        return strength * ratio
    if strength == tried["strength"].min():
        return strength / ratio
    return None


def choose_strengths(
    grids: dict[Key, list[float]],
    run: Callable[[list[tuple[Key, float]]], pd.DataFrame],
    *,
    target_asr: float,
    extensions: int = 2,
) -> dict[Key, Choice]:
    """Runs a geometric grid of strengths for each method, and extends those whose best lies at an edge.

    Args:
        grids: what is chosen for, for example a method and a number of anchors, to at least two
            strengths in geometric progression.
        run: runs pairs of key and strength, all at once; returns a row for each, in the same order, with
            ``strength``, ``asr`` and ``kl`` as measured on ``selection``.
        target_asr: the ASR to be reached.
        extensions: how often a grid may be extended by one more strength.
    """
    tried: dict[Key, pd.DataFrame] = {}
    pending = [(key, strength) for key, grid in grids.items() for strength in grid]
    for further in range(extensions + 1):
        rows = run(pending)
        for position, (key, _) in enumerate(pending):
            row = rows.iloc[[position]]
            tried[key] = pd.concat([tried[key], row], ignore_index=True) if key in tried else row
        if further == extensions:
            break
        proposals = {key: extension(tried[key], grid[1] / grid[0], target_asr) for key, grid in grids.items()}
        pending = [(key, strength) for key, strength in proposals.items() if strength is not None]
        if not pending:
            break
    return {key: _choice(tried[key], target_asr) for key in grids}


def _choice(tried: pd.DataFrame, target_asr: float) -> Choice:
    strength, reached = best(tried, target_asr)
    edges = (tried["strength"].min(), tried["strength"].max())
    return Choice(strength, reached, strength in edges, tried.sort_values("strength", ignore_index=True))


def _strength(tried: pd.DataFrame, row: int) -> float:
    return float(tried["strength"].to_numpy()[row])
