"""BAN: fine-tuning against the worst noise on neurons.

Xu, Liu, Koffas, Yu and Picek 2024, BAN: Detecting Backdoors Activated by Adversarial Neuron Noise, NeurIPS (arXiv
2405.19928). Noise on BatchNorm's weights and biases, within a box of relative size ``radius``, is searched that raises
the clean loss, because it wakes the backdoor's neurons; then the weights go down the clean loss plus ``noise_weight``
times the loss under the noise. The paper's detector, which finds the target, is ``feature-mask``.

Radius, weight, and the one signed step from a random start are those of the authors' code, whose step leaves the box;
ours is cut to it. BatchNorm's statistics follow each clean batch once, and not the noised ones, which move them in
their code. Its default is 200 passes by SGD at 0.01, with a weight of 0.2 for the noise; its page takes 25 at 0.005,
with a weight of 0.5. Our weight is the default's, and we take the loop that all repairs share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.neuron_noise import Noise, noised_loss, worst_noise
from anchorlab.models.call import track_statistics
from anchorlab.models.hooks import norms_of
from anchorlab.repairs.base import Repair
from anchorlab.repairs.tuning import Schedule, copied, cross_entropy, tune
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BAN(Schedule, Repair):
    """Trains all weights on clean examples, also under the worst noise on channels."""

    cites: ClassVar[tuple[str, ...]] = ("xu2024ban",)
    needs: ClassVar[str] = "BatchNorm of maps"
    modality: ClassVar[Modality] = "image"
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"learning_rate": (3e-4, 3e-3), "radius": (0.15, 0.6)}

    radius: float = Field(default=0.3, ge=0, description="largest relative noise on weights and biases of BatchNorm")
    noise_weight: float = Field(default=0.2, ge=0, description="weight of the loss under the noise")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: for the noise, under the noise, and without."""
        return 3 * self.epochs * examples

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        del inputs
        norms_of(model, "BAN")

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        norms = norms_of(model, "BAN")
        names, sizes = list(norms), [norm.num_features for norm in norms.values()]
        draw = context.generator("noise")

        def loss(tuned: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
            fixed = {name: value.detach() for name, value in tuned.named_parameters()}

            def rise(noise: Noise) -> Tensor:
                return noised_loss(tuned, fixed, names, noise, inputs, labels)

            noise = worst_noise(rise, sizes, self.radius, draw, labels.device)
            under = noised_loss(tuned, dict(tuned.named_parameters()), names, noise, inputs, labels)
            return cross_entropy(tuned, inputs, labels) + self.noise_weight * under

        repaired = track_statistics(copied(model))
        tune(repaired, data, self, context, name="BAN", loss=loss)
        return repaired.eval()
