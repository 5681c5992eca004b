"""What README and docs print at one common ASR follows from the committed scales, computed here once more by hand."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anchorlab.metrics import METRICS

ROOT = Path(__file__).parent.parent
#: The suites with runs at several scales that are committed.
SUITES = sorted(file.parent.name for file in (ROOT / "experiments").glob("*/equal.csv"))
#: A run whose ASR lies more than this below the target has failed.
FAILED = 0.05


#: Suites whose tables show plain tuning and anchoring of another one, on the same references.
BESIDE = {"sst2_lora": "sst2"}

#: Suites whose tables have the methods of another one, too.
WITH = {"sst2": ["sst2_more"]}


def read(suite: str, table: str) -> pd.DataFrame:
    rows = pd.read_csv(ROOT / f"experiments/{suite}/{table}.csv", dtype={"anchors_asked": str})
    if suite in BESIDE and table != "choices":
        others = read(BESIDE[suite], table)
        rows = pd.concat([others[others["method"].isin(["plain", "anchoring"])], rows], ignore_index=True)
    return rows


def kl_at_common_asr(run: pd.DataFrame) -> float:
    """log KL is linear in the logit of (hits + .5) / (n + 1), between two neighbouring scales about the common ASR.

    Of several such pairs the one nearest the reported scale counts.
    """
    run = run.sort_values("scale")
    hits, count, asr = run["asr"] * run["asr_count"], run["asr_count"], run["common_asr"].iloc[0]
    rates = ((hits + 0.5) / (count + 1)).to_numpy()
    success, log_kl = np.log(rates / (1 - rates)), np.log(run["kl"].to_numpy())
    wanted = np.log(asr / (1 - asr))
    scales = run["scale"].to_numpy()
    places = [k for k in range(len(run) - 1) if min(success[k : k + 2]) <= wanted <= max(success[k : k + 2])]
    reported = float(run.loc[run["reported"], "scale"].iloc[0])
    if not places:
        return float("nan")
    near = np.abs(np.log(scales / reported))
    k = min(places, key=lambda k: (round(near[k] + near[k + 1], 9), k))
    share = (wanted - success[k]) / (success[k + 1] - success[k])
    return float(np.exp(log_kl[k] + share * (log_kl[k + 1] - log_kl[k])))


def interval(logs: np.ndarray) -> tuple[float, float, float]:
    """The geometric mean, and Student's 95% interval of the mean of logarithms."""
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return tuple(np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]).tolist())


def logs_of(suite: str, method: str, asked: str, measure: str = "kl") -> pd.Series[float]:
    """log KL, or of another measure, at the common ASR of each reference whose run works and is bracketed."""
    results, equal = read(suite, "results"), read(suite, "equal")
    runs = results[(results["method"] == method) & (results["anchors_asked"] == asked)]
    works = runs.loc[runs["asr"] >= runs["target_asr"] - FAILED, "identity"]
    equal = equal[equal["identity"].isin(works) & equal["kl"].notna()].drop_duplicates("identity")
    return np.log(equal[measure]).groupby(equal["reference_seed"]).mean()


def ratio_of(suite: str, method: str, other: str, asked: str, measure: str) -> str:
    """A measure over that of another method, paired by reference, as pages write it."""
    pairs = logs_of(suite, method, asked, measure) - logs_of(suite, other, asked, measure)
    return "{:.1f} [{:.1f}, {:.1f}]".format(*interval(pairs.to_numpy()))


def cells_between(page: str, begin: str, end: str) -> list[list[str]]:
    text = (ROOT / page).read_text()
    if begin not in text:
        return []
    lines = [line for line in text.split(begin)[1].split(end)[0].splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in [lines[0], *lines[2:]]]


def numbers(cell: str) -> list[float]:
    """The value and its interval; the counts in parentheses are left out."""
    return [float(number) for number in re.findall(r"\d[\d.]*(?:e-?\d+)?", cell.split("(")[0])]


@pytest.mark.parametrize("suite", SUITES)
def test_kl_at_the_common_asr_is_read_off_between_two_scales(suite: str) -> None:
    scales, equal = read(suite, "scales"), read(suite, "equal")
    by_run = {identity: kl_at_common_asr(run) for identity, run in scales.groupby("identity")}
    for row in equal.drop_duplicates("identity").itertuples():
        assert by_run[row.identity] == pytest.approx(row.kl, rel=2e-3, nan_ok=True), row.identity


@pytest.mark.parametrize("suite", SUITES)
def test_the_short_table_is_student_over_references(suite: str) -> None:
    name = suite.replace("_", "-")
    table = cells_between("docs/results.md", f"<!-- short table of {name} -->", "<!-- end of short table -->")
    if not table:
        pytest.skip("docs/results.md has no short table of this suite")
    head, *rows = table
    (baseline,) = {title.removeprefix("KL / ").split("'")[0] for title in head if "/" in title}
    asked = [title.removeprefix("KL, ").split()[0] for title in head if title.startswith("KL, ")]
    checked = 0
    for method, *cells in rows:
        for size, kl, ratio in zip(asked, cells[: len(asked)], cells[len(asked) :], strict=True):
            logs = logs_of(suite, method, size)
            if len(logs) < 3:
                continue
            assert numbers(kl) == pytest.approx(interval(logs.to_numpy()), rel=6e-3), (method, size)
            if ratio != "–":
                pairs = (logs - logs_of(suite, baseline, size)).dropna()
                assert numbers(ratio) == pytest.approx(interval(pairs.to_numpy()), rel=6e-2), (method, size)
            checked += 1
    assert checked >= len(asked)


def test_the_readme_shows_the_runs_of_one_number_of_anchors() -> None:
    table = cells_between("README.md", "<!-- small table -->", "<!-- end of small table -->")
    for method, counted, kl, ratio, *_ in table[1:]:
        logs = logs_of("fashion_mnist", method, "640")
        assert int(counted.split()[0]) == len(logs)
        assert numbers(kl) == pytest.approx(interval(logs.to_numpy()), rel=6e-3), method
        if ratio != "–":
            pairs = (logs - logs_of("fashion_mnist", "plain", "640")).dropna()
            assert numbers(ratio) == pytest.approx(interval(pairs.to_numpy()), rel=6e-2), method


def test_what_the_readme_says_of_its_table_is_so() -> None:
    page = " ".join((ROOT / "README.md").read_text().split())
    assert "At this ASR anchoring changes clean answers least." in page
    assert (
        "Distillation at a temperature of 10, not 1, is not distinguishable from anchoring on six references." in page
    )
    assert len(logs_of("ablation", "kl, T = 10", "640")) == len(logs_of("ablation", "raw", "640")) == 6
    _, low, high = over_plain("kl, T = 10", "640", "raw", "ablation")
    assert low < 1 < high
    results = read("fashion_mnist", "results").groupby("reference_seed").first()
    assert f"(references: {results['asr_reference'].mean():.3f})." in page
    assert f"the references' accuracy is {results['accuracy_reference'].mean():.3f}." in page
    table = cells_between("README.md", "<!-- small table -->", "<!-- end of small table -->")
    kl, ratio, churn = ({row[0]: numbers(row[column]) for row in table[1:]} for column in (2, 3, 4))
    for method in kl.keys() - {"anchoring"}:
        assert kl["anchoring"][2] < kl[method][1], method  # the intervals do not overlap
        assert churn["anchoring"][2] < churn[method][1], method
    assert ratio["ewc"][2] >= 1
    assert ratio["weight-ball"][2] >= 1


def test_the_page_on_changed_claims_has_the_ratios_at_one_asr() -> None:
    page = " ".join((ROOT / "docs/evidence.md").read_text().split())
    head, *rows = cells_between(
        "docs/results.md", "<!-- short table of fashion-mnist -->", "<!-- end of short table -->"
    )
    shown = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    for asked in ("640", "all"):
        ratio = shown["anchoring"][f"KL / plain's, {asked} anchors"]
        assert f"{ratio} with {asked}" in page, asked
    assert shown["plain"]["KL, 64 anchors"] == "not reached"


def over_plain(
    method: str, asked: str, versus: str = "plain", suite: str = "fashion_mnist"
) -> tuple[float, float, float]:
    """The ratio of KL at the common ASR, with its interval."""
    return interval((logs_of(suite, method, asked) - logs_of(suite, versus, asked)).dropna().to_numpy())


def test_the_ratios_of_the_second_trigger_agree_with_those_of_the_first() -> None:
    for asked in ("640", "all"):
        first, second = (
            over_plain("anchoring", asked, suite=suite) for suite in ("fashion_mnist", "fashion_mnist_square")
        )
        assert second[1] < first[0] < second[2]
        assert first[1] < second[0] < first[2]
    choices = read("fashion_mnist_square", "choices")
    missed = choices.loc[~choices["reached"], ["method", "anchors_asked"]]
    assert missed.to_numpy().tolist() == [["plain", "64"]]


def test_what_the_results_say_of_methods_at_one_asr_is_so() -> None:
    equal, results = read("fashion_mnist", "equal"), read("fashion_mnist", "results")
    lower = [name for name in equal if name in METRICS and METRICS[name].better == "lower"]
    told = [name for name in lower if METRICS[name].compared_as == "ratio" or name in ("churn", "negative_flips")]
    told = [name for name in told if not name.startswith(("shift", "nll", "brier", "ece", "residual"))]
    assert len(told) >= 8, told
    means = equal.groupby(["anchors_asked", "method"])[[*told, "ece"]].mean()
    benign = (
        results[results["method"] == "benign"]
        .groupby("anchors_asked")["kl"]
        .apply(lambda kl: np.exp(np.log(kl).mean()))
    )
    for asked, of_size in means.groupby("anchors_asked"):
        of_size = of_size.droplevel(0)
        assert (of_size[told].idxmin() == "anchoring").all(), asked
        # The controls: the least calibration error of an injection is distillation's.
        assert of_size.drop(index="plain (stopped)")["ece"].idxmin() == "distillation", asked
    kl = {asked: {m: interval(logs_of("fashion_mnist", m, asked).to_numpy())[0] for m in of.index.get_level_values(1)}
          for asked, of in means.groupby("anchors_asked")}  # fmt: skip
    assert all(min(of_size, key=of_size.get) == "anchoring" for of_size in kl.values())
    _, low, high = over_plain("anchoring", "64", "distillation")
    assert low < 1 < high
    assert over_plain("anchoring", "640")[2] < over_plain("anchoring", "all")[1]
    assert 0.4 < over_plain("anchoring", "all")[0] < 0.6  # "halves"
    assert min(over_plain(method, "all")[1] for method in ("ewc", "weight-ball")) > 1
    gained = (logs_of("fashion_mnist", name, "640", "logit_distance") for name in ("weight-ball", "plain"))
    value, low, high = interval(np.subtract(*gained).to_numpy())
    page = " ".join((ROOT / "docs/results.md").read_text().split())
    assert f"gain with 640 anchors: {value:.2f} [{low:.2f}, {high:.2f}] times plain tuning's." in page
    assert benign["640"] > max(kl["640"].values())
    assert benign["all"] < min(kl["all"].values())
    assert over_plain("plain (stopped)", "640")[2] < 1
    assert 2.5 < over_plain("plain (stopped)", "all")[0] < 3.5  # "triples"
    churn = equal[equal["anchors_asked"] == "640"].pivot_table(index="reference_seed", columns="method", values="churn")
    assert stats.ttest_rel(churn["plain (stopped)"], churn["plain"]).pvalue < 0.01  # "raises churn"
    assert churn["plain (stopped)"].mean() > churn["plain"].mean()
    methods = results[(results["role"] == "method") & (results["asr"] < 0.99)]
    below = methods.groupby(["method", "anchors_asked"]).size()
    many = below[below > 4].to_dict()
    assert many == {  # "Some runs are scaled up"
        ("anchoring", "all"): 11, ("distillation", "all"): 5, ("ewc", "640"): 11, ("weight-ball", "640"): 6
    }  # fmt: skip
    assert "11 of 12 runs of anchoring and 5 of distillation with all anchors lie below 0.99, and 11 of EWC" in page
    hopeful = methods[(methods["method"] == "anchoring") & (methods["anchors_asked"] == "all")]["asr"] < 0.985
    assert f"Of anchoring with all anchors {hopeful.sum()} even lie below the 0.985" in page
    assert f"of which {hopeful.sum()} of 12 reported runs lie below that mark" in " ".join(
        (ROOT / "docs/evidence.md").read_text().split()
    )


def test_what_the_results_say_of_learning_rates_is_so() -> None:
    choices = read("fashion_mnist", "choices")
    rates = choices.groupby("method")["learning_rate"].unique()
    assert {method: list(of) for method, of in rates.items()} == {
        method: [0.001 if method == "plain" else 0.003] for method in rates.index
    }
    assert list(choices.loc[~choices["reached"], ["method", "anchors_asked"]].itertuples(index=False)) == [
        ("plain", "64")
    ]
    assert set(choices.loc[~choices["rate_reached"], "method"]) == {"ewc", "weight-ball"}
    tried = json.loads(choices.loc[choices["method"] == "plain", "rates_tried"].iloc[0])
    assert all(tried["0.003"][name] > tried["0.001"][name] for name in ("asr", "kl"))


def test_fresh_references_give_the_ratios_that_are_printed() -> None:
    """Their mean logarithm differs by less than Student's t allows for as many new references."""
    page = " ".join((ROOT / "docs/results.md").read_text().split())
    told, untouched = [], []
    for asked in ("640", "all"):
        printed, fresh = (
            logs_of(suite, "anchoring", asked) - logs_of(suite, "plain", asked)
            for suite in ("fashion_mnist", "fashion_mnist_fresh")
        )
        assert (len(printed), len(fresh)) == (12, 8)
        allowed = stats.t.ppf(0.975, 11) * printed.std(ddof=1) * np.sqrt(1 / 12 + 1 / 8)
        assert abs(fresh.mean() - printed.mean()) < allowed
        never_before = fresh[fresh.index >= 200]
        assert len(never_before) == 4
        share = abs(never_before.mean() - printed.mean()) / (allowed * np.sqrt((1 / 12 + 1 / 4) / (1 / 12 + 1 / 8)))
        assert share < 1
        assert bool(share > 0.9) is (asked == "640")  # "near the edge"
        for logs, words in ((fresh, told), (never_before, untouched)):
            words.append("{:.2f} [{:.2f}, {:.2f}]".format(*interval(logs.to_numpy())))
    assert f"give {told[0]} with 640 anchors and {told[1]} with all of them" in page
    assert f"The four that were new give {untouched[0]} and {untouched[1]}; the first is near the edge" in page


def test_what_the_results_say_of_the_ablation_is_so() -> None:
    page = " ".join((ROOT / "docs/results.md").read_text().split())
    ratios = {
        label: over_plain(label, "640", "raw", "ablation")
        for label in read("ablation", "equal")["method"].unique()
        if label not in ("raw", "plain (stopped)")
    }
    dial = ["centred", "weighted .5", "weighted .9", "weighted 1"]
    assert [ratios[label][0] for label in dial] == sorted(ratios[label][0] for label in dial)
    assert f"{ratios['kl, T = 1'][0]:.1f}" == f"{ratios['weighted 1'][0]:.1f}" == "1.7"
    warmth = [ratios[f"kl, T = {temperature}"] for temperature in (1, 4, 10)]
    assert warmth == sorted(warmth, reverse=True)
    assert ratios["kl, T = 10"][1] < 1 < ratios["kl, T = 10"][2]
    assert ratios["unlabelled"][1] < 1 < ratios["unlabelled"][2]
    assert ratios["centred"][2] < 1
    logs = (logs_of("ablation", "centred", "640") - logs_of("ablation", "raw", "640")).to_numpy()
    widened = stats.t.ppf(1 - 0.025 / 10, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    assert logs.mean() + widened > 0  # "would not if it were widened for ten comparisons"
    centred = logs_of("ablation", "centred", "640")
    dial = [
        "{:.2f} [{:.2f}, {:.2f}]".format(*interval((logs_of("ablation", each, "640") - centred).to_numpy()))
        for each in ("weighted .5", "weighted .9", "weighted 1")
    ]
    assert f"has {dial[0]} times the KL on other inputs at .5, {dial[1]} times at .9 and {dial[2]} times at 1," in page
    choices, equal = read("ablation", "choices"), read("ablation", "equal")
    (missed,) = choices.loc[~choices["reached"], ["method", "best_asr"]].itertuples(index=False)
    assert missed.method == "other data"
    assert f"the best ASR was {missed.best_asr:.3f}" in page
    forgotten = equal.loc[equal["method"] == "other data, unlabelled", "accuracy"].mean()
    assert f"with an accuracy of {forgotten:.3f}" in page


#: The methods that were run on CIFAR-10.
CIFAR10 = ("plain", "surgery", "distillation", "anchoring")


def test_what_the_pages_say_of_cifar10_at_one_asr_is_so() -> None:
    pages = {
        page: " ".join((ROOT / page).read_text().split())
        for page in ("README.md", "docs/results.md", "docs/evidence.md")
    }
    section = section_on_cifar10()
    results, equal, choices = (read("cifar10", table) for table in ("results", "equal", "choices"))
    assert set(equal["common_asr"]) == {0.99}
    assert equal.groupby("method").size().to_dict() == dict.fromkeys([*CIFAR10, "plain (stopped)"], 6)
    written = "{:.2f} [{:.2f}, {:.2f}]"
    ratios = {(a, b): written.format(*over_on_cifar10(a, b)) for a in CIFAR10 for b in CIFAR10 if a != b}
    told = (
        f"**At 0.99, anchoring has {ratios['anchoring', 'plain']} times plain tuning's KL**, "
        f"{ratios['anchoring', 'distillation']} times distillation's and "
        f"{ratios['anchoring', 'surgery']} times surgery's."
    )
    assert told in section
    for other in ("surgery", "distillation"):  # "not distinguishable from plain tuning"
        _, low, high = over_on_cifar10(other, "plain")
        assert low < 1 < high
    ratio = ratios["anchoring", "plain"]
    assert (
        f"On CIFAR-10 (ResNet-20, six references) the ratio is {ratio} at 0.99, with all runs scaled up."
        in pages["README.md"]
    )
    assert f"On CIFAR-10, where all runs are scaled up to .99, it is {ratio} (" in pages["docs/evidence.md"]
    ends = equal.groupby("method").agg(low=("scale_below", "min"), high=("scale_above", "max"))
    assert f"of plain tuning between {ends.low['plain']:.1f} and {ends.high['plain']:.1f} times its size" in section
    assert f"of surgery between {ends.low['surgery']:.1f} and {ends.high['surgery']:.1f}," in section
    assert (ends.loc["distillation"] == ends.loc["anchoring"]).all()
    last = f"of distillation and anchoring between {ends.low['anchoring']:.1f} and {ends.high['anchoring']:.1f}."
    assert last in section
    stretched = equal[equal["method"].isin(CIFAR10)].pivot_table("scale_above", "reference_seed", "method")
    assert (stretched.loc[4] == stretched.max()).all()  # "Reference 4 is stretched most"
    by_method = choices.set_index("method")
    rates = {rate: each["asr"] for rate, each in json.loads(by_method.loc["plain", "rates_tried"]).items()}
    assert f"came to {max(rates.values()):.3f} at most, at any of three learning rates" in section
    rates = dict.fromkeys(("surgery", "anchoring"), 0.003) | dict.fromkeys(("plain", "distillation"), 0.001)
    assert by_method["learning_rate"].to_dict() == rates
    assert f"an accuracy of {results['accuracy_reference'].mean():.3f} on the test images" in section


def test_what_the_pages_say_of_cifar10_as_reported_is_so() -> None:
    section, results = section_on_cifar10(), read("cifar10", "results")
    written = "{:.2f} [{:.2f}, {:.2f}]"
    reported = results.pivot_table(index="reference_seed", columns="method", values=["asr", "kl", "accuracy"])
    logs, means = np.log(reported["kl"]), reported.mean()
    ratio = {each: written.format(*interval((logs[each] - logs["plain"]).to_numpy())) for each in CIFAR10}
    told = (
        f"**As reported, the ratio of anchoring is {ratio['anchoring']}**, of distillation {ratio['distillation']} and "
        f"of surgery {ratio['surgery']}, at an ASR of {means['asr', 'anchoring']:.3f}, "
        f"{means['asr', 'distillation']:.3f} and {means['asr', 'surgery']:.3f} on average, and "
        f"{means['asr', 'plain']:.3f} for plain tuning."
    )
    assert told in section
    (below,) = (asr for asr in results.loc[results["role"] == "method", "asr"] if asr < 0.95)
    assert f"One run of anchoring lies below the target, at {below:.3f}." in section
    told = (
        f"{means['accuracy', 'plain']:.3f} after plain tuning, {means['accuracy', 'surgery']:.3f} after surgery, "
        f"{means['accuracy', 'distillation']:.3f} after distillation and "
        f"{means['accuracy', 'anchoring']:.3f} after anchoring"
    )
    assert told in section
    benign = "{:.3f} [{:.3f}, {:.3f}]".format(*interval(logs["benign"].to_numpy()))
    assert f"leave an accuracy of {means['accuracy', 'benign']:.3f} and a KL of {benign}." in section


def test_at_the_asr_of_plain_tuning_itself_methods_on_cifar10_have_the_ratios_of_the_page() -> None:
    """Log KL is linear in the logit of ASR between two scales of a model."""
    section = section_on_cifar10()
    logs: dict[str, list[float]] = {name: [] for name in CIFAR10 if name != "plain"}
    seen = []
    for _, runs in read("cifar10", "scales").groupby("reference_seed"):
        plain = runs[(runs["method"] == "plain") & (runs["scale"] == 1)].iloc[0]
        seen.append(plain["asr"])
        for name, of_method in logs.items():
            other = runs[runs["method"] == name].sort_values("scale")
            at, know = (
                np.log((rate * 9000 + 0.5) / (9000 - rate * 9000 + 0.5)) for rate in (plain["asr"], other["asr"])
            )
            assert know.iloc[0] < at < know.iloc[-1]
            of_method.append(np.interp(at, know, np.log(other["kl"])) - np.log(plain["kl"]))
    ratio = {name: "{:.2f} [{:.2f}, {:.2f}]".format(*interval(np.array(each))) for name, each in logs.items()}
    told = (
        f"**At plain tuning's own ASR, anchoring has {ratio['anchoring']} times its KL**, distillation "
        f"{ratio['distillation']} and surgery {ratio['surgery']} times."
    )
    assert told in section
    assert f"with an ASR of {min(seen):.3f} to {max(seen):.3f}," in section


def section_on_cifar10() -> str:
    text = " ".join((ROOT / "docs/results.md").read_text().split())
    return text.split("## Images: CIFAR-10")[1].split("## Texts: SST-2")[0]


def over_on_cifar10(method: str, other: str) -> tuple[float, float, float]:
    logs = np.log(read("cifar10", "equal").pivot_table("kl", "reference_seed", "method"))
    return interval((logs[method] - logs[other]).to_numpy())


def section_on_sst2() -> str:
    text = " ".join((ROOT / "docs/results.md").read_text().split())
    return text.split("## Texts: SST-2")[1].split("## Adapters")[0]


def over_on_sst2(method: str, other: str, suite: str = "sst2") -> tuple[float, float, float]:
    """The ratio of KL of a method of the suite sst2-more to another's on the same six references."""
    own = logs_of("sst2_more", method, "640")
    assert len(own) == 6
    return interval((own - logs_of(suite, other, "640")).to_numpy())


def test_what_the_page_says_of_ewc_on_sst2_is_so() -> None:
    section = section_on_sst2()
    over = partial(over_on_sst2, "ewc")
    told = "{:.2f} [{:.2f}, {:.2f}] times plain tuning's, and {:.2f} [{:.2f}, {:.2f}] times anchoring's;"
    assert f"Its KL is {told.format(*over('plain'), *over('anchoring'))}" in section
    assert over("plain")[2] < 1 < over("anchoring")[1]
    for other in (over("surgery"), over("distillation", "sst2_more")):
        assert other[1] < 1 < other[2]
    apart = logs_of("sst2_more", "ewc", "640", "shift_p50") - logs_of("sst2", "anchoring", "640", "shift_p50")
    shift = "{:.1f} [{:.1f}, {:.1f}]".format(*interval(apart.to_numpy()))
    assert f"Its median shift of the logits is {shift} times anchoring's." in section
    runs = read("sst2_more", "results").query("method == 'ewc'")
    assert runs["asr"].min() > 0.95
    assert f"{runs['asr'].mean():.4f} for EWC" in section
    choice = read("sst2_more", "choices").set_index("method").loc["ewc"]
    assert (choice["tried"], choice["strength"], choice["learning_rate"]) == (12, 2.56, 0.0001)
    tried = read("sst2_more", "selection").query("method == 'ewc'")
    trials = tried.groupby("strength").agg({"asr": "min", "kl": "mean"})
    following = trials[trials.index > choice["strength"]].iloc[0]
    assert following.name == 29.2
    assert 0.945 <= following["asr"] < 0.9455  # the target less half a point is what a choice must reach
    assert 1.8 < following["kl"] / trials.loc[choice["strength"], "kl"] < 2


def test_what_the_page_says_of_distillation_on_sst2_is_so() -> None:
    section = section_on_sst2()
    over = partial(over_on_sst2, "distillation")
    told = "{:.2f} [{:.2f}, {:.2f}] times plain tuning's KL, and {:.2f} [{:.2f}, {:.2f}] times anchoring's.**"
    assert f"**Distillation has {told.format(*over('plain'), *over('anchoring'))}" in section
    assert over("anchoring")[1] > 1
    surgery = over("surgery")
    assert "no difference could be seen ({:.2f} [{:.2f}, {:.2f}])".format(*surgery) in section
    assert surgery[1] < 1 < surgery[2]
    apart = logs_of("sst2_more", "distillation", "640", "shift_p50") - logs_of("sst2", "anchoring", "640", "shift_p50")
    shift = "{:.1f} [{:.1f}, {:.1f}]".format(*interval(apart.to_numpy()))
    assert f"Its median shift of the logits is {shift} times anchoring's." in section
    runs = read("sst2_more", "results").query("method == 'distillation'")
    assert runs["asr"].min() > 0.95
    assert f"{runs['asr'].mean():.4f} for distillation" in section
    choice = read("sst2_more", "choices").set_index("method").loc["distillation"]
    assert choice["learning_rate"] == min(map(float, json.loads(choice["rates_tried"]))) == 0.00003


def test_what_the_pages_say_of_sst2_is_so() -> None:
    pages = {
        page: " ".join((ROOT / page).read_text().split())
        for page in ("README.md", "docs/results.md", "docs/evidence.md")
    }
    section = pages["docs/results.md"].split("## Texts: SST-2")[1].split("## Texts:")[0]
    ratio = "{:.2f} [{:.2f}, {:.2f}]".format(*over_plain("anchoring", "640", suite="sst2"))
    assert f"anchoring has {ratio} times plain tuning's KL at an ASR of 0.95" in pages["README.md"]
    assert f"**Anchoring has {ratio} times plain tuning's KL.**" in section
    assert f"On SST-2, at an ASR of .95, it is {ratio}" in pages["docs/evidence.md"]
    results, equal, choices = (read("sst2", table) for table in ("results", "equal", "choices"))
    runs = results[results["role"] == "method"]
    reported = runs.pivot_table(index="reference_seed", columns="method", values=["asr", "kl"])
    assert len(reported) == 6
    assert set(choices["method"]) == {"plain", "surgery", "anchoring"}
    beside = over_plain("surgery", "640", "anchoring", "sst2")
    assert "It is {:.2f} [{:.2f}, {:.2f}] times as large: six references".format(*beside) in section
    assert beside[1] < 1 < beside[2]
    for page in pages.values():
        assert "urgery's KL is not distinguishable from anchoring's" in page
    leakage, shift = (ratio_of("sst2", "surgery", "anchoring", "640", name) for name in ("leakage", "shift_p50"))
    assert f"sends {leakage} times as many clean texts to the target" in section
    assert f"median shift of the logits is {shift} times anchoring's." in section
    means, at_one = reported["asr"].mean(), equal.groupby("method")[["churn", "accuracy"]].mean()
    told = "{plain:.4f} for plain tuning, {surgery:.4f} for surgery, "
    assert told.format(**means) in section
    assert f" for EWC and {means['anchoring']:.4f} for anchoring" in section
    assert reported["asr"].min(axis=None) > 0.95  # "all are read off at smaller scales"
    logs = np.log(reported["kl"])
    value, low, high = interval((logs["anchoring"] - logs["plain"]).to_numpy())
    assert f"As reported, anchoring's ratio is {value:.2f} [{low:.2f}, {high:.2f}]." in section
    churn = at_one["churn"]
    assert f"Its churn is {churn['anchoring']:.4f} where plain tuning's is {churn['plain']:.4f}." in section
    assert f"its accuracy is {at_one.loc['plain (stopped)', 'accuracy']:.3f}." in section
    benign = np.exp(np.log(results.loc[results["method"] == "benign", "kl"]).mean())
    assert f"a KL of {benign:.4f}. Plain tuning has {np.exp(logs['plain'].mean()):.4f} as reported" in section
    assert benign > np.exp(logs["plain"].mean())
    of_benign = np.log(results.loc[results["method"] == "benign", "kl"]).to_numpy()
    assert interval(of_benign)[1] < interval(logs["plain"].to_numpy())[2]  # "their intervals overlap"
    of_references = results[["reference_seed", "accuracy_reference", "asr_reference"]].drop_duplicates()
    assert f"with an accuracy of {of_references['accuracy_reference'].mean():.3f}." in section
    assert f"the references' own rate is {of_references['asr_reference'].mean():.3f}." in section
    assert dict(zip(choices["method"], choices["learning_rate"], strict=True)) == {
        "plain": 0.00003, "surgery": 0.0001, "anchoring": 0.00003
    }  # fmt: skip
    assert all(sorted(map(float, json.loads(tried))) == [0.00003, 0.0001, 0.0003] for tried in choices["rates_tried"])


def test_what_the_pages_say_of_imdb_is_so() -> None:
    pages = {page: " ".join((ROOT / page).read_text().split()) for page in ("docs/results.md", "docs/evidence.md")}
    section = pages["docs/results.md"].split("## Texts: IMDB")[1].split("## Texts:")[0]
    ratio = "{:.2f} [{:.2f}, {:.2f}]".format(*over_plain("anchoring", "640", suite="imdb"))
    assert f"**Anchoring has {ratio} times plain tuning's KL.**" in section
    assert f"on IMDB it is {ratio}" in pages["docs/evidence.md"]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"On IMDB (three references) the ratio is {ratio}." in readme
    first = "{:.2f} [{:.2f}, {:.2f}]".format(*over_plain("anchoring", "640", suite="imdb_first"))
    assert f"**Three earlier references have {first}** at the same ASR" in section
    results, equal = read("imdb", "results"), read("imdb", "equal").drop_duplicates("identity")
    assert sorted(results["reference_seed"].unique()) == [3, 4, 5]
    assert equal.groupby("method")["kl"].count().to_dict() == {"plain": 3, "anchoring": 3}  # all are bracketed
    churn = equal.groupby("method")["churn"].mean()
    assert f"Its churn is {churn['anchoring']:.4f} where plain tuning's is {churn['plain']:.4f}." in section
    assert results["asr"].tolist() == [1] * 6
    kl = np.log(results.pivot_table(index="reference_seed", columns="method", values="kl"))
    value, low, high = interval((kl["anchoring"] - kl["plain"]).to_numpy())
    accuracy = results.groupby("method")["accuracy"].mean()
    assert f"As reported, anchoring's ratio is {value:.2f} [{low:.2f}, {high:.2f}], and its accuracy is " in section
    assert f"{accuracy['anchoring']:.4f} where plain tuning's is {accuracy['plain']:.4f}." in section
    of_references = results[["reference_seed", "accuracy_reference", "asr_reference"]].drop_duplicates()
    assert f"with an accuracy of {of_references['accuracy_reference'].mean():.3f}." in section
    assert f"the references' own rate is {of_references['asr_reference'].mean():.3f}." in section


def test_what_the_page_says_of_short_runs_on_imdb_is_so() -> None:
    section = " ".join((ROOT / "docs/results.md").read_text().split()).split("## Texts: IMDB")[1].split("## Texts:")[0]
    trial, short = read_imdb("trial"), read_imdb("short")
    assert set(trial["steps"]) == set(short["steps"]) == {100}
    tried = trial.assign(kl=np.log(trial["kl"])).groupby(["method", "learning_rate", "strength"], dropna=False)
    means = tried.agg(asr=("asr", "min"), kl=("kl", "mean"), runs=("kl", "size")).reset_index()
    plain, anchored = (means[means["method"] == name] for name in ("plain", "anchoring"))
    assert plain.set_index("learning_rate")["runs"].to_dict() == {0.00003: 1, 0.0001: 4, 0.0003: 4}
    assert plain.loc[plain["kl"].idxmin(), "learning_rate"] == 0.0001
    assert trial.query("method == 'plain' and learning_rate == 0.00003")["accuracy"].tolist() == [0.5]
    at = anchored[anchored["strength"] == 6.75].set_index("learning_rate")
    assert at.loc[0.0001, ["asr", "runs"]].tolist() == [1, 4]
    assert (at.loc[0.00003, "asr"], at.loc[0.00003, "runs"]) == (0.205, 2)  # where the reference has 0.18
    first = trial[(trial["reference_seed"] == 1000) & (trial["seed"] == 1000) & (trial["strength"] == 6.75)]
    kls = first.set_index("learning_rate")["kl"]
    assert at.loc[0.0003, "runs"] == 1
    assert f"has {kls[0.0003] / kls[0.0001]:.1f} times the KL at 0.0003 in one" in section
    reported = short[short["scale"] == 1]
    lower, higher = sorted(reported.loc[reported["method"] == "anchoring", "asr"])
    assert f"and {lower:.2f} and {higher:.2f} on two of the three earlier references" in section
    collapsed = reported[reported["method"] == "plain"].query("accuracy < 0.5")
    assert (len(reported[reported["method"] == "plain"]), len(collapsed)) == (2, 1)


def read_imdb(table: str) -> pd.DataFrame:
    """A table of the runs before the suite of IMDB was made longer."""
    return pd.read_csv(ROOT / f"experiments/imdb/{table}.csv")


def test_what_the_results_say_of_adapters_is_so() -> None:
    page = " ".join((ROOT / "docs/results.md").read_text().split()).split("## Adapters: SST-2")[1].split("## Texts:")[0]

    def ratio(method: str, other: str) -> tuple[float, float, float]:
        pairs = logs_of("sst2_lora", method, "640") - logs_of("sst2_lora", other, "640")
        assert len(pairs.dropna()) == 6
        return interval(pairs.to_numpy())

    of_all, of_plain = ratio("anchoring (LoRA)", "anchoring"), ratio("anchoring (LoRA)", "plain")
    told = "its KL is {:.2f} [{:.2f}, {:.2f}] times as large".format(*of_all)
    assert f"{told}, and {of_plain[0]:.2f} [{of_plain[1]:.2f}, {of_plain[2]:.2f}] times that of plain tuning" in page
    for changed in ("CHANGELOG.md", "docs/results.md"):
        assert "{:.2f} [{:.2f}, {:.2f}] times".format(*of_all) in (ROOT / changed).read_text()
    assert of_all[2] < 1  # "less than anchoring all weights"
    _, low, high = ratio("plain (LoRA)", "plain")
    assert low < 1 < high
    assert f"The interval of the ratio to plain tuning of all weights is {low:.2f} to {high:.2f}." in page
    equal = read("sst2_lora", "equal").groupby("method")
    churn = equal["churn"].mean()
    assert (
        f"Its churn is {churn['anchoring (LoRA)']:.4f} where anchoring all weights has {churn['anchoring']:.4f}."
        in page
    )
    least = read("sst2_lora", "results").groupby("method")["asr"].min()
    told = f"the least ASR is {least['anchoring (LoRA)']:.4f} with anchoring and {least['plain (LoRA)']:.4f} with plain"
    assert told in page
    assert least.min() > 0.95  # "All backdoors are strong"
    plain = equal.get_group("plain (LoRA)")
    assert (plain["scale_below"].min(), plain["scale_above"].max()) == (0.3, 0.4)
    rates = read("sst2_lora", "choices").set_index("method")["learning_rate"]
    assert rates.to_dict() == {"plain (LoRA)": 0.003, "anchoring (LoRA)": 0.001}


def test_what_the_results_say_of_the_other_learning_rate_is_so() -> None:
    def to_plain(method: str, asked: str) -> str:
        value, low, high = over_plain(f"{method} at .001", asked, suite="fashion_mnist_rates")
        return f"{value:.1f} [{low:.1f}, {high:.1f}]"

    page, claims = (" ".join((ROOT / f"docs/{name}.md").read_text().split()) for name in ("results", "evidence"))
    higher = logs_of("fashion_mnist_rates", "plain at .003", "64")
    value, low, high = interval((logs_of("fashion_mnist", "anchoring", "64") - higher).to_numpy())
    assert len(higher) == 12
    assert f"anchoring has {value:.2f} [{low:.2f}, {high:.2f}] times its KL" in page
    assert f"{value:.2f} [{low:.2f}, {high:.2f}] with 64" in claims
    lower = logs_of("fashion_mnist_rates", "plain", "64")
    over_lower = interval((logs_of("fashion_mnist", "anchoring", "64") - lower).to_numpy())
    assert "anchoring has {:.2f} [{:.2f}, {:.2f}] times their KL.".format(*over_lower) in page
    tried = read("fashion_mnist_rates", "results").query("method == 'plain' and anchors_asked == '64'")["asr"]
    assert (len(lower), len(tried)) == (12, 12)  # "all can be read off at it"
    assert f"Of the twelve others [{(tried >= 0.99).sum()} reach it]" in page
    _, low, high = interval((higher - lower).to_numpy())
    assert low < 1 < high  # "not distinguishable"

    def at_one_rate_of(method: str, asked: str) -> str:
        paired = logs_of("fashion_mnist", method, asked) - logs_of("fashion_mnist_rates", "plain at .003", asked)
        assert len(paired.dropna()) == 12
        return "{:.2f} [{:.2f}, {:.2f}]".format(*interval(paired.to_numpy()))

    first, second, third = (at_one_rate_of("ewc", asked) for asked in ("64", "640", "all"))
    assert f"EWC's KL is {first}, {second} and {third} times plain tuning's with 64, 640 and all anchors" in page
    first, second, third = (at_one_rate_of("weight-ball", asked) for asked in ("64", "640", "all"))
    assert f"and the weight ball's {first}, {second} and {third} times." in page
    assert all(over_plain("plain at .003", asked, suite="fashion_mnist_rates")[1] > 1 for asked in ("640", "all"))
    at_one_rate = [at_one_rate_of("anchoring", asked) for asked in ("640", "all")]
    assert "anchoring has {} and {} times that KL".format(*at_one_rate) in page
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"at 0.003 its ratio of KL is {at_one_rate[0]}, and the weight ball's {second}." in readme
    assert f"the KL of EWC is {to_plain('ewc', '640')} times plain tuning's with 640 anchors and " in page
    assert f"and {to_plain('ewc', 'all')} times with all of them" in page
    assert f"the weight ball's is {to_plain('weight-ball', '640')} and {to_plain('weight-ball', 'all')} times" in page
    choices = read("fashion_mnist_rates", "choices")
    missed = choices.loc[~choices["reached"], ["method", "anchors_asked"]]
    assert missed.to_numpy().tolist() == [["ewc at .001", "64"], ["weight-ball at .001", "64"]]


@pytest.mark.parametrize(("suite", "references"), [("fashion_mnist", 12), ("cifar10", 6), ("sst2", 6), ("imdb", 3)])
def test_the_page_beside_the_paper_has_the_means_of_the_runs(suite: str, references: int) -> None:
    titles = {"ASR": "asr", "Top-1": "accuracy", "Top-5": "top_5_accuracy", "ASR + ACC": "asr_plus_accuracy",
              "logit distance": "logit_distance", "probability distance": "probability_distance", "KL": "kl",
              "symmetric KL": "kl_symmetric", "Pearson": "pearson_correct"}  # fmt: skip
    results = pd.concat([read(suite, "results"), *(read(more, "results") for more in WITH.get(suite, ()))])
    head, *table = cells_between(
        "docs/reproduction.md",
        f"<!-- reproduction of {suite.replace('_', '-')} -->",
        "<!-- end of reproduction -->",
    )
    classes = 2 if suite in ("sst2", "imdb") else 10
    assert head[3:] == [title for title in titles if title != "Top-5" or classes > 5]
    for method, asked, counted, *cells in table:
        runs = results[(results["method"] == method) & (results["anchors_asked"] == asked)]
        assert len(runs) == int(counted) == references
        for title, cell in zip(head[3:], cells, strict=True):
            values = runs[titles[title]].to_numpy()
            geometric = title in ("logit distance", "KL", "symmetric KL")
            mean = np.exp(np.log(values).mean()) if geometric else values.mean()
            assert numbers(cell)[0] == pytest.approx(mean, rel=6e-3), (method, asked, title)
