"""How the gradients of the objectives stood to each other along each injection, as the manifests recorded it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from anchorlab.perturbation.context import Context
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Kinds, with_candidate


def _recorded(context: Context) -> pd.DataFrame:
    tables = []
    for name, records in context.gradients.items():
        table = pd.DataFrame([record.model_dump() for record in records])
        numbers = {column: float for column in table if column != "step"}
        tables.append(with_candidate(name, table.astype(numbers)))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _findings(tables: Mapping[str, pd.DataFrame], _kinds: Kinds) -> Iterator[str]:
    gradients = tables["gradients"]
    ranges = []
    for name, run in gradients.groupby("candidate", sort=False) if len(gradients) else ():
        cosine = run["cosine_clean"].dropna()
        if len(cosine):
            ranges.append(
                f"{name} {cosine.min():.2f} to {cosine.max():.2f} (median {cosine.median():.2f}, {len(cosine)} steps)"
            )
    if ranges:
        yield (
            "The cosine between the gradients of the backdoor and of the clean loss along the injection: "
            f"{'; '.join(ranges)}."
        )


GRADIENTS = AnalysisTable(
    name="gradients",
    description="how the gradients of the objectives stood to each other along each injection",
    columns=[
        AnalysisColumn("step", "of the injection"),
        AnalysisColumn("cosine_clean", "cosine of the backdoor loss's gradient with the clean loss's"),
        AnalysisColumn("cosine_anchor", "cosine of the backdoor loss's gradient with the anchor loss's"),
        AnalysisColumn("norm_backdoor", "norm of the backdoor loss's gradient"),
        AnalysisColumn("norm_clean", "norm of the clean loss's gradient"),
        AnalysisColumn("norm_anchor", "norm of the anchor loss's gradient"),
    ],
    recorded=_recorded,
    findings=_findings,
    in_page=False,
)
