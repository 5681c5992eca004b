"""Statistics estimated again: a plain mean over batches, and all else as it was."""

from __future__ import annotations

import torch

from anchorlab.models.reestimation import reestimated
from tests.zoo import Small

PIXELS = torch.randint(0, 256, (20, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()


def test_the_copy_has_new_statistics_and_keeps_momentum_and_the_count_of_batches():
    """Else it would train in memory by another momentum than from its folder, which does not hold it."""
    torch.manual_seed(0)
    model = Small().eval()
    model.first_norm.momentum = 0.3
    model.first_norm.num_batches_tracked.fill_(7)
    fresh = reestimated(model, {"pixel_values": PIXELS})
    torch.testing.assert_close(fresh.first_norm.running_mean, model.first(PIXELS / 255).mean((0, 2, 3)))
    assert (fresh.first_norm.momentum, int(fresh.first_norm.num_batches_tracked)) == (0.3, 7)
    assert (fresh.second_norm.momentum, int(fresh.second_norm.num_batches_tracked)) == (0.1, 0)
    assert int(model.first_norm.num_batches_tracked) == 7
