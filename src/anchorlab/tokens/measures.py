"""What is measured at each scored token: rows of both models' logits to columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.errors import AnchorlabError
from anchorlab.statistics.arrays import Integers
from anchorlab.tokens.divergences import divergences
from anchorlab.tokens.measurements import TOP
from anchorlab.tokens.tops import Tops, overlap, ranks

#: Name of a column to its values, ``[n]``.
Columns = Mapping[str, NDArray[Any]]


def token_columns(reference: NDArray[Any], candidate: NDArray[Any], true: Integers) -> Columns:
    """The columns of rows of logits, in float64 from the logits as they are; see ``measurements.COLUMNS``.

    Beside them ``top_reference`` and ``top_candidate``, the likeliest token of each model, int64.

    Args:
        reference: the reference's logits, float32 or float64 ``[n, V]``; ``-inf`` is mass 0.
        candidate: the candidate's.
        true: the token that follows, int64 ``[n]``.

    Raises:
        AnchorlabError: for a logit that is NaN or +inf, a row without any finite logit, or other numbers of entries.
    """
    if reference.shape != candidate.shape:
        raise AnchorlabError(
            f"the reference answers with {reference.shape[1]:,} logits a token and the candidate with "
            f"{candidate.shape[1]:,}: compare models of one vocabulary"
        )
    k = min(TOP, reference.shape[1])
    with np.errstate(invalid="ignore"):
        first, second = Tops.of(_checked(reference, "reference"), k), Tops.of(_checked(candidate, "candidate"), k)
    top = first.tokens[:, 0]
    found = divergences(reference, candidate, true, top, np.minimum(first.least, second.least))
    return {
        "kl": found.kl,
        "kl_reverse": found.kl_reverse,
        "js": found.js,
        "delta_p": found.delta_p,
        "nll_reference": found.nll_reference,
        "nll_candidate": found.nll_candidate,
        "same_top": top == second.tokens[:, 0],
        "top_overlap": overlap(first.tokens, second.tokens),
        "rank": ranks(candidate, top, second),
        "margin": first.values[:, 0].astype(np.float64) - first.values[:, 1],
        "top_reference": top,
        "top_candidate": second.tokens[:, 0],
    }


def _checked(logits: NDArray[Any], model: str) -> NDArray[Any]:
    largest = logits.max(axis=1)  # NaN if one is
    if not np.isfinite(largest).all():
        raise AnchorlabError(
            f"the {model} answers with logits that are NaN or +inf, or that rule out every token: a number became "
            "too large for its precision, so open it in float32, or train it again"
        )
    return logits
