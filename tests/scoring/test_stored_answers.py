"""Answers that another program stored: what a file or array is taken for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anchorlab import AnchorlabError
from anchorlab.notices import Notice
from anchorlab.scoring.stored_answers import numbered, read_answers, read_labels

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [1.0, 0.0, 4.0]])
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def saved(tmp_path, array):
    np.save(tmp_path / "answers.npy", array)
    return tmp_path / "answers.npy"


def written(tmp_path, text):
    (tmp_path / "answers.csv").write_text(text)
    return tmp_path / "answers.csv"


@pytest.mark.parametrize(
    ("array", "access"),
    [(LOGITS, "logits"), (LOGITS.astype(np.float32), "logits"), (SHARES, "probabilities"), ([0, 1, 2], "labels")],
)
def test_an_array_says_what_it_holds_by_its_numbers(tmp_path, array, access):
    for source in (np.array(array), saved(tmp_path, array)):
        found = read_answers(source, "it")
        assert found.access == access
        assert found.labels.tolist() == [0, 1, 2]


def test_probabilities_of_zero_are_the_least_that_is_told_from_it():
    found = read_answers(np.eye(3), "it")
    assert found.logits[0].tolist() == pytest.approx([0.0, np.log(1e-12), np.log(1e-12)])


def test_csv_has_a_line_of_names_or_none(tmp_path):
    body = "\n".join(",".join(map(str, row)) for row in LOGITS)
    for text in (body, "bad,even,good\n" + body):
        assert (read_answers(written(tmp_path, text), "it").logits == LOGITS).all()


def test_a_line_that_numbers_the_classes_is_no_answer(tmp_path: Path) -> None:
    """As ``pandas.DataFrame(p).to_csv("answers.csv", index=False)`` writes it."""
    body = "\n".join(",".join(map(str, row)) for row in SHARES)
    with pytest.warns(Notice, match="first line of .*, 0,1,2, numbers the classes and is no answer"):
        found = read_answers(written(tmp_path, "0,1,2\n" + body), "it")
    assert found.access == "probabilities"
    assert found.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("heading", [",0,1,2", ",bad,even,good", " ,a,b,c"])
def test_a_column_of_row_numbers_is_refused(tmp_path: Path, heading: str) -> None:
    body = "\n".join(",".join(map(str, (place, *row))) for place, row in enumerate(SHARES))
    with pytest.raises(AnchorlabError, match=r"begins with a blank cell.*leave that column out, in pandas by to_csv"):
        read_answers(written(tmp_path, f"{heading}\n{body}"), "it")


def test_a_file_of_a_line_that_numbers_the_classes_alone_is_refused(tmp_path: Path) -> None:
    with pytest.warns(Notice), pytest.raises(AnchorlabError, match="shape \\(0, 3\\)"):
        read_answers(written(tmp_path, "0,1,2\n"), "it")


@pytest.mark.parametrize(
    ("text", "labels"),
    [("0\n2\n2\n", [0, 2, 2]), ("label\n0\n2\n", [0, 2]), ("label\ngood\nbad\n", ["good", "bad"])],
)
def test_a_column_of_labels(tmp_path, text, labels):
    assert read_answers(written(tmp_path, text), "it").labels.tolist() == labels


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("good\nbad\ngood\n", "begins with the label 'good': give the column a name"),
        ("1,2\n1\n", "has lines of 1 and of 2 cells"),
        ("a,b\n1,x\n", "holds 'x', which is no number"),
        ("", "is empty"),
    ],
)
def test_csv_that_cannot_be_meant_is_refused(tmp_path, text, complaint):
    with pytest.raises(AnchorlabError, match=complaint):
        read_answers(written(tmp_path, text), "it")


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((2, 2, 2)), "shape \\(2, 2, 2\\): give logits or probabilities"),
        (np.zeros((50, 0)), "shape \\(50, 0\\): give logits or probabilities"),
        (np.array([0.5, 1.5]), "expected labels: give whole numbers"),
        (np.array([[np.nan, 1.0]]), "not finite"),
        (-np.log(SHARES), "negative log-probabilities"),
    ],
)
def test_arrays_that_are_no_answers_are_refused(array, complaint):
    with pytest.raises(AnchorlabError, match=complaint):
        read_answers(array, "the candidate")


def test_true_labels_are_labels():
    with pytest.raises(AnchorlabError, match="holds logits of shape"):
        read_labels(LOGITS, "the true labels")


def test_names_are_numbered_over_all_columns_and_numbers_stay():
    (first, second), names = numbered([np.array(["b", "a"]), np.array(["c", "a"])])
    assert (first.tolist(), second.tolist(), names) == ([1, 0], [2, 0], ("a", "b", "c"))
    (only,), names = numbered([np.array([2, 0])])
    assert (only.tolist(), names) == ([2, 0], ("0", "1", "2"))


@pytest.mark.parametrize("label", ["99999999999", "9" * 5_000])
def test_a_label_that_is_no_number_of_a_class_is_refused(tmp_path, label):
    (tmp_path / "a.csv").write_text(f"label\n0\n{label}\n")
    with pytest.raises(AnchorlabError, match="a label of 1,000,000 or more"):
        read_answers(tmp_path / "a.csv", "the reference")
    with pytest.raises(AnchorlabError, match="a label of 1,000,000 or more"):
        read_answers(np.array([0, 2**64 - 1], dtype=np.uint64), "the reference")


def test_logits_that_no_model_answers_with_are_refused():
    with pytest.raises(AnchorlabError, match="numbers beyond"):
        read_answers(np.array([[1e300, -1e300]]), "the reference")


def test_a_column_of_an_array_file_holds_labels(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[2], [0], [1]]))
    assert read_answers(tmp_path / "a.npy", "the reference").labels.tolist() == [2, 0, 1]


def test_a_column_of_names_holds_labels_too(tmp_path):
    assert read_answers(saved(tmp_path, np.array([["bad"], ["good"]])), "the reference").labels.tolist() == [
        "bad",
        "good",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cat,dog,cat\n1,2,3\n", "several columns 'cat', expected one of each class"),
        ("id,cat,dog\n0,1.5,2\n1,0.5,3\n", "column 'id', which numbers the queries.*leave that column out"),
        ("cat,dog,Index\n1.5,2,7\n0.5,3,5\n", "column 'Index', which numbers the queries"),
        ("id,label\n0,1\n1,1\n", "column 'id', which numbers the queries"),
        ("cat;dog\n0.5;1.5\n2;1\n", "has semicolons between its cells, expected commas"),
        ("0.5\t1.5\n2\t1\n", "has tabs between its cells, expected commas"),
        ('label\ncat\n""\ndog\n', "line 3 is blank, expected a label"),
        ("label\ncat\n  \ndog\n", "line 3 is blank, expected a label"),
        ("label\n1\n\n2\n", "line 3 is blank, expected a label"),
    ],
)
def test_csv_that_would_be_read_as_other_answers_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(AnchorlabError, match=complaint):
        read_answers(written(tmp_path, text), "it")


@pytest.mark.parametrize("text", ["en,id\n0.5,2\n1.5,2\n", "a,id\n1,0\n0,1\n1,0\n"])
def test_a_class_may_be_called_as_a_column_of_row_numbers(tmp_path: Path, text: str) -> None:
    assert read_answers(written(tmp_path, text), "it").logits is not None


def test_names_of_labels_may_hold_semicolons_and_blank_lines_may_end_a_file(tmp_path: Path) -> None:
    assert read_answers(written(tmp_path, "label\narts; film\nnews\n\n"), "it").labels.tolist() == [
        "arts; film",
        "news",
    ]
