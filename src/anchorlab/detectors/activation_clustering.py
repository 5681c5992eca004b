"""Activation clustering: triggered inputs form their own small cluster in the features of a class.

Chen et al. 2018, Detecting Backdoor Attacks on Deep Neural Networks by Activation Clustering (arXiv 1811.03728). Of
each predicted class the features before the last layer are reduced to few dimensions by ICA and cut in two by 2-means.
The paper then judges whole clusters: by how well the class falls in two, its mean silhouette, and by their size. We
score an input by both: the silhouette of its class times ``1 - p``, where p is the share of the class that its cluster
holds. So a small cluster, well apart from the rest of its class, scores near 1. All of a cluster score alike. Where
more than half of the inputs that are predicted as a class are triggered, the clean inputs score higher, in the paper
too. ICA turns whitened principal components, and a turn changes no distance: clusters and silhouettes are the same
after whitening alone, so we whiten. Among dimensions of equal variance 2-means has many poor local optima; its many
starts make the result depend little on the draw.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.defender.context import DefenderContext
from anchorlab.detectors.base import FeatureDetector
from anchorlab.settings import STRICT

#: Directions with less of the first one's variance than this are rounding, which whitening would blow up.
_NEGLIGIBLE = 1e-8

#: Starts of 2-means. With scikit-learn's usual ten or fewer, two draws hardly agree on any cluster.
_STARTS = 1000


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ActivationClustering(FeatureDetector):
    """How small and how well apart an input's cluster is among the inputs of its predicted class."""

    cites: ClassVar[tuple[str, ...]] = ("chen2018detecting",)
    min_examples: ClassVar[int] = 0

    reduction: Literal["ica", "pca"] = Field(default="ica", description="how features are reduced")
    dimensions: int = Field(default=10, ge=1, description="dimensions of the reduced features")

    def scores_of_features(
        self, features: NDArray[np.float64], predicted: NDArray[np.int64], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``FeatureDetector``: between -1 and 1."""
        scores = np.zeros(len(features))
        for label in np.unique(predicted):
            members = predicted == label
            seed = context.derive("clusters", int(label)) % 2**32
            few = reduced(features[members], self.reduction, self.dimensions)
            scores[members] = cluster_scores(few, seed)
        return scores


def cluster_scores(rows: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Of each row of ``[n, d]``: the mean silhouette of two clusters, times one less the share of its own cluster.

    Zeros where there are no two clusters: for fewer than three rows, or rows that are all alike.
    """
    if len(rows) < 3 or rows.shape[1] == 0:
        return np.zeros(len(rows))
    from sklearn.cluster import KMeans  # late: takes a second, and the registry imports this file
    from sklearn.metrics import silhouette_score

    clusters = KMeans(2, n_init=_STARTS, random_state=seed).fit_predict(rows)
    shares = np.bincount(clusters, minlength=2) / len(rows)
    return np.asarray(silhouette_score(rows, clusters) * (1 - shares[clusters]), dtype=np.float64)


def reduced(rows: NDArray[np.float64], reduction: Literal["ica", "pca"], dimensions: int) -> NDArray[np.float64]:
    """Rows ``[n, D]`` in at most ``dimensions`` dimensions, fewer where they span fewer.

    For ``ica`` each has the same variance. There are none where n rows span n - 1 dimensions, because then all would
    be at the same distance from each other.
    """
    largest = min(dimensions, len(rows) - 1, rows.shape[1])
    if largest < 1 or not np.ptp(rows, axis=0).any():
        return rows[:, :0]
    from sklearn.decomposition import PCA  # late: as above

    main = PCA(largest, svd_solver="full").fit(rows)
    kept = main.explained_variance_ > _NEGLIGIBLE * main.explained_variance_[0]
    principal = np.asarray(main.transform(rows)[:, kept], dtype=np.float64)
    if reduction == "pca":
        return principal
    if principal.shape[1] == len(rows) - 1:
        return rows[:, :0]
    return np.asarray(principal / principal.std(axis=0), dtype=np.float64)
