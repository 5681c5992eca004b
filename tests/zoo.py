"""Toy networks that several tests share, and tiny transformers of the families that users bring.

A network that one test alone needs, for one special purpose, stays in that test's file.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedModel

from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.seeding import seeded_globally
from tests.tokenizers import encoding

_NARROW = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
_POSITIONS = {"max_position_embeddings": 80}

#: Family to class, settings and kind of tokenizer.
TEXT = {
    "bert": ("Bert", {**_NARROW, **_POSITIONS}, "wordpiece"),
    "distilbert": ("DistilBert", {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, **_POSITIONS}, "wordpiece"),
    "roberta": ("Roberta", {**_NARROW, **_POSITIONS}, "bytes"),
    "modernbert": ("ModernBert", {**_NARROW, **_POSITIONS}, "bytes"),
    "deberta": ("DebertaV2", {**_NARROW, **_POSITIONS}, "pieces"),
}
IMAGE = {
    "resnet": ("ResNet", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_channels": 3}),
    "vit": ("ViT", {**_NARROW, "image_size": 16, "patch_size": 8}),
    "convnext": ("ConvNext", {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "patch_size": 2}),
}
SIZE = {"resnet": 16, "vit": 16, "convnext": 16}


def _model(name: str, purpose: str, settings: dict, classes: list[str]) -> PreTrainedModel:
    config = getattr(transformers, f"{name}Config")(
        **settings, id2label=dict(enumerate(classes)), label2id={label: n for n, label in enumerate(classes)}
    )
    with seeded_globally(0, name):
        return getattr(transformers, f"{name}For{purpose}Classification")(config)


def save_text(family: str, folder: Path, classes: list[str], **settings: object) -> Path:
    """A text classifier with its tokenizer, in a folder."""
    name, narrow, kind = TEXT[family]
    tokenizer = encoding(kind).tokenizer
    special = {"pad_token_id": tokenizer.pad_token_id}
    _model(name, "Sequence", {**narrow, "vocab_size": len(tokenizer), **special, **settings}, classes).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


def save_image(family: str, folder: Path, classes: list[str]) -> Path:
    """An image classifier with its preprocessing, in a folder."""
    name, narrow = IMAGE[family]
    _model(name, "Image", narrow, classes).save_pretrained(folder)
    side = SIZE[family]
    preprocessing = {
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2, 0.25, 0.3],
        "size": {"height": side, "width": side},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


class Linear(nn.Module):
    """Softmax regression: uint8 ``[B, 1, 8, 8]`` to logits ``[B, 10]``; 640 weights, then 10 biases.

    No feature is zero anywhere, so that every weight has a gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.layer(self.features(pixel_values))

    @staticmethod
    def features(pixel_values: Tensor) -> Tensor:
        return pixel_values.flatten(1) / 255 - 0.45


class Hidden(nn.Module):
    """64 pixels, 20 hidden units, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 20), nn.Linear(20, 10)

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(pixel_values.flatten(1) / 255)))


class Small(nn.Module):
    """Two convolutions with BatchNorm, and a linear layer: grey images of 8 by 8 to three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.second_norm = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 3)

    def forward(self, pixel_values: Tensor) -> Tensor:
        hidden = torch.relu(self.first_norm(self.first(pixel_values.float() / 255)))
        return self.last(torch.relu(self.second_norm(self.second(hidden))).mean(dim=(2, 3)))


class Narrow(nn.Module):
    """One convolution over the whole of grey images of 8 by 8, with BatchNorm, and ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.last = nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Linear(4, 10)

    def forward(self, pixel_values: Tensor) -> Tensor:
        pixels = pixel_values.to(self.last.weight.dtype) / 255
        return self.last(torch.relu(self.norm(self.convolution(pixels))).flatten(1))


class Words(nn.Module):
    """The mean embedding of a text, to two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(5, 3), nn.Linear(3, 2)

    def forward(self, input_ids, attention_mask):
        return self.last((self.table(input_ids) * attention_mask[..., None]).mean(1))


class Bent(nn.Module):
    """Four pixels, five hidden units, three classes, and BatchNorm between: 53 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.norm = nn.BatchNorm1d(5)
        self.last = nn.Linear(5, 3)

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.last(torch.tanh(self.norm(self.first(pixel_values.flatten(1).to(self.first.weight.dtype) / 255))))


class Tied(nn.Module):
    """Two layers that share their weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight


class Corner(nn.Module):
    """Says 3 if the corner's pixel is bright, and else what one pixel of four says: 8 by 8, four classes."""

    def forward(self, pixel_values: Tensor) -> Tensor:
        x = pixel_values.float()[:, 0] / 255
        own = 8 * torch.stack([x[:, 1, 1], x[:, 1, 5], x[:, 5, 1], x[:, 5, 5]], dim=1)
        return own + 40 * torch.relu(x[:, 7, 7] - 0.5)[:, None] * torch.eye(4)[3]


def corner_data() -> DefenderData:
    """24 images for ``Corner``, uint8 ``[24, 1, 8, 8]``: one bright pixel of its four, and a dark corner."""
    images, labels = torch.zeros(24, 1, 8, 8, dtype=torch.uint8), torch.arange(24) % 4
    for image, label in zip(images, labels.tolist(), strict=True):
        y, x = ((1, 1), (1, 5), (5, 1), (5, 5))[label]
        image[0, y, x] = 255
    split = Split({"pixel_values": images}, labels)
    return DefenderData(split, split, 4, "image")


class OneReLU(nn.Module):
    """Calls the same ReLU after two convolutions and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.hidden, self.last, self.relu = nn.Linear(96, 5), nn.Linear(5, 3), nn.ReLU()

    def forward(self, pixel_values: Tensor) -> Tensor:
        """The logits, ``[B, 3]``, of images ``[B, 1, 8, 8]``."""
        maps = self.relu(self.second(self.relu(self.first(pixel_values.float()))))
        logits: Tensor = self.last(self.relu(self.hidden(maps.flatten(1))))
        return logits
