"""AdamW and clipping with little to do beside the arithmetic, bit for bit as torch does them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

if TYPE_CHECKING:
    from accelerate import Accelerator


class AdamW(torch.optim.AdamW):
    """torch's AdamW, except that it collects its tensors once, and not in every step.

    State and bits are torch's. Collecting takes torch longer than a tenth of the arithmetic of a small network's step
    (benchmarks/step.py).
    """

    _collected: list[list[Tensor]] | None = None

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step. A parameter without a gradient stays as it is."""
        (group,) = self.param_groups
        gradients = [parameter.grad for parameter in group["params"]]
        complete = all(gradient is not None for gradient in gradients)
        if self._collected is None or not complete:
            super().step()
            self._collect(group["params"])
            return
        averages, squares, steps = self._collected
        adamw(
            group["params"],
            gradients,
            averages,
            squares,
            [],
            steps,
            foreach=group["foreach"],
            fused=group["fused"],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch; the tensors are other ones then."""
        self._collected = None
        super().load_state_dict(state_dict)

    def _collect(self, parameters: list[nn.Parameter]) -> None:
        states = [self.state[parameter] for parameter in parameters if parameter in self.state]
        if len(states) == len(parameters):
            self._collected = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")]


def clip_gradients(parameters: list[nn.Parameter], largest: float, accelerator: Accelerator) -> Tensor:
    """Scales the gradients down to a largest L2 norm, as torch and accelerate do, and returns their norm before.

    Most gradients are short enough, and multiplying them by 1 costs 1 to 4 % of a small network's step on a CPU. To ask
    whether they are would stall a GPU; a CPU has the answer already.
    """
    if accelerator.device.type != "cpu":
        norm: Tensor = accelerator.clip_grad_norm_(parameters, largest)
        return norm
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    factor = largest / (norm + 1e-6)
    # Not the same as factor < 1: a norm that is not a number goes on into the gradients.
    if not factor >= 1:
        for gradient in gradients:
            gradient.mul_(factor)
    return norm
