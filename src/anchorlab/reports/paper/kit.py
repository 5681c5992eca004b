"""Writes everything of a suite that a paper needs into one folder, as LaTeX that compiles as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anchorlab.arguments import checked
from anchorlab.artifacts.provenance import versions
from anchorlab.errors import AnchorlabError
from anchorlab.files import user_path, write_atomically
from anchorlab.metrics import Metric
from anchorlab.reports.measures import PLOTTED
from anchorlab.reports.paper.bibliography import Bibliography
from anchorlab.reports.paper.equal_table import EqualTable
from anchorlab.reports.paper.figures import draw_front, draw_metrics
from anchorlab.reports.paper.methods_text import methods_paragraphs
from anchorlab.reports.paper.points import front_csv, metrics_csv
from anchorlab.reports.paper.request import DEFAULT_WIDTH, Request, read_request
from anchorlab.reports.paper.table import PaperTable, counted
from anchorlab.reports.paper.writing import LatexWords, MarkdownWords, Words
from anchorlab.reports.suite.equal_table import equal_table
from anchorlab.reports.suite.fronts import front
from anchorlab.reports.suite.settings import slugs_of
from anchorlab.reports.suite.summary import Condition, summarise
from anchorlab.reports.suite.tables import results_table
from anchorlab.statistics.escaping import markdown
from anchorlab.statistics.latex import PREAMBLE
from anchorlab.statistics.table import to_csv
from anchorlab.suites.equal import is_compared
from anchorlab.suites.results import SuiteResults, load_results
from anchorlab.suites.smoke import is_smoke_form
from anchorlab.suites.spec import BENIGN

#: Width of the text of article at 10 points, in inches; the document is wider where a figure is.
_TEXT_WIDTH = 345 / 72.27

#: Metrics of the front: of clean behaviour, and no accuracy, which shows the trade-off least.
_FRONTS = tuple(name for name in PLOTTED if name not in ("accuracy", "leakage"))

#: Where the ASR of a benign update is: on the axis it would leave the other methods a narrow strip.
_NUMBER = " The ASR of the benign update stands as a number, where it lies off the axis."

#: What the README says of a table at the common ASR.
_AT_COMMON_ASR = "the table at the common ASR, for \\input; the other table has the same runs as reported"

#: Placeholder of a condition that has no other beside it.
_ALONE = ""


@dataclass(frozen=True)
class PaperKit:
    """What was written for a paper.

    Attributes:
        folder: where it is.
        files: their names, in the order of the README.
        remarks: sentences on what does not fit or cannot be shown.
    """

    folder: Path
    files: tuple[str, ...]
    remarks: tuple[str, ...]


@checked
def write_paper(
    folder: str | Path,
    *,
    out: str | Path | None = None,
    columns: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    width: str = DEFAULT_WIDTH,
) -> PaperKit:
    r"""Writes figures, a table, references and a paragraph on the methods of a suite, for a paper in LaTeX.

    Figures come as PDF and SVG, exactly ``width`` wide, with text of 8 points that stays text, and with their points as
    CSV. The table fits ``\textwidth``. ``main.tex`` includes everything and compiles.

    Args:
        folder: of the suite, finished or not.
        out: where to write; ``report/paper`` in the folder if left out.
        columns: metrics of the table, and panels of the figure; accuracy, asr, kl and churn if left out.
        methods: labels of the methods and controls to show; all if left out.
        width: of a figure, as in ``3.3in``, ``84mm`` or ``240pt``.

    Raises:
        AnchorlabError: if the folder holds no suite or nothing to show, for an unknown metric or method, for an
            impossible width, or if a file cannot be written.
    """
    folder = user_path(folder)
    place = folder / "report" / "paper" if out is None else user_path(out)
    return write_kit(load_results(folder), place, columns=columns, methods=methods, width=width)


def write_kit(
    results: SuiteResults,
    out: Path,
    *,
    columns: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    width: str = DEFAULT_WIDTH,
) -> PaperKit:
    """Writes the kit of results into a folder; arguments and errors as in ``write_paper``."""
    request = read_request(results, columns, methods, width)
    writer = _Writer(results, request, out, summarise(results))
    if not writer.tables:
        raise AnchorlabError("none of these methods has a result yet: run the suite first, or name other methods")
    if results.pending:
        writer.remarks.append(
            f"the suite is not finished: {results.pending:,} results are missing, so figures may change"
        )
    if is_smoke_form(results.title):
        writer.remarks.append("this is the smoke form of a suite: every cell is tiny, and the figures mean nothing")
    writer.write()
    return PaperKit(out, tuple(writer.files), tuple(writer.remarks))


@dataclass
class _Writer:
    results: SuiteResults
    request: Request
    out: Path
    conditions: Sequence[Condition]
    files: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bibliography = Bibliography(self.results.versions.get("anchorlab", versions()["anchorlab"]))
        names = {condition.slug: condition for condition in self.conditions}
        alone = len(names) == 1
        self.tables = {
            _ALONE if alone else f"-{name}": PaperTable.of(
                condition, self.request, f"tab:anchorlab{'' if alone else f'-{name}'}"
            )
            for name, condition in names.items()
        }
        self.tables = {name: table for name, table in self.tables.items() if table.groups}
        self.equal = {
            name: equal
            for name, table in self.tables.items()
            if (equal := self._at_common_asr(name, table)) is not None
        }

    def _at_common_asr(self, name: str, table: PaperTable) -> EqualTable | None:
        label = f"tab:anchorlab-equal{name}"
        return EqualTable.at_common_asr(table.condition, self.results, self.request, label)

    def write(self) -> None:
        """Writes all files; the document and the README last, because they name the others."""
        writing = LatexWords(self.bibliography)
        paragraphs = methods_paragraphs(self.results, self.request, writing)
        self._save("methods.tex", _tex_of(paragraphs))
        in_markdown = methods_paragraphs(self.results, self.request, MarkdownWords(self.bibliography))
        self._save("methods.md", "\n\n".join(in_markdown) + "\n")
        figures: list[str] = []
        for name, equal in self.equal.items():
            self._save(f"table-equal{name}.tex", equal.tex(writing))
            self._save(f"table-equal{name}.csv", self._equal_csv(self.tables[name]))
        for name, table in self.tables.items():
            self._save(f"table{name}.tex", table.tex(writing))
            self._save(f"table{name}.csv", to_csv(results_table(table.shown, self.request.columns)))
            self.remarks += [f"{table.condition.words}: {remark}" for remark in [table.too_wide()] if remark]
            figures += self._metrics_figures(name, table, writing)
        figures += self._front_figures(writing)
        self._save("figures.tex", "\n".join(figures))
        self._save("references.bib", self.bibliography.text())
        self._save("main.tex", self._document())
        self._save("README.md", self._readme())

    def _equal_csv(self, table: PaperTable) -> str:
        """Methods at the common ASR, and as reported, in full digits, with the ratios of KL."""
        names = [metric.name for metric in self.request.columns if is_compared(metric) and metric.name != "kl"]
        full = equal_table(table.shown, self.results, names)
        assert full is not None
        return to_csv(full)

    def _save(self, name: str, text: str) -> None:
        write_atomically(self.out / name, text)
        self.files.append(name)

    def _metrics_figures(self, name: str, table: PaperTable, writing: Words) -> Iterator[str]:
        several = len(table.groups) > 1
        for group, entries in table.groups:
            stem = f"metrics{name}{f'-{group.asked}' if several else ''}"
            draw_metrics(entries, self.request.columns, self.out / stem, self.request.width)
            self._figure_files(stem, metrics_csv(table.condition, group, entries, self.request.columns))
            made = [entry for entry in entries if len(entry.runs)]
            has_asr = any(metric.name == "asr" for metric in self.request.columns)
            over = f" over {counted(made)}" if made else ""
            caption = writing.text(
                f"Metrics by method at a target ASR of {table.condition.target_asr:g} {table.where(group)}. Dots are "
                f"runs; markers and bars are means{over} with 95% intervals."
                f"{_NUMBER if has_asr and any(entry.label == BENIGN for entry in made) else ''}"
            )
            yield _figure(stem, caption)

    def _front_figures(self, writing: Words) -> Iterator[str]:
        settings = list(dict.fromkeys(table.condition.setting for table in self.tables.values()))
        sizes = {
            (setting, group.asked)
            for setting in settings
            for table in self.tables.values()
            if table.condition.setting == setting
            for group, _ in table.groups
        }
        slugs = slugs_of(f"{setting.slug}-{asked}" for setting, asked in sorted(sizes, key=repr))
        for setting in settings:
            tables = [table for table in self.tables.values() if table.condition.setting == setting]
            for asked in dict.fromkeys(group.asked for table in tables for group, _ in table.groups):
                end = _ALONE if len(sizes) == 1 else f"-{slugs[f'{setting.slug}-{asked}']}"
                for metric in self.request.columns:
                    if metric.name in _FRONTS:
                        yield from self._front(
                            metric, tables, asked, f"front-{metric.name.replace('_', '-')}{end}", writing
                        )

    def _front(
        self, metric: Metric, tables: Sequence[PaperTable], asked: str, stem: str, writing: Words
    ) -> Iterator[str]:
        setting = tables[0].condition.setting
        reported = [
            (table.condition.target_asr, entry)
            for table in tables
            for group, entries in table.groups
            if group.asked == asked
            for entry in entries
        ]
        lines = {
            label: parts for label, parts in front(self.results, setting, asked).items() if self.request.shows(label)
        }
        entries = [entry for _, entry in reported]
        targets = [table.condition.target_asr for table in tables]
        if not lines and not any(len(entry.runs) for entry in entries):
            return
        draw_front(metric, lines, entries, targets, self.out / stem, self.request.width)
        labels = list(dict.fromkeys([*lines, *(entry.label for entry in entries)]))
        self._figure_files(stem, front_csv(self.results, setting, asked, metric, reported, labels))
        group = next(group for table in tables for group, _ in table.groups if group.asked == asked)
        control = " The dashed line is the benign update." if any(entry.label == BENIGN for entry in entries) else ""
        caption = writing.text(
            f"Attack success against {metric.title} {tables[0].where(group)}. Small markers: strengths tried, on "
            "selection; large ones: reported means with 95% intervals, on test. Dotted: "
            f"the target ASR.{control}"
        )
        yield _figure(stem, caption)

    def _figure_files(self, stem: str, points: str) -> None:
        self.files += [f"{stem}.pdf", f"{stem}.svg"]
        self._save(f"{stem}.csv", points)

    def _document(self) -> str:
        equal = [rf"\input{{table-equal{name}.tex}}" for name in self.equal]
        tables = "\n".join([*equal, *(rf"\input{{table{name}.tex}}" for name in self.tables)])
        return f"""% Compile it with: pdflatex main && bibtex main && pdflatex main && pdflatex main
\\documentclass{{article}}
\\usepackage{{booktabs,graphicx}}
\\setlength{{\\textwidth}}{{{max(_TEXT_WIDTH, self.request.width):.4f}in}}
\\begin{{document}}
\\section{{Methods}}
\\input{{methods.tex}}
\\section{{Results}}
{tables}
\\input{{figures.tex}}
\\bibliographystyle{{plain}}
\\bibliography{{references}}
\\end{{document}}
"""

    def _readme(self) -> str:
        said = {
            "methods.tex": "settings in words, with citations",
            "methods.md": "the same for pandoc",
            "figures.tex": "every figure with its caption and label, for \\input",
            "references.bib": "what the texts cite",
            "main.tex": "a document that includes everything",
        }
        kinds = {
            ".tex": "the table for \\input; it needs booktabs and spans both columns of a document with two",
            ".pdf": f"a figure, {self.request.width:.3g} inches wide: include it without a width",
            ".svg": "the same, with text that can be edited",
            ".csv": "its points: each run by reference and seed, and means with intervals",
        }
        lines = [f"# {markdown(self.results.title)}", ""]
        lines += [f"From the suite `{self.results.name}`. `main.tex` compiles as it is:", ""]
        lines += ["```sh", "pdflatex main && bibtex main && pdflatex main && pdflatex main", "```", ""]
        lines += ["| file | what it is |", "|---|---|"]
        for name in self.files:
            stem = Path(name).stem
            words = said.get(name) or (
                "the table in full digits"
                if name.endswith(".csv") and stem.startswith("table")
                else _AT_COMMON_ASR
                if name.endswith(".tex") and stem.startswith("table-equal")
                else kinds.get(Path(name).suffix)
            )
            lines.append(f"| `{name}` | {words} |")
        lines += ["", *(f"- {markdown(remark)}" for remark in self.remarks)]
        return "\n".join(lines).rstrip() + "\n"


def _tex_of(paragraphs: Sequence[str]) -> str:
    r"""Paragraphs for ``\input``; the stretch lets names stand in narrow columns."""
    needed = [PREAMBLE] if any(r"\anchorlabunicode" in text for text in paragraphs) else []
    return "\n".join([*needed, r"\begingroup\emergencystretch=3em", "\n\n".join(paragraphs), r"\par\endgroup", ""])


def _figure(stem: str, caption: str) -> str:
    needed = f"{PREAMBLE}\n" if r"\anchorlabunicode" in caption else ""
    return (
        f"{needed}\\begin{{figure}}\n\\centering\n\\includegraphics{{{stem}.pdf}}\n\\caption{{{caption}}}\n"
        f"\\label{{fig:anchorlab-{stem}}}\n\\end{{figure}}\n"
    )
