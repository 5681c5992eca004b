"""How much the outcome of each repair depends on its settings, as a table."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from anchorlab.reports.suite.repairs import split_into_parts
from anchorlab.statistics.numbers import fraction
from anchorlab.statistics.spread import mean_absolute_difference
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults

#: Measurements, with the heading of each.
_MEASURED = {"asr": "ASR left", "accuracy": "accuracy"}


def stability_tables(results: SuiteResults) -> Iterator[Table]:
    """One table: a row for each repair and method; none where no repair was repeated with other settings."""
    frame = results.stability
    if not len(frame):
        return
    groups = [
        Rows([_row(str(repair), str(method), runs) for (repair, method), runs in each], title)
        for title, part in split_into_parts(frame, ["task", "trigger", "defender"])
        if (each := list(part.groupby(["defence", "method"], sort=False)))
    ]
    yield Table(
        name="stability",
        caption="Stability: how much what a repair leaves depends on its settings, on the first reference.",
        head="repair",
        columns=[
            Column("settings", "settings"),
            *(
                column
                for name, heading in _MEASURED.items()
                for column in (
                    Column(name, heading, "as it is"),
                    Column(f"{name}_difference", "difference", "mean absolute", f"Of two settings, in the {heading}."),
                )
            ),
        ],
        groups=groups,
        notes=[
            "Each repair was repeated with other values of its main settings, one at a time. The difference is what "
            "two of these settings differ by on average, with the range of all. It is of one reference and one seed, "
            "and has no interval.",
            *(f"{repair}: {', '.join(_settings(runs))}." for repair, runs in frame.groupby("defence", sort=False)),
        ],
    )


def _settings(runs: pd.DataFrame) -> list[str]:
    return [str(setting) for setting in dict.fromkeys(runs["setting"]) if setting]


def _row(repair: str, method: str, runs: pd.DataFrame) -> Row:
    each = runs.drop_duplicates("identity")
    cells = [Cell(f"{len(each)}", len(each))]
    for name in _MEASURED:
        own = each.loc[each["setting"] == "", name].dropna()
        cells.append(Cell(fraction(own.iloc[0]), float(own.iloc[0])) if len(own) else NONE)
        cells.append(_difference([float(value) for value in each[name].dropna()]))
    return Row(repair, cells, sub=method)


def _difference(values: list[float]) -> Cell:
    difference = mean_absolute_difference(values)
    if difference is None:
        return NONE
    return Cell(fraction(difference), difference, note=f"{fraction(min(values))} to {fraction(max(values))}")
