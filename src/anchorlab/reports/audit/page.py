"""The page of an audit, from its record alone: the verdict first, and then what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anchorlab.files import write_atomically
from anchorlab.reports.audit.record import AccessRecord, AuditRecord, DetectorRecord
from anchorlab.reports.audit.strips import Curve, Strip, curve_of, strip_of
from anchorlab.reports.html import PAGE, asset, environment, style_sheet
from anchorlab.scoring.audit_ranks import rejected_ranks
from anchorlab.scoring.audit_result import NO_PROOF
from anchorlab.scoring.audit_statistics import ACCESSES
from anchorlab.scoring.audit_words import too_few_updates
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table

#: Most classes of the table of churn.
_CLASSES = 40


@dataclass(frozen=True)
class AccessView:
    """One kind of access on the page."""

    record: AccessRecord
    measured: str
    strip: Strip
    curve: Curve
    words: str


def write_audit_page(record: AuditRecord, out: Path) -> Path:
    """Writes the page of an audit into a folder. It needs nothing beside it and no network.

    Raises:
        AnchorlabError: if it cannot be written.
    """
    text = (
        environment()
        .get_template("audit.html")
        .render(
            record=record,
            no_proof=NO_PROOF,
            sentences=[sentence for sentence in record.sentences[1:] if sentence != NO_PROOF],
            accesses=[_view(access) for access in record.accesses],
            summary=access_table(record),
            sensitivity=sensitivity_table(record),
            churn=churn_table(record),
            detectors=detector_tables(record.detectors),
            noticeable=noticeable_table(record) if has_power(record) else None,
            too_few=too_few_updates(record.updates, record.verdict.level),
            names=_names(record),
            css=style_sheet(),
            own_css=asset("audit.css"),
            script=asset("audit.js"),
        )
    )
    page = out / PAGE
    write_atomically(page, text)
    return page


def has_power(record: AuditRecord) -> bool:
    """Whether a test of one access alone could find anything.

    The updates may be too few for it and yet enough for the joint test. Records of versions whose test was one-sided
    have a power with fewer updates; it is shown.
    """
    found = any(any(access.power.power) for access in record.accesses)
    return found or rejected_ranks(record.updates, record.verdict.level) > 0


def _names(record: AuditRecord) -> list[str]:
    """The classes that the shown queries have or get, for the filter."""
    labels = (label for query in record.changed for label in (query.label, query.reference, query.candidate))
    return sorted({label for label in labels if label is not None})


def _view(access: AccessRecord) -> AccessView:
    return AccessView(access, ACCESSES[access.access], strip_of(access), curve_of(access.power), place_in_words(access))


def place_in_words(access: AccessRecord) -> str:
    """Where the candidate lies among the benign updates."""
    value, total = access.statistic[0], len(access.null)
    above, below = sum(one > value for one in access.null), sum(one < value for one in access.null)
    equal = total - above - below
    ties = f", as {equal}" if equal else ""
    return f"more than {below}{ties}, less than {above} of {total}"


def access_table(record: AuditRecord) -> Table:
    """A row for each kind of access: its value, its place among the updates, p-values and verdict."""
    columns = (
        Column("measured", "measured", is_text=True),
        Column("candidate", "candidate"),
        Column("updates", "benign updates"),
        Column("place", "it moved", is_text=True),
        Column("p", "p, two-sided"),
        Column("verdict", f"at level {record.verdict.level:.3g}", is_text=True),
    )
    rows = []
    for access in record.accesses:
        value, low, high = access.statistic
        interval = "" if low is None or high is None else f"[{low:.3g}, {high:.3g}]"
        cells = (
            Cell(ACCESSES[access.access]),
            Cell(f"{value:.3g}", value, interval=interval),
            Cell(f"{min(access.null):.3g} to {max(access.null):.3g}"),
            Cell(place_in_words(access)),
            Cell(f"{access.p:.3g}", access.p),
            Cell(_verdict(access, record.verdict.level)),
        )
        rows.append(Row(access.access, cells, sub="the verdict" if access.access == record.verdict.access else ""))
    joint = record.joint
    unusual = joint.p <= record.verdict.level + 1e-12
    words = f"unusual, most of all by {joint.access}: {joint.direction}" if unusual else "not unusual"
    cells = (
        Cell("most extreme rank of all accesses"),
        Cell("–"),
        Cell("–"),
        Cell(f"most extreme by {joint.access}"),
        Cell(f"{joint.p:.3g}", joint.p),
        Cell(words),
    )
    rows.append(Row("all at once", cells, sub="the verdict" if record.verdict.access == "joint" else ""))
    return Table("accesses", "The candidate among the benign updates", "access", columns, (Rows(rows),))


def _verdict(access: AccessRecord, level: float) -> str:
    if access.p > level + 1e-12:
        return "not unusual"
    return f"unusual: {'more' if access.p_more <= access.p_less else 'less'}"


def sensitivity_table(record: AuditRecord) -> Table:
    """A row for each setting of updates, with the p-values against the updates of this setting alone."""
    columns = (
        Column("updates", "updates"),
        Column("how", "how they were made", is_text=True),
        *(Column(access.access, f"p, {access.access}") for access in record.accesses),
    )
    rows = []
    for setting in record.update_settings:
        cells = [Cell(f"{setting.count}", setting.count), Cell(_how(setting.settings))]
        for access in record.accesses:
            p = access.p_by_setting.get(setting.name)
            cells.append(Cell("–") if p is None else Cell(f"{p:.3g}", p))
        rows.append(Row(setting.name, cells))
    caption = "The verdict against the updates of each setting alone"
    return Table("settings", caption, "setting", columns, (Rows(rows),))


def _how(settings: dict[str, Any]) -> str:
    """The settings of updates that distinguish them."""
    if not settings:
        return "given by the auditor"
    words = []
    if "steps" in settings and "batch_size" in settings:
        words.append(f"{settings['steps']} steps of {2 * settings['batch_size']} examples")
    if "learning_rate" in settings:
        words.append(f"learning rate {settings['learning_rate']:g}")
    words += ["images varied as in training"] if settings.get("augment") else []
    return ", ".join(words) or ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


def churn_table(record: AuditRecord) -> Table | None:
    """A row for each class, the one that changed most first; None if it is not known how the labels agree."""
    if record.agreement is None:
        return None
    known = record.agreement.by == "true label"
    columns = [Column("queries", "queries"), Column("changed", "changed"), Column("churn", "churn")]
    columns += [Column("worse", "right, became wrong"), Column("better", "wrong, became right")] if known else []
    rows = []
    ordered = sorted(record.agreement.classes, key=lambda one: (-one.changed / one.queries, one.name))
    for one in ordered[:_CLASSES]:
        share = one.changed / one.queries
        cells = [
            Cell(f"{one.queries:,}", one.queries),
            Cell(f"{one.changed:,}", one.changed),
            Cell(f"{100 * share:.3g}%", share),
        ]
        if known:
            cells += [Cell(str(one.right_to_wrong)), Cell(str(one.wrong_to_right))]
        rows.append(Row(one.name, cells))
    notes = [f"The {_CLASSES} classes that changed most, of {len(ordered)}."] if len(ordered) > _CLASSES else []
    return Table("churn", "Churn by class", record.agreement.by, columns, (Rows(rows),), notes)


def detector_tables(detectors: Sequence[DetectorRecord]) -> list[Table]:
    """The detectors of models, and the detectors of inputs, with the reference as the clean comparison."""
    kinds = {"Detectors of models": ("models",), "Detectors of inputs": ("inputs", "sets of inputs")}
    tables = []
    for caption, judges in kinds.items():
        found = [one for one in detectors if one.judges in judges]
        meanings = list(dict.fromkeys(one.meaning for one in found))
        columns = [Column("candidate", "candidate"), Column("reference", "reference")]
        # One meaning stands below the table, because it would be the same in each row.
        shared = len(meanings) == 1
        remarks = [one.note if shared else "; ".join(filter(None, (one.meaning, one.note))) for one in found]
        columns += [Column("remark", "remark", is_text=True)] if any(remarks) else []
        rows = [
            Row(one.name, [_score(one.candidate), _score(one.reference), *([Cell(remark)] if any(remarks) else [])])
            for one, remark in zip(found, remarks, strict=True)
        ]
        notes = [f"{meaning[:1].upper()}{meaning[1:]}." for meaning in meanings if shared]
        if rows:
            tables.append(
                Table(f"detectors-{judges[0].split()[0]}", caption, "detector", columns, (Rows(rows),), notes)
            )
    return tables


def _score(score: float | None) -> Cell:
    return Cell("–") if score is None else Cell(f"{score:.3g}", score)


def noticeable_table(record: AuditRecord) -> Table:
    """What difference could have been seen."""
    columns = (
        Column("more", "found to move more from"),
        Column("less", "found to move less up to"),
        Column("queries", "queries that find this candidate"),
    )
    rows = [Row(access.access, list(_noticed(access)), sub=ACCESSES[access.access]) for access in record.accesses]
    caption = "Sizes of a difference that these queries and updates notice with a chance of 95%"
    return Table("noticeable", caption, "access", columns, (Rows(rows),))


def _noticed(access: AccessRecord) -> Iterator[Cell]:
    sizes = (None, None) if access.noticeable is None else (access.noticeable.above, access.noticeable.below)
    for size in sizes:
        yield Cell("no size") if size is None else Cell(f"{size:.3g}", size)
    enough = access.queries_for_95
    yield Cell("not with all") if enough is None else Cell(f"{enough:,}", enough)
