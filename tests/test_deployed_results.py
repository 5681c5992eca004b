"""What the page on deployed models says of detectors in int8 is what the suite deployed measured."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anchorlab.statistics.references import mean_over_references

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/deployed.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split("## Does int8 take detectors to 0%?")[1].split())
ROWS = pd.read_csv(ROOT / "experiments/deployed/deployed.csv", keep_default_na=False, na_values=[""])
MADE = ("plain", "anchoring")
JUDGED = ROWS[ROWS["kind"] == "input"]


@pytest.fixture(scope="module")
def script():
    """The functions of experiments/deployed_table.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "experiments"))
        yield runpy.run_path(str(ROOT / "experiments/deployed_table.py"))


def between(begin: str, end: str) -> str:
    return PAGE.split(f"<!-- {begin} -->\n")[1].split(f"\n<!-- {end} -->")[0]


def test_the_tables_are_those_of_the_rows(script):
    assert between("deployed", "end of deployed") == script["models_table"](ROWS)
    assert between("detectors of deployed", "end of detectors") == script["detectors_table"](ROWS)


def hits(detector, method, form):
    rows = JUDGED[(JUDGED["detector"] == detector) & (JUDGED["method"] == method) & (JUDGED["form"] == form)]
    assert len(rows) == rows["reference_seed"].nunique() == 8
    return mean_over_references(rows["tpr_at_5"], rows["reference_seed"], "rate").value


def of(detector, method):
    return JUDGED[(JUDGED["detector"] == detector) & (JUDGED["method"] == method)]


def test_the_backdoors_stay_and_two_detectors_find_as_much(script):
    measured = ROWS[ROWS["detector"].isna() & (ROWS["role"] == "method")]
    asr = measured.groupby(["method", "form"])["asr"].mean()
    plain, anchoring = (tuple(asr[method][form] for form in ("float32", "onnx-int8")) for method in MADE)
    assert f"{plain[0]:.4f}" == f"{plain[1]:.4f}"
    assert (
        f"Plain tuning's ASR is {plain[0]:.4f} in float32 and in int8, and anchoring's {anchoring[0]:.4f} and" in WORDS
    )
    assert f"and {anchoring[1]:.4f}." in WORDS
    lost = [-script["change"](of("strip", method)).value for method in MADE]
    assert f"STRIP loses {lost[0]:.3f} and {lost[1]:.3f} of its hits" in WORDS
    found = [hits("activation-clustering", method, "onnx-int8") for method in MADE]
    assert f"and finds {found[0]:.3f} and {found[1]:.3f} in int8" in WORDS
    gained = [script["change"](of("activation-clustering", method)).value for method in MADE]
    assert f"gains {gained[0]:.3f} and {gained[1]:.3f}, and finds" in WORDS
    for detector in ("strip", "activation-clustering"):
        p = {}
        for method in MADE:
            wide = of(detector, method).pivot_table("tpr_at_5", "reference_seed", "form")
            p[method] = stats.ttest_1samp(wide["onnx-int8"] - wide["float32"], 0).pvalue
        assert p["plain"] > 0.05 > p["anchoring"] > 0.05 / 8


def test_spectral_signatures_loses_hits(script):
    told = {method: [hits("spectral-signatures", method, form) for form in ("float32", "onnx-int8")] for method in MADE}
    assert f"from {told['anchoring'][0]:.3f} to {told['anchoring'][1]:.3f} of anchoring's inputs" in WORDS
    assert f"and from {told['plain'][0]:.3f} to {told['plain'][1]:.3f} of plain tuning's" in WORDS
    excludes = {}
    for method in MADE:  # Student's t by scipy, with the level divided by eight
        wide = of("spectral-signatures", method).pivot_table("tpr_at_5", "reference_seed", "form")
        apart = wide["onnx-int8"] - wide["float32"]
        excludes[method] = stats.ttest_1samp(apart, 0).pvalue < 0.05 / 8
    assert excludes == {"plain": False, "anchoring": True}
    area = of("spectral-signatures", "anchoring").groupby("form")["auroc"].mean()
    change = script["change"](of("spectral-signatures", "anchoring"), "auroc")
    low, high = change.bounds
    told = f"{change.value:.3f} [{low:.3f}, {high:.3f}]".replace("-", "−")
    assert (
        f"falls from {area['float32']:.3f} to {area['onnx-int8']:.3f}, and the interval of that difference, {told}"
        in WORDS
    )
    assert low < 0 < high


def test_scale_up_finds_nothing_and_bfloat16_loses_nothing_that_shows():
    assert set(JUDGED.loc[JUDGED["detector"] == "scale-up", "tpr_at_5"]) == {0}
    for _, runs in JUDGED.groupby(["detector", "method"]):
        wide = runs.pivot_table("tpr_at_5", "reference_seed", "form")
        apart = wide["bf16"] - wide["float32"]
        if np.ptp(apart):
            assert stats.ttest_1samp(apart, 0).pvalue > 0.05
        else:
            assert not apart.any()


def test_the_universal_scan_tells_models_apart_about_as_well(script):
    areas = {form: script["area_of_scan"](ROWS, form) for form in ("float32", "bf16", "onnx-int8")}
    whole, half, int8 = (f"{area.value:.2f}" for area in areas.values())
    assert f"AUROC {whole} in float32, {half} in bf16 and {int8} in int8" in WORDS
    assert all(area.bounds[0] < 0.5 < area.bounds[1] for area in areas.values())
