"""Detectors: the higher a score, the more suspicious."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.detectors import (
    DefenderContext,
    DefenderData,
    InputDetector,
    ModelDetector,
    ModelScore,
    last_layer,
    logits,
)


@dataclass(frozen=True, kw_only=True)
class LargestBias(ModelDetector):
    """The largest bias of the last layer."""

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """One number of a model."""
        del context
        return ModelScore(last_layer(model, data.train.inputs).bias.max().item())


@dataclass(frozen=True, kw_only=True)
class Confidence(InputDetector):
    """The probability of the predicted class: a backdoor is often surer than the rest of the model."""

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """One number of each input, float64 ``[N]``; ``inputs`` is a dictionary from name to tensor."""
        del data, context
        with torch.no_grad():
            probabilities = logits(model, inputs).softmax(dim=1)
        return probabilities.max(dim=1).values.double().cpu().numpy()
