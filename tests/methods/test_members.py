"""All methods: their parameters, and what their strengths do."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.methods import METHODS, Method
from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.ewc import EWC
from anchorlab.methods.l2 import L2
from anchorlab.methods.plain import Plain
from anchorlab.settings import STRICT, options_of
from tests.injecting import changed, tuned


@pytest.mark.parametrize("method", [L2(strength=0.0), EWC(strength=0.0), Anchoring(strength=0.0)], ids=repr)
def test_strength_zero_is_plain_tuning_exactly(linear, digits, method):
    assert torch.equal(changed(linear, digits, method), changed(linear, digits, Plain()))


@pytest.mark.parametrize("cls", [L2, EWC])
def test_more_strength_means_less_change(linear, digits, cls):
    norms = [changed(linear, digits, cls(strength=strength)).norm().item() for strength in (0.01, 1.0, 100.0)]
    assert norms[0] > 1.2 * norms[1] > 1.44 * norms[2]


def test_every_strength_is_a_hyper_parameter_and_every_one_is_described():
    for name in METHODS.names():
        cls = METHODS[name]
        options = options_of(cls)
        assert all(option.description for option in options), name
        if cls.strength_name is not None:
            assert cls.strength_name in [option.name for option in options], name
        assert eval(repr(cls()), {cls.__name__: cls}) == cls()


def test_a_class_that_declares_former_names_works_with_warnings(linear, digits):
    with pytest.warns(DeprecationWarning, match="is now called") as caught:

        @dataclass(frozen=True, kw_only=True, config=STRICT)
        class Former(Method):
            """As it was written for an earlier release."""

            knob: ClassVar[str | None] = "price"
            settles_at: ClassVar[float] = 0.5
            poisons: ClassVar[bool] = False

            price: float = Field(default=2.0, description="a price")

            @property
            def active_knob(self):
                return "price"

    names = {str(warning.message).split(" is now called ")[0].rpartition(".")[2] for warning in caught}
    assert names == {"knob", "settles_at", "poisons", "active_knob"}
    method = Former(price=3.0)
    assert (method.strength_name, method.active_strength_name) == ("price", "price")
    assert (method.constraint_from, method.injects_backdoor) == (0.5, False)
    assert tuned(linear, digits, method, steps=1).steps == 1
