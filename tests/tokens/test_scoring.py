"""How windows become rows of the store."""

from __future__ import annotations

import numpy as np
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from anchorlab.tokens.scoring import score
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.windows import Batch, Window
from anchorlab.tokens.worst import Worst


class Drawn:
    """Answers that are drawn, without a model."""

    def __init__(self, seed):
        self._draw = torch.Generator().manual_seed(seed)

    def rows(self, batch):
        return [torch.randn(len(window.targets), 50, generator=self._draw) for window in batch.windows]


def test_the_libraries_of_products_have_one_thread_beside_ours():
    """With threads of their own, the divergences of a vocabulary of 49,152 took five times the processor's time."""
    met = []

    def threads_of_blas():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    def seen(first, second, true):
        met.extend(threads_of_blas())
        return first, second

    batch = Batch((Window(0, np.arange(40), 0, np.arange(1, 41)),))
    with threadpool_limits(2, "blas"), TokenStore() as store:
        before = threads_of_blas()
        score([batch], Drawn(0), Drawn(1), store, Worst(3), lumped=seen)
        assert store.tokens == 40
        assert threads_of_blas() == before, "what was set before is set again"
    assert max(before) == 2
    assert set(met) == {1}
