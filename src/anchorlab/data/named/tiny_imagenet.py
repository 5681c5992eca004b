"""Tiny ImageNet: 110,000 colour photographs, 64×64, 200 classes (Le and Yang 2015).

The labels of its own test part were never published, so its validation part is the test part here.
"""

from __future__ import annotations

from functools import partial

from anchorlab.data.hub_images import ImageSource, load_images
from anchorlab.data.task import Augmentation, TaskDefinition

_SOURCE = ImageSource(
    task="tiny-imagenet",
    hub_name="zh-plus/tiny-imagenet",
    image_columns=("image",),
    test_parts=("validation", "test"),
    mode="RGB",
    size=64,
    classes=tuple(str(label) for label in range(200)),
)

TINY_IMAGENET = TaskDefinition(
    name="tiny-imagenet",
    load=partial(load_images, _SOURCE),
    architecture="resnet-34",
    epochs=40,
    augmentation=Augmentation(pad=8, mirror=True),
    description="photographs, 64×64 colour, 200 classes (the hub, or a local parquet or image-folder copy)",
    cites=("le2015tiny",),
)
