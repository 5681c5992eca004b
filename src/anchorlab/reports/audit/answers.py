"""What the answers of both models show: churn by class, and the queries on which they differ most."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from anchorlab.errors import shortened
from anchorlab.reports.audit.record import AgreementRecord, ClassProbability, ClassRecord, QueryRecord
from anchorlab.reports.html import picture_uri
from anchorlab.scoring.audit_result import AuditedAnswers
from anchorlab.statistics.arrays import Floats, Integers

#: Most queries that are shown; and among them, most whose label is the same.
_SHOWN, _SAME = 96, 48

#: Classes of each model whose probabilities are shown.
_CLASSES = 3

#: Most characters of a text.
_LONGEST = 1200

#: Most pixels of a side of a picture; larger ones are made smaller.
_SIDE = 160


def agreement_of(answers: AuditedAnswers) -> AgreementRecord:
    """How the labels agree, by true class; or by the reference's label where no true labels are known."""
    before, after, truth = answers.reference_predictions, answers.candidate_predictions, answers.labels
    changed = before != after
    groups = before if truth is None else truth
    worse = None if truth is None else (before == truth) & (after != truth)
    better = None if truth is None else (before != truth) & (after == truth)
    classes = []
    for label in np.unique(groups):
        of = groups == label
        classes.append(
            ClassRecord(
                name=answers.classes[label],
                queries=int(of.sum()),
                changed=int(changed[of].sum()),
                right_to_wrong=None if worse is None else int(worse[of].sum()),
                wrong_to_right=None if better is None else int(better[of].sum()),
            )
        )
    return AgreementRecord(
        changed=int(changed.sum()),
        right_reference=None if truth is None else int((before == truth).sum()),
        right_candidate=None if truth is None else int((after == truth).sum()),
        by="reference's label" if truth is None else "true label",
        classes=classes,
    )


def changed_queries(answers: AuditedAnswers) -> list[QueryRecord]:
    """The queries on which the answers differ most, the largest difference first.

    All with another label are shown, as far as there is room, and then others by how far their probabilities moved.
    """
    moved = None if answers.reference is None else _moved(answers)
    return [_query(answers, int(row), moved) for row in shown_rows(answers, moved)]


def _moved(answers: AuditedAnswers) -> Floats:
    """The total variation distance of both models' probabilities on each query, float64 ``[N]``."""
    assert answers.reference is not None
    assert answers.candidate is not None
    return np.asarray(np.abs(answers.reference - answers.candidate).sum(axis=1) / 2)


def shown_rows(answers: AuditedAnswers, moved: Floats | None) -> Integers:
    """Which queries are shown, int64 ``[n]``, in the order of their difference."""
    changed = answers.reference_predictions != answers.candidate_predictions
    size = changed.astype(np.float64) if moved is None else moved
    order = np.argsort(-size, kind="stable")
    others = order[~changed[order] & (size[order] > 0)][:_SAME]
    chosen = np.concatenate([order[changed[order]][: _SHOWN - len(others)], others])
    return np.asarray(chosen[np.argsort(-size[chosen], kind="stable")], dtype=np.int64)


def _query(answers: AuditedAnswers, row: int, moved: Floats | None) -> QueryRecord:
    split = answers.queries
    text = None if split is None or split.texts is None else shortened(split.texts[row], _LONGEST)
    images = None if split is None else split.inputs.get("pixel_values")
    return QueryRecord(
        row=row if answers.rows is None else int(answers.rows[row]),
        label=None if answers.labels is None else answers.classes[answers.labels[row]],
        reference=answers.classes[answers.reference_predictions[row]],
        candidate=answers.classes[answers.candidate_predictions[row]],
        moved=None if moved is None else float(moved[row]),
        probabilities=_probabilities(answers, row),
        text=text,
        picture=None if images is None else picture_uri(thumbnail(images[row].cpu())),
    )


def _probabilities(answers: AuditedAnswers, row: int) -> list[ClassProbability]:
    """The likeliest classes of either model, in the reference's order."""
    if answers.reference is None or answers.candidate is None:
        return []
    before, after = answers.reference[row], answers.candidate[row]
    top = {int(label) for each in (before, after) for label in np.argsort(-each, kind="stable")[:_CLASSES]}
    return [
        ClassProbability(name=answers.classes[label], reference=float(before[label]), candidate=float(after[label]))
        for label in sorted(top, key=lambda label: (-before[label], label))
    ]


def thumbnail(picture: Tensor) -> Tensor:
    """A picture, uint8 ``[C, H, W]``, made smaller if it is larger than a page shows."""
    longest = max(picture.shape[1:])
    if longest <= _SIDE:
        return picture
    size = [max(1, round(side * _SIDE / longest)) for side in picture.shape[1:]]
    smaller = torch.nn.functional.interpolate(picture[None].float(), size=size, mode="area")
    return smaller[0].round().to(torch.uint8)
