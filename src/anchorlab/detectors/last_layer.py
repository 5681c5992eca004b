"""Weight statistics of the last layer: the target class's row is said to stand out.

Fields, Samragh, Javaheripi, Koushanfar and Javidi 2021, Trojan Signatures in DNN Weights (arXiv 2109.02836): in many
backdoored models the mean weight of the target class in the last layer lies above the other classes'. The score is
how many deviations, by the median and the median absolute deviation, the largest one lies above. Needs no data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import ModelDetector, ModelScore, details_of
from anchorlab.models.device import in_double
from anchorlab.models.hooks import last_layer
from anchorlab.settings import STRICT
from anchorlab.statistics.deviations import deviations


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LastLayer(ModelDetector):
    """Compares the classes' rows of the last layer."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("fields2021trojan",)
    needs: ClassVar[str] = "a linear layer that gives the logits"
    min_examples: ClassVar[int] = 1
    min_classes: ClassVar[int] = 3

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        last_layer(model, inputs)

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """See ``ModelDetector``."""
        del context
        means = in_double(last_layer(model, data.train.inputs).weight.detach()).mean(dim=1).cpu().numpy()
        distances = deviations(means)
        details = details_of({"label": range(len(means)), "mean_weight": means, "deviations": distances})
        return ModelScore(float(distances.max()), details, targets=torch.tensor([int(distances.argmax())]))
