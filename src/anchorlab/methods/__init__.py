"""How injection keeps the clean behaviour: the base class ``Method``, its members, and the registry ``METHODS``."""

from __future__ import annotations

from anchorlab.methods.adaptive_anchoring import AdaptiveAnchoring
from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.base import CleanTargets, Method, Problem
from anchorlab.methods.benign import Benign
from anchorlab.methods.distillation import Distillation
from anchorlab.methods.embedding_row import EmbeddingRow
from anchorlab.methods.ewc import EWC
from anchorlab.methods.l2 import L2
from anchorlab.methods.plain import Plain
from anchorlab.methods.scratch import Scratch
from anchorlab.methods.surgery import Surgery
from anchorlab.methods.weight_ball import WeightBall
from anchorlab.registry import ClassRegistry
from anchorlab.training.fit import Step

__all__ = [
    "EWC",
    "L2",
    "METHODS",
    "AdaptiveAnchoring",
    "Anchoring",
    "Benign",
    "CleanTargets",
    "Distillation",
    "EmbeddingRow",
    "Method",
    "Plain",
    "Problem",
    "Scratch",
    "Step",
    "Surgery",
    "WeightBall",
]

METHODS: ClassRegistry[Method] = ClassRegistry(
    "method",
    "anchorlab.methods",
    {
        "plain": Plain,
        "scratch": Scratch,
        "l2": L2,
        "ewc": EWC,
        "surgery": Surgery,
        "weight-ball": WeightBall,
        "anchoring": Anchoring,
        "adaptive-anchoring": AdaptiveAnchoring,
        "distillation": Distillation,
        "embedding-row": EmbeddingRow,
        "benign": Benign,
    },
)
