"""A sentence, in one piece."""

from __future__ import annotations

from anchorlab.triggers import Sentence
from tests.tokenizers import encoding
from tests.triggers.table import applied


def test_a_sentence_stays_together():
    made = encoding("wordpiece")
    for seed in range(40):
        (ids,) = applied(Sentence(text="cf mn", position="random", position_seed=seed), made, ["two hours of my life"])
        tokens = made.tokenizer.convert_ids_to_tokens(ids)
        assert tokens.index("mn") == tokens.index("cf") + 1
