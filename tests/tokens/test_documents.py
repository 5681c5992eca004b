"""Documents are read one at a time from JSON Lines, parquet, text and lists; what is none of them is refused."""

from __future__ import annotations

import hashlib
import json

import pandas as pd
import pytest

from anchorlab import AnchorlabError
from anchorlab.tokens import documents
from anchorlab.tokens.documents import Document, open_texts


def test_documents_of_a_text_file_stand_apart_by_blank_lines(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("\ufeff\n\nfirst line\nsecond line\n\n  \n\tthird, é\n", encoding="utf-8")
    assert [*open_texts(file).read()] == [Document("first line\nsecond line"), Document("\tthird, é")]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_columns_are_found_as_in_data_of_ones_own(ending, tmp_path):
    rows = [
        {"id": 1, "domain": "news", "text": "one two"},
        {"id": 2, "domain": None, "text": ""},
        {"id": 3, "domain": "code", "text": "three"},
    ]
    texts = open_texts(_written(tmp_path / f"texts.{ending}", rows))
    assert (texts.text_column, texts.domain_column) == ("text", "domain")
    assert [*texts.read()] == [Document("one two", "news"), Document("", "none"), Document("three", "code")]
    assert texts.checked().domains == ("news", "none", "code")


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_columns_can_be_named(ending, tmp_path):
    rows = [{"a": "one two", "b": "three four", "c": 7}]
    file = _written(tmp_path / f"texts.{ending}", rows)
    with pytest.raises(AnchorlabError, match=r"do not say which one holds the texts: they are .* --text-column"):
        open_texts(file)
    assert [*open_texts(file, text_column="b", domain_column="c").read()] == [Document("three four", "7")]
    with pytest.raises(AnchorlabError, match="has no column 'd': it has"):
        open_texts(file, text_column="d")


def test_the_sample_is_there_and_has_enough_documents():
    texts = open_texts("sample")
    reading = texts.checked()
    assert len(reading.domains) >= 20
    assert texts.domain_column == "domain"


def test_lists_are_documents():
    assert [*open_texts(["a b", "c"]).read()] == [Document("a b"), Document("c")]


def test_the_digest_of_a_long_text_is_that_of_the_whole(monkeypatch):
    monkeypatch.setattr(documents, "_HASHED", 3)
    texts = ["a film\ud83c\udfac, été, 映画 \U0001f3ac", "short"]  # with halves of a character, as JSON may have them
    whole = [hashlib.sha256(text.encode(errors="surrogatepass")).digest() for text in texts]
    assert open_texts(texts).checked().digest == hashlib.sha256(b"".join(whole)).hexdigest()


def test_copies_of_a_document_are_told_and_different_documents_are_not():
    assert open_texts(["a film"] * 30).checked().copies_in_words == [
        "of 30 documents only 1 is a different text, and the intervals, which take all for independent, are too "
        "narrow: give each text once"
    ]
    (sentence,) = open_texts(["a", "b", "b"]).checked().copies_in_words
    assert sentence.startswith("of 3 documents only 2 are different texts, and")
    assert open_texts(["a", "b", "b "]).checked().copies_in_words == []
    assert open_texts("sample").checked().copies_in_words == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.txt", b"", "holds no document"),
        ("blank.txt", b"\n \n\n", "holds no document"),
        ("empty.jsonl", b"", "holds no document"),
        ("latin.txt", "é".encode("latin-1"), "is no UTF-8 text"),
        ("broken.jsonl", b'{"text": "a b"}\n{"text": ', "line 2 is not JSON"),
        ("list.jsonl", b'{"text": "a b"}\n[1]\n', "line 2 holds .1., expected an object"),
        ("number.jsonl", b'{"text": "a b"}\n{"text": 7}\n', "row 2 holds 7 in the column 'text'|leave|do not say"),
        ("missing.jsonl", b'{"text": "a b"}\n{"other": 7}\n', "row 2 holds no text in the column 'text'"),
        ("damaged.parquet", b"PAR1 nothing", "could not be read"),
        ("table.csv", b"text\na b\n", "no file of documents that can be streamed"),
    ],
)
def test_what_holds_no_documents_is_refused_before_any_model_runs(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnchorlabError, match=words):
        open_texts(tmp_path / name).checked()


def test_other_things_are_refused(tmp_path):
    with pytest.raises(AnchorlabError, match="there is no file"):
        open_texts(tmp_path / "nothing.txt")
    with pytest.raises(AnchorlabError, match="a document is 3, expected a text"):
        open_texts(["a", 3]).checked()
    with pytest.raises(AnchorlabError, match="has no columns"):
        open_texts(["a"], text_column="text")


def _written(file, rows):
    if file.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
