"""The detectors, by name: what reveals a backdoor in a model, or a trigger on an input."""

from __future__ import annotations

from anchorlab.detectors.activation_clustering import ActivationClustering
from anchorlab.detectors.base import InputDetector, ModelDetector, ModelScore
from anchorlab.detectors.last_layer import LastLayer
from anchorlab.detectors.neural_cleanse import NeuralCleanse
from anchorlab.detectors.onion import ONION
from anchorlab.detectors.rap import RAP
from anchorlab.detectors.scale_up import ScaleUp
from anchorlab.detectors.spectral_signatures import SpectralSignatures
from anchorlab.detectors.strip import STRIP
from anchorlab.detectors.universal_scan import UniversalScan
from anchorlab.registry import Registry

__all__ = ["INPUT_DETECTORS", "MODEL_DETECTORS", "InputDetector", "ModelDetector", "ModelScore"]

MODEL_DETECTORS: Registry[type[ModelDetector]] = Registry(
    "detector of models",
    "anchorlab.model_detectors",
    {
        "neural-cleanse": NeuralCleanse,
        "universal-scan": UniversalScan,
        "last-layer": LastLayer,
    },
)
INPUT_DETECTORS: Registry[type[InputDetector]] = Registry(
    "detector of inputs",
    "anchorlab.input_detectors",
    {
        "strip": STRIP,
        "activation-clustering": ActivationClustering,
        "spectral-signatures": SpectralSignatures,
        "scale-up": ScaleUp,
        "onion": ONION,
        "rap": RAP,
    },
)
