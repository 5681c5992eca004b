"""The ending of ``anchorlab detect``: what each detector found, and what its score can mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anchorlab.consistency.cautions import FEW_ATTACKED
from anchorlab.detectors.command import FAILED, NO_PLACE
from anchorlab.statistics.numbers import significant
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table

if TYPE_CHECKING:
    from anchorlab.detectors.base import ModelScore
    from anchorlab.scoring.input_score import InputScore
    from anchorlab.statistics.estimate import Estimate

_COLUMNS = (
    Column("judges", "judges", is_text=True),
    Column("result", "result", is_text=True),
    Column("beside", "beside it", is_text=True),
)


def detection_table(
    caption: str,
    of_models: Mapping[str, ModelScore],
    clean: Mapping[str, Sequence[ModelScore]],
    of_inputs: Mapping[str, InputScore],
) -> Table:
    """A row for each detector.

    Args:
        caption: what was judged.
        of_models: detectors of models to their scores.
        clean: the same to their scores of clean models.
        of_inputs: detectors of inputs to their scores.
    """
    rows = [
        Row(name, (Cell("the model"), Cell(f"score {_number(score.score)}"), Cell(_listed(clean.get(name, ())))))
        for name, score in of_models.items()
    ]
    for name, found in of_inputs.items():
        rate = max(found.tpr)
        cells = (
            Cell("inputs"),
            Cell(f"AUROC {_value(found.auroc)}"),
            Cell(f"TPR {_value(found.tpr[rate])} at an FPR of {rate:.0%}"),
        )
        rows.append(Row(name, cells))
    return Table("detections", caption, "detector", _COLUMNS, (Rows(rows),))


def _listed(clean: Sequence[ModelScore]) -> str:
    if not clean:
        return "no clean model"
    return f"clean: {', '.join(_number(score.score) for score in clean)}"


def _value(estimate: Estimate) -> str:
    """A rate without its interval, which the sentences have."""
    return "–" if estimate.value is None else f"{estimate.value:.3f}"


def _number(score: float) -> str:
    return significant(score) if math.isfinite(score) else "none"


def words_of_model(name: str, score: ModelScore, clean: Sequence[ModelScore]) -> Iterator[str]:
    """What a detector of models found."""
    if score.note.startswith(FAILED):
        yield f"{name} gives the model no score."
    elif math.isnan(score.score):
        yield f"{name} found nothing to judge the model by."
    elif math.isinf(score.score):
        yield f"{name} gives the model a score of {score.score}, which no other can be compared with."
    elif not clean:
        yield f"{name} gives the model a score of {significant(score.score)}; the higher, the more suspicious."
    else:
        others = [each.score for each in clean if math.isfinite(each.score)]
        above = sum(score.score > other for other in others)
        models = "clean model" if len(others) == 1 else "clean models"
        yield (
            f"{name} gives the model a score of {significant(score.score)}, which is higher than {above} of "
            f"{len(others)} {models} ({', '.join(map(significant, others)) or 'none has a score'}); the higher, the "
            "more suspicious."
        )
    if score.note:
        yield score.note


def scanner_failed(score: ModelScore, clean: Sequence[ModelScore]) -> bool:
    """Whether a scanner gave the model no score, or printed the place of its score for no model at all."""
    return score.note.startswith(FAILED) or all(each.note.startswith(NO_PLACE) for each in (score, *clean))


def words_of_inputs(name: str, found: InputScore) -> Iterator[str]:
    """What a detector of inputs found."""
    yield (
        f"{name} distinguishes {len(found.triggered):,} triggered inputs from {len(found.clean):,} clean ones with an "
        f"AUROC of {found.auroc:.3f}; guessing has 0.5."
    )
    for rate, above in found.thresholds.items():
        yield (
            f"{name}, with a threshold ({above:.4g}) that flags {rate:.0%} of {found.validation_count:,} of the "
            f"defender's clean examples: TPR {found.tpr[rate]:.3f}, FPR {found.fpr[rate]:.3f} on the test inputs."
        )


def cautions_of_scores(
    of_models: Mapping[str, ModelScore], clean: int, of_inputs: Mapping[str, InputScore]
) -> tuple[str, ...]:
    """That the score of a model says little without the scores of clean ones, and a rate little of few inputs.

    Args:
        of_models: detectors of models to their scores.
        clean: number of clean models that were scored too.
        of_inputs: detectors of inputs to their scores.
    """
    few = tuple(
        f"the rates of {name} stand on {len(found.triggered)} triggered inputs alone: ask for more by --examples N, or "
        "give more test data."
        for name, found in of_inputs.items()
        if len(found.triggered) < FEW_ATTACKED
    )
    if not of_models or clean >= _ENOUGH:
        return few
    have = "none is here" if not clean else f"{clean} {'is' if clean == 1 else 'are'} here"
    return (
        f"a score of a model means something only beside the scores of clean models that were trained alike, and "
        f"{have}: give some by --reference FOLDER, or let 'anchorlab population' train them.",
        *few,
    )


#: Clean models above all of which a model lies by chance once in 20 times.
_ENOUGH = 19


def values_of_detections(
    of_models: Mapping[str, ModelScore],
    clean: Mapping[str, Sequence[ModelScore]],
    of_inputs: Mapping[str, InputScore],
) -> dict[str, Any]:
    """The same for ``--json``."""
    models = {
        name: {"judges": "model", **score.to_dict(), "clean": [each.score for each in clean.get(name, ())]}
        for name, score in of_models.items()
    }
    return {"detectors": models | {name: {"judges": "inputs", **found.to_dict()} for name, found in of_inputs.items()}}
