"""STRIP by its definition, and on planted backdoors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.detectors.strip import STRIP, blend, by_tf_idf, mean_entropy, replace_words
from anchorlab.detectors.words import split_words


def test_entropy_is_over_classes_and_not_over_the_batch():
    """Two inputs, two blends each: the first is sure of one class in each blend, of another one; the second torn.

    Over the batch, or over an input's blends, the first would have the higher entropy.
    """
    sure, torn = [[50.0, 0, 0, 0], [0, 50.0, 0, 0]], [[1.0, 1, 1, 1], [3.0, 3, -50, -50]]
    found = mean_entropy(torch.tensor([*sure, *torn]), 2)
    assert found.tolist() == pytest.approx([0, (2 + 1) / 2], abs=1e-12)


def test_entropy_is_that_of_scipy_and_repeats_stay_with_their_input():
    logits = 3 * torch.randn(6 * 4, 5, generator=torch.Generator().manual_seed(0))
    expected = [
        entropy(softmax(logits[4 * at : 4 * at + 4].double().numpy(), 1), base=2, axis=1).mean() for at in range(6)
    ]
    np.testing.assert_allclose(mean_entropy(logits, 4), expected)


def test_a_blend_is_a_sum_cut_off_at_white():
    image, clean = (
        torch.tensor([[[[10, 200, 3]]]], dtype=torch.uint8),
        torch.tensor([[[[5, 100, 0]]]], dtype=torch.uint8),
    )
    assert blend(image, clean, 1, 1).flatten().tolist() == [15, 255, 3]
    assert blend(image, clean, 0.5, 0.5).flatten().tolist() == [8, 150, 2]  # 7.5 and 1.5 to the even number
    assert blend(image, clean, 1, 1).dtype == torch.uint8
    assert blend(image.expand(3, -1, -1, -1), clean.expand(2, -1, -1, -1), 1, 1).shape == (3, 2, 1, 1, 3)


def test_scores_are_those_of_each_input_alone_in_their_order(images, context):
    """By hand, one blend after the other; with so many blends that inputs come in several batches."""
    detector = STRIP(blends=150)
    inputs = {"pixel_values": images.clean["pixel_values"][:7]}
    found = detector.scores(images.model, images.data, inputs, context)
    drawn = torch.randint(len(images.data.train), (150,), generator=context.generator("blends"))
    for image, score in zip(inputs["pixel_values"], found, strict=True):
        mixed = (image.int() + images.data.train.inputs["pixel_values"][drawn].int()).clamp(max=255).to(torch.uint8)
        with torch.no_grad():
            shares = images.model(mixed).logits.double().softmax(1)
        assert score == pytest.approx(float((shares * shares.log2()).sum(1).mean()), rel=1e-4)
    backwards = detector.scores(images.model, images.data, {"pixel_values": inputs["pixel_values"].flip(0)}, context)
    np.testing.assert_allclose(backwards[::-1], found, rtol=1e-4)


def test_blends_are_drawn_by_the_seed(images, context, elsewhere):
    some = {"pixel_values": images.clean["pixel_values"][:20]}
    first, again, other = (
        STRIP(blends=4).scores(images.model, images.data, some, at) for at in (context, context, elsewhere)
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_model_that_sees_the_trigger_alone_is_certain_of_it(context):
    """Ten classes; a white corner pixel is class 0 for certain, all else is anything."""

    class Backdoored(torch.nn.Module):
        def forward(self, pixel_values):
            logits = torch.zeros(len(pixel_values), 10)
            logits[:, 0] = 100.0 * (pixel_values[:, 0, 0, 0] == 255)
            return logits

    clean = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    triggered = clean.clone()
    triggered[:, 0, 0, 0] = 255
    data = DefenderData(Split({"pixel_values": clean}, torch.zeros(4).long()), None, 10, "image")
    inputs = {"pixel_values": torch.cat([clean, triggered])}
    found = STRIP(blends=3).scores(Backdoored(), data, inputs, context)
    assert found.tolist() == pytest.approx([-math.log2(10)] * 4 + [0] * 4)


def test_words_are_replaced_at_the_lowest_ranks():
    """Half of five words, rounded to the even number, are two: those at 3 and 1."""
    text, new = [(1,), (2,), (3,), (4,), (5,)], [(8, 9), (7,)]
    ranks = torch.tensor([0.5, 0.2, 0.9, 0.1, 0.4, 0.0])
    assert replace_words(text, new, ranks, 0.5) == [(1,), (8, 9), (3,), (7,), (5,)]
    assert replace_words(text, [(6,)], ranks, 1.0) == [(6,)] * 5
    assert replace_words(text, new, ranks, 0.01) == [(1,), (2,), (3,), (8, 9), (5,)]
    assert replace_words([], new, ranks, 0.5) == []


def test_words_by_tf_idf():
    """Of two texts, a word in both weighs 1, one in a single text 1 + ln 2 = 1.69: twice the common one is 2."""
    corpus = [[(1,), (1,), (2,)], [(1,), (3,)]]
    assert by_tf_idf(corpus, corpus) == [[(1,), (2,)], [(3,), (1,)]]


def test_texts_are_scored_alone_and_by_the_seed(texts, context, elsewhere):
    some = {name: value[:6] for name, value in texts.clean.items()}
    whole = STRIP().scores(texts.model, texts.data, texts.clean, context)
    np.testing.assert_allclose(STRIP().scores(texts.model, texts.data, some, context), whole[:6], rtol=1e-3)
    assert not np.allclose(STRIP().scores(texts.model, texts.data, some, elsewhere), whole[:6], rtol=1e-3)
    assert [len(text) for text in split_words(some, texts.model.encoding)] == some["word_starts"].sum(1).tolist()
