"""What a model does at a point of weight space: on clean examples, instance by instance, and on triggered ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anchorlab.attacks.attack import Attack
from anchorlab.data import Split
from anchorlab.errors import AnchorlabError
from anchorlab.metrics import Pair
from anchorlab.metrics.numerics import Softmax, check_labels
from anchorlab.models.call import EVALUATION_BATCH, predict
from anchorlab.statistics.intervals import wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Behaviour:
    """Per-instance values at one point; ``[N]``, float64, those that are rates being 0 or 1.

    Attributes:
        loss: clean cross-entropy, nats.
        accuracy: whether the prediction is the true class.
        kl: of the point from the reference, nats.
        logit_distance: mean over classes of the squared shift from the reference.
        churn: whether the prediction differs from the reference's.
    """

    loss: Floats
    accuracy: Floats
    kl: Floats
    logit_distance: Floats
    churn: Floats


class Probe:
    """Clean examples and the reference's logits on them, against which points are measured.

    Attributes:
        examples: N clean examples, on the device of the models.
        labels: int64 ``[N]``.
        logits: the reference's, float32 ``[N, C]``.
    """

    def __init__(self, examples: Split, reference: nn.Module) -> None:
        self.examples = examples
        self.logits = predict(reference, examples.inputs).cpu().numpy()
        self.labels = check_labels(examples.labels.cpu().numpy(), self.logits.shape)

    def pair(self, model: nn.Module) -> Pair:
        """The reference's logits beside another model's logits.

        Raises:
            AnchorlabError: if a logit is not finite.
        """
        try:
            return Pair(self.logits, predict(model, self.examples.inputs).cpu().numpy())
        except ValueError as error:
            raise AnchorlabError(str(error)) from error

    def behaviour(self, model: nn.Module) -> Behaviour:
        """What a model does.

        Raises:
            AnchorlabError: if a logit is not finite.
        """
        pair = self.pair(model)
        return Behaviour(
            loss=-pair.q.log_of(self.labels),
            accuracy=(pair.q.prediction == self.labels).astype(float),
            kl=pair.kl,
            logit_distance=pair.logit_distance(),
            churn=(pair.q.prediction != pair.p.prediction).astype(float),
        )

    def loss(self, model: nn.Module) -> float:
        """The mean clean loss alone, infinite where a logit is."""
        logits = predict(model, self.examples.inputs).cpu().double().numpy()
        if not np.isfinite(logits).all():
            return float("inf")
        return float(-Softmax(logits).log_of(self.labels).mean())


class Triggered:
    """The attacked examples with the trigger on them, put on once for many points."""

    def __init__(self, examples: Split, attack: Attack) -> None:
        attacked = attack.attacked(examples)
        pieces = [
            attack.apply({name: value[start : start + EVALUATION_BATCH] for name, value in attacked.inputs.items()})
            for start in range(0, len(attacked), EVALUATION_BATCH)
        ]
        self.count = len(attacked)
        self._inputs = {name: torch.cat([piece[name] for piece in pieces]) for name in (pieces[0] if pieces else {})}
        self._wanted: Tensor = attack.label_rule.relabel(attacked.labels)

    def successes(self, model: nn.Module) -> int:
        """How many get the attacker's label."""
        if not self.count:
            return 0
        return int((predict(model, self._inputs).argmax(1) == self._wanted).sum())


def success_rate(name: str, successes: int | None, triggered: Triggered | None) -> dict[str, float]:
    """A rate over triggered examples as three columns, with Wilson's 95% interval; NaN where there are none."""
    if successes is None or triggered is None or not triggered.count:
        return dict.fromkeys((name, f"{name}_lower", f"{name}_upper"), float("nan"))
    lower, upper = wilson(successes, triggered.count)
    return {name: successes / triggered.count, f"{name}_lower": lower, f"{name}_upper": upper}
