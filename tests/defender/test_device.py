"""What a defence gets is a copy, which does not tell what the model is."""

from __future__ import annotations

import pytest
import torch

from anchorlab import AnchorlabError
from anchorlab.artifacts.deployed import deployed
from anchorlab.defender.device import copy_to_device
from anchorlab.detectors import InputDetector, ModelDetector
from anchorlab.models.call import predict
from anchorlab.repairs.base import Repair
from anchorlab.repairs.repair import check_repair
from anchorlab.scoring.detect import check_detectors

CPU = torch.device("cpu")


def spying(base, seen):
    """A defence that writes down what its check sees, and writes into the model."""

    class Spy(base):
        def check_model(self, model, inputs):
            seen.append(model.config.anchorlab_notice)
            with torch.no_grad():
                next(model.parameters()).zero_()

    return Spy()


@pytest.mark.parametrize("base", [ModelDetector, InputDetector, Repair])
def test_a_check_sees_a_copy_that_does_not_tell_what_the_model_is(suspicious, digits, base):
    suspicious.config.anchorlab_notice = "A backdoor was injected."
    before, seen = next(suspicious.parameters()).clone(), []
    defence = spying(base, seen)
    options = {"task": digits, "defender_data": None}
    if base is Repair:
        check_repair(suspicious, defence, "spy", **options)
    else:
        check_detectors(suspicious, [defence], trigger="square:size=2", target=3, **options)
    assert seen == [None]
    assert torch.equal(next(suspicious.parameters()), before)
    assert suspicious.config.anchorlab_notice == "A backdoor was injected."


def test_a_repair_refuses_a_model_that_it_cannot_read_before_anything_runs(suspicious, digits):
    class Choosy(Repair):
        def check_model(self, model, inputs):
            raise AnchorlabError("it has no attention: take another")

    with pytest.raises(AnchorlabError, match="it has no attention"):
        check_repair(suspicious, Choosy(), "choosy", task=digits, defender_data=None)


def test_a_copy_of_an_onnx_file_does_not_tell_what_the_model_is(injected, digits):
    pytest.importorskip("onnxruntime")
    model = deployed(injected, "onnx", task=digits).model
    (name, before) = next(iter(model.named_buffers()))
    notice = injected.manifest.notice.encode()
    copied = copy_to_device(model, CPU)
    assert notice in bytes(before.numpy())
    assert notice not in bytes(dict(copied.named_buffers())[name].numpy())
    assert notice in bytes(dict(model.named_buffers())[name].numpy())
    pixels = {"pixel_values": digits.split("test").inputs["pixel_values"][:8]}
    assert torch.equal(predict(copied, pixels), predict(model, pixels))
    assert torch.equal(predict(copy_to_device(copied, CPU), pixels), predict(model, pixels))
