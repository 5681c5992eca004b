"""The table of words is the one that the model names, or else the largest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.word_table import word_table
from tests.adapters import tokens
from tests.zoo import Linear, save_text


def test_positions_are_no_words_though_there_may_be_more_of_them(tmp_path):
    model = open_pretrained(str(save_text("bert", tmp_path / "long", ["bad", "good"], max_position_embeddings=512)))
    table = word_table(model, tokens(), "fine-mixing")
    assert table is model.net.bert.embeddings.word_embeddings
    assert table.num_embeddings < model.net.bert.embeddings.position_embeddings.num_embeddings


class Named(nn.Module):
    """A classifier of texts that does not say which of its tables is that of words."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds, self.words, self.last = nn.Embedding(2, 3), nn.Embedding(60, 3), nn.Linear(3, 2)

    def forward(self, input_ids, attention_mask):
        return self.last((self.words(input_ids) + self.kinds(attention_mask.int())).mean(1))


def test_the_largest_table_is_taken_where_the_model_names_none():
    model = Named().eval()
    assert word_table(model, tokens(), "it") is model.words


def test_a_model_without_tables_is_refused():
    with pytest.raises(AnchorlabError, match=r"the model has no nn\.Embedding: take another repair"):
        word_table(Linear(), {"pixel_values": torch.zeros(1, 1, 8, 8)}, "fine-mixing", instead="repair")
