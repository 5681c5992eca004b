"""The table of words is the one that the model names, or else the largest; what it puts out can be replaced."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

from anchorlab.data import Split
from anchorlab.data.encoding import TextEncoding
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors import MMBD, RAP
from anchorlab.detectors.word_inversion import WordInversion, ordinary_tokens
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.call import logits, predict
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.word_table import word_lookup, word_table
from anchorlab.models.wrap import TextClassifier
from anchorlab.seeding import seeded_globally
from tests.adapters import tokens
from tests.tokenizers import TEXTS, encoding
from tests.zoo import TEXT, Linear, save_text

#: Families whose tables scale, or which look a text up twice: class, and settings.
SPECIAL = {
    "gemma2": (
        "Gemma2",
        {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
         "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 80},
    ),
    "bart": (
        "Bart",
        {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
         "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 80},
    ),
    "mbart": (
        "MBart",
        {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
         "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 80,
         "scale_embedding": True},
    ),
    "t5": (
        "T5",
        {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2},
    ),
}  # fmt: skip


def special(family: str) -> TextClassifier:
    """A tiny classifier with random weights, large enough that words matter."""
    name, settings = SPECIAL[family]
    made = encoding("bytes")
    end = made.suffix[-1]
    ids = {"pad_token_id": made.pad, "eos_token_id": end, "bos_token_id": made.prefix[0], "decoder_start_token_id": end}
    config = getattr(transformers, f"{name}Config")(
        **settings, **ids, vocab_size=len(made.tokenizer), num_labels=2, init_std=0.3, initializer_range=0.3
    )
    with seeded_globally(0, family):
        net = getattr(transformers, f"{name}ForSequenceClassification")(config)
    return TextClassifier(net.eval(), made).eval()


def texts(made: TextEncoding) -> dict[str, torch.Tensor]:
    """Texts as models read them."""
    return {name: value for name, value in made.encode(TEXTS).items() if name in ("input_ids", "attention_mask")}


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


@pytest.mark.parametrize("family", SPECIAL)
def test_soft_tokens_are_hard_ones_whether_a_table_scales_or_a_decoder_reads_the_text_too(family):
    """A mixture of one token alone gives the answers of that token, and a gradient reaches it."""
    model = special(family)
    made, inputs = model.encoding, texts(model.encoding)
    ids, place = torch.tensor(ordinary_tokens(made)[40:42]), len(made.prefix)
    hard = {name: value.clone() for name, value in inputs.items()}
    hard["input_ids"][:, place : place + 2] = ids.to(torch.int32)
    before, wanted = predict(model, inputs), predict(model, hard)
    assert (before - wanted).abs().max() > 1e-2
    table = word_lookup(model, inputs, "it")
    with table.replaced(table.vectors(ids), place):
        assert torch.allclose(predict(model, inputs), wanted, atol=1e-5)
    shares = nn.functional.one_hot(ids, table.size).float().requires_grad_()
    with table.replaced(table.mixed(shares), place):
        soft = logits(model, inputs)
    torch.testing.assert_close(soft, logits(model, hard), rtol=1e-4, atol=1e-4)
    soft[:, 0].sum().backward()
    assert shares.grad.abs().sum() > 0
    torch.testing.assert_close(table.along(torch.ones(16))[ids], table.vectors(ids).sum(1))
    assert torch.equal(predict(model, inputs), before)


def test_scales_are_what_the_tables_put_out():
    scales = {family: word_lookup(special(family), texts(encoding("bytes")), "it").scale for family in SPECIAL}
    assert scales == {"gemma2": pytest.approx(4), "bart": 1, "mbart": pytest.approx(4), "t5": 1}


@pytest.mark.parametrize("family", SPECIAL)
def test_detectors_of_embeddings_run_on_them(family):
    model = special(family)
    inputs = texts(model.encoding)
    split = Split(inputs, torch.arange(len(TEXTS)) % 2)
    data, context = DefenderData(split, split, 2, "text"), DefenderContext(find_accelerator(), 0)
    assert len(RAP(steps=2).scores(model, data, inputs, context)) == len(TEXTS)
    MMBD(steps=2, starts=2, tokens=4).score(model, data, context)
    labelled = DefenderData(Split(inputs, predict(model, inputs).argmax(1)), split, 2, "text")
    WordInversion(steps=2, restarts=1, texts=4).score(model, labelled, context)


class Uncalled(Named):
    """A model that computes with its table's weight, and never calls the table."""

    def get_input_embeddings(self):
        return self.words

    def forward(self, input_ids, attention_mask):
        return self.last(nn.functional.embedding(input_ids, self.words.weight).mean(1))


class Backwards(Named):
    """A model that looks the text up from its end, too."""

    def forward(self, input_ids, attention_mask):
        return self.last((self.words(input_ids) + self.words(input_ids.flip(1))).mean(1))


class Squared(nn.Embedding):
    """A table that puts squares out."""

    def forward(self, ids):
        return super().forward(ids) ** 2


def test_tables_that_cannot_be_replaced_are_refused():
    with pytest.raises(AnchorlabError, match=r"never calls the nn\.Embedding that it names"):
        word_lookup(Uncalled().eval(), tokens(), "it")
    with pytest.raises(AnchorlabError, match="looks up other ids than the text's in the same table"):
        word_lookup(Backwards().eval(), tokens(), "it")
    model = Named().eval()
    model.words = Squared(60, 3)
    with pytest.raises(AnchorlabError, match="the model's Squared does something else"):
        word_lookup(model, tokens(), "it")


@pytest.mark.parametrize("family", TEXT)
def test_an_ordinary_table_is_taken_as_it_is(tmp_path, family):
    """Its vectors are its rows, bit by bit."""
    model = open_pretrained(str(save_text(family, tmp_path / family, ["bad", "good"])))
    table = word_lookup(model, tokens(), "it")
    assert table.scale == 1
    assert table.lags == {word_table(model, tokens(), "it"): (0,)}
    assert torch.equal(table.vectors(torch.arange(table.size)), table.table.weight.float())
