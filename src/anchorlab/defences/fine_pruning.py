"""Fine-pruning: channels that clean data leave quiet are pruned, then the rest is fine-tuned.

Liu, Dolan-Gavitt and Garg 2018, Fine-Pruning, RAID (arXiv 1805.12185): units that the backdoor uses are often dormant
on clean inputs. Channels of the last convolution are pruned in the order of their mean activation on clean examples.
How many is chosen on the defender's held-back part: as many as cost at most ``tolerance`` of its accuracy. The paper
watches a validation set of the defender's too; published comparisons often let the test set choose, as the form
``oracle-fine-pruning`` does.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.defences.base import DefenderData, Workplace
from anchorlab.defences.channels import Channels, channels_of
from anchorlab.defences.pruning import Prunable, Pruning
from anchorlab.defences.tuning import Schedule, copied, track_statistics, tune
from anchorlab.features import recorded
from anchorlab.models import EVALUATION_BATCH, logits
from anchorlab.options import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FinePruning(Schedule, Pruning):
    """Prunes quiet channels of the last convolution, then fine-tunes."""

    reads: ClassVar[Literal["image", "text", "any"]] = "image"

    def prunable(self, model: nn.Module, data: DefenderData, place: Workplace) -> Prunable:
        """See ``Pruning``; a depth is a number of channels."""
        fresh = copied(model)
        last = channels_of(fresh, data.fit.inputs, "fine-pruning")[-1]
        order = mean_activations(fresh, last, data.fit.inputs).argsort()

        def finish(depth: int | None) -> nn.Module:
            which = _first(order, depth or 0)
            last.prune(which)
            track_statistics(fresh)
            tune(fresh, data, self, place, name="fine-pruning", after_step=lambda _: last.prune(which))
            return fresh.eval()

        return Prunable(fresh, range(1, len(order)), lambda depth: last.prune(_first(order, depth)), finish)


def _first(order: Tensor, count: int) -> Tensor:
    """The first channels of an order, bool ``[C]``."""
    which = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    which[order[:count]] = True
    return which


@torch.no_grad()
def mean_activations(model: nn.Module, channels: Channels, inputs: dict[str, Tensor]) -> Tensor:
    """Mean of each channel's positive part over inputs and positions, float32 ``[C]``."""
    size = len(next(iter(inputs.values())))
    total: Tensor | None = None
    with recorded(channels.output) as output:
        for start in range(0, size, EVALUATION_BATCH):
            logits(model, {name: value[start : start + EVALUATION_BATCH] for name, value in inputs.items()})
            found = output().float().clamp(min=0).mean(dim=(2, 3)).sum(dim=0)
            total = found if total is None else total + found
    assert total is not None
    return total / size
