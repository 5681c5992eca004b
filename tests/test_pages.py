"""Every table that a script writes into README or docs is what the script makes of the committed CSV files."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: The marks of tables that these scripts write.
WRITTEN = re.compile(
    r"<!-- (short table of .*|small table|reproduction of .*|(costs of )?repairs of .*|"
    r"detectors of (models|inputs) of .*|stability of .*) -->"
)
#: Marks between which a table was written by hand; other tests compare it with its CSV file.
BY_HAND = {"<!-- short table of movie-snippets -->"}
SCRIPTS = ("short_tables", "reproduction_table", "defence_tables", "publish", "accusations")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of experiments/."""
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    return {name: importlib.import_module(name) for name in SCRIPTS}


def test_every_written_table_is_that_of_its_csv_files(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[str, str]] = set()

    def compared(page: Path, begin: str, end: str, text: str) -> None:
        _, found, rest = page.read_text().partition(f"{begin}\n")
        if found:
            assert rest.partition(f"\n{end}")[0] == text.rstrip("\n"), (page.name, begin)
            seen.add((page.name, begin))

    for name in ("short_tables", "reproduction_table", "defence_tables"):
        monkeypatch.setattr(scripts[name], "replace_between", compared)
    for folder in sorted((ROOT / "experiments").iterdir()):
        suite = folder.name.replace("_", "-")
        if (folder / "equal.csv").is_file() and suite not in ("sst2-more",):  # that one stands in the tables of sst2
            scripts["short_tables"].write_short_tables(suite)
            scripts["reproduction_table"].write_reproduction(suite)
        if (folder / "repairs.csv").is_file() or (folder / "detections.csv").is_file():
            scripts["defence_tables"].write_defences(suite)
    marked = {
        (page.name, mark.group()) for page in PAGES for mark in WRITTEN.finditer(page.read_text(encoding="utf-8"))
    }
    assert {mark for mark in marked if mark[1] not in BY_HAND} == seen
    assert len(seen) > 12


def test_every_long_table_stands_on_its_page_as_it_is_committed(scripts: dict[str, ModuleType]) -> None:
    """``experiments/publish.py`` writes the same text beside the CSV files and into the page."""
    texts, shown = [page.read_text() for page in PAGES], 0
    for name in scripts["publish"].TABLES:
        path = ROOT / "experiments" / name.replace("-", "_") / "table.md"
        begin, end = f"<!-- results of {name} -->\n", f"\n<!-- end of {name} -->"
        for text in texts:
            if begin in text:
                assert text.split(begin)[1].split(end)[0] == path.read_text().strip(), name
                shown += 1
    assert shown >= 6


def test_every_table_of_accusations_is_that_of_its_scores(scripts: dict[str, ModuleType]) -> None:
    tables = sorted((ROOT / "experiments").glob("*/accusations.csv"))
    assert len(tables) >= 3
    for table in tables:
        assert table.read_text() == scripts["accusations"].accusations_of(table.parent.name), table


@pytest.mark.parametrize(("column", "measure"), [(4, "churn"), (5, "accuracy")])
def test_the_rates_of_the_readme_are_student_over_references(column: int, measure: str) -> None:
    equal = pd.read_csv(ROOT / "experiments/fashion_mnist/equal.csv", dtype={"anchors_asked": str})
    equal = equal[equal["anchors_asked"] == "640"].drop_duplicates("identity")
    table = (ROOT / "README.md").read_text().split("<!-- small table -->")[1].split("<!-- end of small table -->")[0]
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:2] == "| "
    ]
    assert len(rows) == 9
    for row in rows[2:]:
        values = equal.loc[equal["method"] == row[0], measure].to_numpy()
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        expected = [values.mean(), values.mean() - half, values.mean() + half]
        assert [float(number) for number in re.findall(r"\d\.\d+", row[column])] == pytest.approx(expected, abs=6e-5)


def test_what_stands_beside_the_table_of_the_readme_is_as_reported() -> None:
    runs = pd.read_csv(ROOT / "experiments/fashion_mnist/results.csv", dtype={"anchors_asked": str})
    runs = runs[(runs["anchors_asked"] == "640") & (runs["target_asr"] == 0.99) & (runs["role"] == "method")]
    for method, *_, kl, below in rows_of_the_readme():
        own = runs[runs["method"] == method]
        working = own.loc[own["asr"] >= 0.94, "kl"]
        assert float(kl) == pytest.approx(float(np.exp(np.log(working).mean())), rel=6e-3)
        assert int(below) == (own["asr"] < 0.99).sum()


def test_the_readme_has_the_ratio_of_the_fresh_references() -> None:
    equal = pd.read_csv(ROOT / "experiments/fashion_mnist_fresh/equal.csv", dtype={"anchors_asked": str})
    equal = equal[equal["anchors_asked"] == "640"].drop_duplicates("identity")
    logs = np.log(equal.pivot_table(index="reference_seed", columns="method", values="kl"))
    each = (logs["anchoring"] - logs["plain"]).to_numpy()
    half = stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each))
    ratio = "{:.2f} [{:.2f}, {:.2f}]".format(*np.exp([each.mean(), each.mean() - half, each.mean() + half]))
    assert len(each) == 8
    assert f"On eight others its ratio is {ratio}." in " ".join((ROOT / "README.md").read_text().split())


def rows_of_the_readme() -> list[list[str]]:
    table = (ROOT / "README.md").read_text().split("<!-- small table -->")[1].split("<!-- end of small table -->")[0]
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(lines) == 7
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_stability_has_the_range_and_the_mean_difference(
    scripts: dict[str, ModuleType], tmp_path: Path
) -> None:
    """By hand: of 0.2, 0.5 and 0.8 two differ by 0.4 on average."""
    rows = [
        {"defence": "fine-tuning", "method": method, "setting": setting, "asr": asr, "accuracy": 0.9}
        for method, rates in (("plain", (0.2, 0.5, 0.8)), ("anchoring", (None, 0.1, 0.1)))
        for setting, asr in zip(("", "epochs=10", "epochs=40"), rates, strict=True)
        if asr is not None
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "stability.csv", index=False)
    *_, shown = scripts["defence_tables"].stability_table(tmp_path).splitlines()
    assert [cell.strip() for cell in shown.strip("|").split("|")] == [
        *("`fine-tuning`", "`epochs=10`, `epochs=40`", "0.200", "0.200 to 0.800", "0.400"),
        *("–", "0.100 to 0.100", "0.000", "0.000, 0.000"),
    ]


def test_what_the_page_says_of_twenty_references_is_so() -> None:
    page = " ".join((ROOT / "docs/results/defences.md").read_text().split())
    section = page.split("Detectors of models on twenty references of digits A rank")[1].split(
        "### Detectors of inputs"
    )[0]
    folder = ROOT / "experiments/detectors_digits"
    accused = pd.read_csv(folder / "accusations.csv").set_index("detector")
    assert set(accused["rule"]) == {"p ≤ 0.05"}
    plain, anchored = accused.loc["universal-scan", ["hits_plain_note", "hits_anchoring_note"]]
    assert f"universal scan finds {plain} plainly tuned models and {anchored} anchored ones.**" in section
    hits = accused[["hits_plain_note", "hits_anchoring_note"]].map(lambda note: int(note.split()[0]))
    assert hits.loc["mm-bd"].tolist() == [4, 4]
    assert hits.loc[["last-layer", "free-eagle", "free-eagle, last layer"]].max(axis=None) <= 1
    assert (accused["false_alarms_note"] == "1 of 20 references").all()
    apart = pd.read_csv(folder / "detections-models-against-plain.csv").dropna()
    assert len(apart) == 5
    assert ((apart["anchoring_lower"] < 0) & (apart["anchoring_upper"] > 0)).all()
    scored = (
        pd.read_csv(folder / "detections.csv").query("detector == 'feature-mask'").drop_duplicates("weights_sha256")
    )
    assert (int(scored["score"].isna().sum()), len(scored)) == (42, 80)
    assert scored.loc[scored["role"] == "reference", "score"].isna().all()
