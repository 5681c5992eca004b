"""What models are measured on: the manifest's attack, or another."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
from torch import Tensor, nn

from anchorlab import AnchorlabError, adopt, analyze, compare, detect, detect_inputs, load_task, repair
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import (
    attack_of,
    common_task,
    find_task,
    named_task,
    other_cut_in_words,
    outputs_in_words,
)
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToAll, AllToOne, SourceToTarget
from anchorlab.data import DataColumns, Task
from anchorlab.models.wrap import PixelClassifier
from anchorlab.notices import Notice
from anchorlab.triggers import FivePixel, Square
from tests.refusals import refused
from tests.zoo import save_text


class OnBytes(nn.Module):
    """A network of normalised images that asks a classifier of raw pixels."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixel_values: Tensor) -> Tensor:
        answers: Tensor = self.classifier((255 * pixel_values).round().byte())
        return answers


@pytest.mark.parametrize(
    ("override", "trigger", "rule"),
    [
        ({}, FivePixel(), AllToOne(target=0)),
        ({"target": 3}, FivePixel(), AllToOne(target=3)),
        ({"trigger": "square:size=2"}, Square(size=2), AllToOne(target=0)),
        ({"trigger": Square(size=3), "target": 5}, Square(size=3), AllToOne(target=5)),
        ({"label_rule": "all-to-all"}, FivePixel(), AllToAll(classes=10)),
        ({"label_rule": "source-to-target:1", "target": 2}, FivePixel(), SourceToTarget(source=1, target=2)),
        ({"label_rule": SourceToTarget(source=1, target=2)}, FivePixel(), SourceToTarget(source=1, target=2)),
    ],
    ids=str,
)
def test_each_part_of_the_manifests_attack_may_be_overridden(digits, injected, override, trigger, rule):
    assert attack_of(injected, digits, **override) == Attack(trigger, rule)


def test_a_candidate_without_manifest_of_an_attack_needs_a_whole_one(digits, reference):
    assert attack_of(reference, digits) is None
    given = attack_of(reference, digits, trigger="five-pixel", target=4)
    assert given == Attack(FivePixel(), AllToOne(target=4))
    with pytest.raises(AnchorlabError, match="no trigger is known: give --trigger"):
        attack_of(reference, digits, target=4)
    with pytest.raises(AnchorlabError, match="needs the label that the attacker wants: give --target"):
        attack_of(reference, digits, trigger="five-pixel")
    with pytest.raises(AnchorlabError, match="target 10 is not one of"):
        attack_of(reference, digits, trigger="five-pixel", target=10)


def test_a_target_alone_keeps_the_manifests_rule(digits, injected):
    rule = {"name": "source-to-target", "source": 3, "target": 0}
    manifest = injected.manifest.model_copy(update={"label_rule": rule})
    assert attack_of(Artifact(injected.model, manifest), digits, target=7) == Attack(
        FivePixel(), SourceToTarget(source=3, target=7)
    )


def test_data_that_are_named_again_are_checked_like_the_manifests_own(tmp_path):
    """The same file, whose rows were shuffled since, is no test of a model that saw some of them."""
    path, columns = tmp_path / "reviews.csv", DataColumns(text="review", label="mood")
    rows = pd.DataFrame({"review": [f"film number {n}" for n in range(100)], "mood": ["bad", "good"] * 50})
    rows.to_csv(path, index=False)
    model = adopt(save_text("bert", tmp_path / "bert", ["bad", "good"]), load_task(str(path), columns=columns))
    assert find_task(model, str(path), columns=columns).hashes() == model.manifest.task.splits
    rows.sample(frac=1, random_state=0).to_csv(path, index=False)
    for name, given in ((None, None), (str(path), columns)):
        with pytest.raises(AnchorlabError, match="hold other examples than when this model was made"):
            find_task(model, name, columns=given)
    assert find_task(model, str(path), seed=1, columns=columns).seed == 1  # another cut, and asked for


def test_a_split_that_another_seed_cuts_is_cautioned_against(tmp_path, reference, digits):
    """A test part that the seed cuts out of the rows holds rows that the model was trained on."""
    path, columns = tmp_path / "reviews.csv", DataColumns(text="review", label="mood")
    rows = pd.DataFrame({"review": [f"film number {n}" for n in range(100)], "mood": ["bad", "good"] * 50})
    rows.to_csv(path, index=False)
    model = adopt(save_text("bert", tmp_path / "bert", ["bad", "good"]), load_task(str(path), columns=columns))
    found = other_cut_in_words([model], find_task(model, None, seed=5), "test")
    assert found is not None
    assert "cut by the seed 5" in found
    assert "splits of seed 0" in found
    assert "leave --seed out" in found
    assert other_cut_in_words([model], find_task(model, None), "test") is None
    other = load_task("digits", seed=8)
    assert other_cut_in_words([reference], other, "test") is None  # the same for every seed
    assert other_cut_in_words([reference], other, "selection") is not None
    assert other_cut_in_words([reference.model], other, "selection") is None
    assert other_cut_in_words([reference], digits, "selection") is None


@pytest.mark.parametrize(
    ("verb", "split"),
    [
        (lambda first, second, task: compare(first, second, task=task, split="selection"), "selection"),
        (lambda first, second, task: analyze(first, [second], task=task, split="selection"), "selection"),
        (lambda first, second, task: repair(second, "fine-tuning", task=task), "defender"),
        (lambda first, second, task: detect(second, "strip", task=task), "defender"),
        (
            lambda first, second, task: detect_inputs(second, task.split("test").inputs["pixel_values"], task=task),
            "def",
        ),
    ],
    ids=["compare", "analyze", "repair", "detect", "detect_inputs"],
)
def test_verbs_tell_of_a_split_that_another_seed_cuts(
    verb: Callable[..., object], split: str, reference: Artifact, injected: Artifact
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        with pytest.raises(Notice, match=f"'{split}.* is cut by the seed 3, .* of seed 0, .*load the task with seed=0"):
            verb(reference, injected, load_task("digits", seed=3))


def test_verbs_are_silent_where_the_seed_is_the_models(reference: Artifact, injected: Artifact, digits: Task) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        compare(reference, injected, task=digits, split="selection")
        compare(reference, injected, task=load_task("digits", seed=3))  # the test part of digits is the same


def test_images_of_another_size_than_the_models_are_refused(reference, digits):
    """A network of convolutions answers any size, with numbers that mean nothing."""
    large = {
        part: replace(split, inputs={"pixel_values": split.inputs["pixel_values"].repeat(1, 1, 3, 3)})
        for part, split in (("train", digits.raw.train), ("test", digits.raw.test))
    }
    other = replace(digits, raw=replace(digits.raw, **large))
    refused("images of digits are 24×24 pixels", common_task, other, reference, [])
    refused("made for the 8×8 pixels of digits: leave --task out", common_task, other, reference.model, [reference])
    assert common_task(other, reference.model, []).classes == digits.classes
    resizing = replace(reference, model=PixelClassifier(OnBytes(reference.model), [0.0], [1.0], (8, 8)))
    assert common_task(other, resizing, []).classes == digits.classes


def test_a_model_with_a_manifest_says_which_output_is_which_class_too(reference, digits):
    assert outputs_in_words(reference, digits) is None
    named = replace(digits, raw=replace(digits.raw, classes=tuple(f"digit {name}" for name in digits.classes)))
    assert str(outputs_in_words(reference, named)).startswith(
        "output 0 ('0') is 'digit 0', output 1 ('1') is 'digit 1'"
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": "review", "tag": "mood"}, "unknown parameter of columns in the manifest's task 'tag'"),
        ({"text": 3}, "columns in the manifest's task: text=3 is not possible"),
    ],
)
def test_columns_that_no_data_have_are_refused_where_a_manifest_names_them(injected, columns, message):
    record = injected.manifest.task.model_copy(update={"columns": columns})
    model = Artifact(injected.model, injected.manifest.model_copy(update={"task": record}))
    for seed in (None, 1):
        refused(message, find_task, model, None, seed=seed)


def test_a_task_may_be_given_by_its_name(reference, injected, digits):
    assert named_task(None, reference) is None
    assert named_task(digits, reference) is digits
    assert named_task("digits", reference).hashes() == digits.hashes()
    assert compare(reference, injected, task="digits") == compare(reference, injected)
    assert detect(injected.model, "last-layer", task="digits").score == detect(injected, "last-layer").score
    with pytest.raises(AnchorlabError, match="unknown task 'digts': did you mean 'digits'"):
        compare(reference, injected, task="digts")


def test_a_folder_in_place_of_a_model_is_opened_by_load_model(reference):
    with pytest.raises(AnchorlabError, match=r"compare: reference is 'runs/ref', .*: give load_model\('runs/ref'\)"):
        compare("runs/ref", reference)
