"""How methods are compared at one common ASR, and how many runs have a value there, in sentences."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from anchorlab.reports.suite.sentences import listed
from anchorlab.statistics.counted import several
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.success import TOLERANCE, works
from anchorlab.suites.walk import FACTORS


def equal_in_words(results: SuiteResults, shows: Callable[[str], bool] = lambda label: True) -> list[str]:
    """Sentences on failed runs and on the common ASR; of the latter nothing if no run was measured at several scales.

    Args:
        results: of the suite, finished or not.
        shows: whether a method or control, by its label, is counted.
    """
    runs, equal = (_shown(frame, shows) for frame in (results.results, results.equal))
    runs = runs[runs["target_asr"].notna()] if len(runs) else runs
    if not len(runs):
        return []
    runs = runs.drop_duplicates(["identity", "target_asr"])  # one may be reported at two targets, and fail at one
    reported = set(runs["identity"])
    working = set(runs.loc[works(runs), "identity"])
    failed = int((~works(runs)).sum())
    counted = "run" if len(runs) == len(reported) else "run at a target"
    plural = None if len(runs) == len(reported) else "runs at their targets"
    rule = (
        f"A run whose ASR lies more than {100 * TOLERANCE:g} points below its target has failed: it is counted, and "
        "left out of every mean of consistency. "
        f"{failed:,} of {several(len(runs), counted, plural)} did."
    )
    if not len(equal):
        return [rule]
    at_all = "" if len(runs) == len(reported) else " at every target"
    walked = set(equal["identity"]) & reported
    bracketed = set(equal.loc[equal["scale_below"].notna(), "identity"]) & working
    return [
        rule,
        f"A weaker backdoor changes less, so methods are also compared at one common ASR{_where(equal)}. For this, "
        f"{len(walked):,} of {several(len(reported), 'reported run')} with a backdoor were measured on test at further "
        f"factors of their whole perturbation, from {FACTORS[0]:g} to {FACTORS[-1]:g} times the reported one, step by "
        "step until two neighbouring factors bracket this ASR. Nothing is chosen by these measurements.",
        "Between the two factors, each measurement is read off at the common ASR: the logarithm of divergences, "
        "distances and losses, and every other measurement as it is, is taken as linear in the logit of ASR, with ASR "
        "counted as (hits + 1/2) / (attacked + 1). Nothing is extrapolated: a run that no two factors bracket has no "
        "value and is in no mean at the common ASR. "
        f"Of the {several(len(working), 'run')} that did not fail{at_all}, {len(bracketed):,} "
        f"{'has' if len(bracketed) == 1 else 'have'} a value.",
    ]


def _shown(frame: pd.DataFrame, shows: Callable[[str], bool]) -> pd.DataFrame:
    return frame[[bool(shows(str(label))) for label in frame["method"]]] if len(frame) else frame


def _where(equal: pd.DataFrame) -> str:
    """The common ASR, by task where tasks differ."""
    by_task = equal.drop_duplicates(["task", "common_asr"])
    if len(by_task["common_asr"].unique()) == 1:
        return f" of {by_task['common_asr'].iloc[0]:g}"
    return f" ({listed(f'{row.common_asr:g} on {row.task}' for row in by_task.itertuples())})"
