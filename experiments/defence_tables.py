"""The tables of repairs and detectors in docs/results, from the committed tables of suites.

    python experiments/defence_tables.py defences-images

A table stands between ``<!-- repairs of NAME -->``, ``<!-- costs of repairs of NAME -->``, ``<!-- detectors of models
of NAME -->``, ``<!-- detectors of inputs of NAME -->`` or ``<!-- stability of NAME -->`` and ``<!-- end -->``, on any
page of docs/results: for each repair the ASR that is left of each method's backdoor, the ASR after relearning, and the
accuracy; its DER and RIR, and what it takes; how far its settings matter; for each detector its AUROC and its hits. Of
the suite defences-rate the tables say how anchoring differs from plain tuning at its own learning rate.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd

from anchorlab.reports.suite.against_plain import paired_difference
from anchorlab.reports.suite.detections import scored_models
from anchorlab.reports.suite.interval_words import too_narrow
from anchorlab.statistics.clustered_roc import auroc_over_references, difference_over_references
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import mean_over_references
from anchorlab.statistics.spread import mean_absolute_difference
from short_tables import line, replace_between

HERE = Path(__file__).parent
PAGES = HERE.parent / "docs/results"
METHODS = ("plain", "anchoring")
MODELS = (*METHODS, "reference")
AT_ONE_RATE = ("plain", "plain at .003", "anchoring")
#: Of ``experiments/coverage/rates.csv``, for differences.
OF_DIFFERENCES = "Intervals of differences of two rates in as few as .79."


def main() -> None:
    """Writes the tables of the suites that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="+", help="names of suites whose CSV files are in experiments")
    for suite in parser.parse_args().suites:
        write_defences(suite)


def write_defences(suite: str) -> None:
    """Replaces the tables of a suite on the pages that have its marks."""
    folder = HERE / suite.replace("-", "_")
    tables = {
        "repairs": ("repairs-asr", repairs_table),
        "costs of repairs": ("repair-rates", costs_table),
        "detectors of models": ("accusations", models_table),
        "detectors of inputs": ("detections-inputs", inputs_table),
        "stability": ("stability", stability_table),
    }
    if suite == "defences-rate":
        tables = {
            "repairs": ("repairs", repairs_at_one_rate),
            "detectors of models": ("detections", models_at_one_rate),
        }
    for title, (needed, make) in tables.items():
        if (folder / f"{needed}.csv").is_file():
            mark = f"<!-- {title} of {suite} -->"
            for page in [page for page in sorted(PAGES.glob("*.md")) if mark in page.read_text()]:
                replace_between(page, mark, "<!-- end -->", make(folder))


def repairs_table(folder: Path) -> str:
    """A row a repair, in the order of the suite."""
    asr, accuracy, paired = (
        read(folder, f"repairs-{name}").set_index("repair") for name in ("asr", "accuracy", "asr-against-plain")
    )
    relearned, count = relearning(folder) if (folder / "relearning.csv").is_file() else ({}, "")
    stopped = stopped_early(folder)
    models = "plain, anchoring, clean reference"
    head = ["repair", *METHODS, "anchoring minus plain", f"stopped early: {', '.join(METHODS)}"]
    head += [*([f"relearned from {count}: {models}"] if relearned else []), f"accuracy: {models}"]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for repair in asr.index:
        left = [with_interval(asr.loc[repair], method) for method in METHODS]
        difference = with_interval(paired.loc[repair], "anchoring") if repair in paired.index else "–"
        again = [", ".join(rate(relearned.get((repair, model))) for model in MODELS)] if relearned else []
        kept = ", ".join(rate(accuracy.loc[repair, model]) for model in MODELS)
        name = repair if repair == "no repair" else f"`{repair}`"
        lines.append(line([name, *left, difference, stopped.get(repair, "–"), *again, kept]))
    return "\n".join([*lines, *narrow(read(folder, "repairs").query("role == 'method'"), ("asr",))])


def costs_table(folder: Path) -> str:
    """A row a repair: DER and RIR by method, and seconds and memory, which are means over both methods."""
    rates = read(folder, "repair-rates").query("detail in @METHODS")
    head = ["repair", *(f"{name}: {', '.join(METHODS)}" for name in ("DER", "RIR")), "seconds", "memory, MB"]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for repair, rows in rates.groupby("repair", sort=False):
        own = rows.set_index("detail")
        cells = [
            ", ".join(rate(own.loc[method, name]) for method in METHODS)
            for name in ("effectiveness", "robust_improvement")
        ]
        lines.append(line([f"`{repair}`", *cells, f"{own['seconds'].mean():.1f}", f"{own['grown_bytes'].mean():.0f}"]))
    return "\n".join(lines)


def stability_table(folder: Path) -> str:
    """A row a repair: its other settings, and of each method the ASR left, and how far it depends on the setting."""
    runs = read(folder, "stability").drop_duplicates(["defence", "method", "setting"])
    head = ["repair", "other settings"]
    for method in METHODS:
        head += [f"{method}: ASR left", "range", "mean absolute difference"]
    head.append(f"the same of the accuracy: {', '.join(METHODS)}")
    lines = [line(head), line(["---", "---", *["---:"] * (len(head) - 2)])]
    for repair, rows in runs.groupby("defence", sort=False):
        settings = [f"`{setting}`" for setting in dict.fromkeys(rows["setting"].dropna())]
        cells = [f"`{repair}`", ", ".join(settings)]
        for method in METHODS:
            own = rows[rows["method"] == method]
            asr = own["asr"]
            as_it_is = asr[own["setting"].isna()]
            cells += [
                rate(as_it_is.iloc[0] if len(as_it_is) else None),
                f"{rate(asr.min())} to {rate(asr.max())}",
                rate(mean_absolute_difference(asr)),
            ]
        differences = [mean_absolute_difference(rows.loc[rows["method"] == each, "accuracy"]) for each in METHODS]
        lines.append(line([*cells, ", ".join(rate(each) for each in differences)]))
    return "\n".join(lines)


def narrow(runs: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    """Says below a table in how many of its means of rates references differ too much for their interval.

    Args:
        runs: a row for each repaired model.
        columns: the rates.
    """
    each = runs.drop_duplicates(["defence", "identity"]).groupby(["defence", "method"], sort=False)
    means = [mean_over_references(own[name], own["reference_seed"], "rate") for _, own in each for name in columns]
    return ["", *(f"{sentence} {OF_DIFFERENCES}" for sentence in too_narrow(means))]


def stopped_early(folder: Path) -> dict[str, str]:
    """How many runs of each repair and method the held-back accuracy stopped, for repairs that it stops at all.

    Such a run kept the weights of an earlier step, and says so in its note.
    """
    runs = read(folder, "repairs").query("role == 'method'").drop_duplicates("identity")
    early = runs.assign(early=runs["note"].fillna("").astype(str).map(kept_an_earlier_step))
    counts = early.groupby(["defence", "method"])["early"].agg(["sum", "size"])
    written = counts["sum"].astype(str) + " of " + counts["size"].astype(str)
    stopping = counts["sum"].groupby("defence").sum().loc[lambda each: each > 0].index
    return {str(repair): ", ".join(written[repair, method] for method in METHODS) for repair in stopping}


def kept_an_earlier_step(note: str) -> bool:
    """Does the note of a repair say that it kept the weights of a step before its last?"""
    return any(int(step) < int(last) for step, last in re.findall(r"kept the weights after (\d+) of (\d+) steps", note))


def relearning(folder: Path) -> tuple[dict[tuple[str, str], float], str]:
    """The ASR after relearning by repair and model, and the number of triggered examples: the middle one."""
    table = read(folder, "relearning")
    columns = [name for name in table if name.startswith("asr_relearned_") and name.count("_") == 2]
    column = columns[len(columns) // 2]
    found = {
        (str(repair), str(model)): float(value)
        for repair, model, value in table[["repair", "detail", column]].itertuples(index=False)
    }
    # The clean reference without a repair is a row of its own.
    (unrepaired,) = table.loc[table["repair"] == "clean reference", column]
    return {**found, ("no repair", "reference"): float(unrepaired)}, column.removeprefix("asr_relearned_")


def models_table(folder: Path) -> str:
    """A row a detector of models: AUROC by method, their difference, and how many models are accused by rank."""
    accused, paired = read(folder, "accusations"), read(folder, "detections-models-against-plain")
    head = ["detector", *(f"AUROC, {method}" for method in METHODS), "anchoring minus plain", "accuses at"]
    head += [f"accused: {method}" for method in METHODS] + ["accused: without a backdoor"]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    differences = paired.set_index("detector")
    for _, row in accused.iterrows():
        areas = [with_interval(row, f"auroc_{method}") for method in METHODS]
        counts = [
            f"{row[f'{name}_note']} [{rate(row[f'{name}_lower'])}, {rate(row[f'{name}_upper'])}]"
            for name in (*(f"hits_{method}" for method in METHODS), "false_alarms")
        ]
        difference = with_interval(differences.loc[row["detector"]], "anchoring")
        lines.append(line([f"`{row['detector']}`", *areas, difference, str(row["rule"]), *counts]))
    return "\n".join(lines)


def inputs_table(folder: Path) -> str:
    """A row a detector of inputs: AUROC by method, their difference, and the rates at 5% of false alarms."""
    scored = read(folder, "detections-inputs").set_index(["detector", "detail"])
    paired = read(folder, "detections-inputs-against-plain").set_index("detector")
    head = ["detector", *(f"AUROC, {method}" for method in METHODS), "anchoring minus plain"]
    head += ["TPR at 5%: plain, anchoring", "FPR there"]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for detector in dict.fromkeys(scored.index.get_level_values(0)):
        rows = [scored.loc[(detector, method)] for method in METHODS]
        areas = [with_interval(row, "auroc") for row in rows]
        rates = [", ".join(rate(row[name]) for row in rows) for name in ("tpr_at_5", "false_alarms_at_5")]
        lines.append(line([f"`{detector}`", *areas, with_interval(paired.loc[detector], "anchoring"), *rates]))
    return "\n".join(lines)


def repairs_at_one_rate(folder: Path) -> str:
    """A row a repair: what is left, and what comes back, with anchoring beside plain tuning at its learning rate."""
    runs = read(folder, "repairs").query("role == 'method'").drop_duplicates(["defence", "identity"])
    head = ["repair", f"ASR left: {', '.join(AT_ONE_RATE)}", f"anchoring minus {AT_ONE_RATE[1]}"]
    head += [f"relearned from 5: {', '.join(AT_ONE_RATE)}", f"anchoring minus {AT_ONE_RATE[1]}"]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for repair, own in runs.groupby("defence", sort=False):
        cells = [f"`{repair}`"]
        for column in ("asr", "asr_relearned_5"):
            means = own.groupby("method")[column].mean()
            cells.append(", ".join(rate(means[method]) for method in AT_ONE_RATE))
            fast, anchored = (own[own["method"] == method] for method in AT_ONE_RATE[1:])
            cells.append(written(paired_difference(anchored, fast, column)))
        lines.append(line(cells))
    return "\n".join([*lines, *narrow(runs, ("asr", "asr_relearned_5"))])


def models_at_one_rate(folder: Path) -> str:
    """A row a detector of models: AUROC with anchoring beside plain tuning at its learning rate."""
    scores = read(folder, "detections").query("kind == 'model'")
    head = ["detector", *(f"AUROC, {method}" for method in AT_ONE_RATE), f"anchoring minus {AT_ONE_RATE[1]}"]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for detector, own in scores.groupby("detector", sort=False):
        clean = scored_models(own[own["role"] != "method"])
        plain, fast, anchored = (scored_models(own[own["method"] == method]) for method in AT_ONE_RATE)
        areas = [written(auroc_over_references(clean, each)) for each in (plain, fast, anchored)]
        lines.append(line([f"`{detector}`", *areas, written(difference_over_references(clean, anchored, fast))]))
    return "\n".join(lines)


def written(estimate: Estimate) -> str:
    """A mean with its interval, where it has one, as ``with_interval`` writes it."""
    ends = () if estimate.lower is None else (estimate.lower, estimate.upper)
    interval = f" [{rate(ends[0])}, {rate(ends[1])}]" if ends else ""
    return f"{rate(estimate.value)}{interval}".replace("-", "−")


def read(folder: Path, name: str) -> pd.DataFrame:
    """A committed table of a suite."""
    return pd.read_csv(folder / f"{name}.csv", na_values=["–"])


def rate(value: float | None) -> str:
    """A rate with three digits; a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{float(value):.3f}"


def with_interval(row: pd.Series, name: str) -> str:
    """A mean with its interval, where it has one."""
    value, lower, upper = (row.get(f"{name}{end}") for end in ("", "_lower", "_upper"))
    interval = "" if lower is None or pd.isna(lower) else f" [{rate(lower)}, {rate(upper)}]"
    return f"{rate(value)}{interval}".replace("-", "−")


if __name__ == "__main__":
    main()
