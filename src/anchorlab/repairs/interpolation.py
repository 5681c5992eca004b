"""Interpolation to an earlier version of the model that the defender trusts.

``w_trusted + share (w - w_trusted)``, buffers included, as robust fine-tuning does between a model and its fine-tuned
form (Wortsman et al. 2022, WiSE-FT, arXiv 2109.01903). The share is fixed beforehand, because clean data alone give no
reason to prefer one; ``anchorlab analyze`` shows the ASR along the whole line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.errors import AnchorlabError
from anchorlab.models.weights import interpolate
from anchorlab.models.wrap import unwrap
from anchorlab.repairs.base import Repair
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Interpolation(Repair):
    """Goes back part of the way to a trusted version."""

    cites: ClassVar[tuple[str, ...]] = ("wortsman2022robust",)
    min_examples: ClassVar[int] = 1
    needs_trusted: ClassVar[bool] = True
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"share": (0.25, 0.75)}

    share: float = Field(
        default=0.5, ge=0, le=1, description="share of the change since the trusted version that stays"
    )

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        del data
        if context.trusted is None:
            raise AnchorlabError("interpolation needs an earlier version of the model that is trusted: give one")
        check_alike(context.trusted, model)
        if self.share == 1:
            context.notes.append("a share of 1 keeps all of the change")
        elif _same_weights(context.trusted, model):
            context.notes.append("the trusted version has the weights of the model")
        return interpolate(context.trusted, model, self.share).eval().requires_grad_()


def check_alike(trusted: nn.Module, model: nn.Module) -> None:
    """Raises AnchorlabError if a trusted version is of another architecture than a model."""
    if _shapes(trusted) != _shapes(model):
        raise AnchorlabError(
            "the trusted version is of another architecture than the model, so that there is nothing between them: "
            "give an earlier version of this model"
        )


def _same_weights(first: nn.Module, second: nn.Module) -> bool:
    states = unwrap(first).state_dict(), unwrap(second).state_dict()
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in unwrap(model).state_dict().items()}
