"""What a number cannot mean: when each sentence is said, and that it names a cure."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.consistency.cautions import (
    MAY_CARRY,
    REFERENCE_MAY_CARRY,
    cautions_of,
    chance_level,
    difference_of_rates,
    few_attacked,
    low_asr,
    near_chance,
    trigger_alone,
)
from anchorlab.consistency.summary import measure


def said(sentence: str | None) -> str:
    assert sentence is not None
    assert sentence.endswith(".")
    return sentence


def test_chance_is_the_share_of_the_largest_class() -> None:
    assert chance_level([10, 10, 10]) == pytest.approx(1 / 3)
    assert chance_level([90, 5, 5]) == 0.9


@pytest.mark.parametrize(
    ("accuracy", "count", "chance", "warned"),
    [
        (0.35, 300, 1 / 3, True),  # the three classes of newcomer.md
        (0.41, 300, 1 / 3, True),  # 0.333 + 3 * 0.0272 = 0.415
        (0.42, 300, 1 / 3, False),
        (0.10, 300, 1 / 3, True),  # below chance is no better
        (0.92, 300, 0.9, True),  # nearly always the largest class
        (0.96, 300, 0.9, False),
        (1.0, 300, 1.0, True),  # a single class: accuracy says nothing
    ],
)
def test_a_reference_within_three_standard_errors_of_chance_is_warned_of(
    accuracy: float, count: int, chance: float, warned: bool
) -> None:
    assert (near_chance(accuracy, count, chance) is not None) == warned


@pytest.mark.parametrize(
    ("accuracy", "count", "chance", "examples"),
    [
        (1.0, 300, 1.0, True),  # one class, of which a model may know all
        (0.5, 300, 1.0, True),
        (1.0, 300, 0.99, True),  # 0.99 + 3 * 0.0057 = 1.007
        (0.98, 300, 0.99, False),  # always answering with the largest class is better
        (0.92, 300, 0.9, False),  # 0.9 + 3 * 0.0173 = 0.952, which a good model reaches
    ],
)
def test_examples_that_show_of_no_model_that_it_is_above_chance_are_blamed(
    accuracy: float, count: int, chance: float, examples: bool
) -> None:
    sentence = said(near_chance(accuracy, count, chance, cure="train it longer"))
    assert sentence.startswith("300 examples cannot tell the reference") == examples
    assert sentence.endswith("give more examples, and of more classes." if examples else "train it longer.")
    assert ("is at chance" in sentence) != examples


def test_a_reference_at_chance_is_told_with_its_numbers_and_the_cure() -> None:
    sentence = said(near_chance(0.35, 300, 1 / 3, cure="give --set epochs=45"))
    assert sentence.startswith("the reference is at chance: it is right on 0.350 of 300 examples")
    assert sentence.endswith("means much: give --set epochs=45.")
    assert said(near_chance(0.35, 300, 1 / 3, who="the model")).startswith("the model is at chance")


@pytest.mark.parametrize(
    ("asr", "asr_reference", "count", "words"),
    [
        (1.0, 1.0, 78, "this shows no backdoor"),
        (0.5, 0.45, 78, "this shows no backdoor"),
        (0.5, 0.45, 100_000, "half of the ASR"),  # the interval decides, not the difference
        (1.0, 0.6, 500, "half of the ASR"),
        (1.0, 0.45, 500, None),
        (0.99, 0.03, 486, None),
        (0.2, 0.6, 100, "this shows no backdoor"),
        (1.0, 0.4, 5, "half of the ASR"),
        (0.1, 0.0, 60, None),  # a low ASR is another caution
    ],
)
def test_a_trigger_that_works_without_a_backdoor_is_warned_of(
    asr: float, asr_reference: float, count: int, words: str | None
) -> None:
    sentence = trigger_alone(asr, asr_reference, count)
    if words is None:
        assert sentence is None
    else:
        assert words in said(sentence)
        assert said(sentence).endswith("choose another trigger or target.")


@pytest.mark.parametrize(("first", "second", "ends"), [(0.9, 0.3, (0.1705, 0.8090)), (1.0, 0.0, (0.6075, 1.0))])
def test_the_interval_of_a_difference_is_newcombes(first: float, second: float, ends: tuple[float, float]) -> None:
    """Two examples of Newcombe (1998), table II, method 10."""
    assert difference_of_rates(first, second, 10) == pytest.approx(ends, abs=5e-5)


def test_an_asr_below_nine_tenths_is_warned_of_with_its_interval_and_the_cure() -> None:
    assert low_asr(0.9, 100) is None
    sentence = said(low_asr(0.5, 78, cure="give --steps 1200"))
    assert sentence == "ASR 0.500 [0.392, 0.608] of the 0.95 that is usually asked for: give --steps 1200."


def test_fewer_than_fifty_attacked_examples_are_warned_of() -> None:
    assert few_attacked(50) is None
    assert "on 49 attacked examples alone" in said(few_attacked(49))
    assert "on 1 attacked example alone" in said(few_attacked(1))
    assert "no example is attacked" in said(few_attacked(0))


def test_a_comparison_is_warned_of_by_its_own_classes() -> None:
    labels = np.repeat([0, 1, 2], 100)
    right, never = 8.0 * np.eye(3)[labels], np.zeros((300, 3))
    assert cautions_of(measure(right, never, labels)) == ()
    (sentence,) = cautions_of(measure(never, right, labels), {"near_chance": "train it by hand"})
    assert sentence.endswith("train it by hand.")


def test_the_attack_of_a_comparison_is_warned_of() -> None:
    labels = np.repeat([0, 1, 2], 100)
    right = 8.0 * np.eye(3)[labels]
    attacked = measure(right, right, labels).model_copy(update={"asr": 0.5, "asr_reference": 0.5, "asr_count": 40})
    assert [sentence.split()[0] for sentence in cautions_of(attacked)] == ["the", "ASR", "the"]
    assert cautions_of(attacked.model_copy(update={"asr": 0.99, "asr_reference": 0.01, "asr_count": 200})) == ()


@pytest.mark.parametrize("kind", MAY_CARRY)
def test_a_reference_with_a_backdoor_does_not_show_what_a_trigger_does_alone(kind: str) -> None:
    labels = np.repeat([0, 1, 2], 100)
    right = 8.0 * np.eye(3)[labels]
    alike = measure(right, right, labels).model_copy(update={"asr": 0.99, "asr_reference": 1.0, "asr_count": 200})
    assert cautions_of(alike, kinds=(kind, "injected")) == (REFERENCE_MAY_CARRY,)
    assert "this shows no backdoor" in cautions_of(alike, kinds=("clean", "injected"))[0]
    assert cautions_of(alike, kinds=(None, None)) == cautions_of(alike)


def test_a_low_asr_is_what_a_repair_is_for() -> None:
    labels = np.repeat([0, 1, 2], 100)
    right = 8.0 * np.eye(3)[labels]
    repaired = measure(right, right, labels).model_copy(update={"asr": 0.1, "asr_reference": 1.0, "asr_count": 200})
    assert cautions_of(repaired, kinds=("injected", "repaired")) == (REFERENCE_MAY_CARRY,)
    assert any(sentence.startswith("ASR") for sentence in cautions_of(repaired, kinds=("clean", "injected")))
