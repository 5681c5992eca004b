"""The LaTeX table: its rows and parts, what is bold, and what its caption says."""

from __future__ import annotations

import dataclasses
import re

import pandas as pd
import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.metrics import METRICS
from anchorlab.reports.paper.best import backed_best
from anchorlab.reports.paper.bibliography import Bibliography
from anchorlab.reports.paper.request import read_request
from anchorlab.reports.paper.table import ROOM, PaperTable, counted
from anchorlab.reports.paper.writing import LatexWords
from anchorlab.reports.suite.summary import Entry, summarise
from anchorlab.statistics.estimate import Estimate
from tests.hostile import HOSTILE
from tests.reports.paper.conftest import PaperResults

MANY = ["accuracy", "asr", "kl", "churn", "negative_flips", "logit_distance", "js", "brier"]


@pytest.fixture(scope="module")
def table(one_condition: PaperResults):
    """The table of some columns and methods; ``renamed`` gives ``l2`` another label."""
    (condition,) = summarise(one_condition)  # type: ignore[arg-type]
    (group,) = condition.groups

    def table(columns=None, methods=None, *, renamed: str = "l2") -> PaperTable:
        request = read_request(one_condition, columns, methods, "3.3in")  # type: ignore[arg-type]
        entries = [
            dataclasses.replace(entry, label=renamed if entry.label == "l2" else entry.label) for entry in group.entries
        ]
        shown = dataclasses.replace(condition, groups=[dataclasses.replace(group, entries=entries)])
        return PaperTable.of(shown, request, "tab:x")

    return table


def tex(table: PaperTable) -> str:
    return table.tex(LatexWords(Bibliography("1")))


def entry(label: str, kl: list[float], asr: float = 1.0, role: str = "method") -> Entry:
    runs = pd.DataFrame(
        {"kl": kl, "asr": asr, "seed": 0, "reference_seed": range(len(kl)), "accuracy": [1 - each for each in kl]}
    )
    means = {"kl": Estimate(sum(kl) / len(kl)), "accuracy": Estimate(1 - sum(kl) / len(kl))}
    return Entry(label, role, runs, means)


def test_a_row_for_each_method_and_then_the_controls(table) -> None:
    labels = re.findall(r"^\{\}(.+?) &", tex(table()), re.MULTILINE)
    assert labels == ["plain", "l2", "ewc", "surgery", "anchoring", "weight-ball", "plain (stopped)", "benign"]


def test_columns_and_methods_are_chosen(table) -> None:
    text = tex(table(["kl", "asr"], ["plain", "anchoring"]))
    assert re.findall(r"^\{\}(.+?) &", text, re.MULTILINE) == ["plain", "anchoring"]
    assert r"method & KL (nats)\,$\downarrow$ & ASR \\" in text


def test_a_method_that_missed_the_target_says_so(table) -> None:
    text = tex(table())
    assert r"weight-ball & \multicolumn{4}{l}{not reached (ASR 0.5000)}" in text
    assert "no strength reached the target on selection" in text


def test_the_caption_says_runs_test_set_and_target(table) -> None:
    text = tex(table())
    for words in ("target ASR of 0.95", "3 references with 3 injection seeds on each", "150 clean instances"):
        assert words in text
    assert "Student's t over 3 references, for this test set" in text
    assert r"\label{tab:x}" in text


def test_few_runs_are_called_few() -> None:
    few = [entry("a", [0.1, 0.2])]
    assert counted(few) == "2 references with 1 injection seed on each"


def test_a_table_that_is_too_wide_comes_in_parts(table) -> None:
    wide = table(MANY)
    parts = wide.parts()
    assert len(parts) > 1
    assert [index for part in parts for index in part] == list(range(len(MANY)))
    text = tex(wide)
    assert text.count(r"\begin{table*}") == len(parts)
    assert r"\label{tab:x-2}" in text
    kept = re.search(r"--columns (\S+)", wide.too_wide())
    assert kept is not None
    assert not table(kept[1].split(",")).too_wide()
    assert f"{ROOM:g} pt" in wide.too_wide()


@pytest.mark.parametrize("label", HOSTILE)
def test_no_label_of_the_users_is_a_command_or_too_long(table, label: str) -> None:
    shown = table(renamed=label)
    for command in (r"\input{/etc", r"\write18{"):
        assert command not in tex(shown)
    assert len(shown.parts()) <= 2
    label_in_latex = re.findall(r"^\{\}(.*?) & ", tex(shown), re.MULTILINE)[1]
    assert len(label_in_latex) < 300


# What is bold.


def best(*entries: Entry, metric: str = "kl") -> str | None:
    return backed_best(entries, METRICS[metric], 0.95)


def test_the_best_is_bold_where_every_pair_backs_it() -> None:
    assert best(entry("a", [0.1, 0.11, 0.12]), entry("b", [0.2, 0.21, 0.22])) == "a"
    assert best(entry("a", [0.1, 0.11, 0.12]), entry("b", [0.2, 0.21, 0.22]), metric="accuracy") == "a"


def test_nothing_is_bold_where_pairs_disagree() -> None:
    assert best(entry("a", [0.1, 0.3, 0.12]), entry("b", [0.2, 0.21, 0.22])) is None


def test_controls_and_broken_backdoors_do_not_compete() -> None:
    control = entry("benign", [0.001] * 3, role="control")
    broken = entry("broken", [0.001] * 3, asr=0.5)
    assert best(entry("a", [0.1, 0.11, 0.12]), entry("b", [0.2, 0.21, 0.22]), control, broken) == "a"
    assert best(entry("a", [0.1, 0.11, 0.12]), control, broken) is None


def test_asr_has_no_best() -> None:
    assert best(entry("a", [0.1] * 3), entry("b", [0.2] * 3), metric="asr") is None


# What is refused.


@pytest.mark.parametrize(
    ("columns", "methods", "width", "message"),
    [
        (["kll"], None, "3.3in", "unknown metric 'kll': did you mean 'kl'"),
        (None, ["anchorin"], "3.3in", "unknown method of this suite 'anchorin': did you mean 'anchoring'"),
        ([], None, "3.3in", "there is no metric to show"),
        (None, [], "3.3in", "there is no method to show"),
        (None, None, "3.3", "'3.3' is no width of a figure: give a number and in, cm, mm or pt"),
        (None, None, "1in", "from 2in to 10in"),
        (None, None, "300cm", "from 2in to 10in"),
    ],
)
def test_what_cannot_be_shown_is_refused(one_condition: PaperResults, columns, methods, width, message) -> None:
    with pytest.raises(AnchorlabError, match=re.escape(message)):
        read_request(one_condition, columns, methods, width)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", ["3.3in", "83.82mm", "8.382cm", "238.491pt", " 3.3 in "])
def test_a_width_in_any_unit(one_condition: PaperResults, width: str) -> None:
    assert read_request(one_condition, None, None, width).width == pytest.approx(3.3, abs=1e-4)  # type: ignore[arg-type]
