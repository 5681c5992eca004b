"""An audit from made-up answers: three classes, updates of two settings, a candidate that moves less than they do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from anchorlab.data import Split
from anchorlab.metrics import Pair
from anchorlab.reports.audit.record import AuditedModel, AuditRecord
from anchorlab.reports.audit.write import audit_record
from anchorlab.scoring.audit import Measured, audit_of
from anchorlab.scoring.audit_detectors import DetectorResult, NotTested
from anchorlab.scoring.audit_result import Audit, AuditedAnswers, UpdateSetting
from anchorlab.scoring.audit_statistics import values_of

CLASSES = ("cat", "<b>dog</b>", 'a "bird"')
N = 60

MakeAudit = Callable[..., Audit]


def made_answers(shift: float, *, labelled: bool = True, kind: str = "image") -> tuple[AuditedAnswers, np.ndarray]:
    """Answers of a reference, and of a candidate whose logits moved by so much; and the reference's logits."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, N)
    logits = rng.normal(0, 1, (N, 3)) + 2 * np.eye(3)[labels]
    moved = logits + shift * rng.normal(0, 1, (N, 3))
    pair = Pair(logits, moved)
    texts = tuple(f"text {row} <script>alert(1)</script>" for row in range(N))
    pixels = torch.randint(0, 255, (N, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    inputs = {"pixel_values": pixels} if kind == "image" else {}
    queries = Split(inputs, torch.from_numpy(labels), texts if kind == "text" else None)
    answers = AuditedAnswers(
        reference_predictions=pair.p.prediction,
        candidate_predictions=pair.q.prediction,
        reference=pair.p.probability,
        candidate=pair.q.probability,
        labels=labels if labelled else None,
        classes=CLASSES,
        queries=None if kind == "stored" else queries,
    )
    return answers, logits


@pytest.fixture(scope="session")
def make_audit() -> MakeAudit:
    def make(shift: float = 0.02, **how: object) -> Audit:
        answers, logits = made_answers(shift, **how)  # type: ignore[arg-type]
        rng = np.random.default_rng(1)
        sizes = [0.5] * 20 + [1.0] * 19
        null = [values_of(Pair(logits, logits + size * rng.normal(0, 1, logits.shape))) for size in sizes]
        candidate = values_of(Pair(logits, logits + shift * np.random.default_rng(2).normal(0, 1, logits.shape)))
        tuning = {"steps": 10, "batch_size": 64, "learning_rate": 1e-3}
        settings = (UpdateSetting("short", 20, tuning), UpdateSetting("long", 19, tuning | {"steps": 90}))
        return audit_of(Measured([candidate, *null], settings, answers), judged="logits", level=0.05, seed=0)

    return make


@pytest.fixture(scope="session")
def record(make_audit: MakeAudit) -> AuditRecord:
    meaning = "score of the model; the higher, the more suspicious"
    return audit_record(
        make_audit(0.4),
        AuditedModel(name="ref<i>"),
        AuditedModel(name="new", kind="suspicious", architecture="net", weights_sha256="0" * 64),
        task="pets",
        split="test",
        detectors=[
            DetectorResult("neural-cleanse", "models", 4.0, 1.5, meaning, "a <u>remark</u>"),
            DetectorResult("strip", "inputs", 0.05, None, "share of 60 queries"),
        ],
        not_tested=[NotTested("the detector onion", "it is for texts")],
    )
