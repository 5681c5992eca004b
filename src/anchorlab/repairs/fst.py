"""FST: feature shift tuning, which draws the last layer anew and keeps it away from the suspicious one.

Min, Qin, Shen and Cheng 2023, Towards Stable Backdoor Purification through Feature Shift Tuning, NeurIPS (arXiv
2310.01875). The last layer's weight ``W`` starts from a random draw; all weights are trained on the cross-entropy plus
``strength <W, W_0>``, ``W_0`` being the suspicious weight and ``<,>`` the sum of products, while ``||W|| = ||W_0||`` is
restored after each step. The product makes the features move, which clean gradients alone never ask for. The
constraint keeps it from being lowered by mere growth.

The strength is the default of the authors' code, whose example takes 0.1; for a hundred classes and more they advise a
small one, or 0. They take SGD at 0.01 for 10 passes; we take the loop that all repairs share. Their code restores the
norm in all its modes, also in those that we call ``ft-init`` and ``linear-probing``; the paper has it for FST alone,
and so have we. ``strength=0`` is what their code does as FT-init.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import track_statistics
from anchorlab.models.hooks import check_own_weights, last_layer
from anchorlab.repairs.base import Repair
from anchorlab.repairs.fresh_layer import drawn_anew, restore_norm
from anchorlab.repairs.tuning import Schedule, copied, cross_entropy, tune
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FST(Schedule, Repair):
    """Trains all weights with a new last layer that is kept away from the suspicious one."""

    cites: ClassVar[tuple[str, ...]] = ("min2023towards",)
    needs: ClassVar[str] = "a linear layer that gives the logits"
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"learning_rate": (3e-4, 3e-3), "strength": (0.1, 0.4)}

    strength: float = Field(default=0.2, ge=0, description="weight of the product with the suspicious last layer")

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        check_own_weights(model, [last_layer(model, inputs)])

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        suspicious = last_layer(model, data.train.inputs).weight.detach()
        norm = suspicious.norm()
        repaired = copied(model)
        layer = drawn_anew(repaired, data.train.inputs, context)
        restore_norm(layer, norm)
        track_statistics(repaired)

        def loss(tuned: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
            return cross_entropy(tuned, inputs, labels) + self.strength * (layer.weight * suspicious).sum()

        tune(
            repaired,
            data,
            self,
            context,
            name="FST",
            loss=loss,
            after_step=lambda _: restore_norm(layer, norm),
            suspicious=model,
        )
        return repaired.eval()
