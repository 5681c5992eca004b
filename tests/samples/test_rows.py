"""A line of a log as a sample, in lm-eval's form and in any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anchorlab.samples.rows import Sample, samples_of
from tests.refusals import refused
from tests.samples.made_up import choice_row, generation_row, perplexity_row, write_log


def sample(row: dict[str, Any], folder: Path) -> Sample:
    (found,) = samples_of(write_log(folder / "log.jsonl", [row]))
    return found


def test_a_line_of_lm_evals_is_known_by_the_hash_of_its_document(tmp_path: Path) -> None:
    row = choice_row(7, right=True)
    found = sample(row, tmp_path)
    assert (found.document, found.number, found.filter) == (row["doc_hash"], "7", "none")
    assert found.scores == {"acc": 1.0, "acc_norm": 1.0}


def test_an_older_line_of_lm_evals_has_neither_hash_nor_filter_nor_names_of_metrics(tmp_path: Path) -> None:
    row = choice_row(7, right=False)
    for name in ("doc_hash", "prompt_hash", "target_hash", "filter", "metrics"):
        del row[name]
    found = sample(row, tmp_path)
    assert (found.document, found.filter, found.scores) == ("7", "", {"acc": 0.0, "acc_norm": 0.0})


def test_the_answer_to_a_choice_is_the_likeliest_although_likelihoods_are_written_as_texts(tmp_path: Path) -> None:
    right, wrong, surer = (choice_row(1, right=each) for each in (True, False, True))
    surer["filtered_resps"] = [["-0.1", "True"], ["-10.5", "False"]]
    first, second, third = (sample(row, tmp_path).answer for row in (right, wrong, surer))
    assert first == third != second


def test_a_generated_answer_is_its_text(tmp_path: Path) -> None:
    answers = [sample(generation_row(1, text, filter_name="x"), tmp_path).answer for text in ("18", "19", "18")]
    assert answers[0] == answers[2] != answers[1]


def test_a_metric_of_which_only_sums_can_be_made_is_no_score(tmp_path: Path) -> None:
    found = sample(perplexity_row(1, -30.5), tmp_path)
    assert found.scores == {}
    assert found.unscored == {"word_perplexity", "byte_perplexity", "bits_per_byte"}


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 10**400])
def test_a_score_that_is_no_finite_number_is_missing(value: object, tmp_path: Path) -> None:
    assert sample({**choice_row(1, right=True), "acc": value}, tmp_path).scores == {"acc_norm": 1.0}


@pytest.mark.parametrize("name", ["id", "doc_id", "sample_id", "example_id", "question_id"])
def test_any_other_log_has_an_id_and_scores_or_an_answer(name: str, tmp_path: Path) -> None:
    found = sample({name: "a-1", "answer": "B", "score": 0.25, "passed": True, "label": 3, "tags": ["x"]}, tmp_path)
    assert (found.document, found.number) == ("a-1", "a-1")
    assert found.scores == {"score": 0.25, "passed": 1.0}
    assert found.answer is not None
    assert found.unscored == set()


@pytest.mark.parametrize("name", ["prediction", "response", "output"])
def test_beside_what_the_model_said_the_answer_may_be_the_right_one(name: str, tmp_path: Path) -> None:
    same, other = ({"id": 1, "answer": "B", name: said} for said in ("B", "C"))
    found = [sample(row, tmp_path).answer for row in (same, {"id": 1, name: "B"}, other)]
    assert found[0] == found[1] != found[2]


def test_empty_lines_and_a_mark_of_byte_order_are_nothing(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"id": 1, "score": 1}\n\n{"id": 2, "score": 0}')
    assert [each.number for each in samples_of(file)] == ["1", "2"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": 1', "line 2 is not JSON"),
        (b"\xff\xfe", "line 2 is not JSON"),
        (b"[" * 100_000, "line 2 is not JSON"),
        (b"[1, 2]", "line 2 holds .*, but an object with an id was expected"),
        (b'{"score": 1}', "line 2 has no id: give each row a number or a text as id, doc_id"),
        (b'{"id": true, "score": 1}', "line 2 has the id True"),
        (b'{"id": null, "score": 1}', "line 2 has the id None"),
    ],
)
def test_a_damaged_line_is_refused_by_its_number(line: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(json.dumps({"id": 1, "score": 1}).encode() + b"\n" + line + b"\n")
    refused(message, lambda: list(samples_of(file)))
