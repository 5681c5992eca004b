"""Rows without their padding act as the tensor with padding that they stand for."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from anchorlab.data.inputs import rows
from anchorlab.data.ragged import Ragged, saves_memory

sizes_strategy = st.lists(st.integers(0, 9), min_size=1, max_size=30)


def pair(sizes: list[int], *, padding: int = 0, dtype: torch.dtype = torch.int32) -> tuple[Ragged, torch.Tensor]:
    """Rows of the given sizes, and the same with their padding, made one by one."""
    width = max(sizes) + 1
    values = torch.arange(1, sum(sizes) + 1).to(dtype)
    plain = torch.full((len(sizes), width), padding, dtype=dtype)
    for row, piece in enumerate(values.split(sizes)):
        plain[row, : len(piece)] = piece
    return Ragged(values, torch.tensor(sizes), width, padding), plain


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape and torch.equal(first, second)


@settings(max_examples=50, deadline=None)
@given(sizes=sizes_strategy, padding=st.integers(0, 3), data=st.data())
def test_it_is_the_padded_tensor(sizes, padding, data):
    ragged, plain = pair(sizes, padding=padding)
    chosen = torch.tensor(data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=12)), dtype=torch.int64)
    start, end = sorted(data.draw(st.tuples(st.integers(0, 30), st.integers(0, 30))))
    width = data.draw(st.integers(0, plain.shape[1]))
    assert same(ragged, plain)
    assert same(ragged.padded(), plain)
    assert same(ragged[chosen], plain[chosen])
    assert same(ragged[chosen][:2], plain[chosen][:2])
    assert same(ragged[start:end], plain[start:end])
    assert same(ragged.padded(chosen, width), plain[chosen, :width])
    assert same(ragged[chosen, :width], plain[chosen, :width])
    assert same(ragged.sum(1), plain.sum(1))
    assert (len(ragged), ragged.shape, ragged.dtype, ragged.device) == (
        len(plain),
        plain.shape,
        plain.dtype,
        plain.device,
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[0],
        lambda x: x[:, 1:2],
        lambda x: x[..., -1],
        lambda x: x[x > 2],
        lambda x: x[torch.tensor([True, False, True])],
        lambda x: x[[2, 0]],
        lambda x: x[::2],
        lambda x: x[-2:],
        lambda x: x + 1,
        lambda x: 2 * x,
        lambda x: x.long(),
        lambda x: x.to(torch.int64),
        lambda x: x.to("cpu"),
        lambda x: x.cpu(),
        lambda x: x.T,
        lambda x: x.sum(),
        lambda x: x.sum(0),
        lambda x: x.sum(dim=1),
        lambda x: x.max(),
        lambda x: torch.cat([x, x]),
        lambda x: torch.stack([x[0], x[1]]),
        lambda x: torch.where(x > 1, x, 0),
        lambda x: torch.zeros_like(x),
        lambda x: functional.pad(x, (0, 2)),
        lambda x: x.masked_fill(x == 0, 9),
        lambda x: torch.tensor(x.tolist()),
        lambda x: torch.tensor([row.tolist() for row in x]),
        lambda x: torch.from_numpy(x.numpy()),
        copy.deepcopy,
        lambda x: pickle.loads(pickle.dumps(x)),
    ],
)
def test_every_function_gives_what_the_padded_tensor_gives(function):
    ragged, plain = pair([2, 0, 4])
    assert same(function(ragged), function(plain))
    with torch.inference_mode():
        assert same(function(ragged), function(plain))


def test_choosing_rows_and_moving_them_stores_no_padding():
    ragged, _ = pair([1] * 99 + [100])
    for result in (ragged[torch.arange(50)], ragged[:50], ragged.to("cpu"), ragged.cpu()):
        assert isinstance(result, Ragged)
        assert len(result.stored) == result.sizes.sum()
    assert len(ragged[torch.arange(50)].stored) == 50


def test_rows_of_a_mask_count_their_tokens():
    mask = Ragged(torch.ones(6, dtype=torch.bool), torch.tensor([1, 0, 5]), 8)
    assert same(mask.sum(1), torch.tensor([1, 0, 5]))
    chosen = rows({"mask": mask}, torch.tensor([2, 0]), 3)["mask"]
    assert type(chosen) is torch.Tensor
    assert chosen.tolist() == [[True, True, True], [True, False, False]]


def test_only_what_is_large_and_mostly_padding_is_worth_it():
    assert saves_memory(100_000, 512, 1_000_000)
    assert not saves_memory(100_000, 512, 30_000_000)
    assert not saves_memory(1_000, 512, 8_000)
