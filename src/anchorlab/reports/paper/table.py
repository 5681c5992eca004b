r"""The table of a paper: means with 95% intervals, in LaTeX that fits ``\textwidth``.

A table that is too wide comes in parts, each with its own caption and label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from anchorlab.metrics import Metric
from anchorlab.reports.paper.best import RULE, backed_best
from anchorlab.reports.paper.numbers import Written, split_evenly, text_width, words, wrapped, written_column
from anchorlab.reports.paper.request import Request
from anchorlab.reports.paper.writing import Words
from anchorlab.reports.suite.interval_words import intervals_in_words
from anchorlab.reports.suite.summary import Condition, Entry, Group
from anchorlab.statistics.counted import several
from anchorlab.statistics.latex import PREAMBLE, latex
from anchorlab.statistics.numbers import defined, fraction, span
from anchorlab.suites.success import TOLERANCE

#: Width of the text in points that every table fits: of article at 10, 11 and 12 points, its letters scaled to 9.
ROOM = 320.0

#: Space between two columns, in points; twice what ``\tabcolsep`` says.
GAP = 7.0
#: A heading up to this width stays on one line, although its column is narrower.
_HEADING = 45.0
#: Widest column of labels; a longer label is cut.
_LABELS = 120.0
_INDENT = r"\hspace{0.6em}"
_ARROWS = {"lower": r"\,$\downarrow$", "higher": r"\,$\uparrow$", "": ""}


@dataclass(frozen=True)
class PaperTable:
    """A table of one condition.

    Attributes:
        condition: setting and target ASR.
        groups: the entries that are shown, for each number of anchors.
        columns: the metrics.
        label: of LaTeX, without a part's letter.
    """

    condition: Condition
    groups: Sequence[tuple[Group, Sequence[Entry]]]
    columns: Sequence[Metric]
    label: str

    @classmethod
    def of(cls, condition: Condition, request: Request, label: str) -> PaperTable:
        """The table of what a paper wants of a condition."""
        shown = [
            (group, [entry for entry in group.entries if request.shows(entry.label)]) for group in condition.groups
        ]
        return cls(condition, [(group, entries) for group, entries in shown if entries], request.columns, label)

    @property
    def entries(self) -> list[Entry]:
        """The rows."""
        return [entry for _, entries in self.groups for entry in entries]

    @property
    def shown(self) -> Condition:
        """The condition with the rows of the table alone."""
        groups = [replace(group, entries=list(entries)) for group, entries in self.groups]
        return replace(self.condition, groups=groups, noise=[])

    def parts(self) -> list[Sequence[int]]:
        """The columns of each part, by their numbers."""
        widths = [max(cell.width for cell in self._column(metric)) for metric in self.columns]
        widths = [
            max(width, *(text_width(line) for line in _heading_lines(metric, width))) + GAP
            for width, metric in zip(widths, self.columns, strict=True)
        ]
        return [list(part) for part in split_evenly(widths, ROOM - self._width_of_labels() - self.width_of_stub)]

    def too_wide(self) -> str:
        """Which columns to leave out for a table of one part; empty if it has one."""
        parts = self.parts()
        if len(parts) == 1:
            return ""
        kept = ",".join(self.columns[index].name for index in parts[0])
        return (
            f"the table has {len(parts)} parts, because {ROOM:g} pt hold {len(parts[0])} of its {len(self.columns)} "
            f"columns: for a table of one part give, for example, --columns {kept}"
        )

    def tex(self, writing: Words) -> str:
        """The table, or its parts, for a document with ``booktabs``."""
        parts = self.parts()
        texts = [self._part(part, writing, number, len(parts)) for number, part in enumerate(parts, 1)]
        needed = [PREAMBLE] if any(r"\anchorlabunicode" in text for text in texts) else []
        return "\n".join(["% Needs \\usepackage{booktabs}.", *needed, *texts]) + "\n"

    def _part(self, part: Sequence[int], writing: Words, number: int, count: int) -> str:
        letter = f"-{number}" if count > 1 else ""
        which = f", part {number} of {count}" if count > 1 else ""
        metrics = [self.columns[index] for index in part]
        cells = [self._column(metric) for metric in metrics]
        widths = [max(cell.width for cell in column) for column in cells]
        heads = [_heading(metric, width) for metric, width in zip(metrics, widths, strict=True)]
        # table* spans both columns of a document that has two, and is a plain table in any other.
        lines = [
            r"\begin{table*}",
            r"\centering\small\setlength{\tabcolsep}{3.5pt}\renewcommand{\arraystretch}{1.2}",
            rf"\caption{{{self._caption(metrics, writing, which) if number == 1 else self._continued(which)}}}",
            rf"\label{{{self.label}{letter}}}\smallskip",
            rf"\begin{{tabular}}{{@{{}}l{'r' * (len(self.stub_heads) + len(metrics))}@{{}}}}",
            r"\toprule",
            " & ".join(["method", *self.stub_heads, *heads]) + r" \\",
            r"\midrule",
            *self._rows(cells),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
        ]
        return "\n".join(lines)

    def _rows(self, cells: Sequence[Sequence[Written]]) -> Iterator[str]:
        place, width = 0, len(self.stub_heads) + len(cells)
        for position, (group, entries) in enumerate(self.groups):
            if len(self.groups) > 1:
                if position:
                    yield r"\addlinespace"
                yield rf"\multicolumn{{{width + 1}}}{{@{{}}l}}{{\emph{{{latex(group.title)}}}}} \\"
            previous = entries[0].role
            for entry in entries:
                if entry.role != previous:
                    yield r"\midrule" if len(self.groups) == 1 else r"\addlinespace[2pt]"
                previous = entry.role
                label = (_INDENT if len(self.groups) > 1 else "") + latex(_shown(entry.label))
                if len(entry.runs):
                    values = " & ".join([*self.stub(group.asked, entry), *(column[place].tex for column in cells)])
                else:
                    values = rf"\multicolumn{{{width}}}{{l}}{{{latex(self.missing(group.asked, entry))}}}"
                yield f"{{}}{label} & {values} \\\\"
                place += 1

    def _column(self, metric: Metric) -> list[Written]:
        bold = []
        for group, entries in self.groups:
            best = backed_best(self.competing(group.asked, entries), metric, self.success)
            bold += [entry.label == best for entry in entries]
        means = [entry.estimate(metric.name) if len(entry.runs) else None for entry in self.entries]
        return written_column(means, metric, bold)

    # What another kind of table has otherwise.

    @property
    def success(self) -> float:
        """The ASR that methods need to compete."""
        return self.condition.target_asr

    def competing(self, asked: str, entries: Sequence[Entry]) -> list[Entry]:
        """The entries of a number of anchors among which one may be the best."""
        return list(entries)

    def missing(self, asked: str, entry: Entry) -> str:
        """What stands in place of a method's values."""
        if len(entry.failed):
            return f"failed in all {several(len(entry.failed), 'run')}"
        if entry.best_asr is None or not defined(entry.best_asr):
            return "no run"
        return f"not reached (ASR {fraction(entry.best_asr)})"

    def stub(self, asked: str, entry: Entry) -> list[str]:
        """Cells between a method and its values."""
        return []

    @property
    def stub_heads(self) -> list[str]:
        """The headings of these cells."""
        return []

    @property
    def width_of_stub(self) -> float:
        """The width of these cells, in points."""
        return 0.0

    def first_sentence(self, which: str) -> str:
        """What the table shows."""
        return f"Consistency at a target ASR of {self.condition.target_asr:g} {self.where()}{which}."

    def further_sentences(self) -> Iterator[str]:
        """What else the caption says of values."""
        failed = sum(len(entry.failed) for entry in self.entries)
        if failed:
            points = f"{100 * TOLERANCE:g} points"
            yield f"Failed runs, whose ASR lies more than {points} below the target, are left out: {failed:,}."

    @property
    def rule_of_bold(self) -> str:
        """What bold means, and who competes."""
        return RULE

    def _width_of_labels(self) -> float:
        indent = 6.0 if len(self.groups) > 1 else 0.0
        return indent + max(words(_shown(entry.label), "").width for entry in self.entries)

    def where(self, group: Group | None = None) -> str:
        """The setting in words, with the anchors of one group, or of the only one."""
        setting = self.condition.setting
        target = "" if setting.target is None else f" towards {setting.target}"
        only = self.groups[0][0] if len(self.groups) == 1 else group
        anchors = "" if only is None else f"; {only.title}"
        return f"on {setting.task} (trigger {setting.trigger}, {setting.rule}{target}{anchors})"

    def _continued(self, which: str) -> str:
        return rf"Table~\ref{{{self.label}-1}}, whose caption says what is shown, continued{which}."

    def _caption(self, metrics: Sequence[Metric], writing: Words, which: str) -> str:
        made = [entry for entry in self.entries if len(entry.runs)]
        sentences = [writing.text(self.first_sentence(which))]
        if not made:
            return " ".join([*sentences, writing.text("No method reached the target.")])
        sentences.append(writing.text(f"Mean over {counted(made)}, measured on {_measured(made)}."))
        sentences += [writing.text(sentence) for sentence in self.further_sentences()]
        sentences += [writing.text(sentence) for sentence in _intervals(self, made, metrics)]
        cells = [cell.tex for metric in metrics for cell in self._column(metric)]
        if any("mathbf" in cell for cell in cells):
            sentences.append(writing.text(self.rule_of_bold))
        elif sum(entry.role == "method" for entry in made) > 1:
            sentences.append(writing.text("No mean is in bold, because the paired runs back no best method."))
        if any(defined(entry.best_asr) and not len(entry.runs) for entry in self.entries):
            missed = "Not reached: no strength reached the target on selection; in parentheses the best ASR there."
            sentences.append(writing.text(missed))
        return " ".join(sentences)


def counted(entries: Sequence[Entry]) -> str:
    """What a mean is over: ``6 references with 2 injection seeds on each``."""
    references = [entry.references for entry in entries]
    text = f"{span(min(references), max(references))} reference{'s' * (max(references) != 1)}"
    seeds = {len(entry.runs) / number for entry, number in zip(entries, references, strict=True)}
    if len(seeds) > 1 or not (each := seeds.pop()).is_integer():
        return text
    return f"{text} with {several(round(each), 'injection seed')}{' on each' * (max(references) > 1)}"


def _measured(entries: Sequence[Entry]) -> str:
    """The test split, and how many instances it has."""
    clean = [value for entry in entries for value in entry.values("count")]
    attacked = [value for entry in entries for value in entry.values("asr_count") if defined(value)]
    triggered = f", the ASR on {span(min(attacked), max(attacked))} triggered ones" if attacked else ""
    return f"the split test ({span(min(clean), max(clean))} clean instances{triggered})"


def _intervals(table: PaperTable, made: Sequence[Entry], metrics: Sequence[Metric]) -> Iterator[str]:
    """How intervals are written in these columns, and what they are of."""
    cells = [cell.tex for metric in metrics for cell in table._column(metric)]
    forms = [
        ("half-width after ±", any(r"\pm" in cell for cell in cells)),
        ("distances to both ends where they differ", any("^{+" in cell for cell in cells)),
        ("both ends in brackets where the mean is not between them", any("scriptsize" in cell for cell in cells)),
    ]
    said = "; ".join(words for words, there in forms if there)
    if said:
        yield f"Intervals are of 95%: {said}."
    yield from intervals_in_words([(entry.references, entry.estimates) for entry in made], metrics)


def _heading(metric: Metric, width: float) -> str:
    lines = [latex(line) for line in _heading_lines(metric, width)]
    lines[-1] += _ARROWS[metric.better]
    if len(lines) == 1:
        return lines[0]
    stacked = r" \\ ".join(lines)
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{stacked}\end{{tabular}}"


def _heading_lines(metric: Metric, width: float) -> list[str]:
    unit = f" ({metric.unit})" if metric.unit else ""
    return wrapped(f"{metric.title}{unit}", max(width - 6, _HEADING))


def _shown(label: str) -> str:
    """A label that fits the column of labels; what is longer ends with an ellipsis."""
    if text_width(label) <= _LABELS:
        return label
    kept = label
    while kept and text_width(f"{kept}…") > _LABELS:
        kept = kept[:-1]
    return f"{kept.rstrip()}…"
