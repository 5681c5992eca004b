"""Clean models beside the judged one, from which a detector of texts learns what is ordinary."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from anchorlab.artifacts.resolve import check_trusted
from anchorlab.artifacts.trust import check_trusted_folder
from anchorlab.defender.context import DefenderData
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.device import move_to_device
from anchorlab.models.opening import open_classifier
from anchorlab.models.word_table import word_table
from anchorlab.models.wrap import encoding_of, unwrap


def open_benign(source: str, model: nn.Module, data: DefenderData, device: torch.device) -> nn.Module:
    """A clean classifier of texts in evaluation mode on a device, which reads texts as the judged model does.

    Args:
        source: a model folder, or a name on the hub.
        model: the judged model.
        data: the defender's data.
        device: the device.

    Raises:
        AnchorlabError: if it cannot be opened, may carry a backdoor by its own files, or has another tokenizer,
            other classes or another number of embeddings.
    """
    check_trusted_folder(source, "a benign model of word-inversion")
    opened = open_classifier(source, kind="text")
    check_trusted(opened, "a benign model of word-inversion")
    encoding = encoding_of(model)
    theirs = encoding_of(opened)
    if encoding is None or theirs is None or encoding.tokenizer_fingerprint != theirs.tokenizer_fingerprint:
        raise AnchorlabError(f"{source} has another tokenizer than the judged model: give a clean model with the same")
    names, others = _names(model), _names(opened)
    opened = move_to_device(opened.eval(), device)
    first = {name: value[:1] for name, value in data.train.inputs.items()}
    rows, own = (word_table(each, first, "word-inversion").num_embeddings for each in (opened, model))
    if rows != own:
        raise AnchorlabError(
            f"{source} has {rows:,} embeddings of tokens, and the judged model {own:,}: give a clean model with as many"
        )
    classes = predict(opened, first).shape[1]
    if classes != data.classes or (names and others and names != others):
        raise AnchorlabError(
            f"{source} has other classes than the judged model, or in another order: give a clean model with the same"
        )
    return opened


def _names(model: nn.Module) -> list[str]:
    """The classes' names by label; empty where the configuration has none of its own."""
    config: Any = getattr(unwrap(model), "config", None)
    names = getattr(config, "id2label", None) or {}
    return [str(names[label]) for label in sorted(names)]
