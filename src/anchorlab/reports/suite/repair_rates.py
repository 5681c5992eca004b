"""What papers report of a repair beside ASR and accuracy: DER, RIR, the harm to a clean model, time and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from anchorlab.reports.suite.costs import ranged
from anchorlab.reports.suite.interval_words import of_references
from anchorlab.reports.suite.repairs import by_oracle, split_into_parts, trusting
from anchorlab.statistics.estimate import Averaging
from anchorlab.statistics.numbers import fraction
from anchorlab.statistics.references import mean_over_references
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table, estimate_cell
from anchorlab.suites.results import SuiteResults

#: Rates of a repair: column of ``repairs``, heading, and how it is averaged over references.
_RATES: tuple[tuple[str, str, Averaging], ...] = (
    ("effectiveness", "DER", "rate"),
    ("robust_improvement", "RIR", "rate"),
    ("reference_accuracy_lost", "harm", "plain"),
)

#: What a repair takes: column of ``repairs``, heading, unit, in how many it is counted, and how it is written.
_COSTS: tuple[tuple[str, str, str, float, Callable[[float], str]], ...] = (
    ("seconds", "time", "seconds", 1, lambda value: f"{value:.1f}"),
    ("grown_bytes", "memory", "MB", 1e6, lambda value: f"{value:,.0f}"),
)


def repair_rates_tables(results: SuiteResults) -> Iterator[Table]:
    """One table: a row for each repair and method; none without a repair of a method's run."""
    frame = results.repairs
    if not len(frame) or not (frame["role"] == "method").any():
        return
    rates = [rate for rate in _RATES if rate[0] in frame and frame[rate[0]].notna().any()]
    if not rates:  # because all runs are of an earlier version
        return
    costs = [cost for cost in _COSTS if cost[0] in frame and frame[cost[0]].notna().any()]
    groups = []
    for title, part in split_into_parts(frame, ["task", "trigger", "defender"]):
        injected = part[part["role"] == "method"]
        oracle = by_oracle(injected)
        for of, words in ((~oracle, title), (oracle, f"{title}; depth chosen by test data and trigger")):
            rows = [
                Row(
                    str(defence),
                    [*(_mean(runs, name, how) for name, _, how in rates), *(_cost(runs, *cost) for cost in costs)],
                    sub=str(method),
                )
                for (defence, method), runs in injected[of].groupby(["defence", "method"], sort=False)
            ]
            groups += [Rows(rows, words)] if rows else []
    shown = [*(rate[0] for rate in rates), *(cost[0] for cost in costs)]
    counts = frame[frame["role"] == "method"].groupby(["defence", "method", "trigger", "task"])["reference_seed"]
    yield Table(
        name="repair-rates",
        caption="What papers report of repairs: DER, RIR, the harm to a clean model, time and memory.",
        head="repair",
        columns=[
            *(Column(name, heading) for name, heading, _ in rates),
            *(Column(name, heading, unit) for name, heading, unit, _, _ in costs),
        ],
        groups=groups,
        notes=[*_notes(shown, of_references(*_ends(counts.nunique()), groups)), *trusting(frame)],
    )


def _notes(shown: list[str], intervals: str) -> Iterator[str]:
    """What the columns are, for those that are there."""
    meaning = {
        "effectiveness": "DER, the defence effectiveness rating, is half of 1 + fall of the ASR - fall of the accuracy "
        "(Zhu et al. 2023, arXiv 2304.11823). A repair that does nothing has 0.5.",
        "robust_improvement": "RIR, the robust improvement rate, is half of 1 + rise of the robust accuracy - fall of "
        "the accuracy, as BackdoorBench has it (Wu et al. 2025, IJCV). The robust accuracy is that on triggered "
        "inputs, by their true labels.",
        "reference_accuracy_lost": "Harm is the accuracy that the clean reference of the same run loses by the same "
        "repair.",
    }
    yield from (sentence for name, sentence in meaning.items() if name in shown)
    yield f"Rates are means over references. {intervals}".strip()
    yield "Time and memory are the repair's own, mean and range over runs." + (
        " Memory is how far it rose during the repair: on a GPU what PyTorch's allocator gave out, else what is "
        "resident."
        if "grown_bytes" in shown
        else ""
    )


def _ends(counts: pd.Series[int]) -> tuple[int, int]:
    return int(counts.min()), int(counts.max())


def _mean(runs: pd.DataFrame, name: str, averaging: Averaging) -> Cell:
    each = runs.drop_duplicates("identity").dropna(subset=name)
    if not len(each):
        return NONE
    return estimate_cell(mean_over_references(each[name], each["reference_seed"], averaging), fraction)


def _cost(runs: pd.DataFrame, name: str, _: str, __: str, unit: float, write: Callable[[float], str]) -> Cell:
    each = runs.drop_duplicates("identity")[name].dropna().astype(float)
    if not len(each):
        return NONE
    return ranged([value / unit for value in each], write)
