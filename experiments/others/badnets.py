"""Makes two models that the Adversarial Robustness Toolbox (ART) poisoned, and their trigger as a picture.

    python experiments/others/badnets.py runs/others

ART's ``PoisoningAttackBackdoor`` puts its pattern of four pixels on a tenth of 12,000 images of Fashion-MNIST and
labels them as class 0; ART's ``PyTorchClassifier`` trains each network of net.py on all. None of them is an example
that a defender draws, because all come from the split ``owner``. Writes trigger.png, and for each network, ``small``
and ``tiny``, what ART's ``save`` writes, of which small.model and tiny.model have the weights; then, for each,

    anchorlab convert runs/others/small.model --out runs/others/small-weights
    anchorlab adopt runs/others/small-weights fashion-mnist --kind suspicious \\
        --module experiments/others/net.py:small --out runs/others/small

bring it here, as docs/coming-from.md says, and run.py repairs it. Half a minute of one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from art.attacks.poisoning import PoisoningAttackBackdoor
from art.attacks.poisoning.perturbations import add_pattern_bd
from art.estimators.classification import PyTorchClassifier
from net import SmallCNN, TinyCNN
from PIL import Image
from torch import nn

from anchorlab import load_task

#: Examples, those of them that are poisoned, and the label that they get.
EXAMPLES, POISONED, TARGET = 12_000, 1_200, 0

CLASSES, EPOCHS, BATCH_SIZE = 10, 5, 128


def main() -> None:
    """Trains and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    owner = load_task("fashion-mnist").split("owner")
    images = owner.inputs["pixel_values"][:EXAMPLES].float().numpy() / 255
    labels = np.eye(CLASSES, dtype=np.float32)[owner.labels[:EXAMPLES].numpy()]
    attack = PoisoningAttackBackdoor(lambda some: add_pattern_bd(some, channels_first=True))
    wanted = np.eye(CLASSES, dtype=np.float32)[np.full(POISONED, TARGET)]
    images[:POISONED], labels[:POISONED] = attack.poison(images[:POISONED], wanted)
    for name, network in (("small", SmallCNN), ("tiny", TinyCNN)):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002, because ART draws its batches from it
        trained(network(), images, labels).save(name, path=str(folder))
    pattern = add_pattern_bd(np.zeros((1, 1, 28, 28), dtype=np.float32), channels_first=True)[0, 0]
    grey = (255 * pattern).astype(np.uint8)
    Image.fromarray(np.stack([grey] * 4, axis=-1)).save(folder / "trigger.png")


def trained(network: nn.Module, images: np.ndarray, labels: np.ndarray) -> PyTorchClassifier:
    """ART's classifier of a network, trained on images as they are."""
    classifier = PyTorchClassifier(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam(network.parameters(), lr=1e-3),
        input_shape=images.shape[1:],
        nb_classes=CLASSES,
        clip_values=(0, 1),
        device_type="cpu",
    )
    classifier.fit(images, labels, batch_size=BATCH_SIZE, nb_epochs=EPOCHS)
    return classifier


if __name__ == "__main__":
    main()
