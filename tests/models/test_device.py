"""Models on a device: memory formats, and the way back."""

from __future__ import annotations

import copy

import numpy as np
import torch

import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)
from anchorlab.models.call import predict
from anchorlab.models.device import move_to_cpu, move_to_device


def test_convolutional_models_are_placed_channels_last_and_taken_back(digits, reference, linear):
    inputs = {name: value[:30] for name, value in digits.split("test").inputs.items()}
    model = move_to_device(copy.deepcopy(reference.model), torch.device("cpu")).train()
    weight = model.resnet.encoder.stages[1].layers[0].layer[0].convolution.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    np.testing.assert_allclose(predict(model, inputs), predict(reference.model, inputs), atol=1e-4)
    move_to_cpu(model)
    assert weight.is_contiguous()
    assert not model.training
    assert move_to_device(linear, torch.device("cpu")).layer.weight.is_contiguous()
