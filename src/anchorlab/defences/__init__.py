"""The repairs, by name: what removes a backdoor from a model."""

from __future__ import annotations

from anchorlab.defences.anp import ANP
from anchorlab.defences.base import Defence, DefenderData, Workplace
from anchorlab.defences.clp import CLP
from anchorlab.defences.fine_pruning import FinePruning
from anchorlab.defences.fine_tuning import FineTuning
from anchorlab.defences.i_bau import IBAU
from anchorlab.defences.interpolation import Interpolation
from anchorlab.defences.mode_connectivity import ModeConnectivity
from anchorlab.defences.nad import NAD
from anchorlab.defences.sam import FTSAM
from anchorlab.defences.unlearning import Unlearning
from anchorlab.registry import Registry

__all__ = ["DEFENCES", "Defence", "DefenderData", "Workplace"]

DEFENCES: Registry[type[Defence]] = Registry(
    "defence",
    "anchorlab.defences",
    {
        "fine-tuning": FineTuning,
        "ft-sam": FTSAM,
        "fine-pruning": FinePruning,
        "nad": NAD,
        "anp": ANP,
        "clp": CLP,
        "i-bau": IBAU,
        "mcr": ModeConnectivity,
        "unlearning": Unlearning,
        "interpolation": Interpolation,
    },
)
