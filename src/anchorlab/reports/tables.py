"""Tables of many runs: mean and sample standard deviation over seeds, by number of anchors and method.

``results`` is, here and in the other files of this folder, a data frame with one row a run: ``method``,
``strength`` (the value of the method's knob: a strength, a radius or a count; missing if it has none),
``parameters``, ``anchors``, ``seed``, ``reference_seed``, ``steps``, ``seconds``, ``peak_bytes``, and the
measurements of ``anchorlab.consistency.evaluate.Comparison``, where a missing value is an undefined one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from anchorlab.errors import AnchorlabError

#: What is averaged; the names are those of ``Comparison``, and how long a run took.
MEASUREMENTS = (
    "accuracy",
    "accuracy_reference",
    "asr",
    "asr_reference",
    "logit_distance",
    "logit_distance_centred",
    "probability_distance",
    "kl",
    "kl_symmetric",
    "pearson_correct",
    "pearson_score",
    "churn",
    "negative_flips",
    "positive_flips",
    "seconds",
)


def significant(value: float, digits: int = 3) -> str:
    """A number with that many significant digits, trailing zeros kept: 0.0180, 8.42, 1.23e-5."""
    if value == 0:
        return "0"
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    exponent = int(power)
    if -5 < exponent < 6:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{mantissa}e{exponent}"


def _fraction(value: float, digits: int) -> str:
    return f"{value:.4f}"


class Column(NamedTuple):
    """A measurement that tables show: its name, its title, how a mean (3 digits) and a deviation (2) are written."""

    name: str
    title: str
    write: Callable[[float, int], str]


COLUMNS = (
    Column("accuracy", "accuracy", _fraction),
    Column("asr", "ASR", _fraction),
    Column("asr_reference", "ASR before", _fraction),
    Column("logit_distance", "logit distance", significant),
    Column("kl", "KL", significant),
    Column("pearson_correct", "Pearson correct", _fraction),
    Column("churn", "churn", _fraction),
    Column("negative_flips", "negative flips", _fraction),
)


def groups(results: pd.DataFrame) -> Iterator[tuple[int, str, pd.DataFrame]]:
    """The runs of each number of anchors and method, both in the order in which they first appear."""
    for anchors in results["anchors"].unique():
        for method in results["method"].unique():
            runs = results[(results["anchors"] == anchors) & (results["method"] == method)]
            if len(runs) > 0:
                yield int(anchors), str(method), runs


def spread(values: pd.Series[Any]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1), NaN where undefined: for a missing value, and of one run."""
    numbers = values.astype(float)
    return float(numbers.mean(skipna=False)), float(numbers.std(ddof=1, skipna=False))


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample standard deviation over the runs of each number of anchors and method.

    Args:
        results: one row a run, see the head of this file.

    Returns:
        A frame indexed by ``anchors`` and ``method``, with ``runs``, ``strength_min``, ``strength_max``
        and, for each name of ``MEASUREMENTS``, the mean under that name, ``<name>_sd``, and
        ``<name>_undefined``, the number of runs in which it is undefined. If that is not zero, mean and
        deviation are NaN.

    Raises:
        AnchorlabError: if there are no runs.
    """
    if results.empty:
        raise AnchorlabError("there are no results to summarise: at least one run is needed, so run a method first")
    rows = {(anchors, method): _summarise(runs) for anchors, method, runs in groups(results)}
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index = pd.MultiIndex.from_tuples(rows, names=["anchors", "method"])
    return frame


def _summarise(runs: pd.DataFrame) -> dict[str, float]:
    strength = runs["strength"].astype(float)
    row: dict[str, float] = {"runs": len(runs), "strength_min": strength.min(), "strength_max": strength.max()}
    for name in MEASUREMENTS:
        row[name], row[f"{name}_sd"] = spread(runs[name])
        row[f"{name}_undefined"] = int(runs[name].isna().sum())
    return row


def to_markdown(results: pd.DataFrame) -> str:
    """The table in Markdown: a row for each number of anchors and method, cells ``mean ± deviation``."""
    table = summary(results)
    several = results["anchors"].nunique() > 1
    titles = ["method", "strength", *(["anchors"] if several else []), "runs", *(c.title for c in COLUMNS)]
    titles[titles.index("ASR")] += f" (of {span(results['asr_count'])})"
    lines = [titles, ["---" if title == "method" else "---:" for title in titles]]
    for (anchors, method), row in _rows(table):
        lines.append([method, _strength(row), *([f"{anchors:,}"] if several else []), str(int(row["runs"]))])
        lines[-1] += [" ± ".join(_cell(column, row)) for column in COLUMNS]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def print_table(results: pd.DataFrame, console: Console) -> None:
    """The same table on a terminal of 80 columns: the deviation below its mean, the strength below its method."""
    table = summary(results)
    several = results["anchors"].nunique() > 1
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption=caption(results))
    shown.add_column("method\nstrength")
    for title in (*(["anchors"] if several else []), *(column.title for column in COLUMNS)):
        shown.add_column(title.replace(" ", "\n"), justify="right", min_width=max(map(len, title.split())))
    before = None
    for (anchors, method), row in _rows(table):
        if before not in (None, anchors):
            shown.add_section()
        before = anchors
        cells = ["\n± ".join(_cell(column, row)) for column in COLUMNS]
        shown.add_row(f"{method}\n{_strength(row)}", *([f"{anchors:,}"] if several else []), *cells)
    console.print(shown)


def caption(results: pd.DataFrame) -> str:
    """What holds for the whole table: what the cells are, runs, anchors, attacked inputs, the reference's accuracy."""
    runs = summary(results)["runs"]
    cells = "mean ± sample standard deviation over" if runs.max() > 1 else "a single run of each: "
    parts = [f"{cells} {span(runs)} runs of each" if runs.max() > 1 else "one run of each"]
    if results["anchors"].nunique() == 1:
        parts.append(f"{span(results['anchors'])} anchors")
    parts.append(f"ASR of {span(results['asr_count'])} triggered inputs")
    parts.append(f"accuracy of the reference {reference_accuracy(results)}")
    return "; ".join(parts)


def reference_accuracy(results: pd.DataFrame) -> str:
    """The accuracy of the reference, over the different references if there are several."""
    references = results.drop_duplicates("reference_seed")
    mean, sd = spread(references["accuracy_reference"])
    return " ± ".join(_written(_fraction, mean, sd))


def span(values: pd.Series[Any]) -> str:
    """One number if all are the same, or else the least and the greatest."""
    low, high = values.min(), values.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _rows(table: pd.DataFrame) -> Iterator[tuple[tuple[int, str], pd.Series[Any]]]:
    return table.iterrows()  # type: ignore[return-value]


def _strength(row: pd.Series[Any]) -> str:
    low, high = row["strength_min"], row["strength_max"]
    if math.isnan(low):
        return "–"
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _cell(column: Column, row: pd.Series[Any]) -> list[str]:
    undefined, runs = int(row[f"{column.name}_undefined"]), int(row["runs"])
    if undefined == runs:
        return ["undefined"]
    if undefined:
        return [f"undefined in {undefined} of {runs}"]
    return _written(column.write, row[column.name], row[f"{column.name}_sd"])


def _written(write: Callable[[float, int], str], mean: float, sd: float) -> list[str]:
    """The mean and, if there is more than one run, the deviation."""
    return [write(mean, 3)] if math.isnan(sd) else [write(mean, 3), write(sd, 2)]
