"""The sentences of the page."""

from anchorlab.reports.suite.sentences import listed


def test_lists_in_words():
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
