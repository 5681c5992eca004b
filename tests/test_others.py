"""The table beside other people's code in docs/defences.md is what the committed CSV says."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from anchorlab.repairs.oracles import repair_class
from tests.test_results import rows

ROOT = Path(__file__).parent.parent
PAGE, BEGIN, END = "docs/defences.md", "<!-- other code -->", "<!-- end of other code -->"

#: What counts as the same: difference of the means of ASR, and of accuracy.
NEAR_ASR, NEAR_ACCURACY = 0.1, 0.03
NUMBERS = {4: "Four", 5: "Five", 6: "Six"}


@pytest.fixture(scope="module")
def means() -> pd.DataFrame:
    """ASR and accuracy, means over three seeds, by model, repair and code."""
    table = pd.read_csv(ROOT / "experiments/others/repairs.csv")
    groups = table.groupby(["model", "repair", "code"], sort=False)
    counts = groups["seed"].nunique()
    assert (counts == groups.size()).all()
    assert (counts.drop("no repair", level="repair") == 3).all()
    return groups[["asr", "accuracy"]].mean()


def shown(of: pd.Series) -> str:
    """As the page prints it."""
    return f"{of['asr']:.3f} / {of['accuracy']:.3f}"


def test_each_row_shows_the_means_of_both_and_marks_what_differs(means: pd.DataFrame) -> None:
    found = rows(PAGE, BEGIN, END)
    for model, repair, code, ours, theirs, same in found:
        mine, other = means.loc[(model, repair, "anchorlab")], means.loc[(model, repair, code.split()[0])]
        assert [ours, theirs] == [shown(mine), shown(other)], repair
        near = (
            abs(mine["asr"] - other["asr"]) <= NEAR_ASR and abs(mine["accuracy"] - other["accuracy"]) <= NEAR_ACCURACY
        )
        assert same == ("yes" if near else "no"), repair
        assert repair_class(repair)
    others = {key for key in means.index if key[2] != "anchorlab" and "," not in key[2]}
    assert {(model, repair, code.split()[0]) for model, repair, code, *_ in found} == others


def test_the_commit_of_each_row_of_other_code_is_on_the_page() -> None:
    table = pd.read_csv(ROOT / "experiments/others/repairs.csv", dtype=str)
    page = (ROOT / PAGE).read_text().split(BEGIN)[1].split(END)[0]
    for code, commit in (
        table.loc[table["commit"].notna(), ["code", "commit"]].drop_duplicates().itertuples(index=False)
    ):
        if "," not in code:
            assert f"{code} {commit}" in page


def test_each_explanation_shows_its_mean_and_explains(means: pd.DataFrame) -> None:
    found = rows(PAGE, "<!-- other code, explained -->", "<!-- end of other code, explained -->")
    for model, repair, code, _, value in found:
        assert value == shown(means.loc[(model, repair, code)]), code
    assert {(model, repair, code) for model, repair, code, *_ in found} == {key for key in means.index if "," in key[2]}

    def apart(repair: str, one: str, other: str, model: str = "small") -> pd.Series:
        return (means.loc[(model, repair, one)] - means.loc[(model, repair, other)]).abs()

    for found_apart in (
        apart("feature-extractor", "anchorlab", "Backdoor_Safety_Tuning, longer"),
        apart("ban", "anchorlab, higher rate", "ban"),
        apart("ban", "anchorlab, the rate alone", "ban"),
        apart("ban", "anchorlab, the stop alone", "anchorlab, made again"),
        apart("ban", "anchorlab, the noise alone", "anchorlab, made again"),
        apart("ban", "anchorlab, made again", "anchorlab"),
        apart("super-fine-tuning", "anchorlab, made again", "anchorlab"),
        apart("super-fine-tuning", "anchorlab, lower peak", "backdoor-toolbox, lower peak"),
        apart("ban", "ban, clipped", "ban"),
        apart("sau", "anchorlab, lower rate", "BackdoorBench", model="tiny"),
        apart("bti-dbf", "anchorlab, to the end", "BTIDBF", model="tiny"),
    ):
        assert found_apart["asr"] <= NEAR_ASR
        assert found_apart["accuracy"] <= NEAR_ACCURACY
    table = pd.read_csv(ROOT / "experiments/others/repairs.csv")
    one = table["code"].isin(["anchorlab, lower rate", "anchorlab, lower peak"]) | table["code"].str.endswith(" alone")
    assert (table.loc[one, "settings"].str.count("=") == 1).all()
    page = " ".join((ROOT / PAGE).read_text().split())
    theirs = means.loc[("small", "super-fine-tuning", "backdoor-toolbox, lower peak")]
    ours = means.loc[("small", "super-fine-tuning", "anchorlab, lower peak")]
    assert (
        f"leaves {theirs['asr']:.3f} of the backdoor, and ours leaves {ours['asr']:.3f} with a third of its own" in page
    )
    rate = means.loc[("small", "ban", "anchorlab, the rate alone")]
    assert f"At 0.003, between the two, ours leaves {rate['asr']:.3f}, at the accuracy of theirs." in page
    differ = {row[1] for row in rows(PAGE, BEGIN, END) if row[5] == "no"}
    assert differ == set(re.findall(r" - `([\w-]+)`, \*\*(?:not )?explained", page))
    assert f"{NUMBERS[len(differ)]} rows differ" in page


def test_the_page_says_which_repairs_ran_on_which_network(means: pd.DataFrame) -> None:
    page = " ".join((ROOT / PAGE).read_text().split())
    repairs = {model: {key[1] for key in means.index if key[0] == model} - {"no repair"} for model in ("small", "tiny")}
    assert repairs["tiny"] == {"npd", "sau", "bti-dbf"}
    assert "`npd`, `sau` and `bti-dbf`, whose searches are slow, ran on `tiny`" in page
    assert len(repairs["small"]) == 7  # "the seven others"
    assert not repairs["small"] & repairs["tiny"]  # "None ran on both"


def test_the_page_says_what_was_before(means: pd.DataFrame) -> None:
    page = " ".join((ROOT / PAGE).read_text().split())
    before = [shown(means.loc[(model, "no repair", "anchorlab")]) for model in ("small", "tiny")]
    assert f"Before repair they are {before[0]} for `small`, and {before[1]} for `tiny`." in page
    for code in ("anchorlab", "RNP"):
        pruned = means.loc[("small", "oracle-rnp", code)]
        assert pruned["asr"] == pytest.approx(means.loc[("small", "no repair", "anchorlab"), "asr"], abs=1e-5)


def test_the_page_says_where_the_stop_ended_bti_dbf(means: pd.DataFrame) -> None:
    table = pd.read_csv(ROOT / "experiments/others/repairs.csv")
    runs = table[table["repair"] == "bti-dbf"].sort_values("seed")
    kept = runs.loc[runs["code"] == "anchorlab", "settings"].str.extract(r"kept the weights after (\d+) of")[0].dropna()
    theirs = [f"{asr:.3f}" for asr in runs.loc[runs["code"] == "BTIDBF", "asr"]]
    page = " ".join((ROOT / PAGE).read_text().split())
    assert f"kept the weights after {', '.join(kept[:-1])} and {kept.iloc[-1]} of its" in page
    to_the_end = [f"{asr:.3f}" for asr in runs.loc[runs["code"] == "anchorlab, to the end", "asr"]]
    sentence = f"theirs leaves {', '.join(theirs[:-1])} and {theirs[-1]} in the three runs, and ours "
    assert f"{sentence}{', '.join(to_the_end[:-1])} and {to_the_end[-1]}." in page
    longer = means.loc[("tiny", "bti-dbf", "anchorlab, to the end, five rounds"), "asr"]
    assert longer < means.loc[("tiny", "bti-dbf", "BTIDBF"), "asr"]
