"""How older versions chose strengths: read in their folders, so that their reports stay, and never run again.

They took the mean ASR and KL over runs on the first reported references, and extended a grid where the best lay at its
edge. A suite that runs again chooses by the rule of ``selection`` and writes that into its folder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from anchorlab.errors import AnchorlabError
from anchorlab.methods import METHODS
from anchorlab.suites.choosing import Trials
from anchorlab.suites.parts import MethodSpec
from anchorlab.suites.selection import Choice


@dataclass(frozen=True)
class FormerChoice:
    """What an older suite file says of choosing.

    Attributes:
        references: number of the reported references that took part, from the first on; None for all.
        seeds: injection seeds of the runs that chose.
        extensions: how often a grid was extended by one value.
    """

    references: int | None
    seeds: tuple[int, ...]
    extensions: int


def former_choice(text: str) -> FormerChoice | None:
    """What the suite file of a folder says, if an older version wrote it; None for one of this version."""
    values = yaml.safe_load(text)
    selection: Mapping[str, Any] = (values.get("selection") if isinstance(values, dict) else None) or {}
    references = selection.get("references")
    if isinstance(references, list):
        return None
    return FormerChoice(references, tuple(selection.get("seeds", (1000,))), selection.get("extensions", 2))


def choose_formerly(
    trials: Trials, method: MethodSpec, targets: Sequence[float], extensions: int
) -> list[Choice] | None:
    """The choice for each target, as far as its runs are there; None if a run of the grid is missing."""
    grid: list[float | None] = [*method.grid] or [None]
    judged = {strength: trials.judged(strength) for strength in grid}
    if None in judged.values():
        return None
    further = [strength for strength in _extended(method, extensions) if trials.rows(trials.cells_at(strength))]
    tried = []
    for strength in [*grid, *further]:
        cells = trials.cells_at(strength)
        trials.cells |= {cell.identity: cell for cell in cells}
        rows = trials.rows(cells) or []
        tried += _means(cells[0].strength if cells else None, [row for of_cell in rows for row in of_cell])
    runs, seconds = trials.effort(list(trials.cells.values()))
    return [replace(_choose(tried, target), runs=runs, seconds=seconds) for target in targets]


def _extended(method: MethodSpec, extensions: int) -> list[float]:
    """The strengths beyond a grid that may have been tried."""
    if not method.grid:
        return []
    ratio, lowest, highest = method.grid[1] / method.grid[0], method.grid[0], method.grid[-1]
    found = []
    for _ in range(extensions):
        lowest, highest = float(f"{lowest / ratio:.6g}"), float(f"{highest * ratio:.6g}")
        for strength in (lowest, highest):
            try:
                METHODS.build(method.method, method.parameters(strength))
            except AnchorlabError:
                continue
            found.append(strength)
    return found


def _means(strength: float | None, rows: Sequence[Mapping[str, Any]]) -> list[tuple[float | None, float, float, float]]:
    """Strength, scale, mean ASR and mean KL of each scale; an undefined ASR counts as 0."""
    by_scale: dict[float, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_scale.setdefault(row["scale"], []).append(row)

    def mean(of_scale: Sequence[Mapping[str, Any]], key: str) -> float:
        return sum(float(row[key] or 0.0) for row in of_scale) / len(of_scale)

    return [(strength, scale, mean(of, "asr"), mean(of, "kl")) for scale, of in sorted(by_scale.items())]


def _choose(tried: Sequence[tuple[float | None, float, float, float]], target_asr: float) -> Choice:
    """The pair of strength and scale of least mean KL whose mean ASR reaches the target, or else of highest ASR."""
    if not tried:
        return Choice(None, 1.0, reached=False, at_edge=False, tried=0, best_asr=math.nan)
    reaching = [each for each in tried if each[2] >= target_asr]
    strength, scale, _, _ = (
        min(reaching, key=lambda each: each[3]) if reaching else max(tried, key=lambda each: each[2])
    )
    strengths = [each[0] for each in tried if each[0] is not None]
    return Choice(
        strength=strength,
        scale=scale,
        reached=bool(reaching),
        at_edge=strength is not None and strength in (min(strengths), max(strengths)),
        tried=len(tried),
        best_asr=max(each[2] for each in tried),
    )
