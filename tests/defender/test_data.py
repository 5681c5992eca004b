"""The defender's examples: drawn with a seed, a fifth of each class for validation."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.defender.data import _validation_rows, draw_defender_data


def test_the_defender_s_examples_are_cut_with_the_seed_and_grow(digits):
    few, _ = draw_defender_data(digits, 30, seed=0)
    more, digest = draw_defender_data(digits, 60, seed=0)

    def rows(data):
        every = torch.cat([data.train.inputs["pixel_values"], data.validation.inputs["pixel_values"]])
        return {tuple(image.flatten().tolist()) for image in every}

    assert rows(few) < rows(more)
    assert (len(few), len(more)) == (30, 60)
    assert 0 < len(more.validation) < len(more.train)
    assert not rows(more) & {tuple(i.flatten().tolist()) for i in digits.split("test").inputs["pixel_values"]}
    assert draw_defender_data(digits, 60, seed=1)[1] != digest


def test_usual_is_640_or_all_where_there_are_fewer(digits):
    all_of_them, digest = draw_defender_data(digits, None, seed=0)
    few, same = draw_defender_data(digits, "usual", seed=0)
    assert len(few) == len(all_of_them) < 640
    assert same == digest


@given(st.lists(st.integers(0, 4), min_size=2, max_size=40))
def test_a_fifth_of_each_class_is_validation_rows_and_one_of_two(labels):
    held = _validation_rows(torch.tensor(labels))
    assert 0 < int(held.sum()) < len(labels)
    for label in set(labels):
        own = held[torch.tensor(labels) == label]
        if len(own) > 1:
            assert int(own.sum()) == max(1, round(0.2 * len(own)))
