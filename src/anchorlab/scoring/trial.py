"""A trial of detectors of inputs, on the defender's validation examples, clean inputs and triggered inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.attacks.attack import Attack
from anchorlab.data import Split
from anchorlab.data.inputs import MODEL_INPUTS, joined, kind_of
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors import DETECTORS
from anchorlab.detectors.base import FeatureDetector, InputDetector, checked_scores, features_and_predictions
from anchorlab.errors import AnchorlabError
from anchorlab.seeding import generator

#: Triggered inputs for each clean input, in a set that is judged as a whole.
_SHARE = 0.05


class TrialScores(NamedTuple):
    """A detector's scores of the three parts, float64 ``[n]`` each."""

    validation: NDArray[np.float64]
    clean: NDArray[np.float64]
    triggered: NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Several parts as one batch, in an order that does not tell them apart.

    Attributes:
        inputs: of all parts, N examples.
        order: which example of the parts, one after another, each of them is, int64 ``[N]`` on the CPU.
        sizes: number of examples of each part.
    """

    inputs: dict[str, Tensor]
    order: Tensor
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, parts: Sequence[Mapping[str, Tensor]], seed: int) -> Mixture:
        """Parts of one form, mixed by a seed."""
        sizes = tuple(len(next(iter(part.values()))) for part in parts)
        order = torch.randperm(sum(sizes), generator=generator(seed, "mixture"))
        whole = reduce(joined, parts)
        return cls({name: value[order.to(value.device)] for name, value in whole.items()}, order, sizes)

    def separated(self, scores: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """The mixture's scores, float64 ``[N]``, as one array for each part, in the order of that part."""
        return np.split(scores[self.order.argsort().numpy()], np.cumsum(self.sizes)[:-1])


@dataclass(frozen=True)
class Trial:
    """A model and the inputs that detectors score.

    Attributes:
        model: the model, on the device.
        data: all data that the defender has.
        context: the defender's context.
        split: the split of the clean inputs and of the inputs that get the trigger.
        attack: puts the trigger on inputs.
        examples: number of clean inputs, half of the split at most; None for all of the split as both.
        seed: seed of the draw.
    """

    model: nn.Module
    data: DefenderData
    context: DefenderContext
    split: Split
    attack: Attack
    examples: int | None
    seed: int

    def scores(self, detector: InputDetector) -> TrialScores:
        """A detector's scores of the three parts, which it gets mixed, so that no order tells them apart."""
        mixture = self.whole_set if detector.is_set_level else Mixture.of(self.parts(is_set_level=False), self.seed)
        if isinstance(detector, FeatureDetector):
            scores = detector.scores_of_features(*self.features, self.context)
        else:
            scores = detector.scores(self.model, self.data, mixture.inputs, self.context)
        return TrialScores(*mixture.separated(checked_scores(scores, sum(mixture.sizes), DETECTORS.label(detector))))

    def parts(self, *, is_set_level: bool) -> list[dict[str, Tensor]]:
        """Validation, clean and triggered inputs; only a few triggered ones if a set is judged as a whole."""
        order = torch.randperm(len(self.split), generator=generator(self.seed, "inputs"))
        # Unless all are wanted, triggered and clean inputs are different ones.
        count = len(order) if self.examples is None else min(self.examples, max(1, len(order) // 2))
        clean, rest = order[:count], order if self.examples is None else order[count:]
        attacked = rest[self.attack.label_rule.applies(self.split.labels)[rest]][: self.examples]
        if len(attacked) == 0:
            raise AnchorlabError(
                "the attack's label rule attacks none of the inputs to score: take another split or more examples"
            )
        if is_set_level:
            attacked = attacked[: max(1, round(_SHARE * len(clean)))]
        clean_inputs, attacked_inputs = (
            self.split.select(indices).to(self.context.device).inputs for indices in (clean, attacked)
        )
        return of_one_form([self.data.validation.inputs, clean_inputs, self.attack.apply(attacked_inputs)])

    @cached_property
    def whole_set(self) -> Mixture:
        """The set that is judged as a whole."""
        return Mixture.of(self.parts(is_set_level=True), self.seed)

    @cached_property
    def features(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The features of the set before the last layer, float64 ``[N, D]``, and predictions, int64 ``[N]``."""
        return features_and_predictions(self.model, self.whole_set.inputs)


def of_one_form(parts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Inputs whose form does not show which of them carry a trigger: only model inputs, texts padded to one width."""
    if kind_of(parts[0]) != "text":
        return [dict(part) for part in parts]
    width = max(part["input_ids"].shape[1] for part in parts)
    return [
        {name: functional.pad(part[name], (0, width - part[name].shape[1])) for name in MODEL_INPUTS} for part in parts
    ]
