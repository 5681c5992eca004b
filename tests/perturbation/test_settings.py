"""How closely an analysis looks: what is too little is refused."""

from __future__ import annotations

import pytest

from anchorlab import AnalysisSettings, AnchorlabError

LEAST = {
    "curvature_examples": 1,
    "diagonal_examples": 2,
    "statistics_examples": 2,
    "eigenvalues": 1,
    "trace_vectors": 2,
    "plane_steps": 3,
    "plane_examples": 1,
    "resamples": 100,
}


@pytest.mark.parametrize("name", LEAST)
def test_less_than_the_least_is_refused(name):
    assert getattr(AnalysisSettings(**{name: LEAST[name]}), name) == LEAST[name]
    with pytest.raises(AnchorlabError, match=f"greater than or equal to {LEAST[name]}"):
        AnalysisSettings(**{name: LEAST[name] - 1})
