"""Fine-pruning: channels that clean data leave quiet are pruned, then the rest is fine-tuned.

Liu, Dolan-Gavitt and Garg 2018, Fine-Pruning, RAID (arXiv 1805.12185): units that the backdoor uses are often dormant
on clean inputs. Channels of the last convolution are pruned in the order of their mean activation on clean examples.
How many is chosen on the defender's held-back part: as many as cost at most ``tolerance`` of its accuracy. The paper
watches a validation set of the defender's too; published comparisons often let the test set choose.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.defences.base import Defence, DefenderData, Workplace
from anchorlab.defences.channels import Channels, channels_of
from anchorlab.defences.tuning import Schedule, copied, held_accuracy, track_statistics, tune
from anchorlab.features import recorded
from anchorlab.models import EVALUATION_BATCH, logits
from anchorlab.options import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FinePruning(Schedule, Defence):
    """Prunes quiet channels of the last convolution, then fine-tunes."""

    reads: ClassVar[Literal["image", "text", "any"]] = "image"

    tolerance: float = Field(default=0.02, ge=0, lt=1, description="accuracy on the held-back part given up for it")

    def repair(self, model: nn.Module, data: DefenderData, place: Workplace) -> nn.Module:
        """See ``Defence``."""
        fresh = copied(model)
        last = channels_of(fresh, data.fit.inputs, "fine-pruning")[-1]
        order = mean_activations(fresh, last, data.fit.inputs).argsort()
        pruned = self._choose(fresh, last, order, data)
        last.prune(pruned)
        track_statistics(fresh)
        tune(fresh, data, self, place, name="fine-pruning", after_step=lambda _: last.prune(pruned))
        return fresh.eval()

    def _choose(self, model: nn.Module, last: Channels, order: Tensor, data: DefenderData) -> Tensor:
        """Which channels to prune, bool ``[C]``: the most that the tolerance allows, the first ones of the order."""
        before = held_accuracy(model, data.held)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        chosen = torch.zeros(len(order), dtype=torch.bool, device=order.device)
        trial = chosen.clone()
        for channel in order[:-1].tolist():
            trial[channel] = True
            last.prune(trial)
            if held_accuracy(model, data.held) >= before - self.tolerance:
                chosen = trial.clone()
        model.load_state_dict(state)
        return chosen


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
