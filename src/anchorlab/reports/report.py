"""The written report of many runs: a folder with every number, the figures, and a page that reads them."""

from __future__ import annotations

import platform
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2
from torch import Tensor

from anchorlab.artifacts import NOTICES, versions
from anchorlab.consistency.evaluate import Comparison
from anchorlab.files import write_atomically, write_json
from anchorlab.reports.figures import asr_against_kl, logit_shift_histogram, metrics_by_method, triggered_examples
from anchorlab.reports.tables import COLUMNS, caption, groups, significant, span, summary, to_markdown

REPORT = "report.md"
RESULTS_CSV = "results.csv"
RESULTS_JSON = "results.json"

#: Columns of the results that are no field of ``Comparison``.
_RUN_COLUMNS = {
    "method": "how the injection keeps the clean behaviour; benign is the control without a backdoor",
    "strength": "value of the method's knob: a strength, a radius or a count",
    "parameters": "all hyper-parameters of the method, JSON",
    "anchors": "clean examples that the attacker holds",
    "seed": "seed of the run",
    "reference_seed": "seed of the reference's training",
    "steps": "optimisation steps taken",
    "seconds": "duration of the optimisation",
    "peak_bytes": "largest memory: of the GPU in this run, or else of the process since its start",
}


@dataclass(frozen=True)
class Examples:
    """A few inputs to show with and without the trigger.

    Attributes:
        clean: uint8 ``[n, C, H, W]``.
        triggered: uint8 ``[n, C, H, W]``, the same with the trigger.
        labels: true labels, int64 ``[n]``.
        classes: names of the classes, by label.
    """

    clean: Tensor
    triggered: Tensor
    labels: Tensor
    classes: Sequence[str]


def write_report(
    folder: Path,
    results: pd.DataFrame,
    *,
    title: str,
    command: str,
    task_line: str,
    examples: Examples | None = None,
    shifts: dict[str, np.ndarray] | None = None,
) -> Path:
    """Writes results.csv, results.json, the figures and report.md into a folder, over those that are there.

    Args:
        folder: where to write; made if it is missing.
        results: one row a run, see ``anchorlab.reports.tables``; missing values become empty cells in the
            CSV and null in the JSON, and "undefined" in the table.
        title: the page's heading.
        command: the command line that made the results.
        task_line: one sentence on data, model, trigger and target.
        examples: inputs to show; None for no such figure.
        shifts: method to the root of the mean squared logit shift of each instance, float ``[N]``; None for
            no such figure.

    Returns:
        The path of report.md.

    Raises:
        AnchorlabError: if there are no runs, or the place cannot be written.
    """
    table = f"## Results\n\n{to_markdown(results)}\n{caption(results)} Every run is in `{RESULTS_CSV}`."
    rows = results.astype(object).where(results.notna(), None)
    write_atomically(folder / RESULTS_CSV, results.to_csv(index=False, lineterminator="\n"))
    write_json(folder / RESULTS_JSON, rows.to_dict(orient="records"))
    sections = (
        f"# {title}",
        f"> [!CAUTION]\n> Of every injected model that this report speaks of: {NOTICES['injected']}",
        _what_was_run(results, command, task_line),
        table,
        _ratios(results),
        _figures(folder, results, examples, shifts),
        _columns(results),
        _limits(results),
    )
    page = folder / REPORT
    write_atomically(page, "\n\n".join(section for section in sections if section) + "\n")
    return page


def _what_was_run(results: pd.DataFrame, command: str, task_line: str) -> str:
    libraries = ", ".join(f"{name} {number}" for name, number in versions().items())
    return "\n".join(
        [
            "## What was run",
            "",
            task_line,
            "",
            f"```\n{command}\n```",
            "",
            f"- runs: {len(results)}, of {results['method'].nunique()} methods",
            f"- anchors: {_listed(results['anchors'])}",
            f"- seeds: {_listed(results['seed'])}",
            f"- references trained with seeds: {_listed(results['reference_seed'])}",
            f"- steps of a run: {span(results['steps'])}",
            f"- versions: {libraries}, on {platform.system()} {platform.machine()}",
        ]
    )


def _ratios(results: pd.DataFrame) -> str:
    """Anchoring against plain tuning in words, where both were run and their values are defined."""
    means = summary(results).to_dict("index")
    lines = [
        f"- {anchors:,} anchors: {_against(means[anchors, 'anchoring'], means[anchors, 'plain'])}"
        for anchors in results["anchors"].unique()
        if (anchors, "plain") in means and (anchors, "anchoring") in means
    ]
    return "\n".join(["Anchoring against plain tuning, from the means above:", "", *lines]) if lines else ""


def _against(anchoring: dict[Hashable, float], plain: dict[Hashable, float]) -> str:
    """Ratios of the means of distances, differences of those of rates and correlations; undefined ones left out."""
    ratios = [
        f"{words} {significant(anchoring[name] / plain[name])} times plain's"
        for name, words in (("logit_distance", "logit distance"), ("kl", "KL"))
        if anchoring[name] >= 0 and plain[name] > 0
    ]
    differences = [
        f"{words} {anchoring[name] - plain[name]:+.4f}"
        for name, words in (("pearson_correct", "Pearson correct"), ("accuracy", "accuracy"), ("asr", "ASR"))
        if not np.isnan(anchoring[name] - plain[name])
    ]
    return ", ".join(ratios + differences)


def _figures(
    folder: Path, results: pd.DataFrame, examples: Examples | None, shifts: dict[str, np.ndarray] | None
) -> str:
    """Draws the figures; returns the section that shows them."""
    shown = ["## Figures"]
    if examples is not None:
        path = folder / "triggered_examples.png"
        triggered_examples(examples.clean, examples.triggered, examples.labels, examples.classes, path)
        shown.append(
            _shown(
                path,
                "Clean inputs with their true labels, the same with the trigger, and the absolute difference; "
                "the number is the pixel difference, of 255, that is drawn white.",
            )
        )
    path = folder / "metrics_by_method.png"
    metrics_by_method(results, path)
    shown.append(_shown(path, "How far each method moves the clean behaviour, by number of anchors."))
    path = folder / "asr_against_kl.png"
    asr_against_kl(results, path)
    control = "; the dashed line is the KL of the benign update" if (results["method"] == "benign").any() else ""
    shown.append(_shown(path, f"Attack success rate against KL{control}."))
    if shifts is not None:
        path = folder / "logit_shift_histogram.png"
        logit_shift_histogram(shifts, path)
        shown.append(_shown(path, "Instances by the root of their mean squared logit shift."))
    return "\n\n".join(shown)


def _shown(path: Path, words: str) -> str:
    return f"![{path.stem.replace('_', ' ')}]({path.name})\n\n{words}"


def _columns(results: pd.DataFrame) -> str:
    titles = {column.name: f"**{column.title}** " for column in COLUMNS}
    words = _RUN_COLUMNS | {name: field.description for name, field in Comparison.model_fields.items()}
    lines = [f"- {titles.get(name, '')}`{name}`: {words[name]}" for name in results.columns if name in words]
    head = f"Columns of `{RESULTS_CSV}`; those with a title in bold are in the table. Rates are fractions."
    return "\n".join(["## What the columns mean", "", head, "", *lines])


def _limits(results: pd.DataFrame) -> str:
    """What the numbers do not carry."""
    smallest = min(len(runs) for _, _, runs in groups(results))
    lines = [
        "- One task, one trigger and one target, those named above; other ones may rank the methods otherwise.",
        f"- Seeds: {results['seed'].nunique()}, on {results['reference_seed'].nunique()} trained references.",
    ]
    if smallest == 1:
        lines.append("- Some methods were run once; how far their figures would vary with the seed is not known.")
    else:
        low, high = (np.sqrt((smallest - 1) / chi2.ppf(level, smallest - 1)) for level in (0.975, 0.025))
        lines.append(
            f"- The standard deviations are rough: with {smallest} runs of normal spread, the true one lies between "
            f"{low:.1f} and {high:.1f} times the printed one (95% interval)."
        )
    lines.append("- Methods are comparable only where their ASR is alike.")
    return "\n".join(["## Limits", "", *lines])


def _listed(values: pd.Series[int]) -> str:
    return ", ".join(str(value) for value in values.unique())
