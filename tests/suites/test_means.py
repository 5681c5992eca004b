"""Means of reported runs: of those whose backdoor works, with the others counted."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from anchorlab.suites.means import means_frame, plot_means

PLACE = {"task": "digits", "model": "tiny", "trigger": "five-pixel", "rule": "all-to-one", "target": 0}


def run(reference: int, kl: float, asr: float, **more: Any) -> dict[str, Any]:
    return {
        **PLACE, "anchors_asked": "all", "target_asr": 0.95, "method": "anchoring", "role": "method", "seed": 0,
        "reference_seed": reference, "identity": f"{reference}{asr}", "kl": kl, "asr": asr, **more,
    }  # fmt: skip


def no_table(identity: str) -> Any:
    raise AssertionError(f"fewer than three references have no interval, and need no table of {identity}")


def test_a_run_whose_backdoor_failed_is_counted_and_in_no_mean() -> None:
    runs = pd.DataFrame([run(0, 0.02, 0.99), run(1, 0.02, 0.97), run(2, 0.0001, 0.4), run(0, 0.5, 0.1, method="plain")])
    means = means_frame(runs, no_table, ["kl", "asr"])
    ours, plain = means.to_dict("records")
    assert (ours["references"], ours["runs"], ours["failed"]) == (2, 2, 1)
    assert ours["kl"] == pytest.approx(0.02)
    assert ours["asr"] == pytest.approx(0.98)
    assert (plain["references"], plain["runs"], plain["failed"]) == (0, 0, 1)
    assert plain["kl"] is None or plain["kl"] != plain["kl"]
    assert plot_means(runs, means, "kl").axes
