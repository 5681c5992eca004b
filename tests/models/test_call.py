"""Building, calling and saving classifiers."""

from __future__ import annotations

import copy

import torch
from torch import nn

import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)
from anchorlab.models.call import check_classes, logits, predict
from tests.refusals import refused


def test_logits_are_float32_from_tensors_and_from_transformers_outputs(digits, linear, reference):
    inputs = {"pixel_values": digits.split("test").inputs["pixel_values"][:4]}
    assert torch.equal(logits(linear, inputs), linear(**inputs))
    assert torch.equal(logits(reference.model, inputs), reference.model(**inputs).logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(**inputs).dtype == torch.bfloat16
        assert logits(linear, inputs).dtype == torch.float32


def test_predictions_do_not_depend_on_the_batch_size(digits, reference):
    inputs = {name: value[:120] for name, value in digits.split("test").inputs.items()}
    whole = predict(reference.model, inputs)
    assert whole.shape == (120, 10)
    for batch_size in (120, 50, 7):
        torch.testing.assert_close(predict(reference.model, inputs, batch_size=batch_size), whole, rtol=0, atol=1e-4)


def test_predict_evaluates_and_restores_the_mode(digits, reference):
    inputs = {name: value[:60] for name, value in digits.split("test").inputs.items()}
    model = copy.deepcopy(reference.model).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answers = predict(model, inputs)
    assert torch.equal(answers, predict(reference.model, inputs))
    assert not answers.requires_grad
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    predict(model.eval(), inputs)
    assert not model.training


def test_predict_transforms_each_batch_before_the_model_sees_it(digits, linear):
    inputs = {name: value[:9] for name, value in digits.split("test").inputs.items()}
    negative = predict(
        linear, inputs, transform=lambda batch: {"pixel_values": 255 - batch["pixel_values"]}, batch_size=4
    )
    assert torch.equal(negative, predict(linear, {"pixel_values": 255 - inputs["pixel_values"]}, batch_size=4))


class Three(nn.Module):
    """Answers with three numbers, whatever the image."""

    answers = (0.0, 0.0, 0.0)

    def forward(self, pixel_values):
        return torch.tensor([self.answers] * len(pixel_values))


def test_classes_are_counted_by_asking_the_model(digits):
    refused("the model answers with 3 classes, but the task digits has 10", check_classes, Three(), digits)


def test_a_module_that_ends_in_a_softmax_is_refused(digits, linear):
    check_classes(linear, digits)
    refused(
        "the answers of the model are probabilities, because none is negative and every row sums to 1, but logits are "
        "wanted: .* by leaving out the softmax at the model's end",
        check_classes,
        WithSoftmax(linear),
        digits,
    )


class WithSoftmax(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, pixel_values):
        return self.net(pixel_values=pixel_values).softmax(1)
