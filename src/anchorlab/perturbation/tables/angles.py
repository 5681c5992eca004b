"""Angles between the perturbations of parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import pandas as pd

from anchorlab.perturbation.context import Context
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Cost, Kinds
from anchorlab.perturbation.tables.sizes import WHOLE
from anchorlab.perturbation.weights import cosines
from anchorlab.perturbation.wording import rows_where


def _parts(context: Context) -> Iterator[Part]:
    if len(context.moving) > 1:
        yield context.part("angles", context.moving, partial(_measure, context))


def _measure(context: Context, _tick: Tick) -> Tables:
    names = context.moving
    matrix = cosines([context.perturbations[name] for name in names]).tolist()
    rows = [
        {
            "candidate": name,
            "other": other,
            "cosine": matrix[i][j],
            "degrees": math.degrees(math.acos(matrix[i][j])),
        }
        for i, name in enumerate(names)
        for j, other in enumerate(names)
        if i != j
    ]
    return {"angles": pd.DataFrame(rows)}


def _findings(tables: Mapping[str, pd.DataFrame], kinds: Kinds) -> Iterator[str]:
    """Against plain tuning: is a perturbation shorter, or does it point elsewhere?"""
    plain = next((name for name, kind in kinds.items() if kind == "plain"), None)
    if plain is None:
        return
    lengths = {row["candidate"]: row["l2"] for row in rows_where(tables["sizes"], layer=WHOLE)}
    comparisons = [
        f"{row['candidate']}'s is {lengths[row['candidate']] / lengths[plain]:.2f} times as long and turned by "
        f"{row['degrees']:.0f}°"
        for row in rows_where(tables["angles"], other=plain)
    ]
    if comparisons:
        yield f"Against the change of {plain}, {'; '.join(comparisons)}."


ANGLES = AnalysisTable(
    name="angles",
    description="angles between the perturbations",
    columns=[
        AnalysisColumn("other", "another candidate; each pair stands both ways"),
        AnalysisColumn("cosine", "of the angle"),
        AnalysisColumn("degrees", "the angle"),
    ],
    cost=Cost.WEIGHTS,
    parts=_parts,
    findings=_findings,
    in_page=False,
)
