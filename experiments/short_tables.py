"""The short tables of README and docs/results.md: KL at one common ASR by method, from a suite's committed CSV files.

    python experiments/short_tables.py fashion-mnist cifar10

A table stands between ``<!-- short table of NAME -->`` and ``<!-- end of short table -->`` of docs/results.md, and
between ``<!-- small table -->`` and ``<!-- end of small table -->`` of README. Runs whose backdoor failed, and runs
that no two scales bracket, are in no mean; the table says how many are left.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.reports.suite.equal import AtOneASR
from anchorlab.reports.suite.paired import Paired, write_ratio
from anchorlab.statistics.estimate import Estimate
from anchorlab.suites.spec import STOPPED

HERE = Path(__file__).parent
ROOT = HERE.parent
#: The suite and the number of anchors of the README's table, and what it shows beside KL and its ratio.
SMALL = ("fashion-mnist", "640", ("churn", "accuracy"))

#: What KL is compared with, where it is not plain tuning.
BASELINES = {"ablation": "raw"}
#: Tables that show several suites on the same references: for each of these the methods that it takes, or None for all.
TOGETHER: dict[str, dict[str, tuple[str, ...] | None]] = {
    "sst2": {"sst2": None, "sst2-more": None},
    "sst2-lora": {"sst2": ("plain", "anchoring"), "sst2-lora": None},
}


def main() -> None:
    """Writes the tables of the suites that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="+", help="names of suites whose CSV files are in experiments")
    for suite in parser.parse_args().suites:
        for name in tables_with(suite):
            write_short_tables(name)


def tables_with(suite: str) -> list[str]:
    """The names of the tables that show runs of a suite."""
    return [name for name, suites in TOGETHER.items() if suite in suites] or [suite]


def write_short_tables(name: str) -> None:
    """Replaces the tables that README and docs/results.md have under a name."""
    results, equal = (read_together(name, table) for table in ("results", "equal"))
    refuse_other_references(results)
    replace_between(
        ROOT / "docs/results.md",
        f"<!-- short table of {name} -->",
        "<!-- end of short table -->",
        short_table(results, equal, BASELINES.get(name, "plain")),
    )
    if name == SMALL[0]:
        replace_between(
            ROOT / "README.md", "<!-- small table -->", "<!-- end of small table -->", small_table(results, equal)
        )


def short_table(results: pd.DataFrame, equal: pd.DataFrame, baseline: str) -> str:
    """A row a method: for each number of anchors KL at the common ASR, and its ratio to another method's.

    Args:
        results: a row a reported run.
        equal: the same runs at the common ASR.
        baseline: the other method.
    """
    sizes = list(dict.fromkeys(results.loc[results["role"] == "method", "anchors_asked"]))
    columns = [runs_at_one_asr(results, equal, asked) for asked in sizes]
    titles = [f"{asked} anchors" if asked.isdigit() else "all anchors" for asked in sizes]
    head = ["method", *(f"KL, {title}" for title in titles), *(f"KL / {baseline}'s, {title}" for title in titles)]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    fullest = max(columns, key=len)  # first, because a method that reached nothing somewhere is missing there
    for method in dict.fromkeys(label for column in (fullest, *columns) for label in column):
        kls = [_kl(column.get(method)) for column in columns]
        ratios = [_ratio(column, method, baseline) for column in columns]
        lines.append(line([f"`{method}`", *kls, *ratios]))
    return "\n".join(lines)


def small_table(results: pd.DataFrame, equal: pd.DataFrame) -> str:
    """The README's table, of one number of anchors: a row a method, the highest KL first, and what was reported."""
    _, asked, measures = SMALL
    target = results["target_asr"].max()
    methods = {label: one for label, one in runs_at_one_asr(results, equal, asked).items() if label != STOPPED}
    kl = {label: value for label, one in methods.items() if (value := one.estimate("kl").value) is not None}
    head = ["method", "runs", "KL", "KL / plain's", *(METRICS[name].title for name in measures)]
    head += ["KL as reported", f"below {target:g} as reported"]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for label in sorted(kl, key=lambda label: -kl[label]):
        one = methods[label]
        counted = f"{len(one.runs)} of {len(one.reported)}"
        shown = [written(one.estimate(name), name) for name in measures]
        reported = METRICS["kl"].over_references(one.working["kl"], one.working["reference_seed"])
        cells = [counted, written(one.estimate("kl"), "kl"), _ratio(methods, label, "plain"), *shown]
        lines.append(line([f"`{label}`", *cells, METRICS["kl"].write(reported.value), str(one.below)]))
    return "\n".join(lines)


def replace_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replaces what stands between two marks of a page; a page without them stays as it is."""
    before, found, rest = page.read_text().partition(f"{begin}\n")
    if found:
        _, _, after = rest.partition(end)
        page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def runs_at_one_asr(results: pd.DataFrame, equal: pd.DataFrame, asked: str) -> dict[str, AtOneASR]:
    """Method to its runs at the common ASR, the stopped control last."""
    rows = results[
        (results["anchors_asked"] == asked) & ((results["role"] == "method") | (results["method"] == STOPPED))
    ]
    by_label = {str(label): AtOneASR.of(runs, equal) for label, runs in rows.groupby("method", sort=False)}
    return dict(sorted(by_label.items(), key=lambda item: item[0] == STOPPED))


def _kl(one: AtOneASR | None) -> str:
    if one is None:
        return "not reached"
    if not len(one.runs):
        return f"– (0 of {len(one.reported)})"
    missing = "" if len(one.runs) == len(one.reported) else f" ({len(one.runs)} of {len(one.reported)})"
    return written(one.estimate("kl"), "kl") + missing


def written(estimate: Estimate, name: str) -> str:
    """The mean, and its interval where there is one."""
    write = METRICS[name].write
    if estimate.value is None:
        return "–"
    return write(estimate.value) + ("" if estimate.bounds is None else f" [{', '.join(map(write, estimate.bounds))}]")


def _ratio(methods: dict[str, AtOneASR], label: str, baseline: str) -> str:
    paired: Paired | None = None
    if label != baseline and label in methods and baseline in methods:
        paired = methods[label].against(methods[baseline])
    if paired is None:
        return "–"
    interval = "" if paired.bounds is None else f" [{', '.join(map(write_ratio, paired.bounds))}]"
    return write_ratio(paired.value) + interval


def line(cells: list[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def read_together(name: str, table: str) -> pd.DataFrame:
    """The rows of the suites that a table of the documentation shows; a suite that has not run adds none."""
    parts = []
    for suite, methods in TOGETHER.get(name, {name: None}).items():
        if (HERE / suite.replace("-", "_") / f"{table}.csv").is_file():
            rows = read_table(suite, table)
            parts.append(rows if methods is None else rows[rows["method"].isin(methods)])
    # A run may have been published with both suites.
    return pd.concat(parts, ignore_index=True).drop_duplicates(["identity", "target_asr"], ignore_index=True)


def refuse_other_references(results: pd.DataFrame) -> None:
    """Stops where runs that are compared on one reference, by its seed, had different ones.

    Args:
        results: a row a reported run. What its reference measures is in the columns that end in ``_reference``.
    """
    own = results[["reference_seed", *(name for name in results if name.endswith("_reference"))]]
    for seed, rows in own.groupby("reference_seed"):
        differing = [name for name in own if len(rows[name].dropna().unique()) > 1]
        if differing:
            raise SystemExit(f"runs of reference {seed} had different models: their {differing[0]} differs")


def read_table(name: str, table: str) -> pd.DataFrame:
    """A committed table of a suite."""
    return pd.read_csv(HERE / name.replace("-", "_") / f"{table}.csv", dtype={"anchors_asked": str})


if __name__ == "__main__":
    main()
