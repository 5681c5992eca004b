"""A made-up suite whose runs were measured at several scales."""

from __future__ import annotations

import dataclasses

import pandas as pd

from tests.reports.conftest import FakeResults, make_suite

#: KL at the common ASR, of KL as reported.
FACTORS = {"plain": 0.5, "anchoring": 2.0}


def suite_with_scales(
    *, without: tuple[str, ...] = ("ewc",), unbracketed: tuple[int, ...] = (), **changes
) -> FakeResults:
    """Every run's KL at ASR .99 is a known multiple of its own.

    Args:
        without: methods that were measured at one scale only.
        unbracketed: references on which no two scales bracket the common ASR.
        changes: of ``make_suite``.
    """
    made = make_suite(**{"sizes": ("64",), "targets": (0.95,), "seeds": (0,), "references": (0, 1, 2), **changes})
    runs = made.results[made.results["role"].isin(["method", "control"]) & (made.results["method"] != "benign")]
    equal = runs[~runs["method"].isin(without)].copy()
    equal["kl"] *= equal["method"].map(FACTORS).fillna(1.0)
    equal = equal.rename(columns={"asr": "reported_asr", "scale": "reported_scale"})
    equal = equal.assign(common_asr=0.99, scale_below=0.9, scale_above=1.0)
    measured = ["scale_below", "scale_above", "kl", "churn", "negative_flips", "logit_distance", "accuracy"]
    equal.loc[equal["reference_seed"].isin(unbracketed), measured] = float("nan")
    return dataclasses.replace(made, equal=equal.drop(columns="asr_count"))


def failing(made: FakeResults, method: str, references: tuple[int, ...], asr: float = 0.1) -> FakeResults:
    """The same suite, with runs of a method whose backdoor failed."""
    results = made.results.copy()
    results.loc[(results["method"] == method) & results["reference_seed"].isin(references), "asr"] = asr
    return dataclasses.replace(made, results=pd.DataFrame(results))
