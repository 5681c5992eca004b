"""The report of a suite: one self-contained web page, with its tables and figures as files beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from anchorlab.artifacts.manifest import NOTICES
from anchorlab.files import write_atomically
from anchorlab.metrics import METRICS
from anchorlab.reports.drawing import WIDE
from anchorlab.reports.html import PAGE, asset, environment, style_sheet
from anchorlab.reports.inline import Draw, drawn, inline_svg
from anchorlab.reports.measures import DRAWN, PLOTTED, shown_metrics
from anchorlab.reports.suite import detections, repairs, rocs, tables
from anchorlab.reports.suite.costs import cost_table
from anchorlab.reports.suite.defence_tables import defence_tables
from anchorlab.reports.suite.detection_figures import draw_found_triggers, draw_roc_curves
from anchorlab.reports.suite.doubts import doubts
from anchorlab.reports.suite.equal_table import ONE_SCALE, equal_table
from anchorlab.reports.suite.equal_words import equal_in_words
from anchorlab.reports.suite.figures import metrics_by_method
from anchorlab.reports.suite.findings import findings
from anchorlab.reports.suite.front_figures import asr_against
from anchorlab.reports.suite.fronts import front, walks
from anchorlab.reports.suite.pictures import Picture, Pictures, examples_of
from anchorlab.reports.suite.plots import front_plot, looks_data, measures_data, methods_plot, runs_data
from anchorlab.reports.suite.record_tables import failed_table, references_table
from anchorlab.reports.suite.relearning import relearned_counts
from anchorlab.reports.suite.relearning_figure import draw_relearning
from anchorlab.reports.suite.repair_figures import draw_repairs
from anchorlab.reports.suite.sentences import seeds_of, what_was_run
from anchorlab.reports.suite.settings import Setting, distinct, slug, slugs_of
from anchorlab.reports.suite.summary import BASELINES, Condition, summarise
from anchorlab.reports.suite.working import working_only
from anchorlab.statistics.comma_separated import frame_csv
from anchorlab.statistics.table import Table, to_csv, to_latex
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.smoke import is_smoke_form

#: Findings that stand above the first table; the others are a click away.
FINDINGS_SHOWN = 3

#: Metrics of the still fronts, without Pearson's correlation, which shows the trade-off least.
_STILL_FRONTS = DRAWN[:3]


@dataclass(frozen=True)
class Plot:
    """A place where the page's script draws.

    Attributes:
        key: of its values in the page's data.
        title: its heading.
    """

    key: str
    title: str


@dataclass(frozen=True)
class Still:
    """A still figure: its title, the name of its files, and the element of the page."""

    title: str
    name: str
    svg: Markup


@dataclass(frozen=True)
class ConditionView:
    """A condition as the template shows it."""

    condition: Condition
    equal: Table | None
    main: Table
    further: Table
    differences: Sequence[Table]
    choices: Table | None
    cost: Table
    classes: Sequence[tuple[str, Table]]
    plots: Sequence[Plot]
    stills: Sequence[Still]
    changed: Sequence[tuple[str, str, Sequence[Picture]]]


@dataclass(frozen=True)
class SettingView:
    """A setting as the template shows it: its fronts, and its conditions."""

    setting: Setting
    fronts: Sequence[Plot]
    stills: Sequence[Still]
    conditions: Sequence[ConditionView]


def write_page(results: SuiteResults, out: Path, *, conditions: Sequence[Condition] | None = None) -> Path:
    """Writes ``index.html``, ``tables/`` (CSV and LaTeX) and ``figures/`` (PNG and SVG) into a folder.

    The page needs nothing beside it and no network; the files are for papers and further work.

    Args:
        results: of the suite, finished or not.
        out: where to write; made if it is missing.
        conditions: the result of ``summarise``, if it is at hand.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if there is nothing to show, or a file cannot be written.
    """
    every = list(conditions) if conditions is not None else summarise(results)
    data: dict[str, Any] = {}
    pictures = Pictures(results, every)
    views = [_setting_view(results, group, pictures, out, data) for group in _by_setting(every)]
    references, failed = references_table(results), failed_table(results.failed)
    _write_tables(out, _every_table(views) + [table for table in (references, failed) if table is not None])
    write_atomically(out / "tables" / "runs.csv", frame_csv(results.results))
    defences = _write_defences(results, out)
    _write_tables(out, defences.tables)
    labels = list(dict.fromkeys(label for condition in every for label in condition.labels))
    page_data = {
        "looks": looks_data(labels),
        "measures": measures_data(),
        "runs": runs_data(results.results),
        "plots": data,
    }
    context = {
        "results": results,
        "notice": NOTICES["injected"],
        "summary": [*what_was_run(results, every), *equal_in_words(results)],
        "settings": views,
        "examples": examples_of(results.examples, out),
        "references": references,
        "failed": failed,
        "defences": defences,
        "seeds": seeds_of(results),
        "classes_shown": tables.CLASSES_SHOWN,
        "measures": [METRICS[name] for name in PLOTTED],
        "definitions": shown_metrics(),
        "run_count": results.results["identity"].nunique() if len(results.results) else 0,
        "found": findings(results),
        "smoke": is_smoke_form(results.title),
        "findings_shown": FINDINGS_SHOWN,
        "doubts": doubts(results),
        "one_scale": ONE_SCALE,
        "several": len(every) > 1,
        "many": len(every) > 3,
        "css": style_sheet(),
        "script": asset("page.js"),
        "plotly": Markup(_plotly()),
        "data": Markup(_json(page_data)),
    }
    page = out / PAGE
    write_atomically(page, environment(out).get_template("page.html").render(context))
    return page


@dataclass(frozen=True)
class _Defences:
    """Repairs and detectors: tables, and the figures as words and file name."""

    tables: Sequence[Table]
    stills: Sequence[Still]


def _write_defences(results: SuiteResults, out: Path) -> _Defences:
    working = working_only(results)
    stills: list[Still] = []
    if len(working.repairs):
        parts = dict(repairs.split_into_parts(working.repairs, ["task", "trigger", "defender"]))
        slugs = _short(parts)
        for title, part in parts.items():
            draw = partial(draw_repairs, part, setting=title)
            stills.append(_still(f"{title}: repairs", f"repairs-{slugs[title]}", draw, out))
            if relearned_counts(part):
                draw = partial(draw_relearning, part, setting=title)
                words = f"{title}: attack success after each repair and after relearning"
                stills.append(_still(words, f"relearning-{slugs[title]}", draw, out))
    return _Defences(defence_tables(results), [*stills, *_detection_stills(results, working, out)])


def _still(title: str, name: str, draw: Draw, out: Path) -> Still:
    """A figure for screens and for phones."""
    return Still(title, name, drawn(draw, out / "figures" / name, title))


def _beside_plots(title: str, name: str, draw: Draw, out: Path) -> Still:
    """A figure that stands in the place of plots in print and where scripts are off."""
    stem = out / "figures" / name
    draw(stem, WIDE)
    text = stem.with_name(f"{name}.svg").read_text(encoding="utf-8")
    return Still(title, name, inline_svg(text, name, title))


def _short(titles: Iterable[str]) -> dict[str, str]:
    """The titles of parts of the suite for file names, no two alike."""
    return distinct({title: slug(title.replace(" of the defender's examples", "")) for title in titles})


def _detection_stills(results: SuiteResults, working: SuiteResults, out: Path) -> list[Still]:
    """The figures of detectors: curves of models whose backdoor works, and triggers found in any model."""
    stills = []
    of_models, of_inputs = rocs.roc_of_models(working), rocs.roc_of_inputs(working)
    found = detections.found_triggers(results)
    slugs = _short(of_models)
    for title, models in of_models.items():
        words = f"{title}: detectors of models" if title else "detectors of models"
        name = f"roc-models-{slugs[title]}".removesuffix("-")
        draw = partial(draw_roc_curves, models, of="models without backdoor", setting=title)
        stills.append(_still(f"{words}, ROC curves over the population", name, draw, out))
    slugs = slugs_of(found)
    for title, triggers in found.items():
        words = f"{title}: triggers found in the first model of each kind"
        stills.append(_still(words, f"found-{slugs[title]}", partial(draw_found_triggers, triggers), out))
    slugs = _short(of_inputs)
    for title, panels in of_inputs.items():
        draw = partial(draw_roc_curves, panels, of="clean inputs", setting=title)
        words = f"{title}: ROC curves of detectors of inputs, mean over references"
        stills.append(_still(words, f"roc-inputs-{slugs[title]}", draw, out))
    return stills


def _by_setting(conditions: Sequence[Condition]) -> list[list[Condition]]:
    settings = dict.fromkeys(condition.setting for condition in conditions)
    return [[condition for condition in conditions if condition.setting == setting] for setting in settings]


def _setting_view(
    results: SuiteResults, conditions: list[Condition], pictures: Pictures, out: Path, data: dict[str, Any]
) -> SettingView:
    setting = conditions[0].setting
    titles = {group.asked: group.title for condition in conditions for group in condition.groups}
    lines = {asked: front(results, setting, asked) for asked in titles}
    runs = {asked: walks(results, setting, asked) for asked in titles}
    plots = []
    for asked, title in titles.items():
        plots.append(Plot(f"front-{setting.slug}-{asked}", title))
        data[plots[-1].key] = front_plot(asked, lines[asked], conditions)
    stills = []
    for name in _STILL_FRONTS:
        file = f"asr-against-{slug(name)}-{setting.slug}"
        draw = partial(asr_against, name, lines, conditions, walks=runs)
        stills.append(_beside_plots(METRICS[name].title, file, draw, out))
    views = [_condition_view(results, condition, pictures, out, data) for condition in conditions]
    return SettingView(setting, plots, stills, views)


def _condition_view(
    results: SuiteResults, condition: Condition, pictures: Pictures, out: Path, data: dict[str, Any]
) -> ConditionView:
    plots = []
    for group in condition.groups:
        plots.append(Plot(f"methods-{condition.slug}-{group.asked}", group.title))
        data[plots[-1].key] = methods_plot(group)
    file = f"metrics-by-method-{condition.slug}"
    still = _beside_plots("several metrics", file, partial(metrics_by_method, condition), out)
    differences = [tables.differences_table(condition, baseline) for baseline in BASELINES]
    classes = [(group.title, tables.classes_table(condition, group)) for group in condition.groups]
    return ConditionView(
        condition,
        equal=equal_table(condition, results),
        main=tables.results_table(condition),
        further=tables.further_table(condition),
        differences=[table for table in differences if table is not None],
        choices=tables.choices_table(condition, results.choices),
        cost=cost_table(condition),
        classes=[(title, table) for title, table in classes if table is not None],
        plots=plots,
        stills=[still],
        changed=[
            (group.title, method, pictures.of(condition.setting.task, changed))
            for group in condition.groups
            for method, changed in group.changed.items()
        ],
    )


def _every_table(views: Sequence[SettingView]) -> list[Table]:
    conditions = [condition for view in views for condition in view.conditions]
    every: list[Table | None] = []
    for view in conditions:
        every += [view.equal, view.main, view.further, *view.differences, view.choices, view.cost]
        every += [table for _, table in view.classes]
    return [table for table in every if table is not None]


def _write_tables(out: Path, every: Sequence[Table]) -> None:
    for table in every:
        write_atomically(out / "tables" / f"{table.name}.csv", to_csv(table))
        write_atomically(out / "tables" / f"{table.name}.tex", to_latex(table))


def _json(value: Any) -> str:
    """JSON for an element of an HTML page: no character in it can end the element, and every file can hold it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _plotly() -> str:
    """Plotly's own script, which the page's script starts when the first plot comes into view."""
    script: str = get_plotlyjs()
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
