"""scikit-learn's handwritten digits: 1,797 grey images of 8×8, embedded in the library.

The images are the test part of UCI's optdigits (Alpaydin and Kaynak 1998). scikit-learn has no test
part of its own, so three tenths of each class, the same for every seed, become one.
"""

from __future__ import annotations

import torch

from anchorlab.data.cut import Fractions, cut_splits
from anchorlab.data.split import RawData, Split
from anchorlab.data.task import Augmentation, TaskDefinition
from anchorlab.errors import AnchorlabError

_TEST = Fractions(held_out=0.0, selection=0.0, defender=0.3)


def load(data: str | None) -> RawData:
    """scikit-learn's digits, their values 0 to 16 spread over 0 to 255; ``data`` must be None."""
    if data is not None:
        raise AnchorlabError(
            f"the task digits is embedded and takes no data, but was given '{data}': leave --data out; or name other "
            f"data in place of the task"
        )
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).unsqueeze(1)
    images = (images * 255 / 16).round().to(torch.uint8)
    everything = Split({"pixel_values": images}, torch.from_numpy(digits.target).long())
    parts = cut_splits(everything.labels, _TEST, seed=0)
    return RawData(
        train=everything.select(parts["owner"]),
        test=everything.select(parts["defender"]),
        classes=tuple(str(digit) for digit in range(10)),
    )


DIGITS = TaskDefinition(
    name="digits",
    load=load,
    architecture="resnet-tiny",
    epochs=25,
    fractions=Fractions(held_out=0.1, selection=0.1, defender=0.1),
    augmentation=Augmentation(pad=1),
    description="scikit-learn's handwritten digits, 8×8 grey, 10 classes, embedded (the default)",
    cites=("alpaydin1998optical", "pedregosa2011scikit"),
)
