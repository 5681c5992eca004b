"""Building, calling and saving classifiers."""

from __future__ import annotations

import copy

import torch
from torch import nn

import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)
from anchorlab.models.call import class_count, logits, predict


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


def test_classes_are_counted_by_asking_the_model(digits):
    class Three(nn.Module):
        def forward(self, pixel_values):
            return pixel_values.new_zeros(len(pixel_values), 3, dtype=torch.float32)

    assert class_count(Three(), digits.split("test").inputs) == 3
