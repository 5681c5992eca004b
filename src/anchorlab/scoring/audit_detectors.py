"""Every detector that applies to the two models of an audit, and why the others do not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import in_order_of
from anchorlab.data import Split, Task
from anchorlab.detectors import DETECTORS
from anchorlab.detectors.base import InputDetector, ModelDetector
from anchorlab.detectors.command import Command
from anchorlab.errors import AnchorlabError, first_line, reason
from anchorlab.progress import parts_bar
from anchorlab.scoring.detect import score_model
from anchorlab.scoring.rank_inputs import RATE, JudgedInputs, is_high, judge_inputs

#: Most queries that detectors of inputs judge, because some of them take many passes for each.
QUERIES = 500


@dataclass(frozen=True)
class DetectorResult:
    """What one detector says of the candidate and, as a clean comparison, of the reference.

    Attributes:
        name: its registered name.
        judges: what it scores.
        candidate: of models, the score; of inputs, the share of the queries that score higher than 95% of the
            defender's held-back clean examples. None if there is none.
        reference: the same of the reference.
        meaning: what the number is.
        note: a remark that a reader needs.
    """

    name: str
    judges: Literal["models", "inputs", "sets of inputs"]
    candidate: float | None
    reference: float | None
    meaning: str
    note: str = ""


@dataclass(frozen=True)
class NotTested:
    """What was not tested, and why."""

    what: str
    why: str


def run_detectors(
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    *,
    task: Task,
    queries: Split,
    queries_from: str,
    defender_data: int | None,
    seed: int,
) -> tuple[list[DetectorResult], list[NotTested]]:
    """Runs every registered detector that applies, on both models, with the defender's clean examples.

    A detector that fails is among what was not tested, so that an audit of an hour does not end with it.

    Args:
        reference: the trusted model.
        candidate: the model that is audited.
        task: the data as both models read them.
        queries: the queries of the audit; detectors of inputs judge the first ones.
        queries_from: the name of their split.
        defender_data: number of clean examples of the defender; None for all.
        seed: seed of all draws.
    """
    results: list[DetectorResult] = []
    untested: list[NotTested] = []
    candidate = in_order_of(reference, candidate, task)
    names = [name for name in DETECTORS.names() if not issubclass(DETECTORS[name], Command)]  # it needs a program
    with parts_bar("detectors", len(names)) as report:
        for number, name in enumerate(names, 1):
            report(number - 1)
            title = f"detector {number} of {len(names)}, {name}"
            try:
                detector = DETECTORS.build(name)
                if detector.modality not in ("any", task.kind):
                    raise AnchorlabError(f"it is for {detector.modality}s, and these are {task.kind}s")
                if isinstance(detector, ModelDetector):
                    results.append(_of_models(name, detector, reference, candidate, task, defender_data, seed, title))
                    continue
                if queries_from == "defender":
                    raise AnchorlabError("the queries are the defender's own examples, which it learns from")
                results.append(
                    _of_inputs(name, detector, reference, candidate, task, queries, defender_data, seed, title)
                )
            except AnchorlabError as error:
                untested.append(NotTested(f"the detector {name}", first_line(error)))
            except Exception as error:  # a detector of a third party may fail in any way
                untested.append(NotTested(f"the detector {name}", f"it failed ({reason(error)})"))
        report(len(names))
    return results, untested


def _of_models(
    name: str,
    detector: ModelDetector,
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    task: Task,
    defender_data: int | None,
    seed: int,
    title: str,
) -> DetectorResult:
    scores = [
        score_model(model, detector, defender_data=defender_data, task=task, seed=seed, title=f"{title}, {which}")
        for which, model in (("the candidate", candidate), ("the reference", reference))
    ]
    notes = [f"{of}: {score.note}" for of, score in zip(("candidate", "reference"), scores, strict=True) if score.note]
    first, second = (score.score if math.isfinite(score.score) else None for score in scores)
    return DetectorResult(
        name, "models", first, second, "score of the model; the higher, the more suspicious", "; ".join(notes)
    )


def _of_inputs(
    name: str,
    detector: InputDetector,
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    task: Task,
    queries: Split,
    defender_data: int | None,
    seed: int,
    title: str,
) -> DetectorResult:
    judged = queries if len(queries) <= QUERIES else _first(queries)
    both = []
    for which, model in (("the candidate", candidate), ("the reference", reference)):
        found = judge_inputs(
            model,
            {name: detector},
            judged,
            task=task,
            defender_data=defender_data,
            seed=seed,
            title=f"{title}, {which}",
        )
        both.append(found)
    shares = [float(is_high(found.clean_shares[name]).mean()) for found in both]
    return DetectorResult(
        name,
        "sets of inputs" if detector.is_set_level else "inputs",
        shares[0],
        shares[1],
        f"share of {len(judged):,} queries that score higher than {1 - RATE:.0%} of the defender's "
        f"{both[0].validation_count:,} clean examples do{_usual(name, both)}",
    )


def _usual(name: str, both: Sequence[JudgedInputs]) -> str:
    """What share is usual of clean examples with each model, in words; nothing where too few of them were judged."""
    usual = [f"{found.usual_shares[name]:.2g}" for found in both if name in found.usual_shares]
    if len(usual) < len(both):
        return ""
    shown = usual[0] if len(set(usual)) == 1 else f"{usual[0]} with the candidate and {usual[1]} with the reference"
    return f"; of the clean ones among themselves it is {shown}"


def _first(queries: Split) -> Split:
    return queries.select(torch.arange(QUERIES))


def untestable(*, stored: bool, labels_alone: bool, probabilities_alone: bool) -> Iterator[NotTested]:
    """What no audit of this form can test.

    Args:
        stored: whether stored answers were given in place of models.
        labels_alone: whether they are labels.
        probabilities_alone: whether they are probabilities.
    """
    yield NotTested(
        "what a trigger does",
        "no trigger is known, and the queries are clean: what a model does on triggered inputs, no clean query shows",
    )
    if labels_alone:
        yield NotTested("probabilities and logits", "labels alone were given: store logits, which show more")
    elif probabilities_alone:
        yield NotTested("logits", "probabilities alone were given: store logits, which show more")
    if stored:
        yield NotTested("detectors", "only stored answers were given, and a detector needs the model itself")
        yield NotTested("weights and gradients", "only stored answers were given")
    else:
        yield NotTested("the weights", "an audit compares answers: 'anchorlab analyze' compares weights")
