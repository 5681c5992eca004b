"""What the verbs return are values: one short line as ``repr``, a table in notebooks, and JSON values."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import anchorlab
from anchorlab import Artifact, Task, Tuning
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
    "Audit": ("Audit(unusual: more, 50 queries, 3 benign updates, p=", "probabilities"),
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


def test_a_comparison_of_logits_names_no_task():
    logits = [[2.0, 0.0], [0.0, 1.0]]
    comparison = anchorlab.compare_logits(logits, logits, [0, 1])
    assert repr(comparison).startswith("Comparison(2 instances, accuracy=1, ")


def test_a_name_cannot_steer_the_terminal_on_which_a_value_is_shown():
    shown = repr(made_up(names=("\x1b[31m", "b")))
    assert "\\x1b[31m" in shown
    assert "\x1b" not in shown
