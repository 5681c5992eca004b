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
from rich.markup import escape
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


def fraction(value: float) -> str:
    """A rate or a correlation with four decimals."""
    return f"{value:.4f}"


def deviation(sd: float, mean: str) -> str:
    """A standard deviation with the decimals of its written mean, or more where it would look like zero."""
    if "e" in mean:
        return significant(sd, 2)
    text = f"{sd:.{len(mean.partition('.')[2])}f}"
    rounding = 1e-12 * abs(float(mean))
    return significant(sd, 1) if float(text) == 0 and sd > rounding else text


class Column(NamedTuple):
    """A measurement that tables show: its name, its title, how a value is written."""

    name: str
    title: str
    write: Callable[[float], str]


COLUMNS = (
    Column("accuracy", "accuracy", fraction),
    Column("asr", "ASR", fraction),
    Column("asr_reference", "ASR before", fraction),
    Column("logit_distance", "logit distance", significant),
    Column("kl", "KL", significant),
    Column("pearson_correct", "Pearson correct", fraction),
    Column("churn", "churn", fraction),
    Column("negative_flips", "negative flips", fraction),
)


def groups(results: pd.DataFrame) -> Iterator[tuple[int, str, pd.DataFrame]]:
    """The runs of each number of anchors and method, both in the order in which they first appear.

    Raises:
        AnchorlabError: if there are no runs.
    """
    if results.empty:
        raise AnchorlabError("there are no results to show: at least one run is needed, so inject a method first")
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
    rows = {(anchors, method): _summarise(runs) for anchors, method, runs in groups(results)}
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index = pd.MultiIndex.from_tuples(rows, names=["anchors", "method"])
    return frame


def _summarise(runs: pd.DataFrame) -> dict[str, float]:
    knob = runs["strength"].astype(float)
    row: dict[str, float] = {"runs": len(runs), "strength_min": knob.min(), "strength_max": knob.max()}
    for name in MEASUREMENTS:
        row[name], row[f"{name}_sd"] = spread(runs[name])
        row[f"{name}_undefined"] = int(runs[name].isna().sum())
    return row


def to_markdown(results: pd.DataFrame) -> str:
    """The table in Markdown: a row for each number of anchors and method, cells ``mean ± deviation``."""
    several = len(results["anchors"].unique()) > 1
    titles = ["method", "strength", *(["anchors"] if several else []), "runs", *(c.title for c in COLUMNS)]
    titles[titles.index("ASR")] += f" (of {span(results['asr_count'])})"
    lines = [titles, ["---" if title == "method" else "---:" for title in titles]]
    for anchors, method, runs in groups(results):
        start = [method, strength(runs), *([f"{anchors:,}"] if several else []), str(len(runs))]
        lines.append(start + [" ± ".join(written(runs[column.name], column.write)) for column in COLUMNS])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def print_table(results: pd.DataFrame, console: Console) -> None:
    """The same on a terminal of 80 columns: a table for each number of anchors, then what holds for all of it.

    Deviations stand below their means, strengths below their methods; the reference's own ASR, the same
    for every method, is left to the caption.
    """
    columns = [column for column in COLUMNS if column.name != "asr_reference"]
    tables: dict[int, Table] = {}
    for anchors, method, runs in groups(results):
        if anchors not in tables:
            tables[anchors] = _empty_table(f"{anchors:,} anchors", columns)
        name = method.replace(" (", "\n(")
        cells = ["\n[dim]±".join(written(runs[column.name], column.write)) for column in columns]
        cells = [cell.replace(" in ", "\n[dim]in ") for cell in cells]
        tables[anchors].add_row(f"{escape(name)}\n[dim]{strength(runs)}", *cells)
    for table in tables.values():
        console.print(table, "")
    console.print(caption(results), highlight=False)


def _empty_table(title: str, columns: list[Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, title=title)
    table.add_column("method\nstrength", no_wrap=True)
    for column in columns:
        table.add_column(column.title.replace(" ", "\n"), justify="right")
    return table


def caption(results: pd.DataFrame) -> str:
    """What holds for the whole table: what its cells are, the attacked inputs, and the reference's own rates."""
    counts = pd.Series([len(runs) for _, _, runs in groups(results)])
    cells = f"Mean ± sample standard deviation over {span(counts)} runs" if counts.max() > 1 else "One run of each"
    attacked = f"ASR of {span(results['asr_count'])} triggered inputs"
    return f"{cells}. {attacked}. The reference: {reference_rates(results)}."


def reference_rates(results: pd.DataFrame) -> str:
    """Accuracy of the reference and its own ASR, over the different references if there are several."""
    rates = results[["accuracy_reference", "asr_reference"]].astype(float)
    means = rates.groupby(results["reference_seed"], sort=False).mean()
    accuracy, asr = (" ± ".join(written(means[name], fraction)) for name in means)
    return f"accuracy {accuracy}, ASR {asr}"


def span(values: pd.Series[Any]) -> str:
    """One number if all are the same, or else the least and the greatest."""
    low, high = values.min(), values.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def strength(runs: pd.DataFrame) -> str:
    """The value of the method's knob, or its range; a dash if it has none."""
    values = runs["strength"].astype(float)
    low, high = values.min(), values.max()
    if math.isnan(low):
        return "–"
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def written(values: pd.Series[Any], write: Callable[[float], str]) -> list[str]:
    """The mean and, if there is more than one run, the deviation; or that there is none, in words."""
    missing = int(values.isna().sum())
    if missing:
        return ["undefined" if missing == len(values) else f"undefined in {missing} of {len(values)}"]
    mean, sd = spread(values)
    text = write(mean)
    return [text] if math.isnan(sd) else [text, deviation(sd, text)]
