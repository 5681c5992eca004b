"""What is measured at each scored token: rows of both models' logits to columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.errors import AnchorlabError
from anchorlab.statistics.arrays import Integers
from anchorlab.tokens.base_reference import DEPTH
from anchorlab.tokens.divergences import divergences
from anchorlab.tokens.measurements import TOP
from anchorlab.tokens.tops import Tops, overlap, ranks

#: Name of a column to its values, ``[n]``.
Columns = Mapping[str, NDArray[Any]]


#: From rows of both models and the tokens that follow to the rows of which divergences are made.
Lumped = Callable[[Any, Any, Integers], tuple[Any, Any]]


def token_columns(
    reference: NDArray[Any], candidate: NDArray[Any], true: Integers, lumped: Lumped | None = None
) -> Columns:
    """The columns of rows of logits, in float64 from the logits as they are; see ``measurements.COLUMNS``.

    Beside them ``top_reference`` and ``top_candidate``, the likeliest token of each model, int64.

    Args:
        reference: the reference's logits, float32 or float64 ``[n, V]``; ``-inf`` is mass 0.
        candidate: the candidate's.
        true: the token that follows, int64 ``[n]``.
        lumped: makes some tokens one before divergences are made; None where all are known.

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
    least, same = np.minimum(first.least, second.least), overlap(first.tokens, second.tokens)
    margin = first.values[:, 0].astype(np.float64) - first.values[:, 1]
    ours, theirs = reference, candidate
    if lumped is not None:
        ours, theirs = lumped(reference, candidate, true)
        least = np.minimum(ours.min(axis=1), theirs.min(axis=1))
        known = np.isfinite(first.values)
        same = (known & (first.tokens[:, :, None] == second.tokens[:, None, :]).any(axis=2)).sum(axis=1)
        same = same / known.sum(axis=1)
        margin = np.where(np.isfinite(margin), margin, DEPTH)
    found = divergences(ours, theirs, true, top, least)
    return {
        "kl": found.kl,
        "kl_reverse": found.kl_reverse,
        "js": found.js,
        "delta_p": found.delta_p,
        "nll_reference": found.nll_reference,
        "nll_candidate": found.nll_candidate,
        "same_top": top == second.tokens[:, 0],
        "top_overlap": same,
        "rank": ranks(candidate, top, second),
        "margin": margin,
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
