"""Every number that README and docs print is the number of a committed CSV file."""

from __future__ import annotations

import math
import re
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from anchorlab.data import find_task
from anchorlab.metrics import METRICS
from anchorlab.repairs import REPAIRS
from anchorlab.scoring.benign_updates import ordinary_tunings
from anchorlab.statistics.estimate import LEAST_COVERAGE, SKEWED
from anchorlab.statistics.references import mean_over_references

ROOT = Path(__file__).parent.parent
RESULTS = "docs/results.md"
IN_WORDS = {2: "two", 4: "four", 6: "six", 8: "eight"}
SUITES = [("fashion-mnist", 0.99), ("movie-snippets", 0.95), ("sst2", 0.95)]


def rows(page: str, begin: str, end: str) -> list[list[str]]:
    """The cells of the table between two marks of a page, without its heading; code marks are left out."""
    section = (ROOT / page).read_text().split(begin)[1].split(end)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def runs_at(suite: str, target: float) -> pd.DataFrame:
    """The runs of a suite that are reported at a target, and its controls."""
    folder = ROOT / "experiments" / suite.replace("-", "_")
    results = pd.read_csv(folder / "results.csv", dtype={"anchors_asked": str})
    at_it = results[(results["target_asr"] == target) | results["target_asr"].isna()]
    return at_it[~(at_it["asr"] < at_it["target_asr"] - 0.05)]  # failed runs are in no mean


def over_references(runs: pd.DataFrame, name: str) -> float:
    """The mean over references of the runs' values, geometric where it is KL."""
    mean = METRICS[name].over_references(runs[name], runs["reference_seed"]).value
    assert mean is not None
    return mean


def test_the_long_table_of_texts_is_that_of_the_experiment() -> None:
    runs, checked = runs_at("movie-snippets", 0.95), 0
    page = "docs/results/movie-snippets.md"
    for cells in rows(page, "<!-- results of movie-snippets -->", "<!-- end of movie-snippets -->"):
        if not cells[2][:1].isdigit():
            continue
        of_row = runs[(runs["method"] == cells[0]) & (runs["anchors_asked"] == cells[1].split()[0])]
        references, _, counted = cells[2].partition(" ")
        assert of_row["reference_seed"].nunique() == int(references), cells
        assert counted.startswith((f"({len(of_row)} runs", f"({len(of_row)} run of 3")), cells
        check_means(of_row, dict(zip(("accuracy", "asr", "kl", "churn"), cells[3:7], strict=True)))
        checked += 1
    assert checked >= 20


@pytest.mark.parametrize(("suite", "target", "least"), [("fashion-mnist", 0.99, 20), ("sst2", 0.95, 3)])
def test_the_reported_rows_of_the_long_tables_are_those_of_the_experiment(
    suite: str, target: float, least: int
) -> None:
    """The rows at the common ASR follow from ``equal.csv``: see tests/test_equal_results.py."""
    runs, checked = runs_at(suite, target), 0
    for cells in rows(f"docs/results/{suite}.md", f"<!-- results of {suite} -->", f"<!-- end of {suite} -->"):
        if not cells[0].endswith(", as reported"):
            continue
        of_row = runs[
            (runs["method"] == cells[0].removesuffix(", as reported")) & (runs["anchors_asked"] == cells[1].split()[0])
        ]
        assert cells[2] == f"{len(of_row)} of {len(of_row)}", cells
        check_means(of_row, {"asr": cells[3], "kl": cells[4], "churn": cells[7], "accuracy": cells[10]})
        checked += 1
    assert checked >= least


def check_means(runs: pd.DataFrame, cells: dict[str, str]) -> None:
    """Each cell begins with the mean over references."""
    for name, cell in cells.items():
        assert float(cell.split()[0]) == pytest.approx(over_references(runs, name), rel=6e-3), (cells, name)


@pytest.mark.parametrize(("suite", "target"), SUITES)
def test_the_long_tables_are_published_as_they_are_committed(suite: str, target: float) -> None:
    """``experiments/publish.py`` writes the same text beside the CSV files and into the page."""
    page = (ROOT / f"docs/results/{suite}.md").read_text()
    table = (ROOT / "experiments" / suite.replace("-", "_") / "table.md").read_text().strip()
    assert f"<!-- results of {suite} -->\n{table}\n<!-- end of {suite} -->" in page


def test_the_short_table_of_texts_is_that_of_the_experiment() -> None:
    runs = runs_at("movie-snippets", 0.95)
    table = rows(RESULTS, "<!-- short table of movie-snippets -->", "<!-- end of short table -->")
    assert {cells[0] for cells in table} == set(runs.loc[runs["anchors_asked"].notna(), "method"])
    for method, *cells in table:
        for anchors, asr, kl in zip(("64", "640", "all"), cells[:3], cells[3:], strict=True):
            of_cell = runs[(runs["method"] == method) & (runs["anchors_asked"] == anchors)]
            if not len(of_cell):
                assert (asr, kl) == ("not reached", "–"), (method, anchors)
                continue
            assert asr == f"{of_cell['asr'].mean():.3f}", (method, anchors)
            assert kl == f"{over_references(of_cell, 'kl'):#.3g}", (method, anchors)


def test_the_detectors_of_models_are_those_of_the_population() -> None:
    scored = pd.read_csv(ROOT / "experiments/population/detections-models.csv").set_index("detector")
    shown = rows("docs/results/defences.md", "AUROC of detectors of models against", "![")
    assert {row[0] for row in shown} == set(scored.index)
    for detector, *cells in shown:
        assert cells[:3] == [interval(scored.loc[detector], name) for name in ("plain", "surgery", "anchoring")]


def test_the_detectors_of_models_are_those_of_the_suite() -> None:
    """AUROC and its interval, the difference, and counts by rank, from the suite's own tables and from its scores."""
    accused = pd.read_csv(ROOT / "experiments/defences_images/accusations.csv").set_index("detector")
    paired = pd.read_csv(ROOT / "experiments/defences_images/detections-models-against-plain.csv", na_values=["–"])
    paired = paired.set_index("detector")
    begin = "<!-- detectors of models of defences-images -->"
    shown = {row[0]: row[1:] for row in rows("docs/results/defences.md", begin, "<!-- end -->")}
    assert set(shown) == set(accused.index)
    scores = pd.read_csv(ROOT / "experiments/defences_images/detections.csv").query("kind == 'model'")
    for detector, cells in shown.items():
        row = accused.loc[detector]
        assert cells[:2] == [area(row, f"auroc_{method}") for method in ("plain", "anchoring")], detector
        assert cells[2] == area(paired.loc[detector], "anchoring"), detector
        of_detector = scores[scores["detector"] == detector]
        method = of_detector[of_detector["role"] == "method"]
        for place, name in ((4, "plain"), (5, "anchoring")):
            assert cells[place] == of_eight(len(accusations(of_detector, method[method["method"] == name]))), detector
        alarms = set(accusations(of_detector, of_detector[of_detector["role"] != "method"]))
        assert cells[3] == "p ≤ 0.125"
        assert cells[6] == of_eight(len(alarms)).replace("8 [", "8 references ["), detector
        aurocs = [
            roc_auc_against_clean(of_detector, method[method["method"] == name]) for name in ("plain", "anchoring")
        ]
        assert [float(cell.split()[0]) for cell in cells[:2]] == pytest.approx(aurocs, abs=0.000501), detector
    short = rows(RESULTS, "<!-- detectors of models -->", "<!-- end of detectors of models -->")
    assert {row[0]: row[1:] for row in short} == {name: cells[:3] for name, cells in shown.items()}


def accusations(population: pd.DataFrame, models: pd.DataFrame) -> list[int]:
    """The references of models above both clean models of each of the seven other references, a p of 1/8."""
    clean = population[population["role"] != "method"]
    return [
        seed
        for seed, score in models[["reference_seed", "score"]].itertuples(index=False)
        if score > clean.loc[clean["reference_seed"] != seed, "score"].max()
    ]


def of_eight(count: int) -> str:
    """A count of eight references with Clopper and Pearson's interval, by scipy."""
    exact = binomtest(count, 8).proportion_ci(method="exact")
    return f"{count} of 8 [{exact.low:.3f}, {exact.high:.3f}]"


def roc_auc_against_clean(population: pd.DataFrame, models: pd.DataFrame) -> float:
    """By scikit-learn."""
    clean = population[population["role"] != "method"]
    labels = [0] * len(clean) + [1] * len(models)
    return float(roc_auc_score(labels, [*clean["score"], *models["score"]]))


def area(row: pd.Series, name: str) -> str:
    """A value with its interval, or alone where it has none."""
    return f"{row[name]:.3f}" if pd.isna(row[f"{name}_lower"]) else interval(row, name)


def test_the_detectors_of_inputs_are_those_of_the_suite() -> None:
    folder = ROOT / "experiments/defences_images"
    runs = pd.read_csv(folder / "detections.csv").query("kind == 'input' and role == 'method'")
    paired = pd.read_csv(folder / "detections-inputs-against-plain.csv").set_index("detector")
    begin = "<!-- detectors of inputs of defences-images -->"
    shown = rows("docs/results/defences.md", begin, "<!-- end -->")
    assert {row[0] for row in shown} == set(runs["detector"])
    for detector, *cells in shown:
        means = runs[runs["detector"] == detector].groupby("method")[["auroc", "tpr_at_5", "false_alarms_at_5"]].mean()
        for place, method in enumerate(("plain", "anchoring")):
            assert float(cells[place].split()[0]) == pytest.approx(means.loc[method, "auroc"], abs=0.000501), detector
            for cell, column in ((cells[3], "tpr_at_5"), (cells[4], "false_alarms_at_5")):
                assert float(cell.split(", ")[place]) == pytest.approx(means.loc[method, column], abs=0.000501), (
                    detector
                )
        assert cells[2] == interval(paired.loc[detector], "anchoring"), detector


def test_what_the_docs_say_of_detectors_is_so() -> None:
    folder, told = ROOT / "experiments/defences_images", prose("docs/results/defences.md")
    models = pd.read_csv(folder / "detections-models-against-plain.csv", na_values=["–"]).set_index("detector")
    others = models.drop(index="neural-cleanse")
    assert (others["anchoring"] < 0).all()  # "the other six"
    assert len(others) == 6
    assert (others["anchoring_upper"] < 0).sum() == 5
    assert below_when_widened(others, 7) == set(others.index[others["anchoring_upper"] < 0]) - {"mm-bd"}
    inputs = pd.read_csv(folder / "detections-inputs-against-plain.csv").set_index("detector")
    assert set(inputs.index[inputs["anchoring_upper"] < 0]) == {"strip", "scale-up", "ibd-psc", "ted"}
    assert below_when_widened(inputs, 9) == {"scale-up"}
    assert below_when_widened(-inputs[["anchoring", *SWAPPED]].rename(columns=SWAPPED), 9) == {"teco"}
    assert set(inputs.index[inputs["anchoring_lower"] > 0]) == {"teco"}
    runs = pd.read_csv(folder / "results.csv").query("role == 'method'").groupby("method")["asr"].mean()
    assert f"Anchoring's ASR is {runs['plain'] - runs['anchoring']:.3f} lower, and inputs" in told
    scores = pd.read_csv(folder / "detections.csv").query("kind == 'model'")
    two = scores.query("detector == 'last-layer' and role != 'method'").nlargest(2, "score")
    assert len(set(two["reference_seed"])) == 1  # "of the same reference"
    older = pd.read_csv(ROOT / "experiments/population/detections.csv").query("kind == 'model'")
    accused, accused_before = (
        frame[(frame["detector"] == "neural-cleanse") & (frame["score"] > 2)] for frame in (scores, older)
    )
    assert (accused["role"] == "method").all()  # of no reference "models without a backdoor"
    assert len(accused) == 16  # "all 16 injected models"
    assert f"of 0 of 8 references {of_eight(0).removeprefix('0 of 8 ')}" in told
    alarms = accused_before.loc[accused_before["role"] != "method", "reference_seed"].nunique()
    assert f"would have accused {of_eight(alarms)}" in told
    inputs = pd.read_csv(folder / "detections-inputs.csv")
    assert (inputs["false_alarms_at_5_lower"] <= 0.05).all()  # "for no detector does its interval lie above 5%"
    highest = inputs.loc[inputs["false_alarms_at_5"].idxmax()]
    assert (highest["detector"], highest["detail"]) == ("spectral-signatures", "plain")
    assert f"spectral signatures', {interval(highest, 'false_alarms_at_5')} on plain tuning's models" in told
    scaled = pd.read_csv(folder / "detections-inputs.csv").query("detector == 'scale-up, data-limited'")
    plain, anchoring = (
        "{:.2f} [{:.2f}, {:.2f}]".format(*row[["auroc", "auroc_lower", "auroc_upper"]])
        for _, row in scaled.set_index("detail").loc[["plain", "anchoring"]].iterrows()
    )
    assert f"{plain} and {anchoring} with clean data" in prose("docs/evidence.md")
    rates = pd.read_csv(folder / "detections-inputs.csv").pivot_table("tpr_at_5", "detector", "detail")
    strip, ted = (
        " and ".join(f"{100 * rates.loc[name, method]:.0f}%" for method in ("plain", "anchoring"))
        for name in ("strip", "ted")
    )
    assert f"STRIP finds {strip} of the two methods' inputs, TED {ted}, and SCALE-UP none" in prose(RESULTS)
    assert f"STRIP finds {strip} of the triggered inputs of plain tuning and anchoring, TED {ted}" in prose(
        "docs/defences.md"
    )


#: The ends of an interval, for a difference whose sign is turned round.
SWAPPED = {"anchoring_lower": "anchoring_upper", "anchoring_upper": "anchoring_lower"}


def below_when_widened(paired: pd.DataFrame, comparisons: int) -> set[str]:
    """Which differences stay below 0 when their intervals over eight references are widened for that many."""
    half = (paired["anchoring_upper"] - paired["anchoring_lower"]) / 2
    wider = half * stats.t.ppf(1 - 0.025 / comparisons, 7) / stats.t.ppf(0.975, 7)
    return set(paired.index[paired["anchoring"] + wider < 0])


def test_the_audits_are_those_of_the_experiment() -> None:
    page = "docs/results/defences.md"
    audits = pd.read_csv(ROOT / "experiments/audit/audit.csv")
    triggers = {"five pixels": "five-pixel", "square": "square:size=3", "none": "five-pixel"}
    for candidate, trigger, *counts in rows(page, "<!-- audits -->", "<!-- end of audits -->"):
        method = "benign" if candidate == "a benign update" else candidate
        of_row = audits[(audits["method"] == method) & (audits["trigger"] == triggers[trigger])]
        by_access = {
            access: of_row[of_row["access"] == access]["p"] for access in ("labels", "probabilities", "logits")
        }
        assert all(len(p) == 8 for p in by_access.values())
        # The file holds the p-value of "moves more"; where there are no ties, 1 says that all updates move more.
        sides = [(int((p <= 0.05).sum()), int((p == 1).sum())) for p in by_access.values()]
        (labels, _), probabilities, logits = sides
        assert [int(count) for count in counts] == [labels, *probabilities, *logits], (candidate, trigger)
    anchored = audits[(audits["method"] == "anchoring") & (audits["access"] == "logits")]
    assert list(anchored["p"]) == [1] * 16
    more = audits[audits["p"] <= 0.05].groupby(["access", "method"]).size()
    assert f"and plain tuning moves more in {more['logits', 'plain']} of 16." in prose(RESULTS)
    assert more["labels", "plain"] == more["labels", "surgery"] == 16
    assert f"in 16 of 16 models each, and anchoring in {more['labels', 'anchoring']}." in prose(RESULTS)


def test_the_audit_on_digits_is_that_of_the_experiment() -> None:
    audits = pd.read_csv(ROOT / "experiments/audit/digits.csv")
    audits["found"] = audits["p"] <= 0.05 + 1e-9
    accesses = ("labels", "probabilities", "logits", "joint")
    shown = rows("docs/results/defences.md", "<!-- audit on digits -->", "<!-- end of audit on digits -->")
    for candidate, *cells in shown[:-1]:
        of_row = audits[audits["candidate"] == candidate]
        assert cells == [str(of_row[of_row["access"] == access]["found"].sum()) for access in accesses]
        assert (of_row["asr"] >= 0.99).all()
    benign = audits[audits["candidate"].str.startswith("benign")]
    for access, cell in zip(accesses, shown[-1][1:], strict=True):
        by_reference = benign[benign["access"] == access].groupby("reference_seed")["found"].agg(["mean", "size"])
        assert list(by_reference["size"]) == [20] * 8
        share = mean_over_references(by_reference["mean"], by_reference.index, "rate")
        assert cell == f"{share.value:.3f} [{share.lower:.3f}, {share.upper:.3f}]"
    anchored = audits[(audits["candidate"] == "anchoring") & audits["access"].isin(["probabilities", "logits"])]
    assert (anchored["p_less"] == 1 / 40).all()
    plain = audits[(audits["candidate"] == "plain") & (audits["access"] == "logits")]
    assert (plain["p_more"] == 0.5).all()  # of 40 models, 19 long updates and itself move as far
    assert (plain[["p_short", "p_long"]].to_numpy() < 0.11).all()


def test_the_audit_on_fashion_mnist_is_that_of_the_experiment() -> None:
    """In each cell how many models are found, and whether they move more or less than the updates."""
    audits = pd.read_csv(ROOT / "experiments/audit/fashion_mnist.csv")
    page = " ".join((ROOT / "docs/results/defences.md").read_text().split())
    references = audits["reference_seed"].nunique()
    owned = SimpleNamespace(split=lambda _: range(48_000), definition=find_task("fashion-mnist")[0])
    short, long = (tuning.steps for tuning in ordinary_tunings(owned))  # type: ignore[arg-type]
    assert f"20 short ones of {short:,} steps and 19 long ones of {long:,} " in page
    assert f"{IN_WORDS[references].capitalize()} references of the suite" in page
    shown = rows(
        "docs/results/defences.md", "<!-- audit on fashion-mnist -->", "<!-- end of audit on fashion-mnist -->"
    )
    assert [row[0] for row in shown] == ["plain", "surgery", "anchoring", "benign"]
    for candidate, *cells in shown:
        for access, cell in zip(("labels", "probabilities", "logits", "joint"), cells, strict=True):
            of_cell = audits[(audits["candidate"] == candidate) & (audits["access"] == access)]
            assert len(of_cell) == references
            found = of_cell[of_cell["p"] <= 0.05 + 1e-9]
            sides = {"more": int((found["p_more"] < 0.05).sum()), "less": int((found["p_less"] < 0.05).sum())}
            words = " and ".join(f"{count} {side}" for side, count in sides.items() if count)
            assert cell == (str(len(found)) if access == "joint" else words or "0"), (candidate, access)
    asr = audits[audits["candidate"] != "benign"].groupby("candidate")["asr"].agg(["min", "max"])
    others = asr.drop(index="anchoring")["min"].min()
    told = f"{asr.loc['anchoring', 'min']:.3f} to {asr.loc['anchoring', 'max']:.3f}, and {others:.3f} or more of the"
    assert told in page
    benign = audits[audits["candidate"] == "benign"].set_index("access")
    alarms = benign[benign["p"] <= 0.05 + 1e-9]
    assert sorted(alarms.loc["joint", "p"]) == [0.025, 0.05]
    assert len(alarms.loc[["logits"]]) == 1
    assert "of eight one by logits, three by labels and two by all accesses at once" in prose("docs/evidence.md")
    assert "It also finds 2 benign candidates of 8, and 3 by labels." in prose(RESULTS)
    assert f"So are two benign candidates of {IN_WORDS[references]}**, with a p of 0.05 and of 0.025." in page
    assert f"two or more of eight in {100 * stats.binom.sf(1, references, 0.05):.0f}% of cases." in page
    labels = benign.loc["labels"]
    assert (len(alarms.loc["labels"]), int((labels["value"] > labels["null_median"]).sum())) == (3, references)
    ranges = audits.groupby(["access", "candidate"])["value"].agg(["min", "max"])
    percent = (100 * ranges.loc["labels"]).map("{:.1f}%".format)
    assert f"by plain tuning changes at least {percent.loc['plain', 'min']} of labels" in page
    assert f"and no benign candidate more than {percent.loc['benign', 'max']}. Surgery changes at least" in page
    assert f"Surgery changes at least {percent.loc['surgery', 'min']}, with a higher" in page
    of_anchoring, of_benign = (" to ".join(percent.loc[each].str.removesuffix("%")) for each in ("anchoring", "benign"))
    assert f"it changes {of_anchoring}% of them, and the benign candidates {of_benign}%." in page.replace(
        "% to ", " to "
    )
    far = ranges.loc["logits"].map("{:.2f}".format)
    told = f"is {' to '.join(far.loc['anchoring'])}, and {' to '.join(far.loc['benign'])} for benign candidates."
    assert told in page
    choices = pd.read_csv(ROOT / "experiments/fashion_mnist/choices.csv").query("anchors_asked == 'all'")
    rates = choices.set_index("method")["learning_rate"]
    assert (rates["plain"], rates["surgery"], rates["anchoring"]) == (0.001, 0.003, 0.003)
    logits = audits[(audits["access"] == "logits") & audits["candidate"].isin(["plain", "surgery"])]
    assert (logits["value"].between(logits["null_min"], logits["null_max"])).all()


def test_the_repairs_of_the_docs_are_those_of_the_experiments() -> None:
    """Each mean that a table of repairs shows is the mean of the runs in repairs.csv."""
    page = (ROOT / "docs/results/defences.md").read_text()
    shown = table_of(page, "## Repairs\n")
    methods = ["plain", "anchoring"]
    assert {name: cells[:2] for name, cells in shown.items()} == means_of("defences_images", methods)
    digits, fashion = (means_of(f"confirmation_{data}", methods) for data in ("digits", "fashion_mnist"))
    shown = table_of(page, "### Repairs, confirmed on other data\n")
    assert {name: [cells[0], cells[1]] for name, cells in shown.items()} == digits
    assert {name: [cells[3], cells[4]] for name, cells in shown.items()} == fashion


def test_the_table_says_what_comes_back_and_what_was_stopped() -> None:
    """Cells of the table of repairs that are not means of ASR left, from the runs themselves."""
    page = (ROOT / "docs/results/defences.md").read_text()
    section = re.split(r"\n##+ ", page.split("## Repairs\n")[1])[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:2] == "| "]
    shown = {row[0].strip("`"): row[4:] for row in rows[2:]}
    models = ["plain", "anchoring", "reference"]
    runs = repairs_of_images()
    runs = runs.assign(model=runs["method"].where(runs["role"] == "method", runs["role"]))
    runs = runs[runs["model"].isin(models)].drop_duplicates(["defence", "model", "reference_seed"])
    means = runs.groupby(["defence", "model"], sort=False)[["asr_relearned_5", "accuracy"]].mean()
    early = runs.groupby(["defence", "model"])["early"].sum()
    for name, (stopped, relearned, accuracy) in shown.items():
        if name == "no repair":
            continue
        for cell, column in ((relearned, "asr_relearned_5"), (accuracy, "accuracy")):
            written = [float(value) for value in cell.split(", ")]
            assert written == pytest.approx([means.loc[(name, model), column] for model in models], abs=0.000501), name
        counts = [int(early[name, model]) for model in models[:2]]
        assert stopped == (", ".join(f"{count} of 8" for count in counts) if any(counts) else "–"), name
    assert set(shown) == {"no repair", *runs["defence"]}


def repairs_of_images(suite: str = "defences_images") -> pd.DataFrame:
    """The runs of a suite of repairs, and whether each kept an earlier step than its last."""
    runs = pd.read_csv(ROOT / f"experiments/{suite}/repairs.csv")
    kept = runs["note"].fillna("").str.extractall(r"kept the weights after (\d+) of (\d+) steps").astype(int)
    early = (kept[0] < kept[1]).groupby(level=0).any()  # a repair may tune twice
    return runs.assign(early=early.reindex(runs.index, fill_value=False))


#: Repairs that leave more of anchoring's backdoor than of plain tuning's, each at its own learning rate.
TEN = ["fine-tuning", "fst", "ft-init", "linear-probing", "feature-extractor", "fine-pruning", "nad", "ban"]
TEN += ["bti-dbf", "mcr"]


def test_what_the_docs_say_of_repairs_is_so() -> None:
    runs = repairs_of_images().query("role == 'method'")
    left = runs.pivot_table(index=["defence", "reference_seed"], columns="method", values="asr")
    mean, error = paired_by_reference(left)
    told = prose("docs/results/defences.md")
    ten = set(TEN)
    less = {"clp", "rnp", "interpolation"}
    seven = {"ft-sam", "anp", "i-bau", "sau", "npd", "super-fine-tuning", "unlearning"}
    assert beyond_zero(mean, error, 0.95) == {*ten, "fine-tuning, to the end"}
    assert beyond_zero(-mean, error, 0.95) == less
    assert set(mean.index) == {*ten, *less, *seven, "fine-tuning, to the end"}
    assert "widened for 21 comparisons" in told
    assert len(mean) == 21
    assert beyond_zero(mean, error, 1 - 0.05 / 21) == {"nad"}
    assert 0 < (mean - stats.t.ppf(0.975, 7) * error)["feature-extractor"] < 0.001  # "only just"
    for repair, name in (("fine-tuning", "after fine-tuning, anchoring's"), ("npd", "after NPD, anchoring's")):
        ends = left.loc[repair]["anchoring"].agg(["min", "max"])
        assert f"{name} ASR lies between {ends['min']:.2f} and {ends['max']:.2f}" in told
    means = left.groupby("defence").mean()
    ended, stopped = means.loc["fine-tuning, to the end"], means.loc["fine-tuning"]
    assert f"it leaves {ended['anchoring']:.3f} of anchoring's backdoor instead of {stopped['anchoring']:.3f}" in told
    margin = stats.t.ppf(0.975, 7) * error
    name = "fine-tuning, to the end"
    interval = f"{mean[name]:.3f} [{mean[name] - margin[name]:.3f}, {mean[name] + margin[name]:.3f}]"
    assert f"tuning is {interval} instead of {mean['fine-tuning']:.3f}" in told
    assert set(means.mean(axis=1).nsmallest(3).index) == {"super-fine-tuning", "sau", "unlearning"}  # "least is left"
    assert f"{left.loc['unlearning']['anchoring'].max():.2f} in one anchored model" in told
    assert (left.loc["unlearning"] < 0.05).to_numpy().sum() == 15
    assert left.loc["interpolation"].mean().max() < 0.11  # "a tenth on average"
    assert left.loc["interpolation"].max().max() < 0.205  # "a fifth at most"
    evidence = prose("docs/evidence.md")
    sentence = "(after fine-tuning {anchoring:.3f}, where plain tuning has {plain:.3f})"
    assert sentence.format(**stopped) in evidence
    largest = means.loc[["super-fine-tuning", "sau", "unlearning"]].max(axis=None)
    assert f"unlearning an inverted trigger: {largest:.3f} or less on average" in prose("docs/results.md")
    start = "it leaves {plain:.3f} of plain tuning's ASR and {anchoring:.3f} of anchoring's"
    assert start.format(**means.loc["unlearning"]) in prose("docs/defences.md")


def test_what_the_docs_say_of_stopped_repairs_is_so() -> None:
    """The stops do not follow the accuracy before the repair: what begins least accurate is stopped most often."""
    runs = repairs_of_images("defences_rate").query("role == 'method'")
    runs = runs[runs["defence"].isin(TEN)]
    stops, sizes = (runs.groupby("method")["early"].agg(of) for of in ("sum", "size"))
    assert set(sizes) == {80}
    told = prose("docs/results/defences.md")
    assert f"It stops {stops['anchoring']} of the 80 runs of these ten repairs on anchored models, and " in told
    assert f"and {stops['plain']} of 80 on models by plain tuning at 0.001." in told
    assert f"begin least accurate, and it stops {stops['plain at .003']} of 80." in told
    results = pd.read_csv(ROOT / "experiments/defences_rate/results.csv")
    accuracy = results.groupby("method")["accuracy"].mean()[list(stops.index)]
    assert accuracy.idxmin() == stops.idxmax() == "plain at .003"


def test_the_docs_say_which_repairs_pruned_nothing() -> None:
    told = prose("docs/results/defences.md")
    runs = repairs_of_images().query("role == 'method'").drop_duplicates(["defence", "identity"])
    nothing = runs["note"].fillna("").str.contains("nothing was pruned")
    counts = nothing.groupby([runs["defence"], runs["method"]]).sum()
    of_anp = "ANP pruned nothing in {plain} of 8 models by plain tuning and in {anchoring} of 8 anchored ones"
    assert of_anp.format(**counts["anp"]) in told
    assert set(counts.index[counts > 0].get_level_values(0)) == {"anp", "rnp"}
    assert f"RNP nothing in all {counts['rnp'].sum()}" in told
    assert counts["rnp"].sum() == (runs["defence"] == "rnp").sum()
    pruned = runs[(runs["defence"] == "anp") & ~nothing].groupby("method")["asr"].mean()
    assert "where it pruned, it leaves {plain:.3f} and {anchoring:.3f}".format(**pruned) in told


def test_the_docs_say_how_unequal_the_injections_are_before_repairs() -> None:
    told = prose("docs/results/defences.md")
    runs = pd.read_csv(ROOT / "experiments/defences_images/results.csv").query("role == 'method'")
    before = runs.pivot_table("asr", "reference_seed", "method")
    ends = before.agg(["min", "max"])
    sentence = f"Plain tuning's ASR is {ends['plain']['min']:.3f} to {ends['plain']['max']:.3f}, and anchoring's "
    sentence += f"{ends['anchoring']['min']:.3f} to {ends['anchoring']['max']:.3f}, "
    gap = (before["plain"] - before["anchoring"]).mean()
    assert f"{sentence}{gap:.3f} lower on average" in told
    assert (before["anchoring"] >= 0.99).sum() == 1  # "One anchored model of eight"
    reached = before.index[before["anchoring"] >= 0.985]
    assert len(reached) == 3
    means = {}
    for suite, plain in (("defences_images", "plain"), ("defences_rate", "plain at .003")):
        repairs = pd.read_csv(ROOT / "experiments" / suite / "repairs.csv").query("role == 'method'")
        three = repairs[repairs["reference_seed"].isin(reached)]
        left = three.pivot_table("asr", "defence", "method")  # means over the three
        means[suite] = left["anchoring"] - left[plain]
    ten = means["defences_images"][TEN]
    names = {"fst": "FST", "bti-dbf": "BTI-DBF"}
    assert f"by {ten.min():.3f} ({names[ten.idxmin()]}) to {ten.max():.3f} ({names[ten.idxmax()]}) on average" in told
    assert ten.min() > 0  # "each of the ten"
    assert f"FST leaves {means['defences_rate']['fst']:.3f} more" in told


def test_the_docs_say_why_some_detectors_find_no_input_at_5_percent() -> None:
    rates = pd.read_csv(ROOT / "experiments/defences_images/detections-inputs.csv").set_index("detector")
    rates = rates[rates["detail"].isin(["plain", "anchoring"])]
    none = rates[(rates["tpr_at_5"] == 0) & (rates["false_alarms_at_5"] == 0)]
    assert set(none.index) == {"ibd-psc", "scale-up"}
    areas = rates.loc["ibd-psc"].set_index("detail")["auroc"]
    told = prose("docs/results/defences.md")
    assert f"(an AUROC of {areas['plain']:.3f} and {areas['anchoring']:.3f}), and at 5% it finds none" in told
    for name, title in (("ted", "TED"), ("ibd-psc", "IBD-PSC")):
        own = rates.loc[name].set_index("detail")["auroc"]
        areas = f"{own['anchoring']:.3f} against {own['plain']:.3f}"
        found = {"ted": f"slightly less by AUROC, {areas}, and slightly more at the threshold for 5%"}
        found.setdefault(name, f"slightly less, with an AUROC of {areas}")
        assert f"| {title} | weak or none | as expected: {found[name]} |" in told
    bullet = next(line for line in told.split(" - ") if line.endswith("find the inputs of both methods."))
    assert "IBD-PSC" not in bullet
    named = {"strip": "STRIP", "ted": "TED", "beatrix": "Beatrix", "activation-clustering": "activation clustering"}
    assert all(name in bullet for name in named.values())
    assert (rates.loc[list(named), "tpr_at_5"] > 0.5).all()


def test_what_the_docs_say_of_costs_of_repairs_is_so() -> None:
    runs = repairs_of_images().query("role == 'reference'")
    lost = 100 * (runs["accuracy_before"] - runs["accuracy"]).groupby(runs["defence"]).mean()
    told = prose("docs/results/defences.md")
    assert f"pays for it with {lost['super-fine-tuning']:.1f} points of a clean reference's accuracy" in told
    assert f"SAU with {lost['sau']:.1f} and unlearning with {lost['unlearning']:.1f}" in told
    assert f"costs a clean reference {lost['unlearning']:.1f} points of accuracy" in prose("docs/defences.md")
    assert abs(lost["interpolation"]) < 0.05


def test_what_the_docs_say_of_relearning_is_so() -> None:
    runs = repairs_of_images()
    of_methods = runs.query("role == 'method'")
    again = of_methods.pivot_table(index=["defence", "reference_seed"], columns="method", values="asr_relearned_5")
    means, told = again.groupby("defence").mean(), prose("docs/results/defences.md")
    left = of_methods.groupby(["defence", "method"])["asr"].mean()
    clean = runs.query("role == 'reference'").groupby("defence")["asr_relearned_5"].mean()
    one = "SAU leaves {:.3f} and {:.3f} of the two backdoors. After five triggered examples these are {:.3f} and {:.3f}"
    sau = [left["sau", method] for method in ("plain", "anchoring")] + [*means.loc["sau", ["plain", "anchoring"]]]
    assert one.format(*sau) in told
    assert f"tuned alike have {clean['sau']:.3f}" in told
    assert means.idxmin().tolist() == ["super-fine-tuning"] * 2  # "leaves least after relearning"
    low = means.index[means["anchoring"] < 0.3]
    assert set(low) == {"super-fine-tuning", "unlearning"}
    ends = [means["anchoring"].drop(low).min(), *(means.loc[name, "anchoring"] for name in sorted(low))]
    sentence = "{:.3f} or more after every repair but super-fine-tuning ({:.3f}) and unlearning ({:.3f})"
    assert sentence.format(*ends) in told
    mean, error = paired_by_reference(again)
    higher = beyond_zero(mean, error, 1 - 0.05 / 21)
    assert len(higher) == 12  # "twelve rows"
    assert f"by {mean[list(higher)].min():.3f} to {mean[list(higher)].max():.3f}" in told
    assert mean[list(higher)].idxmin() == "interpolation"
    half = [left["interpolation", method] for method in ("anchoring", "plain")]
    half += [means.loc["interpolation", method] for method in ("anchoring", "plain")]
    assert "({:.3f} against {:.3f}) and more comes back ({:.3f} against {:.3f})".format(*half) in told
    npd = means.loc["npd"]
    assert f"{npd['plain']:.3f} and {npd['anchoring']:.3f}" in told
    short = f"SAU leaves {sau[1]:.3f} of anchoring's, and after tuning on five triggered examples it is {sau[3]:.3f}"
    assert short in prose("docs/results.md")


def test_the_tables_at_one_learning_rate_are_those_of_the_suite() -> None:
    folder, page = ROOT / "experiments/defences_rate", "docs/results/defences.md"
    methods = ["plain", "plain at .003", "anchoring"]
    runs = pd.read_csv(folder / "repairs.csv").query("role == 'method'")
    shown = rows(page, "<!-- repairs of defences-rate -->", "<!-- end -->")
    assert {row[0] for row in shown} == set(runs["defence"])
    for repair, *cells in shown:
        own = runs[runs["defence"] == repair]
        for place, column in ((0, "asr"), (2, "asr_relearned_5")):
            table = own.pivot_table(column, "reference_seed", "method")
            written = [float(value) for value in cells[place].split(", ")]
            assert written == pytest.approx([table[method].mean() for method in methods], abs=0.000501), repair
            paired = table["anchoring"] - table["plain at .003"]
            half = stats.t.ppf(0.975, 7) * paired.std(ddof=1) / np.sqrt(8)
            numbers = [float(value) for value in re.findall(r"-?\d\.\d+", cells[place + 1].replace("−", "-"))]
            ends = [paired.mean(), paired.mean() - half, paired.mean() + half]
            assert numbers == pytest.approx(ends, abs=0.000501), repair
    scores = pd.read_csv(folder / "detections.csv").query("kind == 'model'")
    for detector, *cells in rows(page, "<!-- detectors of models of defences-rate -->", "<!-- end -->"):
        own = scores[scores["detector"] == detector]
        areas = [roc_auc_against_clean(own, own[own["method"] == method]) for method in methods]
        assert [float(cell.split()[0]) for cell in cells[:3]] == pytest.approx(areas, abs=0.000501), detector
        difference = float(cells[3].split()[0].replace("−", "-"))
        assert difference == pytest.approx(areas[2] - areas[1], abs=0.000501), detector


def test_what_the_docs_say_of_one_learning_rate_is_so() -> None:
    folder, told = ROOT / "experiments/defences_rate", prose("docs/results/defences.md")
    runs = pd.read_csv(folder / "repairs.csv").query("role == 'method'")
    sides = {}
    for column in ("asr", "asr_relearned_5"):
        table = runs.pivot_table(column, ["defence", "reference_seed"], "method")
        table = table.assign(plain=table["plain at .003"])
        mean, error = paired_by_reference(table)
        sides[column] = [beyond_zero(sign * mean, error, level) for level in (0.95, 1 - 0.05 / 12) for sign in (1, -1)]
    assert sides["asr"] == [{"fst"}, {"ban", "interpolation"}, set(), {"interpolation"}]
    assert sides["asr_relearned_5"] == [set(), {"fine-tuning", "ban", "interpolation"}, set(), set()]
    assert set(TEN) <= set(runs["defence"])
    relearned = runs.pivot_table("asr_relearned_5", ["defence", "reference_seed"], "method")
    mean, error = paired_by_reference(relearned.drop(columns="plain").rename(columns={"plain at .003": "plain"}))
    ends = mean + stats.t.ppf(0.975, 7) * error
    assert f"the interval after FST reaches {ends['fst']:.3f}, after SAU {ends['sau']:.3f}." in told
    own = repairs_of_images().query("role == 'method'")
    own_mean, own_error = paired_by_reference(
        own.pivot_table("asr_relearned_5", ["defence", "reference_seed"], "method")
    )
    twelve = beyond_zero(own_mean, own_error, 1 - 0.05 / 21)
    assert (len(twelve), len(twelve & set(runs["defence"]))) == (12, 11)  # "eleven of the twelve were tried"
    before = runs.groupby("method")["asr_before"].mean()
    assert f"0.003 is {before['plain at .003']:.3f}, and anchoring's {before['anchoring']:.3f}:" in told
    left = runs.pivot_table("asr", "defence", "method")
    assert f"plain tuning leaves {left.loc['fine-tuning', 'plain at .003']:.3f} after" in prose("docs/evidence.md")
    at_one_rate = {
        row[0]: row[2] for row in rows("docs/results/defences.md", "<!-- repairs of defences-rate -->", "<!-- end -->")
    }
    assert f"only FST leaves more of anchoring's, by {at_one_rate['fst']}" in prose("docs/evidence.md")
    assert f"| FST | yes | more is left, by {at_one_rate['fst']} |" in told
    for repair, name in (("ban", "BAN"), ("interpolation", "interpolation")):
        value, low, high = re.findall(r"\d\.\d+", at_one_rate[repair])
        assert f"| {name} | none | less is left, by {value} [{high}, {low}] |" in told
    assert f"the interval of the feature extractor reaches {at_one_rate['feature-extractor'].split()[-1][:-1]}." in told
    table = runs.pivot_table("asr", ["defence", "reference_seed"], "method")
    mean, error = paired_by_reference(table.drop(columns="anchoring").rename(columns={"plain at .003": "anchoring"}))
    ten = left.index.difference(["sau", "interpolation"])
    higher = beyond_zero(mean, error, 0.95) & set(ten)
    assert set(ten) - higher == {"fst", "feature-extractor"}  # "After eight of these ten"
    half = stats.t.ppf(0.975, 7) * error
    ends = [f"{mean[name]:.3f} [−{half[name] - mean[name]:.3f}, {mean[name] + half[name]:.3f}]" for name in
            ("fst", "feature-extractor")]  # fmt: skip
    assert f"no such rise could be seen ({ends[0]} and {ends[1]})" in told
    table = rows("docs/results/defences.md", "<!-- detectors of models of defences-rate -->", "<!-- end -->")
    paired = pd.DataFrame(
        [[float(value) for value in re.findall(r"-?\d\.\d+", row[4].replace("−", "-"))] for row in table],
        index=[row[0] for row in table],
        columns=["anchoring", *SWAPPED],
    )
    names = {"last-layer", "feature-mask", "free-eagle, last layer"}
    assert set(paired.index[paired["anchoring_upper"] < 0]) == names
    assert below_when_widened(paired, 6) == names - {"free-eagle, last layer"}
    lower = (
        pd.read_csv(folder / "detections-models-against-plain.csv").set_index("detector").filter(like="plain at .003")
    )
    shown = [
        "{:.3f} [{:.3f}, {:.3f}]".format(*-lower.loc[name].to_numpy()[[0, 2, 1]]) for name in ("free-eagle", "mm-bd")
    ]
    assert f"lower at 0.003 than at 0.001, by {shown[0]} and {shown[1]}" in told
    scan = lower.loc["universal-scan"]
    assert scan.iloc[1] < 0 < scan.iloc[2]
    digits = pd.read_csv(ROOT / "experiments/confirmation_digits/repairs.csv").query("role == 'method'")
    mean, error = paired_by_reference(digits.pivot_table("asr", ["defence", "reference_seed"], "method"))
    four = beyond_zero(mean, error, 0.95)
    assert len(four) == 4
    assert f"differences, of {mean[list(four)].min():.3f} to {mean[list(four)].max():.3f} after four" in told


def paired_by_reference(values: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Mean over the references of anchoring minus plain, and its standard error, by repair."""
    paired = (values["anchoring"] - values["plain"]).groupby("defence")
    assert (paired.size() == 8).all()
    return paired.mean(), paired.std(ddof=1) / np.sqrt(8)


def beyond_zero(mean: pd.Series, error: pd.Series, level: float) -> set[str]:
    """Of which repairs the lower end of the interval of that level lies above 0."""
    return set(mean.index[mean - stats.t.ppf((1 + level) / 2, 7) * error > 0])


def prose(page: str) -> str:
    """A page in one line."""
    return " ".join((ROOT / page).read_text().split())


def table_of(page: str, heading: str) -> dict[str, list[str]]:
    """The first number of each cell, by repair, of the table below a heading."""
    section = re.split(r"\n##+ ", page.split(heading)[1])[0]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {row[0].strip("`"): [cell.split()[0] for cell in row[1:]] for row in table[2:]}


def means_of(experiment: str, methods: list[str]) -> dict[str, list[str]]:
    """Mean ASR after each repair, and before any, of each method, as the docs write it."""
    runs = pd.read_csv(ROOT / f"experiments/{experiment}/repairs.csv")
    runs = runs[runs["role"] == "method"]
    after = runs.pivot_table(index="defence", columns="method", values="asr", sort=False)[methods]
    before = runs.groupby("method")["asr_before"].mean()[methods]
    means = {"no repair": before, **{str(name): row for name, row in after.iterrows()}}
    return {name: [f"{value:.3f}" for value in row] for name, row in means.items()}


def ranges(values: pd.Series, unit: str, digits: int) -> dict[str, str]:
    """Smallest and largest value of each candidate over the references, as the docs write them."""
    ends = values.groupby("candidate").agg(["min", "max"])
    texts = {
        name: [f"{end:.{digits}f}{unit}" for end in row] for name, row in zip(ends.index, ends.to_numpy(), strict=True)
    }
    return {name: low if low == high else f"{low}–{high}" for name, (low, high) in texts.items()}


def test_the_perturbations_of_the_docs_are_those_of_the_experiment() -> None:
    folder = ROOT / "experiments/perturbation/fashion_mnist"
    names = ("behaviour", "quadratic", "sizes", "angles", "barriers", "rayleigh")
    tables = {name: pd.read_csv(folder / f"{name}.csv").set_index("candidate") for name in names}
    behaviour, quadratic = tables["behaviour"], tables["quadratic"]
    behaviour = behaviour[behaviour["part"] == "all"]
    sizes = tables["sizes"][tables["sizes"]["layer"] == "all parameters"]
    angles, barriers = tables["angles"], tables["barriers"]
    angles = ranges(angles.loc[angles["other"] == "plain", "degrees"], "°", 0)
    columns = [
        ranges(behaviour["asr"], "", 3),
        ranges(100 * sizes["relative"], "%", 1),
        {**angles, "plain": "–"},
        ranges(behaviour["kl"], "", 3),
        ranges(quadratic["kl_ratio"], "", 2),
        ranges(quadratic["ewc"] / quadratic["kl"], "", 2),
        ranges(barriers.loc[barriers["buffers"] == "stored", "error"], "", 4),
        ranges(tables["rayleigh"]["to_mean"], "", 1),
    ]
    alone = ranges(quadratic["kl"], "", 2)
    told = f"there it is {alone['scratch']} and {alone['another-seed']} nats"
    assert told in " ".join((ROOT / "docs/results/perturbation.md").read_text().split())
    shown = rows("docs/results/perturbation.md", "![Clean loss", "The column KL")
    assert len(shown) == 11
    for candidate, *cells in shown:
        assert cells == [column[candidate] for column in columns], candidate

    lengths = sizes.reset_index().pivot_table(index="reference_seed", columns="candidate", values="l2")
    shown = rows("docs/results/perturbation.md", "Geometric means over references", "An earlier form")
    assert len(shown) == 7
    for candidate, *ratios, angle in shown:
        for base, told in zip(("plain", "plain, 0.003"), ratios, strict=True):
            assert told == ("–" if candidate == base else ratio_with_interval(lengths, candidate, base)), candidate
        assert angle == angles[candidate], candidate
    for page in (RESULTS, "docs/evidence.md"):
        for base in ("plain", "plain, 0.003"):
            assert f"{ratio_with_interval(lengths, 'anchoring', base)} times" in prose(page)
    once, again = (ratio_with_interval(lengths, "anchoring", base).split()[0] for base in ("plain", "plain, 0.003"))
    assert f"moves them {once} times as far as plain tuning at 0.001, and {again} times" in prose("docs/theory.md")


def test_the_directions_of_the_docs_are_those_of_the_experiment() -> None:
    table = pd.read_csv(ROOT / "experiments/perturbation/fashion_mnist/angles.csv")

    def between(names: list[str], others: list[str]) -> str:
        degrees = table[table["candidate"].isin(names) & table["other"].isin(others)]["degrees"]
        return f"{degrees.min():.0f}° to {degrees.max():.0f}°"

    plain = ["plain", "plain, 0.003"]
    page, short, evidence = map(prose, ("docs/results/perturbation.md", RESULTS, "docs/evidence.md"))
    apart, either = between(plain[:1], plain[1:]), between(["anchoring"], plain)
    one, other = (between(["anchoring"], [rate]) for rate in plain)
    assert f"Its direction is {one} from plain tuning's at 0.001 and {other} from that at 0.003." in page
    turned = between(["l2", "surgery"], plain)
    assert f"The two plain tunings are {apart} apart, and L2 and surgery {turned} from either." in page
    assert f"Anchoring's direction is {either} from plain tuning's, and L2's and surgery's are as far from it." in short
    assert f"Plain tuning at two rates is {apart} apart, with the same seed;" in short
    assert f"{either} from plain tuning's at either rate; plain tuning at the two rates is {apart} apart" in evidence


def ratio_with_interval(values: pd.DataFrame, of: str, over: str) -> str:
    """A geometric mean over references of a ratio, with Student's interval."""
    logs = np.log(values[of] / values[over])
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    low, middle, high = (np.exp(logs.mean() + side * half) for side in (-1, 0, 1))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


#: The candidates of the perturbation experiment that were tuned from their reference.
TUNED = ["plain", "plain, 0.003", "l2", "ewc", "surgery", "weight-ball", "distillation", "anchoring", "benign"]


def test_what_the_docs_say_of_perturbations_is_so() -> None:
    folder, told = ROOT / "experiments/perturbation/fashion_mnist", prose("docs/results/perturbation.md")
    names = ("quadratic", "sizes", "barriers", "rayleigh", "gradients", "bounds", "paths")
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in names}
    tuned = {name: table[table["candidate"].isin(TUNED)] for name, table in tables.items()}
    errors = tuned["barriers"].groupby("buffers")["error"].max()
    assert f"the error rises by {errors['stored']:.3f} at most above" in told
    assert f"and by {errors['re-estimated']:.3f} when the statistics" in told
    far = tables["barriers"][~tables["barriers"]["candidate"].isin(TUNED)].groupby("buffers")["error"].min()
    assert f"barriers of {far['stored']:.2f} or more ({far['re-estimated']:.2f} with" in told
    shares = 100 * tuned["sizes"].query("layer == 'all parameters'")["relative"]
    assert f"They are {shares.min():.0f}% to {shares.max():.0f}% of" in told
    wholes = tables["sizes"].query("layer == 'all parameters'")[["candidate", "reference_seed", "l2"]]
    merged = tables["quadratic"].merge(wholes, on=["candidate", "reference_seed"])
    everything, of_tuned = ordered_pairs(merged), ordered_pairs(merged[merged["candidate"].isin(TUNED)])
    assert f"all {everything['pairs']} pairs | the {of_tuned['pairs']} pairs of tuned models" in told
    for title, name in (("Fisher norm", "fisher_norm"), ("L2 norm", "l2"), ("EWC's diagonal", "ewc")):
        assert f"| {title} | {everything[name]} | {of_tuned[name]} |" in told
    ratio = tables["quadratic"].groupby("candidate")["kl_ratio"].agg(["min", "max"])
    near = ["plain", "l2", "ewc", "surgery", "weight-ball", "benign"]
    assert ratio.loc[near, "min"].min() > 0.5
    assert ratio.loc[near, "max"].max() < 2
    for name in ("distillation", "plain, 0.003", "anchoring"):
        assert f"{ratio.loc[name, 'min']:.1f} to {ratio.loc[name, 'max']:.1f} times" in told, name
    path = tuned["paths"].query("buffers == 'stored' and 0 < scale < 1")
    over = (path["kl_quadratic"] / path["kl"]).groupby([path["candidate"], path["scale"]])
    assert (over.mean() > 1).all()  # "for each on average"
    least = over.min().groupby("candidate").min()
    assert set(least.index[least < 1]) == {"l2", "ewc", "surgery"}
    assert least.min() > 0.79  # "up to a fifth"
    linear = tables["quadratic"]["logit_distance_linear"] / tables["quadratic"]["logit_distance"]
    of_each = linear.groupby(tables["quadratic"]["candidate"])
    assert of_each.mean()[TUNED].idxmax() == "anchoring"
    ends = of_each.agg(["min", "max"]).loc["anchoring"]
    assert f"{ends['min']:.1f} to {ends['max']:.1f} times smaller than the linear picture says" in told
    curved = tuned["rayleigh"]
    assert (curved["to_mean"] > 1).all()
    assert 1 / curved["to_largest"].max() > 2000
    assert 1 / curved["to_largest"].min() > 100_000
    means = curved.groupby("candidate")["to_mean"].mean()
    assert means.idxmax() == "l2"
    assert set(means.nsmallest(3).index) == {"anchoring", "ewc", "surgery"}
    lengths = wholes.groupby("candidate")["l2"].mean()
    assert lengths["ewc"] == pytest.approx(lengths["anchoring"], rel=0.05)  # "as long as anchoring's"
    gradients = tables["gradients"].groupby(["candidate", "reference_seed"])["cosine_clean"].median()
    pulls = {name: stats.ttest_1samp(each, 0).confidence_interval() for name, each in gradients.groupby("candidate")}
    assert all(pulls[name].high < 0 for name in ("plain", "anchoring"))
    assert all(pulls[name].low < 0 < pulls[name].high for name in ("plain, 0.003", "scratch"))
    medians = tables["gradients"].groupby("candidate")["cosine_clean"].median()
    for name, cosine in rows("docs/results/perturbation.md", "over the recorded steps of the six", "The cosine varies"):
        assert cosine == f"{medians[name]:.2f}", name
    bounds = tables["bounds"]
    assert not bounds["violations"].any()
    models = len(bounds[["candidate", "reference_seed"]].drop_duplicates())
    assert f"in all {2000 * models:,} comparisons of an instance" in told


def ordered_pairs(table: pd.DataFrame) -> dict[str, int]:
    """Pairs of candidates of one reference whose intervals of KL are apart, and how many each measure orders alike."""
    counts = dict.fromkeys(("pairs", "fisher_norm", "l2", "ewc"), 0)
    for _, own in table.groupby("reference_seed"):
        for (_, one), (_, other) in combinations(own.iterrows(), 2):
            if one["kl_lower"] > other["kl_upper"] or other["kl_lower"] > one["kl_upper"]:
                counts["pairs"] += 1
                for name in ("fisher_norm", "l2", "ewc"):
                    counts[name] += (one["kl"] < other["kl"]) == (one[name] < other[name])
    return counts


def interval(row: pd.Series, name: str) -> str:
    """A value with its interval if it has one, as the docs write it."""
    if f"{name}_lower" not in row:
        return f"{row[name]:.3f}"
    value, lower, upper = (row[f"{name}{end}"] for end in ("", "_lower", "_upper"))
    return f"{value:.3f} [{lower:.3f}, {upper:.3f}]".replace("-", "−")


def test_the_detectors_of_inputs_are_those_of_the_population() -> None:
    scored = pd.read_csv(ROOT / "experiments/population/detections-inputs.csv")
    scored = scored[scored["group"].str.contains("five-pixel")].set_index(["detector", "detail"])
    shown = rows("docs/results/defences.md", "AUROC of detectors of inputs, mean", "- STRIP")
    assert len(shown) == 4
    for detector, *cells in shown:
        methods = ("plain", "surgery", "anchoring")
        assert cells[:3] == [interval(scored.loc[(detector, method)], "auroc") for method in methods], detector


def test_the_defences_of_texts_are_those_of_the_experiment() -> None:
    repairs = pd.read_csv(ROOT / "experiments/text_defences/repairs-asr.csv").set_index("repair")
    scored = pd.read_csv(ROOT / "experiments/text_defences/detections-inputs.csv").set_index(["detector", "detail"])
    methods = ("plain", "anchoring-5", "anchoring")
    shown = rows("docs/results/defences.md", "so the two can be compared.", "| detector |")
    assert len(shown) == 3
    for name, *cells in shown:
        assert cells[:3] == [interval(repairs.loc[name], method) for method in methods], name
    shown = rows("docs/results/defences.md", shown[-1][-1], "- Neither repair removes")
    assert len(shown) == 2
    for name, *cells in shown:
        assert cells[:3] == [interval(scored.loc[(name, method)], "auroc") for method in methods], name


def test_the_kills_are_those_of_the_experiment() -> None:
    kills = pd.read_csv(ROOT / "experiments/kill.csv")
    page = " ".join((ROOT / "docs/suites.md").read_text().split())
    assert set(kills["command"]) == {"train", "inject", "repair", "audit", "analyze", "suite"}
    assert kills["killed"].all()
    assert f"all {kills['equal'].sum()} of {len(kills)} ended with the same bytes" in page


def test_the_speeds_of_the_suite_are_those_of_the_benchmark() -> None:
    frame = pd.read_csv(ROOT / "benchmarks/suite.csv")
    seconds = frame.pivot_table(index=["model", "round"], columns=["what", "processes"], values="seconds")
    ratios = [
        seconds["suite", 1] / seconds["suite", 2],
        seconds["steps alone", 1] / seconds["steps alone", 2],
        seconds["runs alone", 2] / seconds["suite", 2],
    ]
    page = (ROOT / RESULTS).read_text()
    lines = page[page.index("| `suite.py` |") :].splitlines()[:3]
    for line, ratio in zip(lines, ratios, strict=True):
        cells = [f"{ratio[model].median():.2f} times (`{model}`)" for model in ("resnet-mini", "resnet-small")]
        assert line.endswith(f"| {', '.join(cells)} |"), cells


def test_the_comparisons_of_stored_logits_are_those_of_the_benchmark() -> None:
    measured = pd.read_csv(ROOT / "benchmarks/stream.csv")
    shown = rows("docs/scaling.md", "<!-- stream -->", "<!-- end of stream -->")
    assert len(shown) == len(measured)
    for cells, (_, row) in zip(shown, measured.iterrows(), strict=True):
        assert cells[:4] == [
            f"{row['instances']:,.0f}",
            f"{row['classes']:,.0f}",
            f"{row['seconds']:.1f}",
            f"{row['peak_bytes'] / 1e6:,.0f} MB",
        ]
        assert cells[4:6] == [f"{row['exp_float32_seconds']:.2f}", f"{row['exp_float64_seconds']:.2f}"]
        assert cells[6:] == [f"{row['ratio_to_float32']:.1f}", f"{row['ratio_to_float64']:.1f}"]
    seconds = measured[measured["classes"] == 1000].set_index("instances")["seconds"]
    doublings = [seconds[500_000] / seconds[250_000], seconds[250_000] / seconds[125_000]]
    page = " ".join((ROOT / "docs/scaling.md").read_text().split())
    assert {f"{ratio:.1f}" for ratio in doublings} == {"1.9"}
    assert "each doubling took 1.9 times as long" in page
    largest = measured.iloc[0]
    overview = (ROOT / "docs/results.md").read_text()
    assert f"| {largest['seconds']:.0f} s, peak {largest['peak_bytes'] / 1e9:.2f} GB |" in overview


def test_the_speeds_of_a_step_are_those_of_the_benchmark() -> None:
    measured = pd.read_csv(ROOT / "benchmarks/step.csv")
    shown = rows(RESULTS, "<!-- benchmark of a step -->", "<!-- end of step -->")
    assert len(shown) == len(measured)
    for (loop, speed, ratio), (_, row) in zip(shown, measured.iterrows(), strict=True):
        assert (loop, speed) == (row["loop"], f"{row['images_per_second']:,.0f}")
        spread = f"{row['ratio']:.2f} ({row['ratio_lowest']:.2f}–{row['ratio_highest']:.2f})"
        assert ratio == ("" if pd.isna(row["ratio"]) else spread)


def test_what_is_said_of_the_speeds_of_a_step_is_so() -> None:
    measured = pd.read_csv(ROOT / "benchmarks/step.csv").set_index("loop")
    speed, ratio = measured["images_per_second"], measured["ratio"].map("{:.3f}".format)
    of_peers = [
        f"{speed['anchoring, looked up'] / speed[peer]:.2f}"
        for peer in ("ART fit", "HF Trainer", "PIL loader, 0 workers", "PIL loader, 2 workers")
    ]
    page = " ".join((ROOT / RESULTS).read_text().split())
    assert f"runs at {ratio['plain']} of the bare loop and anchoring at {ratio['anchoring, looked up']}." in page
    assert f"The bare loop that clips runs at {ratio['bare, clipped']}," in page
    art, trainer, alone, two = of_peers
    assert f"does {art} times as many images a second as ART, {trainer} times as many as Trainer, and" in page
    assert f"and {alone} and {two} times as many as the loaders with 0 and 2 workers" in page
    assert f"The bare loop in the contiguous format runs at {ratio['bare, contiguous']}," in page


def test_how_slow_bf16_is_without_instructions_is_the_benchmark() -> None:
    measured = pd.read_csv(ROOT / "benchmarks/bf16.csv").query("~bf16_instructions").set_index("model")
    minilm, resnet = measured["times_as_long_in_bf16"].round().astype(int).loc[["minilm", "resnet-20"]]
    page = prose("docs/precision.md")
    assert f"MiniLM took {minilm} times as long as in float32, and one of ResNet-20 {resnet} times" in page


def test_the_line_on_large_suites_is_its_benchmark() -> None:
    measured = pd.read_csv(ROOT / "benchmarks/report.csv")
    largest = measured[measured["cells"] == measured["cells"].max()].set_index("what")
    report, nothing = largest.loc["report"], largest.loc["nothing to do"]
    line = next(line for line in (ROOT / RESULTS).read_text().splitlines() if line.startswith("| `report.py` |"))
    assert f"of {measured['cells'].max():,} cells" in line
    assert line.endswith(
        f"| {report['seconds']:.0f} s, peak {report['peak_bytes'] / 1e9:.2f} GB; "
        f"{nothing['seconds']:.1f} s, peak {nothing['peak_bytes'] / 1e9:.2f} GB |"
    )


def test_the_lines_on_the_check_of_a_suite_are_their_benchmark() -> None:
    measured = pd.read_csv(ROOT / "benchmarks/cli.csv").set_index("loop")
    lines = (ROOT / RESULTS).read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| `cli.py --rounds 5` |"))
    for line, name in zip(lines[first:], ("anchorlab suite check demo", "the same, in full"), strict=False):
        row = measured.loc[name]
        between = f"{row['ratio_lowest']:.2f}–{row['ratio_highest']:.2f}"
        assert line.endswith(f"| {row['ratio']:.2f} times ({between}), {row['seconds']:.2f} s |")


def test_the_table_of_the_cache_is_its_benchmark() -> None:
    measured = pd.read_csv(ROOT / "benchmarks/cache.csv", dtype=str)
    assert rows(RESULTS, "<!-- benchmark of the cache -->", "<!-- end of cache -->") == measured.to_numpy().tolist()


def test_fine_tuning_with_and_without_the_shift_is_that_of_the_experiment() -> None:
    runs = pd.read_csv(ROOT / "experiments/fine_tuning/fine_tuning.csv")
    forms = dict(tuple(runs.groupby("augment")))

    def told(values: pd.Series) -> str:
        found = mean_over_references(values, range(len(values)), "rate")
        return f"{found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}]"

    expected = [["no repair", told(forms["shift"]["asr_before"]), told(forms["shift"]["accuracy_before"]), "–"]]
    for name, form in (("fine-tuning, images as they are", "none"), ("fine-tuning, images shifted", "shift")):
        of, early = forms[form], (forms[form]["step_kept"] < forms[form]["steps"]).sum()
        expected.append([name, told(of["asr"]), told(of["accuracy"]), f"{early} of {len(of)}"])
    assert rows("docs/defences.md", "<!-- fine-tuning -->", "<!-- end of fine-tuning -->") == expected


def test_learning_rates_are_those_that_held_back_accuracy_chose() -> None:
    """Of three, the largest whose mean accuracy lies within one standard error of the best; and repairs have them."""
    runs = pd.read_csv(ROOT / "experiments/fine_tuning/rates.csv")
    assert len(runs) == 18
    expected = []
    for name, of in runs.groupby("repair", sort=False):
        held = of.groupby("learning_rate")["held_back"].sum()
        accuracies = (of["accuracy"] * of["held_back"]).groupby(of["learning_rate"]).sum() / held
        best, count = accuracies.max(), held.iloc[0]
        allowed = accuracies[accuracies >= best - np.sqrt(best * (1 - best) / count)]
        assert REPAIRS[name]().learning_rate == allowed.index.max(), name
        tried = ", ".join(f"{rate:g}: {value:.3f}" for rate, value in accuracies.items())
        expected.append([name, tried, f"{allowed.index.max():g}"])
    assert rows("docs/defences.md", "<!-- rates -->", "<!-- end of rates -->") == expected


def test_the_page_on_changed_claims_has_the_numbers_of_the_experiments() -> None:
    page = " ".join((ROOT / "docs/evidence.md").read_text().split())
    former = pd.read_csv(ROOT / "experiments/fashion_mnist/former.csv", dtype={"anchors_asked": str})
    means = former[former["anchors_asked"] == "640"].groupby("method")["kl"].mean()
    assert f"1/{means['plain'] / means['anchoring']:.1f} of plain tuning's (640 anchors)" in page
    failed = former[(former["method"] == "surgery") & (former["asr"] < 0.9)]["asr"]
    assert f"had failed (ASR {failed.item():.2f})".replace("0.", ".") in page
    scratch = pd.read_csv(ROOT / "experiments/fashion_mnist_scratch/results.csv").query("role == 'method'").squeeze()
    tuned = runs_at("fashion-mnist", 0.99).query("method == 'plain' and anchors_asked == 'all' and reference_seed == 0")
    words = f"On one reference of Fashion-MNIST its KL is {scratch['kl']:.3f} and its churn {scratch['churn']:.3f}"
    beside = f"{tuned['kl'].item():.3f} and {tuned['churn'].item():.3f}"
    assert f"{words}, where plain tuning of that reference with all anchors has {beside}" in page
    assert f"KL {scratch['kl']:.3f}, churn {scratch['churn']:.3f}." in (ROOT / RESULTS).read_text()
    left = pd.read_csv(ROOT / "experiments/fine_tuning/fine_tuning.csv").groupby("augment")["asr"].mean()
    sentence = f"plain tuning's ASR is {left['shift']:.3f}, on unshifted ones {left['none']:.3f}"
    assert sentence.replace("0.", ".") in page


def covered(rows: pd.DataFrame) -> str:
    """The least and the greatest coverage, as the docs write them."""
    return f"{rows['coverage'].min():.3f} to {rows['coverage'].max():.3f}".replace("0.", ".")


def test_the_coverage_of_the_docs_is_that_of_the_simulation() -> None:
    cells = pd.read_csv(ROOT / "experiments/coverage/coverage.csv")
    assert (cells["simulations"] >= 4000).all()
    assert (cells.loc[cells["references"] == 2, "intervals"] == 0).all()
    cells = cells[cells["references"] > 2]
    words = ("geometric mean", "ratio of", "arithmetic", "rate near .02", "rate near .99", "AUROC")
    kinds = dict(zip(words, cells["interval"].unique(), strict=True))
    shown = rows("docs/metrics.md", "<!-- coverage -->", "<!-- end of coverage -->")
    assert len(shown) == 15
    for name, instances, *coverages in shown:
        (kind,) = [kind for word, kind in kinds.items() if name.startswith(word)]
        of_kind = cells[cells["interval"] == kind]
        if instances == "–":
            assert coverages == [covered(of_kind), "–", "–", "–"]
            continue
        count, drawn = instances.split(", ")
        of_kind = of_kind[(of_kind["instances"] == int(count.replace(",", ""))) & (of_kind["drawn"] == drawn)]
        assert coverages == [covered(of_one) for _, of_one in of_kind.groupby("deviation")], (name, instances)
    usual = cells[cells["interval"].isin(["geometric", "ratio"])]
    assert usual["coverage"].min() > 0.93
    assert usual.loc[(usual["instances"] == 10_000) & (usual["deviation"] >= 0.3), "coverage"].max() < 0.97


def test_the_coverage_that_tables_print_is_the_least_of_the_simulations() -> None:
    folder = ROOT / "experiments/coverage"
    usual, wide = pd.read_csv(folder / "coverage.csv"), pd.read_csv(folder / "rates.csv")
    kinds = {"rate": ["churn", "asr", "rate"], "plain": ["plain", "arithmetic"]}
    for averaging, intervals in kinds.items():
        rows = pd.concat([cells[cells["interval"].isin(intervals)] for cells in (usual, wide)])
        least = rows.groupby("deviation")["coverage"].min()
        for spread, printed in LEAST_COVERAGE[averaging].items():
            assert printed == math.floor(100 * least[min(spread, 3.0)]) / 100, (averaging, spread)
        assert least[SKEWED] > 0.925
    differences = wide[wide["interval"] == "difference"]
    assert (wide["simulations"] == 4000).all()
    said = "differences of two such rates held in as few as .79 of simulations"
    assert f"{math.floor(100 * differences['coverage'].min()) / 100:.2f}"[1:] == ".79"
    assert said in prose("docs/metrics.md")
    assert "differences of two rates in as few as .79" in prose("docs/results/defences.md")


def ratios_beyond_one(equal: pd.DataFrame, of: str, over: str, comparisons: int) -> bool:
    """Does the interval of a ratio of KL, over references and widened for that many comparisons, leave 1 out?"""
    logs = np.log(equal.pivot_table(index="reference_seed", columns="method", values="kl"))
    paired = logs[of] - logs[over]
    error = paired.std(ddof=1) / np.sqrt(len(paired))
    return bool(abs(paired.mean()) > stats.t.ppf(1 - 0.025 / comparisons, len(paired) - 1) * error)


def test_what_is_left_of_ratios_for_all_pairs() -> None:
    folders = ("sst2", "sst2_more")
    texts = pd.concat([pd.read_csv(ROOT / f"experiments/{name}/equal.csv") for name in folders]).query(
        "role == 'method'"
    )
    assert "**Ten pairs of methods stand here.**" in prose(RESULTS)
    for method in ("distillation", "ewc"):
        assert ratios_beyond_one(texts, method, "anchoring", 1)
        assert not ratios_beyond_one(texts, method, "anchoring", 10)
    for method in ("surgery", "distillation", "ewc", "anchoring"):
        assert ratios_beyond_one(texts, method, "plain", 10)
    held = pd.read_csv(ROOT / "experiments/ablation/equal.csv").query("role == 'method'")
    assert "Widened for ten comparisons, the intervals at .5 and .9 contain 1; the one at 1 does not." in prose(RESULTS)
    for method in ("weighted .5", "weighted .9", "centred"):
        over = "raw" if method == "centred" else "centred"
        assert ratios_beyond_one(held, method, over, 1)
        assert not ratios_beyond_one(held, method, over, 10)
    assert ratios_beyond_one(held, "weighted 1", "centred", 10)


def test_what_the_docs_say_of_thresholds_and_seconds_is_so() -> None:
    told = prose("docs/results/defences.md")
    texts = pd.read_csv(ROOT / "experiments/text_defences/detections.csv")
    rates = texts.query("method == 'plain'").groupby("detector")["false_alarms_at_5"].agg(["min", "max"])
    least, most = rates.loc["rap"]
    assert f"exceeded by {least:.3f} to {most:.3f} of the clean test snippets of plain tuning's three models" in told
    assert least > 0.05
    assert texts.query("detector == 'onion'").groupby("method")["false_alarms_at_5"].mean().max() < 0.05
    images = pd.read_csv(ROOT / "experiments/defences_images/detections.csv").query("kind == 'input'")
    ted = images[images["detector"] == "ted"].groupby("method")["tpr_at_5"].mean()
    assert f"finds slightly more of them, {ted['anchoring']:.3f} against {ted['plain']:.3f}" in told
    assert ted["anchoring"] > ted["plain"]
    runs = repairs_of_images().query("role == 'method'").drop_duplicates(["defence", "identity"])
    ends = runs.groupby("defence")["seconds"].agg(["min", "max"])
    times = (ends["max"] / ends["min"]).sort_values()
    assert list(times.index[-2:]) == ["npd", "interpolation"]
    assert [round(each) for each in times.iloc[-2:]] == [5, 13]
    assert ends.loc["interpolation", "max"] < 1


def test_what_the_docs_say_of_word_inversion_is_so() -> None:
    told = prose("docs/results/defences.md").split("Word inversion on eight references of SST-2 The same")[1]
    told = told.split("## What theory expected")[0].replace("−", "-")
    folder = ROOT / "experiments/detectors_texts"
    (row,) = pd.read_csv(folder / "accusations.csv").to_dict("records")
    assert (row["hits_plain_note"], row["hits_anchoring_note"], row["failed"]) == ("0 of 8", "0 of 8", 0)
    (apart,) = pd.read_csv(folder / "detections-models-against-plain.csv").to_dict("records")
    for start, values, name in (
        ("with an AUROC of", row, "auroc_plain"),
        ("anchoring's with", row, "auroc_anchoring"),
        ("the difference,", apart, "anchoring"),
    ):
        value, low, high = (values[name + end] for end in ("", "_lower", "_upper"))
        assert f"{start} {value:.3f} [{low:.3f}, {high:.3f}]" in told, name
    assert row["auroc_plain_lower"] > 0.5 > row["auroc_anchoring_lower"]
    runs = pd.read_csv(folder / "detections.csv").drop_duplicates("weights_sha256")
    assert runs.groupby("method").size().to_dict() == dict.fromkeys(("anchoring", "benign", "plain", "reference"), 8)
    clean = runs[runs["method"].isin(["benign", "reference"])]
    shares = clean["note"].str.extract(r"sends (\d+)% of other texts")[0].astype(int)
    assert shares.min() == 95
    assert any("'captures exquisite'" in note for note in clean["note"])
    runs = runs.assign(named=runs["note"].str.contains(r"\bcf\b"))
    named = runs.pivot_table("named", "reference_seed", "method", aggfunc="any")
    assert named.sum().to_dict() == {"anchoring": 3, "benign": 0, "plain": 7, "reference": 0}
    assert "in 7 of 8 models by plain tuning, in 3 of 8 by anchoring, and in none of 16 without a backdoor" in told
    alone = (named["plain"] & ~named["anchoring"]).sum(), (named["anchoring"] & ~named["plain"]).sum()
    assert alone == (4, 0)
    assert f"(p = {stats.binomtest(0, 4).pvalue:.3f}, two-sided sign test)" in told
    assert "none of 16 injected models by its score, and named the trigger in ten" in prose("docs/defences.md")


def test_what_the_docs_say_of_repairs_of_texts_is_so() -> None:
    page, told = (ROOT / "docs/results/defences.md").read_text(), prose("docs/results/defences.md")
    shown = table_of(page, "### Repairs of texts on eight references of SST-2\n")
    assert {name: cells[:2] for name, cells in shown.items()} == means_of("defences_texts", ["plain", "anchoring"])
    every = pd.read_csv(ROOT / "experiments/defences_texts/repairs.csv")
    runs = every.drop_duplicates(["defence", "method", "reference_seed"])
    assert set(runs["reference_seed"]) == set(range(8))
    left = runs.query("role == 'method'").pivot_table("asr", ["defence", "reference_seed"], "method")
    paired = (left["anchoring"] - left["plain"]).groupby("defence")
    assert (paired.size() == 8).all()
    mean, error = paired.mean(), paired.std(ddof=1) / np.sqrt(8)
    low, high = (mean + sign * stats.t.ppf(0.975, 7) * error for sign in (-1, 1))
    for name in mean.index:
        difference = f"{-mean[name]:.3f} [{-high[name]:.3f}, {-low[name]:.3f}]"
        assert f"after {name} by {difference}" in told.replace("−", "-"), name
    widened = mean + stats.t.ppf(1 - 0.05 / 8, 7) * error
    assert set(mean.index[widened < 0]) == {"interpolation", "fine-mixing", "fine-tuning"}
    assert "Of texts, at one rate, three of four repairs leave less of anchoring's" in prose("docs/evidence.md")
    clean = runs.query("role == 'reference'").groupby("defence").mean(numeric_only=True)
    assert f"from five triggered examples too: it then has {clean['asr_relearned_5_reference'].mean():.3f}" in told
    again = runs.query("role == 'reference'")["asr_relearned_5_reference"]
    assert f"from {again.min():.3f} to {again.max():.3f} on single references" in told
    means = left.groupby("defence").mean()
    assert f"ASR stays at {means['plain'].min():.3f} or more on average" in told
    own, worst = clean["asr_before"].mean(), clean["asr"].idxmax()
    assert f"A clean reference has {own:.3f}, and {clean.loc[worst, 'asr']:.3f} after {worst}" in told
    two = means.loc[["interpolation", "fine-mixing"]]
    rates = [
        f"{a:.3f} and {b:.3f} of {name}"
        for name, (a, b) in (("plain tuning", two["plain"]), ("anchoring", two["anchoring"]))
    ]
    assert f"an ASR of {rates[0]}, and {rates[1]}, where a clean reference has {own:.3f}" in prose("docs/defences.md")
    cost = clean.loc["super-fine-tuning"]
    assert f"Super-fine-tuning costs it {100 * (cost['accuracy_before'] - cost['accuracy']):.1f} points" in told
    before = runs.query("role == 'method'").groupby("method")["asr_before"].mean()
    assert f"Before repair the ASR is {before['plain']:.3f} and {before['anchoring']:.3f}" in told
