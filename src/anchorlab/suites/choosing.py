"""What was tried for a method and what is tried next, from the runs on ``selection`` that are done."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from anchorlab.errors import AnchorlabError
from anchorlab.methods import METHODS
from anchorlab.settings import strength_value
from anchorlab.suites.cells import InjectionCell
from anchorlab.suites.parts import MethodSpec, has_whole_strength
from anchorlab.suites.search import FURTHER, Grid, neighbours, next_steps
from anchorlab.suites.selection import Choice, RateChoice, Tried, best_of, choose, summarised
from anchorlab.suites.store import Store

#: Where a search of a number of parameters begins: at this share of them.
_SHARE = 1 / 16


@dataclass
class Trials:
    """The runs that judge strengths, and what they found.

    Attributes:
        store: the store of the suite's folder.
        cells_at: a strength to the runs that judge it; None stands for a method without one to choose.
        untrained: whether a reference is not trained yet.
        cells: every run that was asked for so far, by its identity.
    """

    store: Store
    cells_at: Callable[[float | None], list[InjectionCell]]
    untrained: bool = False
    cells: dict[str, InjectionCell] = field(default_factory=dict)

    def judged(self, strength: float | None) -> list[Tried] | None:
        """What was measured at a strength, by scale; nothing if a run failed, None if one is not done yet."""
        cells = self.cells_at(strength)
        self.cells |= {cell.identity: cell for cell in cells}
        rows = self.rows(cells)
        if rows is None or self.untrained:
            return None
        return summarised(cells[0].strength, [row for of_cell in rows for row in of_cell]) if rows else []

    def rows(self, cells: Sequence[InjectionCell]) -> list[list[dict[str, Any]]] | None:
        """The rows of each run; nothing if one failed, None if one is neither done nor failed."""
        found = [(cell, self.store.result(cell)) for cell in cells]
        if any(rows is None and not self.store.failed(cell) for cell, rows in found):
            return None
        done = [rows for _, rows in found if rows is not None]
        return done if len(done) == len(found) else []

    def effort(self, cells: Sequence[InjectionCell]) -> tuple[int, float]:
        """How many of these runs are done, and the seconds that they took to tune."""
        done = [result for cell in cells for result in (self.store.result(cell),) if result]
        return len(done), sum(float(rows[0].get("seconds") or 0.0) for rows in done)

    def choice(self, tried: Sequence[Tried], target_asr: float, strengths: Sequence[float | None]) -> Choice:
        """The choice among what was tried, with its effort."""
        runs, seconds = self.effort([cell for strength in strengths for cell in self.cells_at(strength)])
        return dataclasses.replace(choose(tried, target_asr), runs=runs, seconds=seconds)


def choose_from(trials: Trials, strengths: Sequence[float | None], targets: Sequence[float]) -> list[Choice] | None:
    """The choice for each target among given strengths; None while a run is not done."""
    judged = [trials.judged(strength) for strength in strengths]
    if None in judged:
        return None
    tried = [each for of_strength in judged for each in of_strength or []]
    return [trials.choice(tried, target, strengths) for target in targets]


def search(trials: Trials, grid: Grid, targets: Sequence[float], tries: int) -> list[Choice] | None:
    """The choice for each target by a search; None while it goes on.

    Args:
        trials: gets the runs that are needed next, of all targets at once.
        grid: the strengths that there are.
        targets: ASRs to reach.
        tries: most strengths for a target, without the neighbours of the answer.
    """
    found = [_search(trials, grid, target, tries) for target in targets]
    choices = [choice for choice in found if choice is not None]
    return choices if len(choices) == len(found) else None


def _search(trials: Trials, grid: Grid, target_asr: float, tries: int) -> Choice | None:
    outcomes: dict[int, float | None] = {}
    tried: list[Tried] = []
    while len(outcomes) < tries + FURTHER:
        left = tries - len(outcomes)
        steps = next_steps(outcomes, grid.bounds)[:left] if left > 0 else neighbours(outcomes, grid.bounds)[:FURTHER]
        found = {step: trials.judged(grid.strength(step)) for step in steps}
        if not steps:
            break
        for step, judged in found.items():
            if judged is None:
                return None
            best = best_of(judged, target_asr) if judged else None
            outcomes[step] = best.kl if best is not None and best.reaches(target_asr) else None
            tried += judged
    return trials.choice(tried, target_asr, [grid.strength(step) for step in outcomes])


def choose_rate(by_rate: dict[float, Trials], strength: float | None, target_asr: float) -> RateChoice | None:
    """The learning rate of least KL among those that reach the target, or else of the highest least ASR.

    Args:
        by_rate: a learning rate to the trials with it.
        strength: the one that all rates are tried at.
        target_asr: the ASR to reach.

    Returns:
        The choice; None while a run is not done. The first rate if every run failed.
    """
    judged = {rate: trials.judged(strength) for rate, trials in by_rate.items()}
    if None in judged.values():
        return None
    best = {rate: best_of(of_rate, target_asr) for rate, of_rate in judged.items() if of_rate}
    chosen = best_of(list(best.values()), target_asr) if best else None
    effort = [trials.effort(trials.cells_at(strength)) for trials in by_rate.values()]
    return RateChoice(
        learning_rate=next((rate for rate, each in best.items() if each is chosen), next(iter(by_rate))),
        strength=strength if chosen is None else chosen.strength,
        reached=chosen is not None and chosen.reaches(target_asr),
        runs=sum(runs for runs, _ in effort),
        seconds=sum(seconds for _, seconds in effort),
        tried={rate: (each.asr, each.kl) for rate, each in best.items()},
    )


def grid_of(method: MethodSpec, parameters: Callable[[], int | None]) -> Grid:
    """The strengths that a search of a method may try.

    Args:
        method: a method with a strength.
        parameters: gives the number of the model's parameters, for a method whose strength counts them; None if it
            cannot be read.
    """
    built = METHODS.build(method.method, method.set)
    most = parameters() if built.counts_parameters else None
    if method.start is not None:
        start = method.start
    elif most is not None:
        start = float(f"{max(1, most * _SHARE):.3g}")
    else:
        start = strength_value(built, built.active_strength_name) or 1.0

    def possible(strength: float) -> bool:
        try:
            METHODS.build(method.method, method.parameters(strength))
        except AnchorlabError:
            return False
        return strength > 0 and (most is None or strength <= most)

    return Grid(start, built.larger_is_stricter, has_whole_strength(built), possible)


def first_strength(method: MethodSpec, parameters: Callable[[], int | None]) -> float | None:
    """The strength that learning rates are tried at: the middle of the grid, or where the search begins."""
    if method.grid:
        return method.grid[len(method.grid) // 2]
    return grid_of(method, parameters).strength(0) if method.searched else None
