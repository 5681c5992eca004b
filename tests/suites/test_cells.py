"""Identities: they hold all that determines a result, and stay what they were."""

from __future__ import annotations

from typing import Any

import pytest

from anchorlab.suites.cells import InjectionCell, NoiseCell, ReferenceJob, RepairCell, Walk

WHERE = {"reference": "r", "reference_sha256": "ab", "label": "l", "trigger": {"name": "five-pixel"}}
WHERE |= {"rule": "all-to-one", "target": 0, "split": "test"}


def test_identities_of_what_users_have_finished_stay_what_they_were() -> None:
    """Hashes noted before there were repairs and detectors."""
    injection = InjectionCell(
        **WHERE, method="plain", parameters={}, strength=None, anchors=None, anchors_from="owner", seed=0,
        tuning={"steps": 3}, scales=(1.0,),
    )  # fmt: skip
    noise = NoiseCell(**WHERE, batch_size=37, precision="no")
    reference = ReferenceJob(task="digits", model="resnet-tiny", seed=0, training={"epochs": 1})
    assert injection.identity == "cf9b117dd720c5c852d07c21a3f711683cd9d7bb9708aadd95995673fc7e97c2"
    assert noise.identity == "de7e2c396ef21f3334621a27dc6234840f3a1f898f7bd53eb6f3603c1c7aece4"
    assert reference.identity == "16df64f6ed10b74ca02e7d19591047bdd5aa6e692cffad24c90cf39aff653a43"


def test_a_bound_on_tokens_makes_another_reference_and_no_bound_does_not() -> None:
    made: dict[str, Any] = {"task": "imdb", "model": "minilm", "seed": 0, "training": {}}
    unbounded, explicit = (ReferenceJob(**made, **more) for more in ({}, {"max_length": None}))
    assert unbounded.identity == explicit.identity
    assert unbounded.identity != ReferenceJob(**made, max_length=9).identity


def test_a_walk_is_part_of_the_identity_and_none_leaves_it_as_it_was() -> None:
    common = {**WHERE, "method": "plain", "parameters": {}, "strength": None, "anchors": None, "anchors_from": "owner"}
    common |= {"seed": 0, "tuning": {"steps": 3}, "scales": (1.0,)}
    walks = [
        None,
        Walk(asr=0.99, factors=(0.9, 1.0)),
        Walk(asr=0.95, factors=(0.9, 1.0)),
        Walk(asr=0.99, factors=(1.0,)),
    ]
    identities = [InjectionCell(**common, walk=walk).identity for walk in walks]
    assert identities[0] == InjectionCell(**common).identity
    assert len(set(identities)) == 4


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"label": "other", "of": "another name", "reference": "elsewhere"}, True),
        ({"parameters": {"factor": 0.25}}, False),
        ({"defender": None}, False),
        ({"seed": 1}, False),
        ({"model": "cd"}, False),
        ({"defence": "refusing"}, False),
        ({"trigger": {"name": "square"}}, False),
    ],
)
def test_the_identity_of_a_repair_is_that_of_all_that_matters(change: dict[str, Any], same: bool) -> None:
    made: dict[str, Any] = {**WHERE, "of": "m", "model": None, "parameters": {"factor": 0.5}, "defender": 20, "seed": 0}
    cell, other = (RepairCell(**{**made, "defence": "shrink", **some}) for some in ({}, change))
    assert (cell.identity == other.identity) is same


def test_other_data_for_anchors_are_part_of_the_identity_and_none_leave_it_as_it_was() -> None:
    common = {**WHERE, "method": "plain", "parameters": {}, "strength": None, "anchors": 10, "anchors_from": "owner"}
    common |= {"seed": 0, "tuning": {"steps": 3}, "scales": (1.0,)}
    identities = [InjectionCell(**common, anchors_data=data).identity for data in (None, "cifar10", "digits")]
    assert identities[0] == InjectionCell(**common).identity
    assert len(set(identities)) == 3
