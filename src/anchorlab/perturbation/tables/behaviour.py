"""What each candidate does on clean and on triggered examples, and what its weights or buffers alone would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pandas as pd
from torch import nn

from anchorlab.perturbation.context import Context
from anchorlab.perturbation.intervals import bounded
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.probe import success_rate
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Kinds, with_candidate
from anchorlab.perturbation.wording import REFERENCE, interval, rows_where


def _parts(context: Context) -> Iterator[Part]:
    names = context.candidates
    yield context.part("behaviour of the reference", names[:1], partial(_measure_reference, context, names[0]))
    for name in names:
        yield context.part(f"behaviour of {name}", [name], partial(_measure, context, name))


def _measure_reference(context: Context, name: str, _tick: Tick) -> Tables:
    """With the attack of a candidate."""
    row = _row(context, context.model, name, "all")
    return {"behaviour": with_candidate(REFERENCE, pd.DataFrame([row]))}


def _measure(context: Context, name: str, _tick: Tick) -> Tables:
    perturbation = context.perturbations[name]
    sides = {"all": perturbation}
    if perturbation.moves_buffers and perturbation.moves_parameters:
        sides |= {"weights": perturbation.weights_alone(), "buffers": perturbation.buffers_alone()}
    rows = [_row(context, context.space.at((1.0, side)), name, part) for part, side in sides.items()]
    return {"behaviour": with_candidate(name, pd.DataFrame(rows))}


def _row(context: Context, model: nn.Module, name: str, part: str) -> dict[str, Any]:
    values, triggered = context.probe.behaviour(model), context.triggered(name)
    row: dict[str, Any] = {"part": part}
    for metric in ("accuracy", "kl", "logit_distance", "churn"):
        row |= bounded(metric, context.resamples.estimate(getattr(values, metric)))
    successes = None if triggered is None else triggered.successes(model)
    row |= success_rate("asr", successes, triggered)
    return row | {"asr_count": 0 if triggered is None else triggered.count}


def _findings(tables: Mapping[str, pd.DataFrame], _kinds: Kinds) -> Iterator[str]:
    weights = {row["candidate"]: row for row in rows_where(tables["behaviour"], part="weights")}
    for row in rows_where(tables["behaviour"], part="buffers"):
        alone = weights[row["candidate"]]
        yield (
            f"Of {row['candidate']}, the buffers alone shift logits by {interval(row, 'logit_distance')} (mean "
            f"square; KL {interval(row, 'kl')}), the weights alone by {interval(alone, 'logit_distance')} (KL "
            f"{interval(alone, 'kl')})."
        )


BEHAVIOUR = AnalysisTable(
    name="behaviour",
    description="what each candidate does, and what its weights and its buffers alone would do",
    columns=[
        AnalysisColumn(
            "part",
            "``all`` of the perturbation, or its ``weights`` or ``buffers`` alone; the latter two only where both "
            "differ. The first row, of the candidate ``reference``, has the first candidate's attack",
        ),
        AnalysisColumn("accuracy", "share of clean examples predicted as their true class", has_interval=True),
        AnalysisColumn("kl", "mean KL divergence from the reference, nats", "KL", has_interval=True),
        AnalysisColumn("logit_distance", "mean squared shift of a logit", has_interval=True),
        AnalysisColumn("churn", "share of predictions that differ from the reference's", has_interval=True),
        AnalysisColumn("asr", "share of attacked examples predicted as the attacker wants", "ASR", has_interval=True),
        AnalysisColumn("asr_count", "number of attacked examples", "of"),
    ],
    parts=_parts,
    findings=_findings,
)
