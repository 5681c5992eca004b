"""What counts as a change of a model that was lent: values, and how it is set."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from anchorlab.testing.unchanged import changed, copies, whole
from tests.zoo import Small


def _freeze(model: Small) -> None:
    model.last.bias.requires_grad_(False)


def _train(model: Small) -> None:
    model.first_norm.train()


def _watch(model: Small) -> None:
    model.register_forward_pre_hook(lambda *_: None)


def _watch_backwards(model: Small) -> None:
    model.last.register_full_backward_hook(lambda *_: None)


def _write(model: Small) -> None:
    nn.init.ones_(model.last.bias)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (_freeze, "requires_grad of last.bias"),
        (_train, "training mode of first_norm"),
        (_watch, "hooks of the whole"),
        (_watch_backwards, "hooks of last"),
        (_write, "last.bias"),
    ],
)
def test_values_modes_gradients_and_hooks_are_seen(change: Callable[[Small], None], wanted: str) -> None:
    model = Small().eval()
    before = copies(whole(model))
    assert changed(before, whole(model)) == []
    change(model)
    assert changed(before, whole(model)) == [wanted]
