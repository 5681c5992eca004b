"""The loops that peers write, each with the model, the batches, the optimiser and the data of ``step.py``.

ART is no dependency: ``pip install --no-deps adversarial-robustness-toolbox`` lets its row run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from anchorlab.repairs import logits


def optimiser_of(model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of all rows."""
    return torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=0.0, fused=True)


class _Logits(nn.Module):
    """A model that takes pixels and returns logits, as ART wants it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return logits(self.model, {"pixel_values": pixel_values})


def art_fit(model: nn.Module, images: Tensor, labels: Tensor, batch: int, classes: int) -> Callable[[], None] | None:
    """An epoch of ART's ``PyTorchClassifier.fit``; None where ART is not installed."""
    if find_spec("art") is None:
        print("left out: ART fit, because it is not installed (pip install --no-deps adversarial-robustness-toolbox)")
        return None
    from art.estimators.classification import PyTorchClassifier

    network = _Logits(model)
    classifier = PyTorchClassifier(
        network,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=classes,
        optimizer=optimiser_of(network),
        device_type="gpu" if images.is_cuda else "cpu",
    )
    pixels, answers = images.cpu().numpy().astype(np.float32), labels.cpu().numpy()
    # In evaluation mode, as the others: BatchNorm by its statistics.
    return lambda: classifier.fit(pixels, answers, batch_size=batch, nb_epochs=1, training_mode=False)


class _Rows(Dataset[dict[str, Tensor]]):
    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images.cpu(), labels.cpu()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"pixel_values": self.images[index], "labels": self.labels[index]}


def trainer(model: nn.Module, images: Tensor, labels: Tensor, batch: int) -> Callable[[], None]:
    """An epoch of the Trainer of transformers, with nothing logged or saved."""
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=batch,
        num_train_epochs=1,
        learning_rate=1e-4,
        optim="adamw_torch_fused",
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=not images.is_cuda,
        dataloader_num_workers=0,
        remove_unused_columns=False,
    )

    class Supervised(Trainer):  # type: ignore[misc]
        """With the loss in the place that Trainer has for it, because the model returns logits."""

        def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], *_: object, **__: object) -> Tensor:
            return functional.cross_entropy(logits(model, {"pixel_values": inputs["pixel_values"]}), inputs["labels"])

    return lambda: Supervised(model=model, args=arguments, train_dataset=_Rows(images, labels)).train() and None


class _Pictures(Dataset[tuple[Tensor, int]]):
    """One picture at a time, as with torchvision's ToTensor: uint8 to PIL and back to a float tensor."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images.cpu().numpy(), labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index].transpose(1, 2, 0).squeeze())
        pixels = torch.from_numpy(np.array(picture)).view(picture.height, picture.width, -1)
        return pixels.permute(2, 0, 1).contiguous().float().div(255), self.labels[index]


def loader(model: nn.Module, images: Tensor, labels: Tensor, batch: int, workers: int) -> Callable[[], None]:
    """An epoch of a loop over a DataLoader of single pictures; its workers stay between epochs."""
    device = images.device
    batches = DataLoader(
        _Pictures(images, labels), batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    optimiser = optimiser_of(model)

    def run() -> None:
        for pixels, answers in batches:
            scores = logits(model, {"pixel_values": pixels.to(device) * 255})
            functional.cross_entropy(scores, answers.to(device)).backward()
            optimiser.step()
            optimiser.zero_grad()

    return run
