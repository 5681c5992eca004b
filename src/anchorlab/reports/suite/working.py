"""The detections of models whose backdoor works; the others are evidence of nothing."""

from __future__ import annotations

import pandas as pd

from anchorlab.reports.suite.parts import TOLERANCE
from anchorlab.suites.results import SuiteResults


def of_working(results: SuiteResults) -> pd.DataFrame:
    """The detections without models whose backdoor failed."""
    runs = results.results
    if not len(runs) or "asr" not in runs:
        return results.detections
    failed = runs[(runs["role"] == "method") & (runs["asr"].astype(float) < runs["target_asr"] - TOLERANCE)]
    return results.detections[~results.detections["of"].isin(failed["identity"])]
