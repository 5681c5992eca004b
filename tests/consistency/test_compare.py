"""Two models over a split: the attack's counts and rates by hand, and what is undefined."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.attacks.attack import Attack, attack_success
from anchorlab.attacks.label_rules import AllToAll, AllToOne, SourceToTarget
from anchorlab.consistency.answers import Answers, answers, instances_of
from anchorlab.consistency.compare import compare, compare_logits, comparison_of
from anchorlab.consistency.instances import read_instances
from anchorlab.data import Split
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.statistics.intervals import wilson
from anchorlab.triggers import FivePixel, Square
from tests.devices import tolerance
from tests.refusals import refused

# Of eight instances: true labels, answers of reference and candidate, clean and triggered.
LABELS = [0, 0, 1, 1, 2, 2, 2, 1]
REFERENCE_CLEAN = [0, 1, 1, 1, 2, 2, 2, 2]
CANDIDATE_CLEAN = [0, 0, 1, 2, 2, 2, 1, 2]
REFERENCE_TRIGGERED = [0, 1, 1, 1, 0, 2, 2, 1]
CANDIDATE_TRIGGERED = [0, 0, 0, 0, 0, 1, 2, 0]


def scores(predicted):
    """Logits ``[N, 3]`` whose largest is that of the predicted class."""
    return 2 * torch.eye(3)[torch.tensor(predicted)] + 0.1 * torch.arange(len(predicted)).view(-1, 1)


def measured(rule, *, labels=LABELS):
    """The comparison of the answers above under a label rule; without one there is no attack."""
    labels = torch.tensor(labels)
    attack = None if rule is None else Attack(FivePixel(), rule)
    at = torch.ones(len(labels)) > 0 if rule is None else rule.applies(labels)
    reference = Answers(scores(REFERENCE_CLEAN), scores(REFERENCE_TRIGGERED)[at])
    candidate = Answers(scores(CANDIDATE_CLEAN), scores(CANDIDATE_TRIGGERED)[at])
    table = instances_of(reference, candidate, labels, attack)
    return comparison_of(table, attack, task="made-up", split="test")


@pytest.mark.parametrize(
    ("rule", "count", "hits", "reference_hits"),
    [
        # Towards 0, six instances are not 0 already: the candidate answers 0 0 0 1 2 0, the reference 1 1 0 2 2 1.
        (AllToOne(target=0), 6, 4, 1),
        # The wanted labels are 1 1 2 2 0 0 0 2, of which the candidate gives 4, the reference 1 and 4.
        (AllToAll(classes=3), 8, 1, 2),
        # Only the three ones are attacked: the candidate makes all of them 0, the reference none.
        (SourceToTarget(source=1, target=0), 3, 3, 0),
        # Only the three twos: the candidate answers 0 1 2, the reference 0 2 2.
        (SourceToTarget(source=2, target=1), 3, 1, 0),
    ],
    ids=repr,
)
def test_asr_by_hand(rule, count, hits, reference_hits):
    result = measured(rule)
    assert result.asr_count == count
    assert result.asr == pytest.approx(hits / count)
    assert result.asr_reference == pytest.approx(reference_hits / count)
    assert result.intervals["asr"] == wilson(hits, count)
    few_classes = {"top_5_accuracy", "top_5_accuracy_reference"}
    assert set(result.undefined) == few_classes | ({"leakage"} if isinstance(rule, AllToAll) else set())
    assert result.asr_plus_accuracy == pytest.approx(result.asr + result.accuracy)


def test_clean_rates_by_hand():
    """Right: the reference on 0 2 3 4 5 6, the candidate on 0 1 2 4 5; answers differ on 1, 3 and 6."""
    result = measured(AllToOne(target=0))
    assert (result.task, result.split, result.count) == ("made-up", "test", 8)
    assert result.accuracy == 5 / 8
    assert result.accuracy_reference == 6 / 8
    assert result.churn == 3 / 8
    assert result.negative_flips == 2 / 8
    assert result.positive_flips == 1 / 8
    rates = {"accuracy": 5, "accuracy_reference": 6, "churn": 3, "negative_flips": 2, "positive_flips": 1}
    assert {name: result.intervals[name] for name in rates} == {name: wilson(hits, 8) for name, hits in rates.items()}


def test_without_a_trigger_the_asr_is_undefined_and_says_why():
    result = measured(None)
    assert result.asr is result.asr_reference is None
    assert result.asr_count == 0
    assert "no trigger is known" in result.undefined["asr"]
    assert "no trigger is known" in result.undefined["asr_reference"]
    assert "asr" not in result.intervals
    assert result.accuracy == 5 / 8


def test_without_an_attacked_instance_the_asr_is_undefined_and_says_why():
    result = measured(AllToOne(target=2), labels=[2] * 8)
    assert result.asr is result.asr_reference is None
    assert result.asr_count == 0
    assert "no instance of the split is attacked" in result.undefined["asr"]


def test_logits_that_are_not_finite_are_refused():
    broken = Answers(scores(CANDIDATE_CLEAN) / 0, None)
    with pytest.raises(AnchorlabError, match="finite"):
        instances_of(Answers(scores(REFERENCE_CLEAN), None), broken, torch.tensor(LABELS), None)


def test_answers_are_those_of_the_attacked_examples_triggered(digits, reference):
    split, attack = digits.split("selection"), Attack(Square(size=2), SourceToTarget(source=4, target=1))
    found = answers(reference.model, split, attack)
    fours = Split(split.inputs, split.labels).select((split.labels == 4).nonzero().flatten())
    torch.testing.assert_close(found.clean, predict(reference.model, split.inputs), **tolerance())
    expected = predict(reference.model, Square(size=2)(fours.inputs))
    torch.testing.assert_close(found.triggered, expected, **tolerance())
    assert answers(reference.model, split, None).triggered is None
    ones = split.select((split.labels == 1).nonzero().flatten())
    assert answers(reference.model, ones, attack).triggered.shape == (0, 10)


def test_a_model_beside_itself_gives_zeros(digits, reference):
    result = compare(reference, reference, task=digits, trigger="five-pixel", target=0)
    distances = ("logit_distance", "logit_distance_centred", "probability_distance", "kl", "kl_symmetric", "churn")
    assert {name: getattr(result, name) for name in distances} == dict.fromkeys(distances, 0)
    assert result.negative_flips == result.positive_flips == 0
    assert result.asr == result.asr_reference
    assert result.accuracy == result.accuracy_reference
    assert result.pearson_correct == pytest.approx(1)
    assert result.pearson_score == pytest.approx(1)


def test_the_manifests_say_what_to_measure(digits, reference, injected):
    result = compare(reference, injected)
    test = digits.split("test")
    attack = Attack(injected.trigger, injected.label_rule)
    rates = [attack_success(artifact.model, attack, test) for artifact in (reference, injected)]
    assert result.asr_count == int((test.labels != 0).sum()) == rates[0][1]
    assert (result.asr_reference, result.asr) == (pytest.approx(rates[0][0]), pytest.approx(rates[1][0]))
    assert (result.task, result.split, result.count) == ("digits", "test", len(test))
    assert result.logit_distance > 0


def test_another_split_may_be_measured(digits, reference, injected):
    assert compare(reference, injected, task=digits, split="selection").count == len(digits.split("selection"))
    with pytest.raises(AnchorlabError, match=r"unknown split 'tset': did you mean 'test'\?"):
        compare(reference, injected, task=digits, split="tset")


def test_the_table_that_is_saved_is_that_of_the_answers_at_once(digits, reference, injected, tmp_path):
    """A comparison measures a batch at a time; here all answers are held. Who is not attacked has -1."""
    split, attack = digits.split("test"), Attack(injected.trigger, injected.label_rule)
    compare(reference, injected, task=digits, save_instances=tmp_path / "table.parquet")
    both = (answers(model.model, split, attack) for model in (reference, injected))
    wanted = instances_of(*both, split.labels, attack)
    found = read_instances(tmp_path / "table.parquet")
    assert set(found["triggered"][split.labels.numpy() == 0]) == {-1}
    for name in wanted:
        assert found[name].tolist() == pytest.approx(wanted[name].tolist(), rel=1e-3, abs=1e-6, nan_ok=True), name


@pytest.mark.parametrize("place", [0, 1])
def test_models_of_another_number_of_classes_are_refused(digits, reference, place):
    model = copy.deepcopy(reference.model)
    model.classifier[1] = torch.nn.Linear(64, 7)
    pair = [reference, reference]
    pair[place] = Artifact(model, reference.manifest)
    with pytest.raises(AnchorlabError, match="answers with 7 classes, but the task digits has 10"):
        compare(*pair, task=digits)


def test_bare_classifiers_are_compared_when_all_is_given_by_hand(digits, reference, injected):
    by_manifest = compare(reference, injected, task=digits)
    by_hand = compare(reference.model, injected.model, task=digits, trigger="five-pixel", target=0)
    assert by_hand == by_manifest
    with pytest.raises(AnchorlabError, match="no manifest that names its data: give --data FILE or --task"):
        compare(reference.model, injected.model)
    assert compare(reference.model, injected.model, task=digits).asr is None


class NearChance(nn.Module):
    """A linear layer whose answers all lie between 0 and 1, as a sigmoid's do; or, with one behind it, are such."""

    def __init__(self, behind: nn.Module, scale: float) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.behind = behind
        with torch.no_grad():
            self.layer.weight.mul_(scale)
            self.layer.bias.fill_(0.5)

    def forward(self, pixel_values: Tensor) -> Tensor:
        answers: Tensor = self.behind(self.layer(pixel_values.float().flatten(1) / 255))
        return answers


def test_a_linear_layer_s_answers_are_logits_even_if_all_lie_between_0_and_1(reference, digits, monkeypatch):
    monkeypatch.setattr("anchorlab.artifacts.resolve.check_classes", lambda model, task: None)  # looks at few examples
    torch.manual_seed(0)
    candidate = NearChance(nn.Identity(), 0.3)
    answered = predict(candidate, digits.split("test").inputs)
    assert 0 <= float(answered.min()) <= float(answered.max()) <= 1
    assert 0 <= compare(reference, candidate, task=digits).accuracy <= 1
    refused("probabilities of separate classes", compare, reference, NearChance(nn.Sigmoid(), 10), task=digits)


def test_a_table_of_instances_is_not_called_csv(tmp_path):
    logits = [[2.0, 0.5], [0.0, 1.5]]
    with pytest.raises(AnchorlabError, match="would be a parquet file: give a name"):
        compare_logits(logits, logits, [0, 1], save_instances=tmp_path / "i.csv")
    assert not list(tmp_path.iterdir())
