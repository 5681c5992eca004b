"""Fine-mixing: rows of E-PUR beside a count by hand, and the share of weights that stay."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from anchorlab.data import Split
from anchorlab.errors import AnchorlabError
from anchorlab.models.word_table import word_table
from anchorlab.repairs.fine_mixing import FineMixing, far_rows, mix
from anchorlab.testing.bench import bench
from tests.zoo import Hidden, Linear


def test_the_rows_of_e_pur_by_hand():
    """Row 3 moved by 3 and occurs 30 times, row 1 moved by 2.7 and occurs twice: 3 / log 30 < 2.7 / log 20."""
    earlier = torch.zeros(5, 2)
    present = torch.tensor([[0.0, 0.0], [2.7, 0.0], [0.0, 0.5], [3.0, 0.0], [0.0, 0.0]])
    ids = torch.tensor([[3] * 30 + [1, 1, 0], [2] + [1] * 32], dtype=torch.int32)
    seen = torch.ones_like(ids, dtype=torch.bool)
    seen[1, 1:] = False
    examples = Split({"input_ids": ids, "attention_mask": seen}, torch.tensor([0, 1]))
    assert 3 / math.log(30) < 2.7 / math.log(20)
    # If padding counted, row 1 would occur 34 times and come second.
    assert 3 / math.log(30) > 2.7 / math.log(34)
    assert far_rows(present, earlier, examples, 2).tolist() == [1, 3]
    assert far_rows(present, earlier, examples, 5).tolist() == [1, 3, 2]  # what did not move stays out
    assert far_rows(present, earlier, examples, 0).tolist() == []


def test_weights_stay_or_go_back_whole():
    model, trusted = Linear(), Linear()
    before, draw = model.layer.weight.detach().clone(), torch.Generator().manual_seed(0)
    mix(model, trusted, 0.3, draw)
    after = model.layer.weight.detach()
    stayed, back = after == before, after == trusted.layer.weight
    assert bool((stayed | back).all())
    assert 0.24 < float(stayed.float().mean()) < 0.36


@pytest.mark.slow
def test_it_tunes_a_text_model_and_needs_a_trusted_version_of_the_same_architecture(context):
    tried = bench("text")
    model, trusted, data = tried.model(), tried.model(tried.reference), tried.data()
    means = replace(context, trusted=trusted)
    repaired = FineMixing(epochs=1, share=1.0, words=3).repair(model, data, means)
    present, earlier = (word_table(one, data.train.inputs, "it").weight.detach() for one in (model, trusted))
    rows = far_rows(present, earlier, data.train, 3)
    moved = (word_table(repaired, data.train.inputs, "it").weight.detach() - earlier).norm(dim=1)[rows]
    assert len(rows) == 3
    assert bool((moved < (present - earlier).norm(dim=1)[rows]).all())
    assert not any(module.training for module in repaired.modules())
    with pytest.raises(AnchorlabError, match="needs an earlier version"):
        FineMixing().repair(model, data, replace(context, trusted=None))
    with pytest.raises(AnchorlabError, match="another architecture"):
        FineMixing().repair(model, data, replace(context, trusted=Hidden()))
