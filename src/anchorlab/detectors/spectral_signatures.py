"""Spectral signatures: triggered inputs lie far out along the main direction of their class's features.

Tran, Li and Madry 2018, Spectral Signatures in Backdoor Attacks, NeurIPS (arXiv 1811.00636). Of each predicted class
the features before the last layer are centred, and an input's score is its squared projection on their top right
singular vector. The authors' code, and every copy that we know, leaves out the centring, which the paper's Algorithm 1
asks for: ``centred=false``. The paper removes the highest scores of each class of a training set; we score any set of
inputs, by the class that the model predicts, and compare scores over classes as they are.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.defender.context import DefenderContext
from anchorlab.detectors.base import FeatureDetector
from anchorlab.settings import LATER, STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SpectralSignatures(FeatureDetector):
    """The squared projection on the top singular vector of a predicted class's features."""

    cites: ClassVar[tuple[str, ...]] = ("tran2018spectral",)
    min_examples: ClassVar[int] = 0

    centred: bool = Field(
        default=True,
        description="subtract the mean of a class's features, as the paper does and its authors' code does not",
        json_schema_extra=LATER,
    )

    def scores_of_features(
        self, features: NDArray[np.float64], predicted: NDArray[np.int64], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``FeatureDetector``."""
        del context
        scores = np.zeros(len(features))
        for label in np.unique(predicted):
            members = predicted == label
            scores[members] = squared_projections(features[members], centred=self.centred)
        return scores


def squared_projections(rows: NDArray[np.float64], *, centred: bool = True) -> NDArray[np.float64]:
    """Of each row of ``[n, D]`` the squared projection on the top right singular vector of the centred rows, ``[n]``.

    Args:
        rows: features.
        centred: project the centred rows; False projects the rows as they are, as the authors' code does.
    """
    around = rows - rows.mean(0)
    _, _, directions = np.linalg.svd(around, full_matrices=False)
    return np.asarray(np.square((around if centred else rows) @ directions[0]), dtype=np.float64)
