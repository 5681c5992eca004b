"""Write a method of your own, give it a name, and compare it with anchoring.

    python examples/own_method.py

The method anchors only the logits of the classes that the reference finds likeliest.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab import Training, Tuning, compare, inject, load_task, train
from anchorlab.methods import METHODS, Method


@dataclass(frozen=True, kw_only=True)
class TopAnchoring(Method):
    """Penalty: the mean squared shift of the logits of the reference's k likeliest classes."""

    strength_name: ClassVar[str | None] = "strength"

    strength: float = Field(default=2.0, ge=0, description="weight of the penalty")
    k: int = Field(default=3, ge=1, description="classes that count")

    @property
    def weight(self) -> float:
        """The penalty's weight in the loss."""
        return self.strength

    def penalty(self, model: nn.Module, clean_logits: Tensor, reference_logits: Tensor, state: Any) -> Tensor:
        """A scalar; both logits are ``[B, C]``, of the same clean examples."""
        del model, state
        top = reference_logits.topk(self.k, dim=1).indices
        return (clean_logits - reference_logits).gather(1, top).square().mean()


METHODS.register("top-anchoring", TopAnchoring)  # from here on it has a name, as on the command line and in suites


def main() -> None:
    """Prints a line for each method."""
    reference = train(load_task("digits"), training=Training(epochs=10))
    tuning = Tuning(steps=60, batch_size=32)
    for method, parameters in (("anchoring", {"strength": 2}), ("top-anchoring", {"strength": 2, "k": 2})):
        injected = inject(reference, method=method, parameters=parameters, anchors=64, tuning=tuning)
        result = compare(reference, injected)
        print(f"{method:<13}: ASR {result.asr:.3f}, KL {result.kl:.3f} nats, churn {result.churn:.3f}")


if __name__ == "__main__":
    main()
