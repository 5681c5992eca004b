"""Channels: which BatchNorm follows which convolution, and that a pruned channel puts out nothing."""

from __future__ import annotations

import pytest
import torch

from anchorlab.models.hooks import capture_output
from anchorlab.repairs.channels import channels_of


def test_each_convolution_goes_with_the_batchnorm_after_it(small, inputs):
    found = channels_of(small, inputs, "x")
    assert [(one.convolution, one.norm) for one in found] == [
        (small.first, small.first_norm), (small.second, small.second_norm),
    ]  # fmt: skip


def test_a_pruned_channel_puts_out_nothing_behind_a_batchnorm_without_weights(small, inputs):
    small.second_norm = torch.nn.BatchNorm2d(6, affine=False).eval()
    small.second_norm.running_mean.fill_(0.7)
    channels = channels_of(small, inputs, "x")[-1]
    channels.prune(torch.arange(6) == 2)
    with capture_output(channels.output) as output, torch.no_grad():
        small(**inputs)
        assert bool((output()[:, 2] == 0).all())
    assert small.second_norm.running_mean.tolist() == pytest.approx([0.7, 0.7, 0, 0.7, 0.7, 0.7])


def test_a_pruned_channel_puts_out_nothing(small, inputs):
    channels = channels_of(small, inputs, "x")[-1]
    channels.prune(torch.tensor([True, False, False, True, False, False]))
    with capture_output(channels.output) as output, torch.no_grad():
        small(**inputs)
        assert bool((output()[:, [0, 3]] == 0).all())
        assert bool((output()[:, [1, 2, 4, 5]] != 0).any())
