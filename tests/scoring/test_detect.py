"""Scores of detectors: what they are given, thresholds from clean data, the attack for scoring alone."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from anchorlab import AnchorlabError, Training, Tuning, inject, load_task, train
from anchorlab.attacks.attack import build_attack
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.data import DataColumns
from anchorlab.defender.data import draw_defender_data
from anchorlab.detectors import DETECTORS, InputDetector
from anchorlab.detectors.base import ModelDetector, ModelScore, features_and_predictions
from anchorlab.scoring.detect import detect, prepare, score_inputs
from anchorlab.statistics.roc import auroc, threshold


def corners(inputs) -> np.ndarray:
    """The brightness of each image's corner."""
    return inputs["pixel_values"][:, 0, -3:, -3:].float().mean(dim=(1, 2)).cpu().numpy().astype(float)


class Bright(InputDetector):
    """Scores the brightness of the corner, and remembers how many inputs it was given."""

    def __init__(self, is_set_level: bool = False) -> None:
        self.seen: list[int] = []
        type(self).is_set_level = is_set_level

    def scores(self, model, data, inputs, context):
        self.seen.append(len(inputs["pixel_values"]))
        return corners(inputs)


def test_thresholds_come_from_the_defender_s_clean_examples(planted, digits):
    detector = Bright()
    found = detect(planted, detector, defender_data=None, task=digits, examples=100)
    validation = corners(draw_defender_data(digits, None, seed=0)[0].validation.inputs)
    assert detector.seen == [len(validation) + 100 + len(found.triggered)]
    assert len(found.clean) == 100
    assert found.auroc == auroc(found.clean, found.triggered)
    assert found.auroc.value > 0.9
    assert found.thresholds == {rate: threshold(validation, rate) for rate in (0.01, 0.05)}
    assert found.thresholds[0.05] != threshold(found.clean, 0.05)
    for rate in (0.01, 0.05):
        assert found.fpr[rate].value == (found.clean > found.thresholds[rate]).mean()
        assert found.tpr[rate].value == (found.triggered > found.thresholds[rate]).mean()
        told = found.table()
        flagged = told["score"] > found.thresholds[rate]
        (_, fpr), (_, tpr) = confusion_matrix(told["triggered"], flagged, normalize="true")
        assert (found.fpr[rate].value, found.tpr[rate].value) == (fpr, tpr)
    assert found.to_dict()["at_rate"]["0.05"]["threshold"] == found.thresholds[0.05]


@pytest.mark.parametrize("is_set_level", [False, True])
def test_clean_and_triggered_inputs_come_mixed(planted, digits, is_set_level):
    """A detector that scores by the place or by the number of the call tells nothing, and scores come back in order."""
    given = []

    class Counting(InputDetector):
        def scores(self, model, data, inputs, context):
            given.append(corners(inputs))
            return np.arange(len(given[-1])) + 1000.0 * len(given)

    Counting.is_set_level = is_set_level
    how = {"defender_data": None, "task": digits, "examples": 200}
    found, bright = detect(planted, Counting(), **how), detect(planted, Bright(is_set_level), **how)
    assert len(given) == 1
    assert found.auroc.lower <= 0.5 <= found.auroc.upper
    places = (np.concatenate([found.clean, found.triggered]) - 1000).astype(int)
    np.testing.assert_array_equal(given[0][places], np.concatenate([bright.clean, bright.triggered]))
    again = detect(planted, Counting(), **how)
    np.testing.assert_array_equal(again.clean - 1000, found.clean)


def test_a_detector_that_judges_sets_sees_one_set(planted, digits):
    detector = Bright(is_set_level=True)
    found = detect(planted, detector, defender_data=None, task=digits, examples=100)
    assert len(detector.seen) == 1
    assert (len(found.clean), len(found.triggered)) == (100, 5)
    assert found.auroc.value > 0.9


def test_activations_are_features_and_predictions_once_for_all_that_need_them(planted, digits, monkeypatch):
    passes = []

    def counted(model, inputs):
        passes.append(len(inputs["pixel_values"]))
        return features_and_predictions(model, inputs)

    monkeypatch.setattr("anchorlab.scoring.trial.features_and_predictions", counted)
    names = ("activation-clustering", "strip", "spectral-signatures")
    how = {"defender_data": None, "task": digits, "examples": 60}
    together = score_inputs(planted, [DETECTORS.build(name) for name in names], **how)
    assert len(passes) == 1
    for name, found in zip(names, together, strict=True):
        alone = detect(planted, name, **how)
        np.testing.assert_array_equal(found.clean, alone.clean)
        np.testing.assert_array_equal(found.triggered, alone.triggered)


@pytest.mark.parametrize("rule", ["all-to-one", "all-to-all"])
def test_triggered_inputs_are_others_than_clean_ones_and_those_that_the_rule_attacks(reference, digits, rule):
    """The rule comes from the attack that was injected: all-to-all has no target class to leave out."""
    given = []

    class Recording(InputDetector):
        def scores(self, model, data, inputs, context):
            given.append(inputs["pixel_values"].cpu())
            return np.arange(len(given[-1]), dtype=float)

    target = 3 if rule == "all-to-one" else None
    brief = Tuning(steps=1, batch_size=8)
    injected = inject(reference, method="plain", trigger="square:size=2", label_rule=rule, target=target, tuning=brief)
    found = detect(injected, Recording(), defender_data=None, task=digits, examples=150)
    clean, triggered = (given[0][places.astype(int)] for places in (found.clean, found.triggered))
    test = digits.split("test")
    stamped = build_attack(digits, "square:size=2", rule, target).apply(test.inputs)["pixel_values"]
    rows = [(stamped == image).flatten(1).all(1).nonzero().flatten().tolist() for image in triggered]
    shown = [(test.inputs["pixel_values"] == image).flatten(1).all(1).nonzero().flatten().tolist() for image in clean]
    assert not {row for found in rows for row in found} & {row for found in shown for row in found}
    labels = {int(test.labels[row]) for found in rows for row in found}
    assert labels == set(range(10)) - ({3} if rule == "all-to-one" else set())


def test_the_same_seed_gives_the_same_scores(planted, digits):
    one, other = (
        detect(planted, "strip", parameters={"blends": 4}, defender_data=None, task=digits, examples=30)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.clean, other.clean)
    np.testing.assert_array_equal(one.triggered, other.triggered)


def test_as_many_triggered_inputs_as_clean_ones_however_many_are_asked(planted, digits):
    test = digits.split("test")
    attacked = int((test.labels != 3).sum())
    for asked, clean in ((100, 100), (269, 269), (500, 269), (None, len(test))):
        found = detect(planted, Bright(), defender_data=None, task=digits, examples=asked)
        assert len(found.clean) == clean
        assert len(found.triggered) == (attacked if asked is None else pytest.approx(clean, rel=0.15))


def test_texts_do_not_tell_by_their_form_which_carry_a_trigger(tmp_path):
    path = tmp_path / "moods.csv"
    path.write_text("review,mood\n" + "".join(f"a {m} film {n},{m}\n" for n in range(250) for m in ("good", "bad")))
    task = load_task(str(path), columns=DataColumns(text="review", label="mood"))
    reader = train(task, model="bert-tiny", training=Training(epochs=1))
    given = []

    class Formal(InputDetector):
        modality = "text"

        def scores(self, model, data, inputs, context):
            given.append({name: value.shape[1] for name, value in inputs.items()})
            return np.zeros(len(inputs["input_ids"]))

    detect(reader, Formal(), defender_data=None, task=task, trigger="word:film", target="bad", examples=20)
    assert len(given) == 1
    assert len(set(given[0].values())) == 1
    assert set(given[0]) == {"input_ids", "attention_mask"}


def test_the_bar_shows_how_much_of_the_work_is_done(planted, digits):
    shown = []
    _, _, context = prepare(planted, digits, 2, None, 0, lambda done, figures: shown.append((done, figures)))
    for done in (0, 1, 3):
        context.report(done, 3, {"loss": 1.0})
    assert shown == [(0, {"loss": 1.0}), (33, {"loss": 1.0}), (100, {"loss": 1.0})]


def test_a_model_without_finite_answers_is_refused(planted, digits):
    broken = copy.deepcopy(planted.model)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    attack = {"trigger": "square:size=2", "target": 3}
    for detector, options in (("last-layer", {}), ("strip", attack)):
        with pytest.raises(AnchorlabError, match="the model answers clean examples with logits that are not finite"):
            detect(broken, detector, defender_data=None, task=digits, **options)


@pytest.mark.parametrize("examples", [-4, 0])
def test_a_number_of_examples_below_one_is_refused_by_its_bounds(planted, digits, examples):
    with pytest.raises(AnchorlabError, match=f"^{examples} examples to score are not possible: give 1 or more, or all"):
        detect(planted, DETECTORS.build("strip", {}), examples=examples, task=digits)


@pytest.mark.parametrize("number", [np.float32(1.5), torch.tensor(1.5)], ids=["numpy", "torch"])
def test_a_score_that_json_cannot_write_becomes_a_number(planted, digits, number):
    class Foreign(ModelDetector):
        """Gives the number of another library."""

        def score(self, model, data, context):
            return ModelScore(number)

    score = detect(planted, Foreign(), defender_data=None, task=digits)
    assert json.loads(json.dumps(score.to_dict()))["score"] == 1.5


def test_what_is_impossible_is_refused(planted, reference, digits, monkeypatch):
    how = {"task": digits, "defender_data": None}
    with pytest.raises(AnchorlabError, match="the defender has 1 clean examples, but 2 are needed"):
        detect(planted, "scale-up", task=digits, defender_data=1)
    with pytest.raises(AnchorlabError, match="inputs to score cannot come from the split 'defender'"):
        detect(planted, "strip", split="defender", **how)
    monkeypatch.setattr(AllToOne, "applies", lambda self, labels: torch.zeros_like(labels, dtype=torch.bool))
    with pytest.raises(AnchorlabError, match="label rule attacks none of the inputs to score"):
        detect(planted, Bright(), **how)
    with pytest.raises(AnchorlabError, match=r"unknown detector 'stripp': did you mean 'strip'\?"):
        DETECTORS.build("stripp", {})
    with pytest.raises(AnchorlabError, match="no trigger is known to score a detector of inputs with"):
        detect(reference, "strip", defender_data=None, task=digits)
    with pytest.raises(AnchorlabError, match="last-layer scores models and needs no attack: leave trigger"):
        detect(planted, "last-layer", target=3, **how)
    with pytest.raises(AnchorlabError, match="onion is for texts, but the task digits holds images"):
        detect(planted, "onion", defender_data=None, task=digits)
