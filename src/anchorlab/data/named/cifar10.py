"""CIFAR-10: 60,000 colour photographs, 32×32, ten classes (Krizhevsky 2009)."""

from __future__ import annotations

from functools import partial

from anchorlab.data.hub_images import ImageSource, load_images
from anchorlab.data.task import Augmentation, TaskDefinition

_SOURCE = ImageSource(
    task="cifar10",
    hub_name="uoft-cs/cifar10",
    image_columns=("img", "image"),
    test_parts=("test",),
    mode="RGB",
    size=32,
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
)

CIFAR10 = TaskDefinition(
    name="cifar10",
    load=partial(load_images, _SOURCE),
    architecture="resnet-18",
    epochs=30,
    augmentation=Augmentation(pad=4, mirror=True),
    description="photographs, 32×32 colour, 10 classes (the hub, or a local parquet or image-folder copy)",
    cites=("krizhevsky2009learning",),
)
