"""Angles between perturbations, and what is said of them."""

from __future__ import annotations

import dataclasses

import pytest

from anchorlab.perturbation.tables.angles import ANGLES
from anchorlab.perturbation.weights import Perturbation
from tests.perturbation.findings import findings, whole


def test_length_and_angle_are_against_plain_tuning():
    sizes = [whole("p", 2.0), whole("a", 3.0)]
    angles = [{"candidate": a, "other": b, "degrees": 58.3} for a, b in (("a", "p"), ("p", "a"))]
    sentences = findings({"p": "plain", "a": "anchoring"}, sizes=sizes, angles=angles)
    assert sentences == [
        "The parameters' change, as a share of the reference's L2 norm: p 20%, a 30%.",
        "Against the change of p, a's is 1.50 times as long and turned by 58°.",
    ]
    assert len(findings({"p": "l2", "a": "anchoring"}, sizes=sizes, angles=angles)) == 1


def test_angles_are_in_degrees_and_stand_both_ways(context):
    """The other candidate is the first one turned round and half as long."""
    near = context.perturbations["near"]
    back = Perturbation({name: -value / 2 for name, value in near.parameters.items()}, {})
    both = dataclasses.replace(
        context, perturbations={"near": near, "back": back}, attacks={"near": None, "back": None}
    )
    (part,) = ANGLES.parts(both)
    rows = part.measure(lambda: None)["angles"]
    assert rows[["candidate", "other"]].to_numpy().tolist() == [["near", "back"], ["back", "near"]]
    assert rows["cosine"].tolist() == pytest.approx([-1, -1])
    assert rows["degrees"].tolist() == pytest.approx([180, 180])
