"""Neural Cleanse: a label that a small patch reaches stands out among the labels.

Wang et al. 2019, Neural Cleanse, IEEE S&P. For each label the smallest trigger is searched for
(``anchorlab.defender.inversion``); the score is how many deviations, by the median and the median absolute deviation,
the smallest norm lies below the others: the paper's anomaly index. The paper calls a model backdoored above 2; clean
models exceed 2 too, so that the threshold is left to a population of clean models. Each label is searched for from
several starts, whose spread ``details`` shows, and its norm is the smallest norm of a start that succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.inversion import InversionSettings, InvertedTriggers, invert_triggers, succeeded
from anchorlab.detectors.base import ModelDetector, ModelScore, details_of
from anchorlab.settings import LARGEST_REPETITION, STRICT
from anchorlab.statistics.deviations import deviations


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NeuralCleanse(InversionSettings, ModelDetector):
    """Searches for the smallest trigger of each label."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("wang2019neural",)
    modality: ClassVar[Modality] = "image"
    min_classes: ClassVar[int] = 3

    quick_values: ClassVar[Mapping[str, Any]] = {"steps": 3, "restarts": 1}

    restarts: int = Field(default=3, ge=1, le=LARGEST_REPETITION, description="starts of the search for each label")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``; for one label and one start."""
        del examples
        return self.steps * self.images

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """See ``ModelDetector``."""
        triggers = invert_triggers(
            model,
            data.train.inputs["pixel_values"],
            range(data.classes),
            self,
            seed=context.derive("neural-cleanse"),
            restarts=range(self.restarts),
            report=lambda done: context.report(done, self.steps, {}),
        )
        return scored(triggers, self.restarts, self.shortage(len(data.train)))


def scored(triggers: InvertedTriggers, restarts: int, shortage: str = "") -> ModelScore:
    """The score of a search for each label, with its pairs in the order label by label.

    Args:
        triggers: what was found.
        restarts: starts for each label.
        shortage: why the search was too short for any trigger to succeed, for the note.
    """
    works = succeeded(triggers)
    details = details_of(
        {
            "label": triggers.labels.tolist(),
            "restart": list(range(restarts)) * (len(triggers.labels) // restarts),
            "norm": triggers.norms.tolist(),
            "success": triggers.success.tolist(),
            "found": works.tolist(),
        }
    )
    smallest = details[details["found"]].groupby("label")["norm"].min()
    missing = sorted(set(details["label"]) - set(smallest.index))
    note = f"no trigger was found for {len(missing)} of {details['label'].nunique()} labels" if missing else ""
    if len(smallest) < 3:
        why = shortage or f"{note}, too few to compare: search longer, by steps"
        return ModelScore(float("nan"), details, why)
    index = -deviations(smallest.to_numpy())
    details["anomaly_index"] = details["label"].map(dict(zip(smallest.index, index, strict=True)))
    best = details[details["found"]].groupby("label")["norm"].idxmin().to_numpy()
    rows = torch.from_numpy(best[np.argsort(-index, kind="stable")]).to(triggers.labels.device)
    stamped = triggers.masks[rows, None] * triggers.patterns[rows]
    return ModelScore(
        float(np.max(index)), details, note, stamped.round().to(torch.uint8).cpu(), triggers.labels[rows].cpu()
    )
