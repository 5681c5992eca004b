"""What each candidate does: with which attack, and what is said of weights and buffers apart."""

from __future__ import annotations

import dataclasses

from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.perturbation.tables.behaviour import BEHAVIOUR
from anchorlab.triggers import Blended
from tests.perturbation.findings import findings, interval


def test_the_reference_is_measured_with_the_attack_of_the_first_candidate(context):
    attacks = {name: Attack(Blended(), AllToOne(target=place)) for place, name in enumerate(("near", "still"))}
    counts = [int((context.examples.labels != target).sum()) for target in range(2)]
    assert counts[0] != counts[1]
    parts = list(BEHAVIOUR.parts(dataclasses.replace(context, attacks=attacks)))
    assert [part.what for part in parts] == ["behaviour of the reference", "behaviour of near", "behaviour of still"]
    rows = [part.measure(lambda: None)["behaviour"].iloc[0] for part in parts]
    assert [row["candidate"] for row in rows] == ["reference", "near", "still"]
    assert [row["asr_count"] for row in rows] == [counts[0], *counts]
    assert rows[0]["kl"] == 0


def test_weights_and_buffers_are_told_apart_where_both_move():
    def row(part: str, distance: float, kl: float) -> dict[str, object]:
        ends = interval("logit_distance", distance, distance / 2, 2 * distance) | interval("kl", kl, kl / 2, 2 * kl)
        return {"candidate": "x", "part": part, **ends}

    (sentence,) = findings(behaviour=[row("all", 1.0, 1.0), row("weights", 0.4, 0.2), row("buffers", 0.04, 0.02)])
    assert sentence == (
        "Of x, the buffers alone shift logits by 0.04 [0.02, 0.08] (mean square; KL 0.02 [0.01, 0.04]), the weights "
        "alone by 0.4 [0.2, 0.8] (KL 0.2 [0.1, 0.4])."
    )
    assert findings(behaviour=[row("all", 1.0, 1.0)]) == []
