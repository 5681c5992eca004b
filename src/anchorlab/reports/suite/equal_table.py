"""The table of methods at one common ASR, each beside itself as it was reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from anchorlab.metrics import METRICS
from anchorlab.reports.suite.equal import AtOneASR, best_of
from anchorlab.reports.suite.interval_words import too_narrow
from anchorlab.reports.suite.paired import Paired, pair, write_ratio
from anchorlab.reports.suite.summary import Condition, Entry, Group
from anchorlab.statistics.counted import several
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table, estimate_cell
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.spec import STOPPED

#: What is measured at the common ASR, after KL and its ratios.
_MEASURES = ("churn", "negative_flips", "logit_distance", "accuracy")

#: The method that the first ratio compares with.
_BASELINE = "plain"

#: What stands where no run was measured at several scales.
ONE_SCALE = "Runs were not measured at several scales, so nothing is compared at one common ASR."


def equal_table(condition: Condition, results: SuiteResults, measures: Sequence[str] = _MEASURES) -> Table | None:
    """Means over references at the common ASR, and below each the same runs as they were reported.

    None if no run of the condition was measured at several scales.

    Args:
        condition: the setting and target.
        results: of the suite.
        measures: names of what is shown after KL.
    """
    groups: list[Rows] = []
    everything: list[AtOneASR] = []
    for group in condition.groups:
        at_one = {entry.label: AtOneASR.of(entry.reported, results.equal) for entry in _compared(group)}
        everything += at_one.values()
        rows = [row for entry in _compared(group) for row in _rows(entry, at_one, measures)]
        groups.append(Rows(rows, group.title))
    if not any(one.walked for one in everything):
        return None
    asr = next(filter(None, (one.asr for one in everything)), results.equal["common_asr"].iloc[0])
    cells = (cell for group in groups for row in group.rows for cell in row.cells)
    return Table(
        name=f"equal-{condition.slug}",
        caption=f"{condition.words}: at one common ASR of {asr:g}, mean over references and 95% interval on the test "
        "split; and the same runs as they were reported.",
        head="method",
        columns=_columns(asr, measures),
        groups=[group for group in groups if group.rows],
        notes=[*_notes(asr), *too_narrow(cell.estimate for cell in cells if cell.estimate is not None)],
    )


def _columns(asr: float, measures: Sequence[str]) -> list[Column]:
    kl = METRICS["kl"]
    return [
        Column("runs", "runs", definition=f"Runs that two neighbouring scales bracket at ASR {asr:g}, of all."),
        Column("asr", METRICS["asr"].title, definition=METRICS["asr"].definition),
        Column("kl", kl.title, kl.hint, kl.definition),
        Column("kl_to_plain", "KL / plain's", definition="Ratio of geometric means, paired by reference and seed."),
        Column(
            "kl_to_best",
            "KL / best other's",
            definition="The same against the other method of least KL, among those of which every run has a value.",
        ),
        *(Column(m.name, m.title, m.hint, m.definition) for m in map(METRICS.__getitem__, measures)),
        Column("below", "below target", "runs", "Runs reported below the target ASR, and how many of them failed."),
    ]


def _compared(group: Group) -> list[Entry]:
    """The entries with a backdoor and runs, failed ones included."""
    return [
        entry for entry in group.entries if len(entry.reported) and (entry.role == "method" or entry.label == STOPPED)
    ]


def _rows(entry: Entry, at_one: Mapping[str, AtOneASR], measures: Sequence[str]) -> Iterator[Row]:
    """The row at the common ASR, and the one of the same runs as they were reported."""
    one = at_one[entry.label]
    others = {label: other for label, other in at_one.items() if label not in (entry.label, STOPPED)}
    rival = best_of({label: other for label, other in others.items() if other.is_whole})
    baseline = others.get(_BASELINE)
    to_plain = None if baseline is None else one.against(baseline)
    to_best = None if rival is None else one.against(others[rival])
    if not one.walked:
        yield Row(entry.label, (), sub="measured at one scale only", kind=entry.role)
    else:
        common = [
            Cell(str(len(one.runs)), len(one.runs), note=f"of {len(one.reported)}"),
            NONE if one.asr is None else Cell(METRICS["asr"].write(one.asr), one.asr),
            _mean(one, "kl", at_one, entry),
            _ratio(to_plain),
            _ratio(to_best, f"of {rival}"),
            *(_mean(one, name, at_one, entry) for name in measures),
            _below(one),
        ]
        yield Row(entry.label, common, kind=entry.role)
    if not len(entry.runs):
        return
    raw_plain = None if baseline is None else pair(entry.runs, baseline.working, "kl")
    raw_best = None if rival is None else pair(entry.runs, others[rival].working, "kl")
    reported = [
        Cell(str(len(entry.runs)), len(entry.runs), note=f"of {len(one.reported)}"),
        estimate_cell(entry.estimate("asr"), METRICS["asr"].write),
        estimate_cell(entry.estimate("kl"), METRICS["kl"].write),
        _ratio(raw_plain),
        _ratio(raw_best, f"of {rival}"),
        *(estimate_cell(entry.estimate(name), METRICS[name].write) for name in measures),
        _below(one),
    ]
    yield Row(f"{entry.label}, as reported", reported, kind=entry.role)


def _below(one: AtOneASR) -> Cell:
    """How many runs are below the target, and how many failed."""
    failed = len(one.failed)
    return Cell(str(one.below), one.below, note=f"{failed} failed" if failed else "")


def _mean(one: AtOneASR, name: str, at_one: Mapping[str, AtOneASR], entry: Entry) -> Cell:
    """A mean at the common ASR, marked if no other method has a better one; only whole ones compete."""
    metric, mean = METRICS[name], one.estimate(name)
    means = [each.estimate(name).value for label, each in at_one.items() if label != STOPPED and each.is_whole]
    known = [value for value in means if value is not None]
    best = entry.role == "method" and one.is_whole and len(known) > 1 and metric.better != ""
    least = (min if metric.better == "lower" else max)(known, default=None)
    return estimate_cell(mean, metric.write, best=best and mean.value == least)


def _ratio(paired: Paired | None, note: str = "") -> Cell:
    if paired is None:
        return NONE
    interval = "" if paired.bounds is None else f"[{', '.join(map(write_ratio, paired.bounds))}]"
    counts = several(paired.runs, "pair")
    text = f"×{write_ratio(paired.value)}"
    return Cell(text, paired.value, paired.bounds, interval, f"{note}, {counts}".removeprefix(", "))


def _notes(asr: float) -> Iterator[str]:
    yield (
        f"Each run is read off at ASR {asr:g} between the two neighbouring post-hoc scales that bracket it: logarithms "
        "of divergences and distances, and rates as they are, are linear in the logit of ASR. Nothing is extrapolated: "
        "a run that no two scales bracket is in no mean. Intervals at the common ASR are Student's t over references, "
        "for this test set: they do not count that other test instances would give other numbers."
    )
    yield (
        "As reported, methods stand at different ASR, and a weaker backdoor changes less. A run whose ASR lies more "
        "than 5 points below the target has failed: it is counted, and in no mean."
    )
