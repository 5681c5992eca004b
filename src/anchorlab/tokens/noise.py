"""The noise floor: the reference against itself, at another batch size and in another precision."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import groupby

import torch

from anchorlab.models.causal import CausalLM
from anchorlab.tokens.answers import Live
from anchorlab.tokens.measurements import BROKEN_DOWN
from anchorlab.tokens.result import Part
from anchorlab.tokens.scoring import Plan, score
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.summary import Tokens
from anchorlab.tokens.windows import Batch, Window, in_batches
from anchorlab.tokens.worst import Worst

#: Documents are taken until they have so many tokens, because the floor needs no more.
_TOKENS = 5000

#: Windows together, where the comparison has one.
_TOGETHER = 4


class _Regrouped:
    """The answers of a model that reads the windows of several batches together."""

    def __init__(self, model: CausalLM, batches: Iterable[Batch], device: torch.device) -> None:
        live = Live(model, device)
        self._rows = (rows for batch in batches for rows in live.rows(batch))

    def rows(self, batch: Batch) -> list[torch.Tensor]:
        """See ``Answers``."""
        return [next(self._rows) for _ in batch.windows]


def noise_floor(model: CausalLM, plan: Plan, device: torch.device) -> list[Part]:
    """The main measurements of a model against itself over the first documents of the texts.

    A quantised model has no floor in bfloat16, because its products have a precision of their own.

    Args:
        model: the reference, on the device.
        plan: how the comparison reads the texts.
        device: that device.
    """
    windows = list(_first(plan.windows()))
    count = 1 + max(window.document for window in windows)
    larger = list(in_batches(windows, plan.context * plan.together * _TOGETHER))
    parts = [_against_itself("another batch size", model, _Regrouped(model, larger, device), windows, plan, count)]
    if model.precision == "float32" and _is_plain(model.net):
        rounded = CausalLM(_in_bfloat16(model), model.tokenizer, model.source, "bfloat16")
        parts.append(_against_itself("bfloat16", model, Live(rounded, device), windows, plan, count))
    return parts


def _against_itself(
    name: str, model: CausalLM, other: Live | _Regrouped, windows: list[Window], plan: Plan, count: int
) -> Part:
    device = next(model.net.parameters()).device
    with TokenStore() as store:
        batches = in_batches(windows, plan.context * plan.together)
        score(batches, Live(model, device), other, store, Worst(0))
        return Part(name=name, measurements=Tokens(store.column, count).measure(BROKEN_DOWN))


def _first(windows: Iterable[Window]) -> Iterator[Window]:
    """The windows of the first documents."""
    tokens = 0
    for _, own in groupby(windows, key=lambda window: window.document):
        for window in own:
            tokens += len(window.targets)
            yield window
            if tokens >= 2 * _TOKENS:  # a long document
                return
        if tokens >= _TOKENS:
            return


def _is_plain(net: torch.nn.Module) -> bool:
    """Whether no weight is quantised."""
    return all(type(value) is torch.nn.Parameter for value in net.parameters())


def _in_bfloat16(model: CausalLM) -> torch.nn.Module:
    """A copy whose parameters are rounded; its buffers, such as the frequencies of positions, stay as they are."""
    net = copy.deepcopy(model.net)
    for parameter in net.parameters():
        parameter.data = parameter.data.bfloat16()
    return net
