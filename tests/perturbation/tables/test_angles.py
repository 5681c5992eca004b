"""Angles between perturbations, and what is said of them."""

from __future__ import annotations

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
