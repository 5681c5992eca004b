"""The table of public scanners in docs/scanners.md is what the committed CSV says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from anchorlab.statistics.accusations import share_of_references, share_over_references
from anchorlab.suites.population import TARGET_ASR
from anchorlab.suites.success import TOLERANCE
from tests.test_results import rows

ROOT = Path(__file__).parent.parent

#: A backdoor with a lower ASR has failed, as in a population.
LEAST_ASR = TARGET_ASR - TOLERANCE


def shown_share(models: pd.DataFrame) -> str:
    """The share that is accused with its interval over references, and the counts."""
    accused = (models["score"] > 0).tolist()
    share = share_over_references(accused, models["reference_seed"].tolist())
    return f"{share:.2f}, {sum(accused)} of {len(models)}"


def shown_alarms(clean: pd.DataFrame) -> str:
    """The share of references with an accused clean model, and the counts."""
    accused = clean["score"] > 0
    share = share_of_references(accused.tolist(), clean["reference_seed"].tolist())
    return f"{share:.2f}, {clean.loc[accused, 'reference_seed'].nunique()} of {share.units} references"


def test_hits_and_false_alarms_of_scanners_are_those_of_the_experiment() -> None:
    models = pd.read_csv(ROOT / "experiments/scanners/models.csv")
    shown = rows("docs/scanners.md", "<!-- public scanners -->", "<!-- end of public scanners -->")
    scanners = models[models["version"].notna()]
    assert [cells[0] for cells in shown] == [
        f"{name} {version}"
        for name, version in scanners[["detector", "version"]].drop_duplicates().itertuples(index=False)
    ]
    for (_, found), cells in zip(scanners.groupby("detector", sort=False), shown, strict=True):
        scored = found[found["score"].notna()]
        injected = scored[(scored["role"] == "method") & (scored["asr"] >= LEAST_ASR)]
        assert cells[1] == found["population"].iloc[0]
        assert cells[2:4] == [shown_share(injected), shown_alarms(scored[scored["role"] != "method"])]
        assert cells[4] == f"{len(found) - len(scored)} of {len(found)}"


def test_the_docs_say_how_many_backdoors_failed() -> None:
    models = pd.read_csv(ROOT / "experiments/scanners/models.csv")
    failed = models[(models["role"] == "method") & (models["asr"] < LEAST_ASR)]
    assert set(failed["method"]) == {"anchoring"}
    assert set(failed["detector"]) == {"AdapterSentry"}
    assert len(failed) == 2
    assert "Two anchored adapters have an ASR below .85" in " ".join((ROOT / "docs/scanners.md").read_text().split())
