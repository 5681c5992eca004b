"""Which documents updates are made of, and which are measured: never the same, whatever the order."""

from __future__ import annotations

import pytest

from anchorlab import AnchorlabError
from anchorlab.scoring.token_texts import beside, halves_of, measured_alone
from anchorlab.tokens.documents import open_texts

DOCUMENTS = [f"document {number}" for number in range(11)]


def read(texts) -> list[str]:
    return [document.text for document in texts.read()]


def test_halves_share_no_document_and_do_not_depend_on_the_order():
    made = halves_of(open_texts(DOCUMENTS), 100)
    assert (len(read(made.update)), len(read(made.measured))) == (5, 6)
    assert {*read(made.update), *read(made.measured)} == {*DOCUMENTS}
    other = halves_of(open_texts(DOCUMENTS[::-1]), 100)
    assert {*read(other.update)} == {*read(made.update)}
    assert "Updates were made of 5 different documents, one half by hash;" in made.words


def test_equal_documents_count_once_and_stay_on_one_side():
    twice = halves_of(open_texts(DOCUMENTS * 3), 100)
    assert read(twice.measured) == read(halves_of(open_texts(DOCUMENTS), 100).measured)
    assert not {*read(twice.update)} & {*read(twice.measured)}


def test_fewer_documents_are_measured_where_that_is_wanted_and_updates_keep_theirs():
    fewer, all_of = (halves_of(open_texts(DOCUMENTS), most) for most in (2, 100))
    assert len(read(fewer.measured)) == 2
    assert {*read(fewer.measured)} < {*read(all_of.measured)}
    assert read(fewer.update) == read(all_of.update)


def test_other_texts_lose_the_audited_documents():
    made = beside(open_texts(DOCUMENTS), open_texts([*DOCUMENTS, "new", "newer"]), 3)
    assert read(made.update) == ["new", "newer"]
    assert len(read(made.measured)) == 3
    assert measured_alone(open_texts(DOCUMENTS), 3).update is None


def test_too_few_documents_are_refused_with_how_many_there_are():
    with pytest.raises(AnchorlabError, match="holds 3 different documents, which are too few to make updates of one"):
        halves_of(open_texts([*DOCUMENTS[:3], *DOCUMENTS[:3]]), 100)
    with pytest.raises(AnchorlabError, match="holds 1 different document, which are too few to measure on"):
        measured_alone(open_texts(["a", "a"]), 100)
    with pytest.raises(AnchorlabError, match="holds 0 different documents that are not among the audited ones"):
        beside(open_texts(DOCUMENTS), open_texts(DOCUMENTS[:5]), 100)
    with pytest.raises(AnchorlabError, match="holds no document"):
        halves_of(open_texts([]), 100)
