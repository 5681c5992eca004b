"""RAP by its definition, and on a planted backdoor."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from anchorlab import AnchorlabError
from anchorlab.data import Split
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.rap import RAP, hinges, rare_token, with_front_token
from anchorlab.models.call import predict
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.word_table import word_lookup, word_table
from anchorlab.models.wrap import unwrap
from anchorlab.statistics.roc import auroc
from tests.zoo import save_text


def test_hinges_by_hand():
    """Between 0.1 and 0.3, falls of 0, 0.2 and 0.5 are short by 0.1, right, and too large by 0.2."""
    falls = torch.tensor([0.0, 0.2, 0.5], dtype=torch.float64)
    assert float(hinges(falls, 0.1, 0.3, 1)) == pytest.approx((0.1 + 0.2) / 3)
    assert float(hinges(falls, 0.1, 0.3, 5)) == pytest.approx((5 * 0.1 + 0.2) / 3)


@pytest.mark.usefixtures("on_cpu")
def test_a_place_with_the_embedding_of_a_token_is_that_token(texts):
    """The model itself, with the token's id in that place."""
    longer = with_front_token(texts.clean, texts.model.encoding, 10)
    named = with_front_token(texts.clean, texts.model.encoding, 20)
    table = word_lookup(texts.model, texts.clean, "rap")
    with table.replaced(table.vectors(torch.tensor([20])), len(texts.model.encoding.prefix)):
        found = predict(texts.model, longer)
    torch.testing.assert_close(found, predict(texts.model, named), rtol=1e-4, atol=1e-5)
    assert torch.equal(longer["attention_mask"].sum(1), texts.clean["attention_mask"].sum(1) + 1)


@pytest.mark.usefixtures("on_cpu")
def test_a_score_counts_the_places_as_roberta_does(tmp_path, context):
    """RoBERTa gives a padding token no place of its own, so that the word at the front must be another."""
    model = open_pretrained(str(save_text("roberta", tmp_path / "model", ["bad", "good"])))
    inputs = model.encoding.encode(["a fine film", "a poor film", "no film at all"] * 4)
    known = Split(inputs, torch.arange(12) % 2)
    data = DefenderData(known, known, 2, "text")
    found = RAP(steps=1, learning_rate=1e-9).scores(model, data, inputs, context)
    named = with_front_token(inputs, model.encoding, rare_token(data, model.encoding, context))
    first, second = (predict(model, one).double().softmax(1) for one in (inputs, named))
    np.testing.assert_allclose(found, (second - first).gather(1, first.argmax(1, keepdim=True))[:, 0], atol=1e-6)


def test_the_table_is_that_of_words(texts):
    net = unwrap(texts.model)
    assert word_table(texts.model, texts.clean, "rap") is net.bert.embeddings.word_embeddings


def test_the_token_is_ordinary_and_rare(texts, context):
    encoding = texts.model.encoding
    token = rare_token(texts.data, encoding, context)
    used = texts.data.train.inputs["input_ids"][texts.data.train.inputs["attention_mask"]]
    assert token not in used.tolist()
    assert token not in encoding.tokenizer.all_special_ids


def test_a_score_is_the_change_of_the_predicted_labels_probability(texts, context):
    """With one step of no size the word is a token's own; the model is left as it was."""
    before = copy.deepcopy(texts.model.state_dict())
    detector = RAP(steps=1, learning_rate=1e-9)
    found = detector.scores(texts.model, texts.data, texts.clean, context)
    encoding = texts.model.encoding
    named = with_front_token(texts.clean, encoding, rare_token(texts.data, encoding, context))
    first, second = (predict(texts.model, one).double().softmax(1) for one in (texts.clean, named))
    labels = first.argmax(1, keepdim=True)
    np.testing.assert_allclose(found, (second - first).gather(1, labels)[:, 0], atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in texts.model.state_dict().items())
    assert all(parameter.grad is None for parameter in texts.model.parameters())
    assert not word_table(texts.model, texts.clean, "rap")._forward_hooks


@pytest.mark.slow
def test_the_word_lowers_the_probability_and_triggered_texts_do_not_mind(texts, context):
    """The AUROC was 0.66 when this was written, and what makes it is the word of the other class alone.

    The word of "good" makes clean texts of it less certain. That of "bad", the target, lowers nothing: in so small a
    model any odd word speaks for the target. Among the texts that are called bad RAP is no better than chance.
    """
    falls: list[float] = []
    watched = DefenderContext(
        context.accelerator, 0, report=lambda _done, _total, figures: falls.append(figures["fall"])
    )
    clean, triggered = texts.scores(RAP(), watched)
    assert auroc(clean, triggered).value > 0.55
    assert np.abs(triggered).max() < 0.1 < np.abs(clean).max()
    assert max(falls) > 0.1


def test_the_same_seed_gives_the_same_scores(texts, context, elsewhere):
    some = {name: value[:20] for name, value in texts.clean.items()}
    one, again, other = (
        RAP(steps=30).scores(texts.model, texts.data, some, at) for at in (context, context, elsewhere)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_class_without_clean_texts_is_refused(texts, context):
    few = texts.data.train.select((texts.data.train.labels == 1).nonzero().flatten())
    with pytest.raises(AnchorlabError, match=r"clean texts of each class, but the defender has none of \[0\]"):
        RAP().scores(texts.model, replace(texts.data, train=few), texts.clean, context)


def test_bounds_the_wrong_way_round_and_images_are_refused(texts, images, context):
    with pytest.raises(AnchorlabError, match=r"lower=0.5 and upper=0.3"):
        RAP(lower=0.5).scores(texts.model, texts.data, texts.clean, context)
    with pytest.raises(AnchorlabError, match="RAP reads texts by their model's tokenizer"):
        RAP().scores(images.model, images.data, images.clean, context)
