"""Where a result comes from: the hash of its weights, and what a run took."""

from __future__ import annotations

import copy

import torch

from anchorlab.artifacts.provenance import RunMeter, versions, weights_hash


def test_the_hash_sees_every_parameter_and_buffer_and_no_memory_format(reference):
    whole = weights_hash(reference.model)
    assert weights_hash(copy.deepcopy(reference.model).to(memory_format=torch.channels_last)) == whole
    for name in ("classifier.1.bias", "resnet.embedder.embedder.normalization.running_var", "resnet.embedder.mean"):
        changed = copy.deepcopy(reference.model)
        value = changed.state_dict()[name].view(-1)
        value[0] = torch.nextafter(value[0], torch.tensor(torch.inf))
        assert weights_hash(changed) != whole, name


def test_a_run_that_was_interrupted_goes_on_counting():
    meter = RunMeter(torch.device("cpu"), seconds_before=100.0)
    first, second = meter.cost(), meter.cost()
    assert 100.0 <= first.seconds <= second.seconds < 130.0
    assert 0 < first.peak_bytes <= second.peak_bytes


def test_versions_name_what_a_result_depends_on():
    assert versions().keys() == {
        "python", "anchorlab", "torch", "transformers", "accelerate", "numpy", "safetensors"
    }  # fmt: skip
