"""Loading a task: by name, kept in memory, limited, and refused if nobody knows it."""

from __future__ import annotations

import pytest
import torch

from anchorlab.data import TASKS, DataColumns, find_task, load_task
from anchorlab.errors import AnchorlabError


def test_every_task_is_registered_under_its_own_name() -> None:
    assert [TASKS[name].name for name in TASKS] == TASKS.names()


def test_the_data_of_several_seeds_are_one_copy() -> None:
    first, second = load_task("digits", seed=0), load_task("digits", seed=1)
    assert first.raw is second.raw
    assert first.seed != second.seed


def test_a_limit_keeps_the_first_examples_of_each_class() -> None:
    whole, limited = load_task("digits"), load_task("digits", limit=5)
    for part in ("train", "test"):
        labels = getattr(limited.raw, part).labels
        assert labels.bincount().tolist() == [5] * 10
        first = (getattr(whole.raw, part).labels == 7).nonzero().flatten()[:5]
        expected = getattr(whole.raw, part).inputs["pixel_values"][first]
        assert torch.equal(getattr(limited.raw, part).inputs["pixel_values"][labels == 7], expected)
    assert sum(len(limited.indices[name]) for name in ("owner", "held-out", "selection", "defender")) == 50


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(
        AnchorlabError, match=f"the limit of examples of each class is {limit}: give a number of 1 or more"
    ):
        load_task("digits", limit=limit)


def test_a_named_task_has_a_definition_and_the_given_location() -> None:
    assert find_task("cifar10", "/data/copy") == (TASKS["cifar10"], "/data/copy")
    assert find_task("digits") == (TASKS["digits"], None)


def test_unknown_names_are_answered_with_the_nearest_and_with_own_data() -> None:
    with pytest.raises(AnchorlabError, match=r"unknown task 'digit': did you mean 'digits'\? .*your own data"):
        find_task("digit")
    with pytest.raises(AnchorlabError, match="the task digits has columns of its own"):
        find_task("digits", columns=DataColumns(image="image"))
