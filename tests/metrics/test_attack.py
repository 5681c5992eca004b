"""ASR + accuracy is their sum, with an interval of the bootstrap, and undefined where nothing is attacked."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.consistency.bootstrap import replicates
from anchorlab.consistency.instances import instances
from anchorlab.consistency.intervals import intervals
from anchorlab.consistency.summary import measure, summarise
from anchorlab.metrics import InstanceTable


def test_asr_plus_accuracy_is_their_sum_in_every_replicate() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(80, 3)), rng.integers(0, 3, 80)
    attacked = labels != 0
    hits = rng.integers(0, 2, attacked.sum())
    frame = instances(
        logits,
        rng.normal(size=(80, 3)),
        labels,
        attacked=attacked,
        wanted=np.zeros(80, int),
        triggered_reference=np.zeros(len(hits), int),
        triggered=hits,
    )
    found = summarise(frame)
    assert found.asr_plus_accuracy == pytest.approx(found.asr + found.accuracy)
    drawn = replicates(InstanceTable(frame), ["asr", "accuracy", "asr_plus_accuracy"], resamples=50)
    np.testing.assert_allclose(drawn["asr_plus_accuracy"], drawn["asr"] + drawn["accuracy"])
    lower, upper = intervals(frame, resamples=50)["asr_plus_accuracy"]
    assert lower < found.asr_plus_accuracy < upper


def test_without_an_attack_the_sum_is_undefined() -> None:
    found = measure([[1.0, 0.0]], [[1.0, 0.0]], labels=[0])
    assert found.asr_plus_accuracy is None
    assert "asr_plus_accuracy" in found.undefined
