"""SCALE-UP by its definition, and on a planted backdoor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from anchorlab import AnchorlabError
from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.detectors import scale_up
from anchorlab.detectors.scale_up import ScaleUp, consistency
from anchorlab.statistics.roc import auroc


class Brightness(nn.Module):
    """Class 1 from brightness 100 on, class 0 below; uint8 ``[B, 1, 1, 1]``."""

    def forward(self, pixel_values):
        bright = (pixel_values.flatten(1)[:, 0].float() >= 100).float()
        return torch.stack([1 - bright, bright], dim=1)


def images_of(*values):
    return {"pixel_values": torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1)}


def data_of(values, labels):
    return DefenderData(Split(images_of(*values), torch.tensor(labels)), None, 2, "image")


def test_by_hand(context):
    """Of the multiples 3, 5, 7, 9, 11: 200 stays bright; 0 dark; 12 is 36, 60, 84, 108, 132; 25 is 75, 125, ..."""
    found = ScaleUp().scores(Brightness(), data_of([], []), images_of(200, 0, 12, 25), context)
    assert found.tolist() == pytest.approx([1, 1, 3 / 5, 1 / 5])
    finer = ScaleUp(largest=3, step=1).scores(Brightness(), data_of([], []), images_of(25, 40), context)
    assert finer.tolist() == pytest.approx([1, 1 / 2])  # 50 and 75; 80 and 120


def test_pixels_are_cut_off_and_not_wrapped_around():
    """86 times 3 is 258, which as uint8 would be 2, and dark."""
    shares, labels = consistency(Brightness(), images_of(100, 130)["pixel_values"], range(3, 4))
    assert shares.tolist() == [1, 1]
    assert labels.tolist() == [1, 1]


def test_no_more_than_a_batch_is_multiplied_at_once(monkeypatch):
    """A float copy of all images would take many times their memory."""
    images, given = images_of(100, 130)["pixel_values"], []
    ask = scale_up.predict

    def watched(model, inputs, **how):
        given.append(inputs["pixel_values"])
        return ask(model, inputs, batch_size=1, **how)

    monkeypatch.setattr(scale_up, "predict", watched)
    assert consistency(Brightness(), images, range(3, 6, 2))[0].tolist() == [1, 1]
    assert len(given) == 3
    assert all(each is images for each in given)


def test_the_data_limited_form_is_standardised_by_the_predicted_class(context):
    """Clean images of class 0 have consistencies 3/5 and 1/5: mean 2/5, deviation 1/5; of class 1 all have 1.

    So 0, with consistency 1, lies 3 deviations up; class 1 has the least deviation 1/5, and its images lie on the mean.
    """
    data = data_of([12, 25, 200, 150], [0, 0, 1, 1])
    found = ScaleUp(standardised=True).scores(Brightness(), data, images_of(0, 25, 255), context)
    assert found.tolist() == pytest.approx([3, -1, 0])


def test_a_class_that_is_missing_is_refused_in_that_form_alone(context):
    with pytest.raises(AnchorlabError, match=r"has none of \[1\]: give more clean examples, or standardised=false"):
        ScaleUp(standardised=True).scores(Brightness(), data_of([12], [0]), images_of(0), context)


def test_what_is_no_image_or_no_multiple_is_refused(context):
    with pytest.raises(AnchorlabError, match="SCALE-UP multiplies pixels, but the inputs are input_ids"):
        ScaleUp().scores(Brightness(), data_of([], []), {"input_ids": torch.zeros(1, 1)}, context)
    with pytest.raises(AnchorlabError, match="no multiple from 21 to 11"):
        ScaleUp(step=20).scores(Brightness(), data_of([], []), images_of(0), context)


def test_triggered_images_stand_out(images, context):
    """0.66 when this was written: half of the clean digits, which are black and white, survive as well.

    The data-limited form is below chance here, 0.35: clean zeros, to which triggered images are compared, survive.
    """
    clean, triggered = images.scores(ScaleUp(), context)
    assert auroc(clean, triggered).value > 0.6
    assert np.array_equal(images.scores(ScaleUp(), context)[0], clean)
