"""How far the memory rises: what a block takes is counted, what was there before is not."""

from __future__ import annotations

import sys

import pytest
import torch

from anchorlab.models import memory
from anchorlab.models.memory import MemoryGrowth, resident_bytes

CPU = torch.device("cpu")

#: Bytes of a tensor that is large beside what else moves meanwhile.
SIZE = 96 * 2**20

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not say it")


def filled() -> torch.Tensor:
    return torch.ones(SIZE // 4)


@linux
def test_what_a_block_takes_and_frees_is_counted_and_a_second_time_too() -> None:
    found = []
    for _ in range(2):
        with MemoryGrowth(CPU) as growth:
            assert growth.bytes is None
            kept = filled()
            while growth._most - growth._before < 0.8 * SIZE:  # until the reader has seen it
                pass
            del kept
        found.append(growth.bytes)
    assert all(0.8 * SIZE < one < 3 * SIZE for one in found)


@linux
def test_what_was_there_before_is_not_counted() -> None:
    kept = filled()
    with MemoryGrowth(CPU) as growth:
        assert float(kept[0]) == 1
    assert growth.bytes is not None
    assert growth.bytes < SIZE / 4
    assert resident_bytes() > SIZE


def test_an_unknown_rise_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "resident_bytes", lambda: None)
    with MemoryGrowth(CPU) as growth:
        pass
    assert growth.bytes is None


@linux
def test_the_reader_ends_with_a_block_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), MemoryGrowth(CPU) as growth:
        _ = 1 / 0
    assert not growth._reader.is_alive()
