"""ONION, words and language models by their definitions, and on a planted backdoor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from anchorlab import AnchorlabError
from anchorlab.detectors.language_models import BigramModel, CausalModel
from anchorlab.detectors.onion import ONION, largest_drops
from anchorlab.detectors.words import join_words, split_words
from anchorlab.seeding import seeded_globally
from tests.tokenizers import encoding

SENTENCES = ["two hours of my life", "a truly moving film", "", "cf", "the acting is not warm and funny"]


@pytest.mark.parametrize("kind", ["wordpiece", "bytes", "pieces"])
def test_words_are_those_of_the_tokenizer_and_can_be_put_together_again(kind):
    """Where no punctuation is, words begin where the encoding itself says so."""
    told = encoding(kind)
    inputs = told.encode(SENTENCES)
    words = split_words(inputs, told)
    assert [len(text) for text in words] == [len(sentence.split()) for sentence in SENTENCES]
    again = join_words(words, told, torch.device("cpu"))
    for name in ("input_ids", "attention_mask"):
        width = again[name].shape[1]
        assert torch.equal(again[name] * again["attention_mask"], inputs[name][:, :width] * again["attention_mask"])
        assert not inputs["attention_mask"][:, width:].any()


def test_texts_beyond_the_limit_lose_their_ends():
    told = encoding("wordpiece", 8)
    found = join_words([[(9,), (8, 7)] * 5], told, torch.device("cpu"))
    assert found["input_ids"].tolist() == [[*told.prefix, 9, 8, 7, 9, 8, 7, *told.suffix]]


def counted(text, fit, weights, vocabulary):
    """The perplexity of a text of single tokens by the formula, with loops."""
    whole, total = [token for sentence in fit for token in sentence], 0.0
    for at, token in enumerate(text):
        previous = text[at - 1] if at else None
        following = [
            (sentence[place] if place < len(sentence) else None)
            for sentence in fit
            for place in range(len(sentence))
            if (sentence[place - 1] if place else None) == previous
        ]
        unigram = whole.count(token) / len(whole)
        bigram = following.count(token) / len(following) if following else unigram
        total -= np.log(weights @ [bigram, unigram, 1 / vocabulary])
    return np.exp(total / len(text))


def test_bigrams_are_those_of_the_formula():
    fit = [[0, 1, 2], [0, 1, 1], [3, 0]]
    model = BigramModel([[(token,) for token in text] for text in fit], [[(0, 1)], [(2,)]], 6)
    texts = [[0, 1, 2], [1, 0], [5, 4, 0], [2, 1]]
    found = model.perplexities([[(token,) for token in text] for text in texts])
    assert found == pytest.approx([counted(text, fit, model.weights, 6) for text in texts])
    assert model.weights.sum() == pytest.approx(1)


def test_the_weights_make_held_back_texts_likeliest():
    """No other weights on a grid do better, but for the floor that keeps all of them positive."""
    rng = np.random.default_rng(0)
    texts = [[(int(token),) for token in rng.integers(0, 6, size=8)] for _ in range(30)]
    model = BigramModel(texts[:20], texts[20:], 10)
    best, found = np.log(model.perplexities(texts[20:])).mean(), []
    for a in np.linspace(0.001, 0.998, 30):
        for b in np.linspace(0.001, 0.999 - a, 30):
            model.weights = np.array([a, b, 1 - a - b])
            found.append(np.log(model.perplexities(texts[20:])).mean())
    assert best <= min(found) + 1e-3


def test_a_model_of_nothing_is_uniform():
    assert BigramModel([], [], 7).perplexities([[(1,), (2, 3)]]) == pytest.approx(
        [7 / BigramModel([], [], 7).weights[2]]
    )


def test_the_largest_drop_by_hand():
    """A judge that gives each text the sum of its tokens: without its largest word a text has that much less."""

    class Sum:
        def perplexities(self, texts):
            return np.array([float(sum(sum(word) for word in text)) for text in texts])

    texts = [[(1,), (7,), (2,)], [(4, 5), (8,)], [(3,)], []]
    assert largest_drops(Sum(), texts).tolist() == [7, 9, 0, 0]


@pytest.fixture(scope="module")
def gpt(tmp_path_factory):
    """A tiny GPT-2 of random weights, with a byte-level tokenizer."""
    folder = tmp_path_factory.mktemp("gpt")
    tokenizer = encoding("bytes").tokenizer
    config = transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=40)
    with seeded_globally(0, "gpt"):
        transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_causal_models_perplexities_are_those_of_each_text_alone(gpt):
    told = encoding("wordpiece")
    words = split_words(told.encode(SENTENCES[:2] + SENTENCES[3:]), told)
    judge = CausalModel(str(gpt), told, torch.device("cpu"))
    net = transformers.AutoModelForCausalLM.from_pretrained(gpt).eval()
    tokenizer = encoding("bytes").tokenizer
    for sentence, found in zip(SENTENCES[:2] + SENTENCES[3:], judge.perplexities(words), strict=True):
        ids = torch.tensor([[judge._start, *tokenizer(sentence, add_special_tokens=False)["input_ids"]]])
        assert found == pytest.approx(float(net(input_ids=ids, labels=ids).loss.exp().detach()), rel=1e-4)


def test_a_causal_model_can_be_the_judge(gpt, texts, context):
    some = {name: value[:4] for name, value in texts.triggered.items()}
    found = ONION(language_model=str(gpt)).scores(texts.model, texts.data, some, context)
    assert np.isfinite(found).all()
    assert len(set(found.tolist())) == 4


def test_what_cannot_be_opened_is_refused(tmp_path, texts, context):
    with pytest.raises(AnchorlabError, match=r"language model .* cannot be opened"):
        ONION(language_model=str(tmp_path)).scores(texts.model, texts.data, texts.clean, context)


@pytest.mark.slow
def test_images_are_refused(images, context):
    with pytest.raises(
        AnchorlabError, match="ONION reads texts by their model's tokenizer, but was given pixel_values"
    ):
        ONION().scores(images.model, images.data, images.clean, context)


def test_scores_are_those_of_each_text_alone(texts, context):
    whole = ONION().scores(texts.model, texts.data, texts.clean, context)
    turned = ONION().scores(
        texts.model, texts.data, {name: value.flip(0) for name, value in texts.clean.items()}, context
    )
    np.testing.assert_allclose(turned[::-1], whole)


def test_shortened_texts_are_scored_in_parts(monkeypatch):
    """A long text has as many shortened forms as words, so that all of them are not held at once."""

    class Lengths:
        def __init__(self):
            self.asked = []

        def perplexities(self, texts):
            self.asked.append(sum(len(word) for text in texts for word in text))
            return np.array([float(sum(token for word in text for token in word)) for text in texts])

    texts = [[(1,), (2,), (3, 4)], [(7,)], [(5,), (6,)]]
    whole = largest_drops(Lengths(), texts)
    monkeypatch.setattr("anchorlab.detectors.onion._TOKENS", 8)
    judge = Lengths()
    np.testing.assert_array_equal(largest_drops(judge, texts), whole)
    assert whole.tolist() == [7, 0, 6]
    assert max(judge.asked[1:]) <= 8
    assert len(judge.asked) > 2
