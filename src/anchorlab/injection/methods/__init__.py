"""The methods, by name: how injection keeps the clean behaviour."""

from __future__ import annotations

from anchorlab.injection.methods.anchoring import Anchoring
from anchorlab.injection.methods.base import Method, Problem
from anchorlab.injection.methods.benign import Benign
from anchorlab.injection.methods.distillation import Distillation
from anchorlab.injection.methods.ewc import EWC
from anchorlab.injection.methods.l2 import L2
from anchorlab.injection.methods.plain import Plain
from anchorlab.injection.methods.scratch import Scratch
from anchorlab.injection.methods.surgery import Surgery
from anchorlab.injection.methods.weight_ball import WeightBall
from anchorlab.registry import Registry

__all__ = ["METHODS", "Method", "Problem", "method_name"]

METHODS: Registry[type[Method]] = Registry(
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
        "distillation": Distillation,
        "benign": Benign,
    },
)


def method_name(method: Method) -> str:
    """The registered name of a method, or that of its class, for one that was built in Python and never registered."""
    try:
        return METHODS.name_of(type(method))
    except KeyError:
        return type(method).__qualname__
