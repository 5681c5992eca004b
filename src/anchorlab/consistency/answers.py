"""One model's answers on a split, held in memory, and the per-instance table of two models' answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from anchorlab.attacks.attack import Attack
from anchorlab.consistency.instances import instances
from anchorlab.data import Split
from anchorlab.errors import AnchorlabError
from anchorlab.metrics import predictions
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import EVALUATION_BATCH, predict
from anchorlab.models.device import lent

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Answers:
    """One model's logits on a split: clean ``[N, C]``, and on the attacked instances triggered ``[M, C]``."""

    clean: Tensor
    triggered: Tensor | None


def answers(model: nn.Module, split: Split, attack: Attack | None, *, batch_size: int = EVALUATION_BATCH) -> Answers:
    """Runs a model over a split, clean and, if there is an attack, triggered; float32 on the CPU."""
    device = find_device()
    with lent(device, model):
        examples = split.to(device)
        clean = predict(model, examples.inputs, batch_size=batch_size).cpu()
        if attack is None:
            return Answers(clean, None)
        attacked = attack.attacked(examples)
        if len(attacked) == 0:
            return Answers(clean, clean[:0])
        triggered = predict(model, attacked.inputs, transform=attack.apply, batch_size=batch_size)
        return Answers(clean, triggered.cpu())


def instances_of(reference: Answers, candidate: Answers, labels: Tensor, attack: Attack | None) -> pd.DataFrame:
    """The per-instance table of two models from their answers on the same split.

    Args:
        reference: the reference's answers.
        candidate: the candidate's answers.
        labels: true labels, int64 ``[N]``.
        attack: the trigger and label rule of the triggered answers.

    Raises:
        AnchorlabError: if a logit is not finite or the numbers of classes differ.
    """
    given: dict[str, Any] = {}
    try:
        if attack is not None:
            given = {"attacked": attack.label_rule.applies(labels), "wanted": attack.label_rule.relabel(labels)}
            for name, model in (("triggered_reference", reference), ("triggered", candidate)):
                assert model.triggered is not None
                given[name] = predictions(model.triggered.numpy()) if len(model.triggered) else np.zeros(0, int)
        return instances(reference.clean, candidate.clean, labels, **given)
    except ValueError as error:
        raise AnchorlabError(str(error)) from error
