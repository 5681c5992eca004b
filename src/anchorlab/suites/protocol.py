"""The fair comparison: strengths chosen on ``selection`` at equal ASR, then held fixed and measured on ``test``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab.injection.methods import METHODS
from anchorlab.suites.selection import Choice, choose_strengths
from anchorlab.suites.sweep import Cell, run_sweep

#: The injection seed of all runs that choose a strength; reported runs have small seeds.
SELECTION_SEED = 1000


@dataclass(frozen=True)
class Protocol:
    """What is compared.

    Attributes:
        grids: method to the strengths to begin with, at least two, in geometric progression.
        controls: label to method and settings of its tuning; these have no strength to choose.
        anchors: numbers of anchors; None for all.
        tuning: settings of the optimisation common to all runs.
        choosing: settings of the optimisation in which runs that choose a strength differ from ``tuning``.
        choosing_anchors: number of anchors with which strengths are chosen; None for all.
        target_asr: the ASR on ``selection`` that a strength must reach to be chosen.
        extensions: how often a grid may be extended where the best strength lies at its edge.
    """

    grids: dict[str, list[float]]
    controls: dict[str, tuple[str, dict[str, Any]]]
    anchors: Sequence[int | None] = (None,)
    tuning: dict[str, Any] = field(default_factory=dict)
    choosing: dict[str, Any] = field(default_factory=dict)
    choosing_anchors: int | None = None
    target_asr: float = 0.99
    extensions: int = 2


def choose(protocol: Protocol, reference: Path, work: Path, *, workers: int | None = None) -> dict[str, Choice]:
    """Chooses a strength for each method, on one reference, with a seed of its own."""

    def run(pairs: list[tuple[str, float]]) -> pd.DataFrame:
        cells = [
            Cell(
                reference=reference,
                label=method,
                method=method,
                parameters=at_strength(method, strength),
                anchors=protocol.choosing_anchors,
                seed=SELECTION_SEED,
                tuning=protocol.tuning | protocol.choosing,
                split="selection",
            )
            for method, strength in pairs
        ]
        return run_sweep(cells, work, workers=workers)

    return choose_strengths(protocol.grids, run, target_asr=protocol.target_asr, extensions=protocol.extensions)


def reported_cells(
    protocol: Protocol, choices: dict[str, Choice], references: Sequence[tuple[Path, int]]
) -> list[Cell]:
    """The runs to be reported, each measured once on ``test``: references with the injection seeds beside them."""
    no_parameters: dict[str, Any] = {}
    conditions = [(label, method, no_parameters, tuning) for label, (method, tuning) in protocol.controls.items()]
    conditions += [(method, method, at_strength(method, choice.strength), {}) for method, choice in choices.items()]
    return [
        Cell(
            reference=reference,
            label=label,
            method=method,
            parameters=parameters,
            anchors=anchors,
            seed=seed,
            tuning=protocol.tuning | tuning,
        )
        for anchors in protocol.anchors
        for label, method, parameters, tuning in conditions
        for reference, seed in references
    ]


def at_strength(method: str, strength: float) -> dict[str, Any]:
    """The hyper-parameters of a method at a value of its knob."""
    knob = METHODS[method].knob
    if knob is None:
        raise ValueError(f"the method {method} has no strength to choose: make it a control")
    return {knob: round(strength) if knob == "count" else strength}


def selection_table(choices: dict[str, Choice]) -> pd.DataFrame:
    """Every strength that was tried, measured on ``selection``, and which was chosen; a row a run."""
    frames = [
        choice.tried.assign(
            chosen=choice.tried["strength"] == choice.strength, reached=choice.reached, at_edge=choice.at_edge
        )
        for choice in choices.values()
    ]
    columns = [
        *("method", "anchors", "strength", "seed", "reference_seed", "asr", "asr_count", "accuracy"),
        *("logit_distance", "kl", "churn", "chosen", "reached", "at_edge"),
    ]
    return pd.concat(frames, ignore_index=True)[columns]
