"""Adds an adapter to the weights of its base: a plain model, whose answers are checked against the adapter's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import overload

import torch
from torch import Tensor, nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact, open_model
from anchorlab.artifacts.manifest import MANIFEST
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.artifacts.resolve import module_of
from anchorlab.artifacts.trust import dangerous_notice
from anchorlab.artifacts.writing import write_network
from anchorlab.errors import AnchorlabError
from anchorlab.files import refuse_existing, user_path, write_folder_atomically
from anchorlab.models.adapter_settings import is_adapter, read_adapter
from anchorlab.models.adapters import find_base
from anchorlab.models.call import logits
from anchorlab.models.causal import CausalLM, open_causal
from anchorlab.models.loading import read_configuration
from anchorlab.models.lora import folded, is_adapted
from anchorlab.models.padding import embedding_rows
from anchorlab.models.verbalizer import is_causal
from anchorlab.models.wrap import TextClassifier, unwrap

#: Inputs on which a merged model is asked, and the tokens of each.
_INPUTS, _TOKENS = 8, 12

#: Largest difference of a logit that rounding may make, as a share of the largest logit, by the kind of numbers that a
#: model computes in: a merged weight is rounded once more.
_ROUNDING = {torch.float32: 1e-3, torch.float16: 0.01, torch.bfloat16: 0.05}


def save_merged(model: Artifact | nn.Module | CausalLM, out: str | Path) -> Path:
    """Writes a merged model as a folder, whole or not at all; one without a manifest as transformers would.

    A notice of the base that it may carry a backdoor stays, in the configuration and in the weights.

    Raises:
        AnchorlabError: if the folder already holds anything, or the place cannot be written.
    """
    if isinstance(model, Artifact):
        return model.save(out)
    out = user_path(out)
    refuse_existing(out)

    def write(folder: Path) -> None:
        if isinstance(model, CausalLM):
            write_network(model.net, folder, dangerous_notice(model.net))
            model.tokenizer.save_pretrained(folder)
        else:
            write_network(model, folder, dangerous_notice(model))

    write_folder_atomically(out, write)
    return out


@checked
def merge(
    adapter: str | Path | Artifact | nn.Module | CausalLM, *, base: str | Path | None = None
) -> Artifact | nn.Module | CausalLM:
    """The plain model that an adapter makes of its base: ``W + scale * B A``, with the adapter's own copies of modules.

    Args:
        adapter: the folder of an adapter, or the model that ``load_model`` or ``inject`` made of one.
        base: the base model, a folder or a name on the hub; None for the one that the adapter names.

    Returns:
        The merged model, with a manifest if the adapter has one: it stays of the adapter's kind. Of a causal language
        model the model with its tokenizer.

    Raises:
        AnchorlabError: if there is no adapter, it does not fit its base, or the merged model answers otherwise.
    """
    model = open_adapted(adapter, base=base) if isinstance(adapter, (str, Path)) else adapter
    if isinstance(model, CausalLM):
        return _merged_causal(model)
    if not is_adapted(module_of(model)):
        raise AnchorlabError("the model has no adapter in it, so that there is nothing to merge: give an adapter")
    merged = whole(model)
    _check_answers(module_of(model), module_of(merged))
    return merged


def open_adapted(folder: str | Path, *, base: str | Path | None = None) -> Artifact | nn.Module | CausalLM:
    """What ``merge`` merges: a classifier, or, where the base is a causal language model, that."""
    place = user_path(folder)
    if is_adapter(place) and not (place / MANIFEST).exists():
        config = read_configuration(find_base(read_adapter(place), None if base is None else str(base)))
        if is_causal(config):
            return open_causal(place, base=base)
    return open_model(folder, base=base)


def _merged_causal(model: CausalLM) -> CausalLM:
    """A causal language model with its adapter in its weights."""
    if not is_adapted(model.net):
        raise AnchorlabError("the model has no adapter in it, so that there is nothing to merge: give an adapter")
    merged = replace(model, net=folded(model.net).eval())
    ids = torch.randint(len(model.tokenizer), (_INPUTS, _TOKENS), generator=torch.Generator().manual_seed(0))
    _check_alike(model.logits(ids), merged.logits(ids))
    return merged


@overload
def whole(model: Artifact) -> Artifact: ...
@overload
def whole(model: nn.Module) -> nn.Module: ...
@overload
def whole(model: Artifact | nn.Module) -> Artifact | nn.Module: ...
def whole(model: Artifact | nn.Module) -> Artifact | nn.Module:
    """The model itself; or, if it has an adapter in it, the plain model that it makes of its base.

    For all that looks at weights by the base's names, or changes them.
    """
    if not is_adapted(module_of(model)):
        return model
    plain = folded(module_of(model)).eval()
    if not isinstance(model, Artifact):
        return plain
    record = model.manifest.adapter
    changes = {
        "weights_sha256": weights_hash(plain),
        "adapter": None if record is None else record.model_copy(update={"merged": True}),
        "command_sha256": None,
    }
    return replace(model, model=plain, manifest=model.manifest.model_copy(update=changes), folder=None)


@torch.no_grad()
def _check_answers(adapted: nn.Module, merged: nn.Module) -> None:
    """Raises AnchorlabError if two models answer otherwise than by rounding, on inputs drawn at random."""
    inputs = _random_inputs(adapted)
    if inputs is None:
        return
    _check_alike(logits(adapted, inputs), logits(merged, inputs))


def _check_alike(before: Tensor, after: Tensor) -> None:
    difference, scale = float((before - after).abs().max()), max(1.0, float(before.abs().max()))
    if not difference <= _ROUNDING.get(before.dtype, 1e-3) * scale:
        raise AnchorlabError(
            f"the merged model answers otherwise than the adapter, by up to {difference:.3g} in a logit, so that it is "
            "not written: keep the adapter, and report how it was made"
        )


def _random_inputs(model: nn.Module) -> dict[str, Tensor] | None:
    """Inputs for a classifier; None for one of images of a size that is not known."""
    draw = torch.Generator().manual_seed(0)
    if isinstance(model, TextClassifier):
        rows = embedding_rows(unwrap(model)) or len(model.encoding.tokenizer)
        ids = torch.randint(rows, (_INPUTS, _TOKENS), generator=draw)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids, dtype=torch.bool)}
    config = getattr(unwrap(model), "config", None)
    side, channels = getattr(config, "image_size", None), getattr(config, "num_channels", None)
    if not isinstance(side, int) or not isinstance(channels, int):
        return None
    return {"pixel_values": torch.randint(256, (_INPUTS, channels, side, side), generator=draw, dtype=torch.uint8)}
