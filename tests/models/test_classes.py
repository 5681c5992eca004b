"""Which output of a model is which class."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from anchorlab.models.classes import class_names, match_classes, matched_in_words, rearranged
from anchorlab.models.pretrained import open_pretrained
from tests.refusals import refused
from tests.zoo import save_text


@given(st.permutations(["cat", "dog", "golden retriever", "10", "x"]))
def test_names_are_matched_whatever_their_order(classes):
    names = ["cat", "dog", "golden retriever", "10", "x"]
    order = match_classes([names], [classes], model="the model")
    assert [classes[place] for place in order] == names


@pytest.mark.parametrize(
    ("names", "classes", "order"),
    [
        (["Positive", " NEGATIVE "], ["negative", "positive"], [1, 0]),
        (["a", "A"], ["A", "a"], [1, 0]),
        (["0", "1", "2"], ["neg", "neutral", "pos"], [0, 1, 2]),
        (["NEGATIVE", "POSITIVE"], ["0", "1"], [0, 1]),
        (["0", "1", "10", "2"], ["0", "1", "2", "10"], [0, 1, 3, 2]),
    ],
)
def test_case_and_spaces_do_not_count_and_numbers_are_taken_in_order(names, classes, order):
    assert match_classes([names], [classes], model="the model") == order


@pytest.mark.parametrize(
    ("names", "classes"),
    [(["NEGATIVE", "POSITIVE"], ["neg", "pos"]), (["a", "A"], ["a", "b"]), (["1 star", "2 stars"], ["1", "2"])],
)
def test_other_names_are_refused(names, classes):
    refused(
        "the model names its classes .*, but the data .*, so that nobody knows which is which: write the same names",
        match_classes,
        [names],
        [classes],
        model="the model",
    )


def test_it_is_said_which_output_is_which_class():
    assert matched_in_words(("cat", "dog"), ("cat", "dog")) is None
    assert matched_in_words(None, ("cat", "dog")) == (
        "output 0 is 'cat', output 1 is 'dog': the model's configuration has no names, so that its outputs are taken "
        "in their order"
    )
    assert "output 0 ('CAT') is 'cat'" in matched_in_words(("CAT", "DOG"), ("cat", "dog"))
    assert matched_in_words(("neg", "pos"), ("0", "1")).endswith("outputs are taken in their order")
    assert matched_in_words(("b", "a"), ("b", "a"), moved=True).endswith("matched by name, in the model's order")
    assert "and so on to output 999: " in matched_in_words(None, [f"class {n}" for n in range(1000)])


def test_outputs_change_places_with_their_weights_and_names(tmp_path):
    model = open_pretrained(str(save_text("bert", tmp_path / "model", ["a", "b", "c"])))
    inputs = model.encoding.encode(["a film", "the plot"])
    moved = rearranged(model, [2, 0, 1], inputs)
    assert class_names(moved) == ("c", "a", "b")
    assert class_names(model) == ("a", "b", "c")
    torch.testing.assert_close(moved(**inputs), model(**inputs)[:, [2, 0, 1]])
    assert torch.equal(moved.net.classifier.weight, model.net.classifier.weight[[2, 0, 1]])


def test_outputs_that_are_not_of_one_layer_do_not_change_places():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, pixel_values):
            flat = pixel_values.float().flatten(1)
            return self.one(flat) + self.two(flat)

    refused(
        "the outputs of the second cannot change places",
        rearranged, Twice(), [1, 0, 2], {"pixel_values": torch.ones(2, 1, 2, 2)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id2label": {"0": "a", "2": "b"}}, "id2label in the config.json .* numbers its classes 0, 2, not 0 to 1"),
        ({"id2label": {"0": "a", "1": "a"}}, "names two classes 'a'"),
        (
            {"label2id": {"a": 1, "b": 0}},
            "label2id in the config.json .* gives 'a' the number 1, and id2label does not",
        ),
        ({"label2id": {"a": 0, "b": 5}}, "label2id in the config.json .* numbers its classes 0, 5"),
        ({"problem_type": "multi_label_classification"}, "problem_type 'multi_label_classification'"),
        ({"problem_type": "regression"}, "problem_type 'regression'"),
        ({"num_labels": 3}, "has num_labels 3, but names 2 classes"),
    ],
)
def test_configurations_that_contradict_themselves_are_refused(tmp_path, changes, message):
    folder = save_text("bert", tmp_path / "model", ["a", "b"])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    refused(message, open_pretrained, str(folder))


def test_names_that_only_label2id_has_are_names(tmp_path):
    folder = save_text("bert", tmp_path / "model", ["a", "b"])
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"]
    (folder / "config.json").write_text(json.dumps(config | {"label2id": {"pos": 0, "neg": 1}}))
    assert class_names(open_pretrained(str(folder))) == ("pos", "neg")


def test_the_default_of_label2id_contradicts_nothing(tmp_path):
    folder = save_text("bert", tmp_path / "model", ["a", "b"])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"label2id": {"LABEL_0": 0, "LABEL_1": 1}}))
    assert class_names(open_pretrained(str(folder))) == ("a", "b")
