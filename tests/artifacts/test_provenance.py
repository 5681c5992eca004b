"""Where a result comes from: the hash of its weights, and what a run took."""

from __future__ import annotations

import copy

import pytest
import torch

from anchorlab.artifacts.provenance import RunMeter, has_tf32, versions, versions_of_run, weights_hash
from tests.pretend import pretend_card


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


@pytest.mark.usefixtures("on_cpu")
def test_a_run_on_the_cpu_says_libraries_alone():
    assert versions_of_run() == versions()
    assert not has_tf32(versions_of_run())


def test_a_run_on_a_gpu_says_which_one_it_was():
    with pretend_card():
        found = versions_of_run()
    assert found == versions() | {"gpu": "pretended", "compute_capability": "9.0"}
    assert has_tf32(found)


@pytest.mark.parametrize(("capability", "has"), [("7.5", False), ("10.0", True), ("7.0 and 8.6", True)])
def test_tf32_began_with_ampere(capability, has):
    assert has_tf32({"compute_capability": capability}) is has
