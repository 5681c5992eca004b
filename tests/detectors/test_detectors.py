"""Every detector separates what has a backdoor from what has none: floors of AUROC, and what all have in common."""

from __future__ import annotations

import inspect

import pytest
import torch

from anchorlab import detect
from anchorlab.detectors import DETECTORS, InputDetector, ModelDetector
from anchorlab.statistics.roc import auroc

#: Settings with which detectors of models take seconds.
BRIEF = {
    "neural-cleanse": {"steps": 100, "restarts": 1},
    "universal-scan": {"patches": 40, "rounds": 2},
    "mm-bd": {"steps": 60, "starts": 8},
    # Split in the middle it accuses wrong classes of these models, with an AUROC of 0.75.
    "free-eagle": {"depth": 1.0},
    # With less, the mask takes all 64 features of this small network.
    "feature-mask": {"mask_weight": 1.5},
}

#: Floors of the AUROC of detectors of models where it is not 1.
OF_MODELS_FLOORS = {"mm-bd": 0.7}  # 1, and 0.75 after twice as many steps: nine margins say little of a distribution

#: Detectors of models that look by themselves; a command is what a program of somebody else's says.
OF_MODELS = [
    name for name in DETECTORS.names(ModelDetector) if name != "command" and DETECTORS[name].modality != "text"
]

#: Detector of inputs to trials of it: the kind of data, triggered inputs in a set with all clean ones (None for all, a
#: call of its own), and a floor of the AUROC. Chance is 0.5; the comments have the values when this was written.
FLOORS = {
    "strip": [("images", None, 0.95), ("texts", None, 0.62)],  # 0.998, 0.73
    "scale-up": [("images", None, 0.6)],  # 0.66: half of the clean digits, which are black and white, survive as well
    "activation-clustering": [("images", 20, 0.7), ("texts", 30, 0.7)],  # 0.92, 0.97
    "spectral-signatures": [("images", 20, 0.62), ("texts", 15, 0.58)],  # 0.74, 0.69
    "onion": [("texts", None, 0.95)],  # 0.999: no clean text has a word that the defender has never seen
    "rap": [("texts", None, 0.55)],  # 0.66
    "ibd-psc": [("images", None, 0.6)],  # 0.72
    "beatrix": [("images", None, 0.65), ("texts", None, 0.85)],  # 0.80, 0.97
    "teco": [("points", None, 0.62)],  # 0.74; 0.19 on the square, which survives every corruption of these small digits
    "ted": [("images", None, 0.9), ("texts", None, 0.85)],  # 0.997, 0.95
}


def test_nothing_that_a_detector_gets_knows_the_attack():
    for name in DETECTORS.names(ModelDetector):
        assert list(inspect.signature(DETECTORS[name].score).parameters) == ["self", "model", "data", "context"], name
    for name in DETECTORS.names(InputDetector):
        arguments = list(inspect.signature(DETECTORS[name].scores).parameters)
        assert arguments == ["self", "model", "data", "inputs", "context"], name


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_MODELS)
def test_every_detector_of_models_ranks_backdoored_models_above_clean_ones(clean_and_backdoored, digits, name):
    """The smallest margins when this was written: 15 to 1.3, 0.53 to 0.10, 2.9 to 1.7."""
    scores = []
    for models in clean_and_backdoored:
        found = [detect(model, name, parameters=BRIEF.get(name), defender_data=None, task=digits) for model in models]
        assert all(len(score.details) >= 10 for score in found)
        scores.append([score.score for score in found])
    clean, backdoored = scores
    assert auroc(clean, backdoored).value >= OF_MODELS_FLOORS.get(name, 1)


@pytest.mark.slow
def test_feature_mask_names_the_targets(clean_and_backdoored, digits):
    _, backdoored = clean_and_backdoored
    found = [
        detect(model, "feature-mask", parameters=BRIEF["feature-mask"], defender_data=None, task=digits)
        for model in backdoored
    ]
    assert [score.targets.tolist() for score in found] == [[1], [4]]


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_MODELS)
def test_a_detector_leaves_the_model_alone(planted, digits, name):
    before = {key: value.clone() for key, value in planted.model.state_dict().items()}
    detect(planted, DETECTORS.build(name).quick(), defender_data=None, task=digits)
    assert all(torch.equal(value, before[key]) for key, value in planted.model.state_dict().items())


def test_every_detector_of_inputs_has_a_floor():
    assert set(FLOORS) == set(DETECTORS.names(InputDetector))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "triggered", "floor"),
    [(name, *floor) for name, floors in FLOORS.items() for floor in floors],
)
def test_every_detector_of_inputs_ranks_triggered_inputs_above_clean_ones(
    request, context, name, kind, triggered, floor
):
    planted = request.getfixturevalue(kind)
    clean, hit = planted.scores(DETECTORS.build(name), context, triggered=triggered)
    assert auroc(clean, hit).value > floor
