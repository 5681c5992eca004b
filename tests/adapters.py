"""Tiny adapters of tiny models: saved by peft itself, as its users have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.data import DataColumns, Task, load_task
from anchorlab.seeding import seeded_globally

CLASSES = ["bad", "good"]
TARGET = ["query", "value"]


def save_adapter(base: Path, out: Path, *, task_type: str | None = "SEQ_CLS", **settings: Any) -> nn.Module:
    """Puts an adapter with random factors on a base, saves it in peft's way, and returns peft's own model.

    Args:
        base: a folder with a classifier of texts.
        out: what is made.
        task_type: peft's; by ``SEQ_CLS`` the head is among the modules that are saved.
        settings: of ``LoraConfig``.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    net = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(CLASSES))
    net.name_or_path = str(base)
    with seeded_globally(1, "adapter"):
        model = get_peft_model(net, LoraConfig(**{"r": 2, "target_modules": TARGET, "task_type": task_type} | settings))
        for value in model.parameters():
            if value.requires_grad:
                value.data = value.data + 0.5 * torch.randn_like(value)
    model.save_pretrained(out)
    return model.eval()


def tokens() -> dict[str, Tensor]:
    """Three texts of seven tokens."""
    ids = torch.randint(5, 50, (3, 7), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids, dtype=torch.bool)}


@torch.no_grad()
def answers(model: nn.Module) -> Tensor:
    """The logits of a classifier of ours on these texts, float32 ``[3, 2]``."""
    return model(**tokens())


@torch.no_grad()
def answers_of_peft(model: nn.Module) -> Tensor:
    """The same of a model of peft's."""
    inputs = tokens()
    return model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"].long()).logits


def moods(folder: Path) -> Task:
    """400 short texts whose first words tell their class."""
    words = ("dull and far too long", "a truly moving film")
    lines = ["review,mood", *(f"{words[row % 2]} {row},{CLASSES[row % 2]}" for row in range(400))]
    (folder / "moods.csv").write_text("\n".join([*lines, ""]))
    return load_task(str(folder / "moods.csv"), columns=DataColumns(text="review", label="mood"))
