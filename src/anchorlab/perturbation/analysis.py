"""What an analysis measured: tables of numbers, and what can be read off them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from anchorlab.errors import AnchorlabError, printable, unknown
from anchorlab.perturbation.summary import summary_table
from anchorlab.statistics.escaping import html, plotted
from anchorlab.statistics.plotting import COLOURS, shown_figure
from anchorlab.statistics.table import to_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Version of ``to_dict``, which pages store as ``analysis.json``.
FORMAT = 1


@dataclass(frozen=True, repr=False)
class Analysis:
    """What ``analyze`` measured.

    Every table is tidy: a row a thing measured. Where a value has a 95% interval, its ends stand beside it in the
    columns ``NAME_lower`` and ``NAME_upper``. ``candidate`` is a candidate's name. Rates are fractions. An undefined
    value is NaN. A table that was not measured has no rows; ``left_out`` says why. The tables and their columns are
    described at the end of docs/perturbation.md, which is made from ``anchorlab.perturbation.tables.TABLES``.

    Attributes:
        reference: name of the reference.
        candidates: their names, in the order given.
        kinds: what each candidate is, by name: its method, or what its manifest says it is; empty if it has none.
        task: name of the task.
        split: the split measured on.
        count: number of clean examples.
        parameters: number of parameters of a model.
        buffers_left_out: names of the integer buffers, which only count.
        settings: everything that was set, as JSON values.
        tables: the tables by name; each name of ``TABLES`` is there.
        findings: what can be read off, a sentence each.
        left_out: what was not measured and why, a sentence each.
    """

    reference: str
    candidates: tuple[str, ...]
    kinds: Mapping[str, str]
    task: str
    split: str
    count: int
    parameters: int
    buffers_left_out: tuple[str, ...]
    settings: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    findings: tuple[str, ...]
    left_out: tuple[str, ...]

    def __repr__(self) -> str:
        names = ", ".join(self.candidates)
        return printable(
            f"Analysis({names} against {self.reference}: {self.task}, {self.count} examples of {self.split})"
        )

    def table(self, name: str = "sizes") -> pd.DataFrame:
        """One of the tables, a copy; ``tables`` has all of them.

        Args:
            name: as in docs/perturbation.md.

        Raises:
            AnchorlabError: for a name that is none.
        """
        if name not in self.tables:
            raise unknown("table of an analysis", name, self.tables)
        return self.tables[name].copy()

    def plot(self, value: str = "loss") -> Figure:
        """What happens on the straight line from the reference through each candidate; a notebook shows the figure.

        Args:
            value: a column of the table ``paths``, such as loss, accuracy, kl or asr.

        Raises:
            AnchorlabError: if the paths were not measured, or have no such column.
        """
        paths = self.tables["paths"]
        if paths.empty:
            raise AnchorlabError("this analysis measured no paths to plot: read table() instead, or analyze again")
        if value not in paths:
            raise unknown("column of the table paths", value, paths.columns)
        with shown_figure(6.0, 3.2) as figure:
            axis = figure.subplots()
            for number, (name, rows) in enumerate(paths[paths["buffers"] == "stored"].groupby("candidate", sort=False)):
                colour, line = COLOURS[number % len(COLOURS)], "-" if number < len(COLOURS) else "--"
                axis.plot(rows["scale"], rows[value], color=colour, linestyle=line, label=plotted(name))
                if f"{value}_lower" in rows:
                    ends = rows[f"{value}_lower"].astype(float), rows[f"{value}_upper"].astype(float)
                    axis.fill_between(rows["scale"].astype(float), *ends, color=colour, alpha=0.15, linewidth=0)
            axis.set(xlabel="share of the perturbation (0: reference, 1: candidate)", ylabel=value.replace("_", " "))
            axis.legend()
        return figure

    def _repr_html_(self) -> str:
        """The summary and the findings, for notebooks."""
        sentences = "".join(f"<li>{html(sentence)}</li>" for sentence in (*self.findings, *self.left_out))
        return f"{to_html(summary_table(self))}\n<ul>{sentences}</ul>"

    def to_dict(self) -> dict[str, Any]:
        """The analysis without its tables, as JSON values."""
        return {
            "format": FORMAT,
            "reference": self.reference,
            "candidates": list(self.candidates),
            "kinds": dict(self.kinds),
            "task": self.task,
            "split": self.split,
            "count": self.count,
            "parameters": self.parameters,
            "buffers_left_out": list(self.buffers_left_out),
            "settings": dict(self.settings),
            "findings": list(self.findings),
            "left_out": list(self.left_out),
        }
