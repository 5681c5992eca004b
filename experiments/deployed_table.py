"""The tables of docs/deployed.md, from the committed rows of the suite deployed.

    python experiments/deployed_table.py

The first one stands between ``<!-- deployed -->`` and ``<!-- end of deployed -->``: what each form does to the models.
The second, between ``<!-- detectors of deployed -->`` and ``<!-- end of detectors -->``, says what detectors of inputs
find in each form, with the difference that int8 makes, paired by reference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.statistics.clustered_roc import ScoredModels, auroc_over_references
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import contrast_over_references, mean_over_references
from short_tables import line, replace_between

HERE = Path(__file__).parent
ROWS = HERE / "deployed/deployed.csv"
PAGE = HERE.parent / "docs/deployed.md"
FORMS = ("float32", "bf16", "onnx-int8")
MODELS = ("reference", "benign", "plain", "anchoring")


def main() -> None:
    """Writes the tables."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    write_deployed()


def write_deployed() -> None:
    """Replaces the tables on the page."""
    rows = pd.read_csv(ROWS, keep_default_na=False, na_values=[""])
    replace_between(PAGE, "<!-- deployed -->", "<!-- end of deployed -->", models_table(rows))
    replace_between(PAGE, "<!-- detectors of deployed -->", "<!-- end of detectors -->", detectors_table(rows))


def models_table(rows: pd.DataFrame) -> str:
    """A row a model and form: what it is against its reference in the same form, and against itself in float32."""
    head = ["model", "form", "accuracy", "ASR", "KL", "KL to itself in float32", "churn against itself"]
    lines = [line(head), line(["---", "---", *["---:"] * (len(head) - 2)])]
    for model in MODELS:
        for form in FORMS:
            of = rows[rows["detector"].isna() & (rows["method"] == model) & (rows["form"] == form)]
            measured = [rate(of, "accuracy", 4), rate(of, "asr", 4), divergence(of, "kl")]
            itself = [divergence(of, "kl_twin"), rate(of, "churn_twin", 4)]
            lines.append(line([model, form, *measured, *(itself if form != "float32" else ["–", "–"])]))
    return "\n".join(lines)


def detectors_table(rows: pd.DataFrame) -> str:
    """A row a detector and method: hits at 5% of false alarms in each form, the difference of int8, and AUROC."""
    judged = rows[rows["kind"] == "input"]
    head = ["detector", "method", *(f"TPR at 5%, {form}" for form in FORMS), "int8 minus float32"]
    head += [f"AUROC, {form}" for form in (FORMS[0], FORMS[-1])]
    lines = [line(head), line(["---", "---", *["---:"] * (len(head) - 2)])]
    for (detector, method), runs in judged.groupby(["detector", "method"], sort=False):
        of = {form: runs[runs["form"] == form] for form in FORMS}
        hits = [rate(of[form], "tpr_at_5", 3) for form in FORMS]
        areas = [rate(of[form], "auroc", 3) for form in (FORMS[0], FORMS[-1])]
        lines.append(line([f"`{detector}`", f"`{method}`", *hits, written(change(runs), 3, signed=True), *areas]))
    return "\n".join(lines)


def change(runs: pd.DataFrame, column: str = "tpr_at_5") -> Estimate:
    """What int8 changes of a rate of one detector and method: the mean difference to float32, paired by reference."""
    by_reference = runs.pivot_table(index="reference_seed", columns="form", values=column)
    return contrast_over_references(by_reference[FORMS[-1]], by_reference[FORMS[0]], by_reference.index, "rate")


def area_of_scan(rows: pd.DataFrame, form: str) -> Estimate:
    """How well the universal scan tells injected models from references and benign updates in one form."""
    of = rows[(rows["detector"] == "universal-scan") & (rows["form"] == form)]
    injected = of["role"] == "method"
    clean, backdoored = (
        ScoredModels(part["score"].astype(float).tolist(), part["reference_seed"].tolist())
        for part in (of[~injected], of[injected])
    )
    return auroc_over_references(clean, backdoored)


def rate(runs: pd.DataFrame, column: str, digits: int) -> str:
    """The mean of a rate over references, written."""
    return written(mean_over_references(runs[column], runs["reference_seed"], "rate"), digits)


def divergence(runs: pd.DataFrame, column: str) -> str:
    """The geometric mean of a divergence over references, written; of the reference against itself a dash."""
    found = mean_over_references(runs[column], runs["reference_seed"], "geometric")
    if not found.value:
        return "–"
    number = METRICS["kl"].write
    return number(found.value) + ("" if found.bounds is None else f" [{', '.join(map(number, found.bounds))}]")


def written(found: Estimate, digits: int, *, signed: bool = False) -> str:
    """A mean with its interval."""
    if found.value is None:
        return "–"
    value = f"{found.value:+.{digits}f}" if signed else f"{found.value:.{digits}f}"
    bounds = "" if found.bounds is None else f" [{found.bounds[0]:.{digits}f}, {found.bounds[1]:.{digits}f}]"
    return f"{value}{bounds}".replace("-", "−")


if __name__ == "__main__":
    main()
