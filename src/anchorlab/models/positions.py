"""How many tokens a network of texts can read: what its table of positions holds."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

#: Names under which transformers keeps a table of positions, a row a position.
_TABLES = {"position_embeddings", "position_embedding", "positions_embed", "embed_positions", "wpe"}

#: Settings that say how long the texts were that a network was trained on.
_SETTINGS = ("max_position_embeddings", "n_positions", "max_seq_len")

#: Tokenizers that know no limit say 10^30.
_NO_LIMIT = 1_000_000

#: Where neither network nor tokenizer says anything.
_USUAL = 512


def token_limit(net: nn.Module, config: Any, tokenizer_limit: Any) -> int:
    """Most tokens of a text, special ones included: the smallest of what the network and its tokenizer say.

    A table of positions cannot be left, so that it counts without exception. Networks whose positions are relative or
    rotary have none; for them it is the length that they were made for.

    Args:
        net: a network of transformers.
        config: its configuration.
        tokenizer_limit: the tokenizer's ``model_max_length``, nonsense included.
    """
    limits = [*_table_limits(net), *(getattr(config, name, None) for name in _SETTINGS), tokenizer_limit]
    known = [int(limit) for limit in limits if _is_limit(limit)]
    return min(known, default=_USUAL)


def described_limit(config: Any) -> int | None:
    """Most tokens by the tables of positions of the network that a configuration describes; None if it has none.

    For a network whose own tables cannot be seen, as those in an ONNX file. What is described is made without memory.

    Args:
        config: a configuration of transformers.
    """
    from transformers import AutoModel

    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            net = AutoModel.from_config(copy.deepcopy(config), trust_remote_code=False)
    except Exception:  # names of classes alone describe no network, and each family refuses by another type
        return None
    return min(_table_limits(net), default=None)


def _table_limits(net: nn.Module) -> list[int]:
    """For each table of positions, how many tokens have a row of their own in it.

    RoBERTa and its kin count from the row after the padding token's, and BART and OPT leave two rows free.
    """
    limits = []
    for name, module in net.named_modules():
        weight = getattr(module, "weight", None)
        if name.rpartition(".")[2] not in _TABLES or not isinstance(weight, Tensor) or weight.ndim != 2:
            continue
        padding, offset = getattr(module, "padding_idx", None), getattr(module, "offset", 0)
        limits.append(weight.shape[0] - (offset if padding is None else padding + 1))
    return limits


def _is_limit(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < _NO_LIMIT
