"""Detectors reveal backdoors in models or triggers on inputs: base classes, members, and the registry ``DETECTORS``.

``logits`` calls any model; ``features`` and ``last_layer`` give the inputs of its last layer, and the layer itself.
"""

from __future__ import annotations

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.activation_clustering import ActivationClustering
from anchorlab.detectors.base import FeatureDetector, InputDetector, ModelDetector, ModelScore
from anchorlab.detectors.beatrix import Beatrix
from anchorlab.detectors.command import Command
from anchorlab.detectors.feature_mask import FeatureMask
from anchorlab.detectors.free_eagle import FreeEagle
from anchorlab.detectors.ibd_psc import IBDPSC
from anchorlab.detectors.last_layer import LastLayer
from anchorlab.detectors.mm_bd import MMBD
from anchorlab.detectors.neural_cleanse import NeuralCleanse
from anchorlab.detectors.onion import ONION
from anchorlab.detectors.rap import RAP
from anchorlab.detectors.scale_up import ScaleUp
from anchorlab.detectors.spectral_signatures import SpectralSignatures
from anchorlab.detectors.strip import STRIP
from anchorlab.detectors.teco import TeCo
from anchorlab.detectors.ted import TED
from anchorlab.detectors.universal_scan import UniversalScan
from anchorlab.detectors.word_inversion import WordInversion
from anchorlab.models.call import logits, predict
from anchorlab.models.hooks import features, last_layer
from anchorlab.registry import ClassRegistry

__all__ = [
    "DETECTORS",
    "IBDPSC",
    "MMBD",
    "ONION",
    "RAP",
    "STRIP",
    "TED",
    "ActivationClustering",
    "Beatrix",
    "Command",
    "DefenderContext",
    "DefenderData",
    "FeatureDetector",
    "FeatureMask",
    "FreeEagle",
    "InputDetector",
    "LastLayer",
    "ModelDetector",
    "ModelScore",
    "NeuralCleanse",
    "ScaleUp",
    "SpectralSignatures",
    "TeCo",
    "UniversalScan",
    "WordInversion",
    "features",
    "last_layer",
    "logits",
    "predict",
]

#: Detectors of models and of inputs: which of the two a detector is, its base class says.
DETECTORS: ClassRegistry[ModelDetector | InputDetector] = ClassRegistry(
    "detector",
    "anchorlab.detectors",
    {
        "neural-cleanse": NeuralCleanse,
        "universal-scan": UniversalScan,
        "last-layer": LastLayer,
        "strip": STRIP,
        "activation-clustering": ActivationClustering,
        "spectral-signatures": SpectralSignatures,
        "scale-up": ScaleUp,
        "onion": ONION,
        "rap": RAP,
        "command": Command,
        "ibd-psc": IBDPSC,
        "beatrix": Beatrix,
        "teco": TeCo,
        "ted": TED,
        "word-inversion": WordInversion,
        "mm-bd": MMBD,
        "free-eagle": FreeEagle,
        "feature-mask": FeatureMask,
    },
    further_groups=("anchorlab.model_detectors", "anchorlab.input_detectors"),
)
