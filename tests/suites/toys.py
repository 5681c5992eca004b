"""A repair and detectors that take no time, of which one refuses every model; and a suite that has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab import AnchorlabError
from anchorlab.data import Modality
from anchorlab.detectors import DETECTORS, InputDetector, ModelDetector, ModelScore
from anchorlab.models.call import predict
from anchorlab.repairs import REPAIRS, DefenderContext, DefenderData, Repair
from anchorlab.repairs.tuning import copied
from anchorlab.settings import STRICT
from anchorlab.suites.spec import Suite
from tests.registering import registered
from tests.suites.inline import tiny


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Shrink(Repair):
    """Makes the last bias smaller; with a trusted model, takes that one's."""

    needs_trusted: ClassVar[bool] = True
    factor: float = Field(default=0.5, gt=0, description="of the last bias")

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        assert context.trusted is not None
        fresh = copied(model)
        *_, bias = fresh.parameters()
        *_, before = context.trusted.parameters()
        bias.data.copy_(before.data * self.factor)
        return fresh


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Refusing(Repair):
    """Is for no model at all."""

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        raise AnchorlabError("the model has no wings, which are needed here: take another repair")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Bias(ModelDetector):
    """Scores a model by its last bias."""

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        *_, bias = model.parameters()
        pattern = torch.full((1, 1, 8, 8), 7, dtype=torch.uint8)
        return ModelScore(
            float(bias.detach().abs().sum()),
            note=f"of {len(data)} examples",
            patterns=pattern,
            targets=bias.detach().argmax()[None].cpu(),
        )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sure(InputDetector):
    """Scores an input by how sure the model is of it."""

    modality: ClassVar[Modality] = "image"

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        return predict(model, inputs).double().softmax(1).amax(1).cpu().numpy()


@contextmanager
def registered_toys() -> Iterator[None]:
    """Inside, the toys can be named."""
    with registered(REPAIRS, shrink=Shrink, refusing=Refusing), registered(DETECTORS, bias=Bias, sure=Sure):
        yield


@pytest.fixture
def toys() -> Iterator[None]:
    with registered_toys():
        yield


def evaluated_suite(**changes: Any) -> Suite:
    """The tiny suite with one method, one number of anchors, repairs and detectors."""
    small = {
        "tasks": [{"name": "digits", "limit": 40, "training": {"epochs": 2, "batch_size": 32}}],
        "references": [0],
        "methods": {"plain": {"method": "plain"}},
        "anchors": ["all"],
        "seeds": [0],
        "repairs": {"shrunk": {"repair": "shrink"}},
        "detectors": {"bias": {"detector": "bias"}, "sure": {"detector": "sure"}},
        "defender": [20],
    }
    return tiny(**{**small, **changes})
