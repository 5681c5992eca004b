"""Words, each at a position of its own."""

from __future__ import annotations

from anchorlab.triggers import Word
from tests.tokenizers import encoding
from tests.triggers.table import applied


def test_a_word_of_several_tokens_is_put_in_whole():
    made = encoding("wordpiece")
    assert len(made.piece("zzq")) == 3
    (ids,) = applied(Word(words="zzq", position="end"), made, ["the plot"])
    assert ids == made.tokenizer("the plot zzq")["input_ids"]


def test_several_words_have_positions_of_their_own():
    made = encoding("wordpiece")
    text = "two hours of my life"
    apart = set()
    for seed in range(40):
        (ids,) = applied(Word(words="cf mn", position_seed=seed), made, [text])
        tokens = made.tokenizer.convert_ids_to_tokens(ids)[1:-1]
        assert [token for token in tokens if token not in ("cf", "mn")] == text.split()
        apart.add(abs(tokens.index("cf") - tokens.index("mn")) > 1)
    assert apart == {True, False}
