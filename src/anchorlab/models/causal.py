"""Causal language models of transformers from a folder of this machine, with their tokenizers. No code is ever run."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError, shortened, unknown
from anchorlab.files import user_path
from anchorlab.models.adapter_settings import is_adapter, read_adapter
from anchorlab.models.adapters import find_base, put_into
from anchorlab.models.folders import check_folder
from anchorlab.models.gguf_files import open_gguf
from anchorlab.models.loading import load_network, open_tokenizer, read_configuration
from anchorlab.models.padding import embedding_rows
from anchorlab.models.positions import token_limit
from anchorlab.models.verbalizer import is_causal

#: The kinds of numbers that a model may compute in.
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]


#: Two rows of one batch may differ by this share of the largest logit, because products add up in another order.
_ROUNDING: dict[str, float] = {"float32": 1e-4, "bfloat16": 0.03, "float16": 0.01}


@dataclass(frozen=True, eq=False)
class CausalLM:
    """A causal language model, in evaluation mode, with its tokenizer.

    Attributes:
        net: answers ``net(input_ids=ids).logits``, as models of transformers do.
        tokenizer: of transformers.
        source: the folder or file that it comes from, for messages.
        precision: the kind of numbers that it computes in.
    """

    net: nn.Module
    tokenizer: Any
    source: str
    precision: Precision = "float32"

    @cached_property
    def limit(self) -> int:
        """Most tokens that it can read at once."""
        return token_limit(self.net, self.net.config, self.tokenizer.model_max_length)

    @torch.inference_mode()
    def logits(self, ids: Tensor, *, last: int | None = None) -> Tensor:
        """The logits of the next token after each one, ``[B, L, V]``, in the model's own precision.

        Args:
            ids: token ids, int64 ``[B, L]``, on the model's device. Shorter rows may be filled up at their ends,
                because no position of a causal model sees what comes after it.
            last: how many of the last positions are wanted; None for all.
        """
        if last is None or last >= ids.shape[1]:
            answers: Tensor = self.net(input_ids=ids, use_cache=False).logits
            return answers
        if self._can_keep:
            kept: Tensor = self.net(input_ids=ids, use_cache=False, logits_to_keep=last).logits
            return kept
        return self.logits(ids)[:, -last:]

    @cached_property
    def _can_keep(self) -> bool:
        """Whether the network leaves out the logits of positions that nobody wants."""
        return "logits_to_keep" in inspect.signature(self.net.forward).parameters


def open_causal(source: str | Path, *, precision: Precision = "float32", base: str | Path | None = None) -> CausalLM:
    """A causal language model from a folder, in evaluation mode, on the CPU.

    Args:
        source: a folder of this machine with config.json, weights in safetensors, and the tokenizer's files; or a GGUF
            file, whose weights are dequantised.
        precision: the kind of numbers that it computes in, whatever the weights are stored in.
        base: for the folder of an adapter: its base model, a folder or a name on the hub; None for the one that the
            adapter names. The tokenizer is the base's.

    Raises:
        AnchorlabError: if it cannot be read, needs code of its own, is no causal language model, or has no tokenizer.
    """
    if precision not in get_args(Precision):
        raise unknown("precision", str(precision), get_args(Precision))
    folder = user_path(source)
    if folder.suffix == ".gguf":
        net, tokenizer, tokens = open_gguf(folder, getattr(torch, precision))
        return _as_causal(net, tokenizer, tokens, folder, precision)
    if is_adapter(folder):
        return _open_adapter(folder, precision, base)
    check_folder(folder)
    return open_transformers(folder, precision)


def _open_adapter(folder: Path, precision: Precision, base: str | Path | None) -> CausalLM:
    """An adapter beside the weights of its base; every weight of it is used."""
    adapter = read_adapter(folder)
    place = find_base(adapter, None if base is None else str(base))
    model = open_transformers(place, precision)
    put_into(model.net, adapter, place)
    model.net.to(getattr(torch, precision)).eval()
    return replace(model, source=str(folder))


def open_transformers(folder: Path, precision: Precision) -> CausalLM:
    """The same, from a folder that ``check_folder`` has checked."""
    from transformers import AutoModelForCausalLM

    config = read_configuration(folder)
    _check_causal(config, folder)
    net = load_network(
        folder, config, AutoModelForCausalLM, str(folder), new_head=False, dtype=getattr(torch, precision)
    )
    tokenizer = open_tokenizer(folder)
    return _as_causal(net, tokenizer, len(tokenizer), folder, precision)


def _as_causal(net: Any, tokenizer: Any, tokens: int, folder: Path, precision: Precision) -> CausalLM:
    """A network and its tokenizer of some tokens, which were opened, once both fit each other."""
    rows = embedding_rows(net)
    if rows is not None and tokens > rows:
        raise AnchorlabError(
            f"the tokenizer in {folder} has {tokens} tokens, but the model has embeddings for {rows}: it is another "
            "model's, so give the folder the tokenizer that it was trained with"
        )
    model = CausalLM(net.eval(), tokenizer, str(folder), precision)
    _refuse_foresight(model)
    return model


def _check_causal(config: Any, folder: Path) -> None:
    """Refuses another kind of model, whose head transformers would otherwise make up."""
    if is_causal(config):
        return
    names = ", ".join(config.architectures or ()) or config.model_type
    raise AnchorlabError(
        f"{shortened(str(folder))} describes no causal language model, but {names}: "
        "give one, such as a folder whose config.json names a class that ends in ForCausalLM"
    )


def _refuse_foresight(model: CausalLM) -> None:
    """Refuses a network whose answer at a position depends on later tokens, as BERT's does where it is no decoder."""
    ids = torch.tensor([[1, 2, 3], [1, 2, 0]])
    first, second = model.logits(ids)[:, :2].double()
    rounding = _ROUNDING[model.precision] * first.abs().max()
    if (first - second).abs().max() > rounding:
        raise AnchorlabError(
            f"the model in {shortened(model.source)} reads later tokens before it predicts them, so that it is no "
            "causal language model: give one, or set is_decoder in its config.json if it was trained as one"
        )
