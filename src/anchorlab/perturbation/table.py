"""What a table of an analysis is: one record holds all that concerns it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import pandas as pd

from anchorlab.perturbation.context import Context
from anchorlab.perturbation.parts import Part, Tables

#: What each candidate is, by its name: its method, or what its manifest says it is; empty without a manifest.
Kinds = Mapping[str, str]


class Cost(IntEnum):
    """What measuring costs. A budget goes to the cheap parts first."""

    WEIGHTS = 0
    """Arithmetic on the weights alone."""
    PASSES = 1
    """A few passes over the clean examples."""
    PATH = 2
    """Passes at every point of a path."""
    SECOND_DERIVATIVE = 3
    """One second derivative for each example."""
    HESSIAN_PRODUCTS = 4
    """Many Hessian-vector products."""
    GRID = 5
    """Passes at every place of a grid."""


@dataclass(frozen=True)
class AnalysisColumn:
    """A column of a table.

    Attributes:
        name: its name in the table and in CSV files.
        description: what it holds, with its unit.
        title: its heading on pages; empty where the name says enough.
        has_interval: whether ``NAME_lower`` and ``NAME_upper`` follow, the ends of the 95% interval.
    """

    name: str
    description: str
    title: str = ""
    has_interval: bool = False


@dataclass(frozen=True)
class AnalysisTable:
    """A table of an analysis.

    Attributes:
        name: of the table, and of its files.
        description: what it holds, without a capital letter or a full stop.
        columns: in their order; ``candidate``, which begins most tables, is not among them.
        has_candidate: whether the first column is ``candidate``.
        cost: of its parts.
        parts: what to measure. A part may fill several tables; then it belongs to the record of one of them.
        recorded: rows that need no measuring, because the candidates' manifests have them.
        complete: the table with the columns that follow from other tables; called when everything is measured.
        findings: what can be read off, a sentence each; takes all tables, some of which may have no rows.
        in_page: whether the page shows it; otherwise it is a file beside the page only.
    """

    name: str
    description: str
    columns: Sequence[AnalysisColumn]
    has_candidate: bool = True
    cost: Cost = Cost.PASSES
    parts: Callable[[Context], Iterable[Part]] = lambda _context: ()
    recorded: Callable[[Context], pd.DataFrame] = lambda _context: pd.DataFrame()
    complete: Callable[[Tables], pd.DataFrame] | None = None
    findings: Callable[[Mapping[str, pd.DataFrame], Kinds], Iterable[str]] = lambda _tables, _kinds: ()
    in_page: bool = True


def with_candidate(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table with the candidate's name before each row."""
    table.insert(0, "candidate", name)
    return table
