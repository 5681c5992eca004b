"""What the verbs return are values: one short line as ``repr``, a table in notebooks, and JSON values."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import anchorlab
from anchorlab import AnchorlabError, Artifact, ModelScore, Task, Tuning
from anchorlab.reports.suite.summary import summarise
from anchorlab.scoring.repairs import score_repair
from tests.made_up_analysis import made_up


class Page(HTMLParser):
    """The tags that are open, and the words of all cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="session")
def values(digits: Task, reference: Artifact, injected: Artifact) -> dict[str, Any]:
    repaired = anchorlab.repair(injected, "clp", defender_data=None)
    return {
        "Task": digits,
        "Artifact": injected,
        "Comparison": anchorlab.compare(reference, injected),
        "RepairScore": score_repair(injected, repaired, reference=reference),
        "ModelScore": anchorlab.detect(injected, "last-layer", defender_data=None),
        "InputScore": anchorlab.detect(injected, "activation-clustering", defender_data=None, examples=40),
        "Audit": anchorlab.audit(
            reference, injected, benign=3, level=0.5, tuning=Tuning(steps=2, batch_size=8), queries=50
        ),
    }


#: Value to what its line must say, and what its table must hold.
SHOWN = {
    "Task": ("Task(digits: images of 10 classes; owner 880, ", "split owner"),
    "Artifact": ("Artifact(kind=injected, task=digits, architecture=resnet-tiny, method=", "weights"),
    "Comparison": ("Comparison(digits test, 539 instances, accuracy=", "negative_flips"),
    "RepairScore": ("RepairScore(accuracy 0.", "logit_distance"),
    "ModelScore": ("ModelScore(", "deviations"),
    "InputScore": ("InputScore(auroc=", "AUROC"),
    "Audit": ("Audit(unusual: more, 50 queries, 3 benign updates, p=", "benign updates"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_value_has_a_line_a_table_and_json_values(values, name):
    value = values[name]
    line, word = SHOWN[name]
    assert type(value).__name__ == name
    assert repr(value).startswith(line)
    assert str(value) == repr(value)
    assert "\n" not in repr(value)
    assert len(repr(value)) < 300
    page = Page(value._repr_html_())
    assert page.open == []
    assert word in page.words
    assert page.text.count("<table>") == 1
    assert json.loads(json.dumps(value.to_dict(), allow_nan=False))


def test_the_results_of_a_suite_have_a_line_a_table_and_json_values(finished: Path):
    results = anchorlab.load_results(finished)
    page = Page(results._repr_html_())
    assert page.open == []
    assert page.words[page.words.index("results") :][:2] == ["results", "36 rows"]
    assert json.loads(json.dumps(results.to_dict(), allow_nan=False))


def test_the_means_of_a_suite_are_those_of_its_report(finished: Path):
    results = anchorlab.load_results(finished)
    frame = results.table("kl", "churn")
    assert "noise" not in set(frame["role"])
    entries = [
        (condition.target_asr, group.asked, entry)
        for condition in summarise(results)
        for group in condition.groups
        for entry in group.entries
        if len(entry.runs)
    ]
    assert entries
    for target, asked, entry in entries:
        of_method = frame[(frame["method"] == entry.label) & (frame["anchors_asked"] == asked)]
        (row,) = of_method[of_method["target_asr"].isna() | (of_method["target_asr"] == target)].to_dict("records")
        assert (row["kl"], row["kl_lower"], row["kl_upper"]) == dataclasses.astuple(entry.estimate("kl"))[:3]
        assert row["runs"] == len(entry.runs)
    figure = results.plot("kl")
    drawn = {label.get_text() for axis in figure.axes for label in axis.get_yticklabels()}
    assert {entry.label for _, _, entry in entries} <= drawn


def test_a_comparison_of_logits_names_no_task():
    logits = [[2.0, 0.0], [0.0, 1.0]]
    comparison = anchorlab.compare_logits(logits, logits, [0, 1])
    assert repr(comparison).startswith("Comparison(2 instances, accuracy=1, ")


def test_a_name_cannot_steer_the_terminal_on_which_a_value_is_shown():
    shown = repr(made_up(names=("\x1b[31m", "b")))
    assert "\\x1b[31m" in shown
    assert "\x1b" not in shown


#: Value to a column of its table.
COLUMNS = {
    "Comparison": "lower",
    "RepairScore": "measurement",
    "ModelScore": "deviations",
    "InputScore": "triggered",
    "Audit": "least_update",
    "Analysis": "l2",
}


def shown(values: dict[str, Any], name: str) -> Any:
    return made_up() if name == "Analysis" else values[name]


@pytest.mark.parametrize("name", COLUMNS)
def test_its_table_is_a_frame(values: dict[str, Any], name: str) -> None:
    frame = shown(values, name).table()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame)
    assert COLUMNS[name] in frame


@pytest.mark.parametrize("name", COLUMNS)
def test_its_plot_is_a_figure_that_shows_itself(values: dict[str, Any], name: str) -> None:
    figure = shown(values, name).plot()
    assert isinstance(figure, Figure)
    assert figure.axes
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_the_table_of_a_comparison_holds_its_measurements(values: dict[str, Any]) -> None:
    comparison = values["Comparison"]
    frame = comparison.table()
    assert frame.loc["kl", "value"] == comparison.kl
    assert tuple(frame.loc["kl", ["lower", "upper"]]) == comparison.intervals["kl"]


def test_names_of_a_comparison_are_its_measurements(values: dict[str, Any]) -> None:
    names = [name for name in dir(values["Comparison"]) if not name.startswith("_")]
    assert {"kl", "asr", "churn", "intervals", "table", "plot", "to_dict"} <= set(names)
    assert not {"model_dump", "model_fields", "copy", "json", "dict"} & set(names)


def test_a_plot_of_what_is_not_there_is_refused() -> None:
    analysis = made_up()
    with pytest.raises(AnchorlabError, match="unknown column of the table paths 'los': did you mean 'loss'"):
        analysis.plot("los")
    with pytest.raises(AnchorlabError, match="unknown table of an analysis 'size': did you mean 'sizes'"):
        analysis.table("size")
    with pytest.raises(AnchorlabError, match="no details by label"):
        ModelScore(1.0).plot()
