"""Chosen rows are those of the copy that they stand for, whatever is done with them."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor

from anchorlab import Training, Tuning, compare, inject, load_task, train
from anchorlab.data import chosen as module
from anchorlab.data.chosen import Chosen, chosen
from anchorlab.data.inputs import rows
from tests.forgetting import forget

PLACES = torch.tensor([5, 1, 1, 3, 0])


@pytest.fixture
def both() -> tuple[Chosen, Tensor]:
    base = torch.arange(6 * 3 * 4, dtype=torch.uint8).view(6, 3, 2, 2)
    return Chosen(base, PLACES), base[PLACES]


WITHOUT_A_COPY = {
    "rows": lambda x: x[torch.tensor([4, 0, 0])],
    "a slice": lambda x: x[1:4],
    "one row": lambda x: x[2],
    "the last row": lambda x: x[-1],
    "index_select": lambda x: x.index_select(0, torch.tensor([4, 0])),
    "as a batch": lambda x: rows({"pixel_values": x}, torch.tensor([2, 1]))["pixel_values"],
    "shape": lambda x: (x.shape, len(x), x.dtype, x.device, x.ndim, x.size(0), x.numel(), x.nbytes),
    "cpu": lambda x: x.cpu()[:2],
    "to": lambda x: x.to("cpu")[:2],
    "version": lambda x: x._version,
}
WITH_A_COPY = {
    "arithmetic": lambda x: x + 1,
    "float": lambda x: x.float().mean((0, 2, 3)),
    "a column": lambda x: x[:, 1],
    "a mask": lambda x: x[torch.tensor([True, False, True, False, True])],
    "cat": lambda x: torch.cat([x, x]),
    "where": lambda x: torch.where(x > 3, x, 0),
    "numpy": lambda x: torch.from_numpy(x.contiguous().numpy()),
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "meta": lambda x: x.to("meta").shape,
    "extremes": lambda x: torch.stack(list(x.aminmax())),
    "flip": lambda x: x.flip(-1),
    "iteration": lambda x: torch.stack(list(x)),
}


def assert_equal(one: object, other: object) -> None:
    if isinstance(other, Tensor):
        assert type(one) is Tensor
        assert one.dtype == other.dtype
        assert one.stride() == other.stride()
        assert torch.equal(one, other)
    else:
        assert one == other


@pytest.mark.parametrize("name", WITHOUT_A_COPY)
def test_rows_come_without_a_copy_of_all(both: tuple[Chosen, Tensor], name: str) -> None:
    lazy, plain = both
    assert_equal(WITHOUT_A_COPY[name](lazy), WITHOUT_A_COPY[name](plain))
    assert lazy.copy is None


@pytest.mark.parametrize("name", WITH_A_COPY)
def test_everything_else_is_done_with_the_copy(both: tuple[Chosen, Tensor], name: str) -> None:
    lazy, plain = both
    assert_equal(WITH_A_COPY[name](lazy), WITH_A_COPY[name](plain))


def test_a_change_stays_in_it_and_is_seen_by_all_that_follows(both: tuple[Chosen, Tensor]) -> None:
    lazy, plain = both
    lazy[1] = 7
    plain[1] = 7
    lazy.add_(1)
    plain.add_(1)
    for look in (WITHOUT_A_COPY["rows"], WITHOUT_A_COPY["index_select"], WITH_A_COPY["float"]):
        assert_equal(look(lazy), look(plain))
    assert lazy._version > 0
    assert int(lazy.base[1].max()) == 23  # the base stays


def test_few_rows_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.zeros(10, 1, 4, 4, dtype=torch.uint8)
    assert type(chosen(values, torch.arange(5))) is Tensor
    monkeypatch.setattr(module, "LARGE", 16 * 5)
    first = chosen(values, torch.arange(9))
    assert isinstance(first, Chosen)
    again = chosen(first, torch.tensor([8, 7, 6, 5, 4]))
    assert isinstance(again, Chosen)
    assert again.base is values
    assert type(chosen(first, torch.tensor([1]))) is Tensor


def test_models_and_figures_are_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for large in (2**40, 1):
        monkeypatch.setattr(module, "LARGE", large)
        forget()
        task = load_task("digits", limit=60)
        assert isinstance(task.split("owner").inputs["pixel_values"], Chosen) == (large == 1)
        reference = train(task, training=Training(epochs=1, batch_size=64))
        tuning = Tuning(steps=3, batch_size=8)
        candidate = inject(reference, method="anchoring", tuning=tuning, anchors=None, task=task)
        result = compare(reference, candidate, task=task)
        weights = torch.cat([value.flatten().float() for value in candidate.model.state_dict().values()])
        found.append((weights, str(result), task.contents(), task.describe(), task.pixel_statistics))
    forget()
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1:] == found[1][1:]
