"""Whether the backdoor of a reported run works, and whether it reaches its target."""

from __future__ import annotations

import pandas as pd

#: A run whose ASR lies this far below its target has no backdoor that counts: what it preserves is no evidence.
TOLERANCE = 0.05


def works(runs: pd.DataFrame) -> pd.Series[bool]:
    """Whether the backdoor of each run works: its ASR is at most 5 points below its target, or it has no target."""
    asr, target = runs["asr"].astype(float).fillna(0.0), runs["target_asr"].astype(float)
    return ~(asr < target - TOLERANCE)


def below_target(runs: pd.DataFrame) -> int:
    """How many runs have an ASR below their target."""
    return int((runs["asr"].astype(float).fillna(0.0) < runs["target_asr"].astype(float)).sum())
