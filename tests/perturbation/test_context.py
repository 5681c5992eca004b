"""What the parts of an analysis share."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import torch

from anchorlab import AnalysisSettings
from anchorlab.attacks import AllToOne, Attack
from anchorlab.perturbation.context import Context
from anchorlab.triggers import Picture
from tests.triggers.table import png


def identity(context: Context, *names: str) -> str:
    return context.part("x", names, lambda tick: {"t": pd.DataFrame()}).identity


def test_what_is_shared_is_made_once(context):
    made = []

    def make(given: Context) -> str:
        made.append(given)
        return "value"

    assert [context.shared(make) for _ in range(3)] == ["value"] * 3
    assert made == [context]


def test_a_part_depends_on_its_candidates_and_on_all_that_is_common(context):
    assert identity(context, "near") == identity(context, "near")
    others = [
        identity(context),
        identity(context, "still"),
        identity(dataclasses.replace(context, seed=1), "near"),
        identity(dataclasses.replace(context, settings=AnalysisSettings(resamples=100)), "near"),
        identity(dataclasses.replace(context, attacks={"near": None, "still": None}), "near"),
        identity(dataclasses.replace(context, examples=context.examples.select(torch.arange(3))), "near"),
    ]
    assert len({identity(context, "near"), *others}) == 1 + len(others)


def test_a_part_takes_one_step_unless_it_says_otherwise(context):
    assert [context.part("x", [], lambda tick: {}, *steps).steps for steps in ((), (5,))] == [1, 5]


def test_names_of_what_moves(context):
    assert context.candidates == ["near", "still"]
    assert context.moving == ["near"]


def test_the_first_examples_are_no_more_than_there_are(context):
    assert len(context.first(3)) == 3
    assert len(context.first(10**6)) == len(context.examples)
    assert context.resamples.count == len(context.examples)


def test_one_without_an_attack_has_nothing_triggered(context):
    assert context.triggered("still") is None
    assert context.triggered("near") is context.triggered("near")


def test_two_pictures_of_one_path_trigger_differently(context: Context) -> None:
    dots = [Picture(path="dot.png", data=png(np.full((1, 1, 4), [grey] * 3 + [255])), margin=0) for grey in (0, 200)]
    attacks = dict(zip(context.candidates, (Attack(dot, AllToOne(target=0)) for dot in dots), strict=True))
    both = dataclasses.replace(context, attacks=attacks)
    near, still = both.triggered("near"), both.triggered("still")
    assert near is not None
    assert still is not None
    assert not torch.equal(near._inputs["pixel_values"], still._inputs["pixel_values"])
