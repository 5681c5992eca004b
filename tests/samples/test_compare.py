"""Two runs' logs compared: the numbers by hand, what counts as one document, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, ttest_rel

from anchorlab import compare_samples
from anchorlab.samples.result import SampleComparison, TaskComparison
from anchorlab.samples.words import words_of_samples
from tests.refusals import refused
from tests.samples.made_up import (
    choice_row,
    choices,
    generation_row,
    perplexity_row,
    two_runs,
    write_log,
    write_task,
)


def compared(
    folder: Path, first: list[dict[str, Any]], second: list[dict[str, Any]], **options: Any
) -> SampleComparison:
    files = [write_log(folder / f"{name}.jsonl", rows) for name, rows in (("a", first), ("b", second))]
    return compare_samples(*files, **options)


def only(found: SampleComparison) -> TaskComparison:
    (row,) = found.rows
    return row


def test_a_metric_of_zeros_and_ones_has_flips_and_mcnemars_test(tmp_path: Path) -> None:
    """Of 20 documents 6 fall and 1 rises: 12 right before, 7 after."""
    before = [True] * 12 + [False] * 8
    after = [True] * 6 + [False] * 6 + [True] + [False] * 7
    row = only(compared(tmp_path, choices(before), choices(after), metrics=["acc"]))
    assert (row.value_reference, row.value, row.difference) == (0.6, 0.35, pytest.approx(-0.25))
    assert (row.negative_flips, row.positive_flips, row.churn) == (0.3, 0.05, 0.35)
    assert row.p == pytest.approx(binomtest(6, 7).pvalue)
    assert (row.test, row.documents, row.samples) == ("McNemar", 20, 20)
    assert row.interval is not None
    assert row.interval == pytest.approx((-5 / 22 - 0.2501, -5 / 22 + 0.2501), abs=1e-3)


def test_any_other_metric_has_students_paired_test(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.random(40)
    second = first + rng.normal(0.05, 0.1, 40)
    rows = [[{"id": i, "score": float(value)} for i, value in enumerate(values)] for values in (first, second)]
    row = only(compared(tmp_path, *rows))
    found = ttest_rel(second, first)
    assert row.p == pytest.approx(found.pvalue)
    assert row.interval == pytest.approx(tuple(found.confidence_interval(0.95)))
    assert row.negative_flips is None
    assert row.test == "paired t"


def test_the_same_fall_of_every_document_is_found_by_a_sign_test(tmp_path: Path) -> None:
    first, second = ([{"id": i, "f1": f1, "exact": i % 2} for i in range(30)] for f1 in (0.75, 0.5))
    found = compared(tmp_path, first, second)
    row = next(row for row in found.rows if row.metric == "f1")
    assert (row.p, row.test) == (pytest.approx(2 * 0.5**30), "sign test")
    assert words_of_samples(found)[0].startswith("The candidate's score is below the reference's after Holm's")


def test_documents_are_paired_by_their_hash_in_whatever_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = choices((rng.random(30) < 0.5).tolist()), choices((rng.random(30) < 0.5).tolist())
    straight = compared(tmp_path, first, second)
    for number, row in enumerate(reversed(second)):
        row["doc_id"] = 100 + number
    assert compared(tmp_path, first, list(reversed(second))).rows == straight.rows


def test_answers_alone_give_churn_and_no_test(tmp_path: Path) -> None:
    first, second = ([{"id": i, "answer": "AB"[i % k]} for i in range(8)] for k in (1, 2))
    found = compared(tmp_path, first, second)
    row = only(found)
    assert (row.churn, row.p, row.value, row.metric) == (0.5, None, None, "")
    assert words_of_samples(found) == ("The answers differ on 4 of 8 documents; no score says which is right.",)


def test_each_filter_is_a_comparison_of_its_own(tmp_path: Path) -> None:
    def rows(strict: str, flexible: str) -> list[dict[str, Any]]:
        return [
            generation_row(number, answer, filter_name=name)
            for number in range(25)
            for name, answer in (("strict-match", strict), ("flexible-extract", flexible))
        ]

    found = compared(tmp_path, rows("18", "18"), rows("none", "18"))
    assert [(row.filter, row.documents, row.difference) for row in found.rows] == [
        ("flexible-extract", 25, 0.0),
        ("strict-match", 25, -1.0),
    ]


def test_holm_corrects_for_every_row(tmp_path: Path) -> None:
    found = compare_samples(*two_runs(tmp_path))
    assert [row.name for row in found.rows] == [
        "arc_easy, acc", "arc_easy, acc_norm", "arc_hard, acc", "arc_hard, acc_norm",
    ]  # fmt: skip
    easy = found.rows[0]
    assert easy.p is not None
    assert easy.p_holm == pytest.approx(4 * easy.p)
    alone = compare_samples(*two_runs(tmp_path / "again"), metrics=["acc"])
    assert alone.rows[0].p_holm == pytest.approx(2 * easy.p)


def test_the_same_document_under_several_numbers_is_one_unit(tmp_path: Path) -> None:
    """Thirty documents, the last of which stands in the data three times more, flip alike."""
    numbers = [*range(30), 30, 31, 32]

    def rows(right: bool) -> list[dict[str, Any]]:
        return [choice_row(n, right or n < 29, document="twin" if n >= 29 else "") for n in numbers]

    row = compared(tmp_path, rows(right=True), rows(right=False)).rows[0]
    assert (row.documents, row.samples, row.negative_flips) == (30, 33, 1 / 30)
    assert (row.p, row.test) == (1.0, "sign test")


def test_a_pair_that_only_sums_can_be_made_of_is_left_out_and_named(tmp_path: Path) -> None:
    rows = [{**perplexity_row(number, -20.0 - number), "acc": 1.0} for number in range(3)]
    for row in rows:
        row["metrics"].append("acc")
    found = compared(tmp_path, rows, rows)
    assert [row.metric for row in found.rows] == ["acc"]
    assert "bits_per_byte, byte_perplexity, word_perplexity left out" in found.cautions[0]
    refused("have no score or answer in common", compared, tmp_path, [{"id": 1}], [{"id": 1}])


def test_other_prompts_and_other_right_answers_are_said(tmp_path: Path) -> None:
    first, second = choices([True] * 20), choices([True] * 20, prompt="Again")
    second[3]["target_hash"] = "other"
    prompts, targets = compared(tmp_path, first, second).cautions
    assert "the prompts of 20 of 20 samples differ" in prompts
    assert "the right answers of 1 of 20 samples differ" in targets


def test_few_documents_are_warned_of(tmp_path: Path) -> None:
    (caution,) = compared(tmp_path, choices([True] * 19), choices([False] * 19), metrics=["acc"]).cautions
    assert caution.startswith("acc: fewer than 20 documents")


def test_one_document_has_no_interval(tmp_path: Path) -> None:
    row = only(compared(tmp_path, [{"id": 1, "score": 0.5}], [{"id": 1, "score": 0.25}]))
    assert (row.interval, row.p, row.test) == (None, None, "")


def test_documents_of_one_run_are_refused_with_counts_and_examples(tmp_path: Path) -> None:
    refused(
        r"there are 2 documents in .*a\.jsonl alone, such as id 8, 9: give two runs over the same documents",
        compared, tmp_path, choices([True] * 10), choices([True] * 8),
    )  # fmt: skip


def test_documents_that_changed_are_refused_as_such(tmp_path: Path) -> None:
    second = choices([True] * 4)
    second[2]["doc_hash"] = "another"
    refused(
        "although their ids are the same, so that their contents differ",
        compared,
        tmp_path,
        choices([True] * 4),
        second,
    )


@pytest.mark.parametrize("bare", [0, 1])
def test_ids_pair_where_one_log_has_no_hash(bare: int, tmp_path: Path) -> None:
    runs = [choices([True, False] * 10), choices([True] * 20)]
    whole = compared(tmp_path, *runs)
    runs[bare] = [{name: value for name, value in row.items() if name != "doc_hash"} for row in reversed(runs[bare])]
    assert compared(tmp_path, *runs).rows == whole.rows
    refused(r"there are 2 documents in .*alone, such as id 18, 19: give two runs", compared, tmp_path, *_cut(runs))


def _cut(runs: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    return [runs[0], [row for row in runs[1] if row["doc_id"] < 18]]


@pytest.mark.parametrize("large", [1e308, -1e200])
def test_scores_that_are_too_large_for_a_mean_are_refused(large: float, tmp_path: Path) -> None:
    first = [{"id": number, "score": float(number % 2)} for number in range(30)]
    second = [row | {"score": row["score"] * large} for row in first]
    refused(
        r"b\.jsonl has -?1e\+\d+ as score of id 1, and means are taken of scores up to 1e\+100",
        compared, tmp_path, first, second,
    )  # fmt: skip


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    twice = [*choices([True] * 4), choice_row(2, right=False)]
    refused(
        r"b\.jsonl has 1 id more than once under the filter 'none', such as 2", compared, tmp_path, twice[:4], twice
    )


def test_a_score_of_one_run_alone_is_refused_and_a_whole_metric_left_out(tmp_path: Path) -> None:
    first, second = choices([True] * 25), choices([True] * 25)
    second[4]["acc"] = None
    refused(r"b\.jsonl has no finite acc of 1 document .* such as id 4: ", compared, tmp_path, first, second)
    for row in second:
        row["acc"] = None
    found = compared(tmp_path, first, second)
    assert [row.metric for row in found.rows] == ["acc_norm"]
    assert "acc left out, because one run has no number of it" in found.cautions[0]


def test_answers_count_where_one_run_alone_has_scores(tmp_path: Path) -> None:
    first = [{"id": i, "answer": "A", "score": 1} for i in range(8)]
    second = [{"id": i, "answer": "AB"[i % 2]} for i in range(8)]
    found = compared(tmp_path, first, second)
    assert (only(found).churn, only(found).metric) == (0.5, "")
    assert "score left out, because one run has no number of it" in found.cautions[0]


def test_a_score_that_no_run_has_is_no_document_of_its_metric(tmp_path: Path) -> None:
    first, second = choices([True] * 25), choices([True] * 25)
    first[4]["acc"] = second[4]["acc"] = float("nan")
    assert [row.documents for row in compared(tmp_path, first, second).rows] == [24, 25]


def test_other_filters_an_empty_log_and_an_unknown_metric_are_refused(tmp_path: Path) -> None:
    rows = choices([True] * 3)
    other = [{**row, "filter": "strict"} for row in rows]
    refused("has the filters 'none', and .* 'strict': log both runs", compared, tmp_path, rows, other)
    refused(r"a\.jsonl is empty: give the log of a run", compared, tmp_path, [], rows)
    refused("unknown metric of these logs 'ac': did you mean 'acc'", compared, tmp_path, rows, rows, metrics=["ac"])


def test_instances_are_written_a_row_a_document_and_metric(tmp_path: Path) -> None:
    file = tmp_path / "instances.parquet"
    compare_samples(*two_runs(tmp_path, documents=30), metrics=["acc"], save_instances=file)
    frame = pd.read_parquet(file)
    assert len(frame) == 60
    assert list(frame.columns) == ["task", "filter", "metric", "id", "document", "score_reference", "score", "changed"]
    flips = frame[frame.score < frame.score_reference]
    assert flips.changed.all()


def test_instances_are_written_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    compare_samples(*two_runs(tmp_path, documents=30), save_instances="~/instances.parquet")
    assert (tmp_path / "instances.parquet").is_file()


def test_the_result_shows_itself(tmp_path: Path) -> None:
    found = compare_samples(*two_runs(tmp_path, documents=30))
    assert repr(found).startswith("SampleComparison(arc_easy, acc: -")
    assert list(found.table().columns[7:10]) == ["difference", "lower", "upper"]
    assert "<table>" in found._repr_html_()
    assert SampleComparison.model_validate(found.to_dict()) == found
    assert found.plot().axes


def test_the_words_name_what_differs_and_count_the_flips(tmp_path: Path) -> None:
    worse, others, flips = words_of_samples(compare_samples(*two_runs(tmp_path), metrics=["acc"]))
    assert worse.startswith(
        "The candidate's score is below the reference's after Holm's correction for 2 comparisons in 2 tasks: arc_easy"
    )
    assert others == "1 other comparison cannot be distinguished from chance."
    assert flips == (
        "Most answers flip in arc_easy, acc: of 200 documents, 16 were right and became wrong, 0 were wrong and became "
        "right."
    )


def test_two_equal_runs_are_not_distinguishable(tmp_path: Path) -> None:
    first, _ = two_runs(tmp_path)
    found = compare_samples(first, first, metrics=["acc"])
    assert words_of_samples(found)[0].startswith("No score of the candidate's is distinguishable from the reference's")
    assert write_task(tmp_path / "x", "one", choices([True])).is_file()
