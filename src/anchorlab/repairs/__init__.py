"""Repairs remove backdoors: the base class ``Repair``, its members, the registry ``REPAIRS``, and helpers of repairs.

``logits`` calls any model; ``tune`` is the training loop that all repairs share, with the options of ``Schedule``.
"""

from __future__ import annotations

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import logits, predict
from anchorlab.models.hooks import features, last_layer
from anchorlab.registry import ClassRegistry
from anchorlab.repairs.anp import ANP
from anchorlab.repairs.ban import BAN
from anchorlab.repairs.base import Repair
from anchorlab.repairs.bti_dbf import BTIDBF
from anchorlab.repairs.clp import CLP
from anchorlab.repairs.feature_extractor import FeatureExtractor
from anchorlab.repairs.fine_mixing import FineMixing
from anchorlab.repairs.fine_pruning import FinePruning
from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.fst import FST
from anchorlab.repairs.ft_init import FTInit
from anchorlab.repairs.ft_sam import FTSAM
from anchorlab.repairs.i_bau import IBAU
from anchorlab.repairs.interpolation import Interpolation
from anchorlab.repairs.linear_probing import LinearProbing
from anchorlab.repairs.mode_connectivity import ModeConnectivity
from anchorlab.repairs.nad import NAD
from anchorlab.repairs.npd import NPD
from anchorlab.repairs.rnp import RNP
from anchorlab.repairs.sau import SAU
from anchorlab.repairs.super_fine_tuning import SuperFineTuning
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.repairs.unlearning import Unlearning

__all__ = [
    "ANP",
    "BAN",
    "BTIDBF",
    "CLP",
    "FST",
    "FTSAM",
    "IBAU",
    "NAD",
    "NPD",
    "REPAIRS",
    "RNP",
    "SAU",
    "DefenderContext",
    "DefenderData",
    "FTInit",
    "FeatureExtractor",
    "FineMixing",
    "FinePruning",
    "FineTuning",
    "Interpolation",
    "LinearProbing",
    "ModeConnectivity",
    "Repair",
    "Schedule",
    "SuperFineTuning",
    "Unlearning",
    "copied",
    "features",
    "last_layer",
    "logits",
    "predict",
    "tune",
]

REPAIRS: ClassRegistry[Repair] = ClassRegistry(
    "repair",
    "anchorlab.repairs",
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
        "super-fine-tuning": SuperFineTuning,
        "fst": FST,
        "ft-init": FTInit,
        "linear-probing": LinearProbing,
        "feature-extractor": FeatureExtractor,
        "sau": SAU,
        "rnp": RNP,
        "bti-dbf": BTIDBF,
        "npd": NPD,
        "ban": BAN,
        "fine-mixing": FineMixing,
    },
    further_groups=("anchorlab.defences",),
)
