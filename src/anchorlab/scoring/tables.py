"""Scores of repairs and of audits as tables for readers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from anchorlab.scoring.token_statistics import TOKEN_STATISTICS
from anchorlab.statistics.numbers import significant
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table, estimate_cell

if TYPE_CHECKING:
    from anchorlab.consistency.compare import Comparison
    from anchorlab.scoring.audit_result import Audit
    from anchorlab.scoring.ranked import Ranked
    from anchorlab.scoring.relearning import Relearned
    from anchorlab.scoring.repairs import RepairScore
    from anchorlab.scoring.token_audit_result import TokenAudit

#: The statistic of each kind of access in a word.
_SHORT = {"labels": "churn", "probabilities": "KL", "logits": "squared shift"}

#: What a table says of p.
_TWO_SIDED = "p is two-sided: at most twice the share of models, candidate and updates, that move as far to its side"

#: Measurements of a comparison that the table of a repair shows.
_SHOWN = ("accuracy", "asr", "robust_accuracy", "kl", "logit_distance", "churn", "negative_flips")


def repair_table(score: RepairScore, caption: str = "the model before and after its repair") -> Table:
    """A row for each measurement; columns for the model before and after, and the clean model after the same repair."""
    before, after, harmed = score.suspicious, score.repaired, score.harmed
    columns = [Column("before", "before"), Column("after", "after")]
    columns += [Column("harmed", "clean, after")] if harmed else []
    rows = []
    for name in _SHOWN:
        # Without a clean model, the suspicious model is the reference of the comparison.
        first = _measured(before, name) if before else _measured(after, f"{name}_reference")
        rows.append(Row(name, (first, _measured(after, name), *([_measured(harmed, name)] if harmed else []))))
    notes = [_measured_on(score)]
    if score.relearned is not None:
        rows += _relearned(score.relearned, harmed is not None)
        notes.append("relearned: the ASR after a little tuning with so many triggered examples among clean ones")
    return Table("repair", caption, "measurement", columns, (Rows(rows),), notes=notes)


def _relearned(relearned: Relearned, with_harmed: bool) -> Iterator[Row]:
    """A row for each number of triggered examples; the model before its repair was not tuned."""
    for count, asr in relearned.repaired.items():
        harmed = relearned.harmed.get(count) if with_harmed else None
        cells = [Cell("–"), Cell(significant(asr), asr)]
        cells += [Cell("–") if harmed is None else Cell(significant(harmed), harmed)] if with_harmed else []
        yield Row(f"asr relearned from {count}", tuple(cells))


def _measured_on(score: RepairScore) -> str:
    after = score.repaired
    against = "the clean reference" if score.suspicious else "the model before"
    sentence = f"{after.count:,} clean test instances; distances are from {against}"
    if after.asr is None:
        return f"{sentence}; no ASR: {after.undefined['asr']}"
    own = f"; the clean reference's own rate is {after.asr_reference:.4f}" if score.suspicious else ""
    return f"{sentence}; ASR on {after.asr_count:,} triggered instances{own}"


def _measured(comparison: Comparison, name: str) -> Cell:
    value = getattr(comparison, name, None)
    if value is None:
        return Cell("–")
    bounds = comparison.intervals.get(name)
    interval = "" if bounds is None else f"[{significant(bounds[0])}, {significant(bounds[1])}]"
    return Cell(significant(value), value, bounds, interval)


def audit_table(audit: Audit, caption: str = "candidate against benign updates") -> Table:
    """A row for each kind of access: its statistic, the candidate's value, the updates' values, and the test."""
    columns = (
        Column("candidate", "candidate"),
        Column("updates", "benign updates"),
        Column("place", "more than"),
        Column("p", "p"),
        Column("queries", "queries"),
    )
    rows = []
    for access in audit.accesses:
        none = "not reached" if access.can_find else "–"
        queries = Cell(none if access.queries is None else f"{access.queries:,}", access.queries)
        rows.append(Row(f"{access.access}: {_SHORT[access.access]}", (*_ranked_cells(access), queries)))
    notes = (_TWO_SIDED, "queries: how many it takes to find this candidate with a chance of 95%")
    return Table("audit", caption, "access", columns, (Rows(rows),), notes=notes)


def token_audit_table(audit: TokenAudit, caption: str = "candidate against benign updates") -> Table:
    """A row for each statistic of an audit of language models, below the access that allows it."""
    columns = (
        Column("candidate", "candidate"),
        Column("updates", "benign updates"),
        Column("place", "more than"),
        Column("p", "p"),
    )
    rows = []
    for one in audit.statistics:
        of = TOKEN_STATISTICS[one.access]
        rows.append(Row(f"{of.access}: {of.title}", _ranked_cells(one), sub="main" if of.is_main else ""))
    notes = (_TWO_SIDED, "main: the statistic by which a kind of access is judged")
    return Table("audit", caption, "statistic", columns, (Rows(rows),), notes=notes)


def _ranked_cells(one: Ranked) -> tuple[Cell, Cell, Cell, Cell]:
    """The candidate's value, the range of the updates', its place among them, and p."""
    return (
        estimate_cell(one.statistic, lambda value: f"{value:.2g}"),
        Cell(f"{min(one.null):.2g} to {max(one.null):.2g}"),
        Cell(f"{one.below} of {len(one.null)}"),
        Cell(f"{one.p:.3g}", one.p),
    )
