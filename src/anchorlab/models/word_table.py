"""The embeddings of token ids in a classifier of texts: the table of words, and how a model looks words up in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.device import in_double
from anchorlab.models.hooks import lookups, modules_in_call_order
from anchorlab.models.wrap import unwrap

#: Rows of a table by which its scale is measured.
_MEASURED = 64


def word_table(model: nn.Module, inputs: Mapping[str, Tensor], name: str, *, instead: str = "detector") -> nn.Embedding:
    """The embeddings of token ids: the table that a model of transformers names, or the largest table that it calls.

    Args:
        model: in evaluation mode.
        inputs: of at least one example, on the model's device.
        name: name of the repair or detector, for messages.
        instead: what else to take, for messages.

    Raises:
        AnchorlabError: if there are none.
    """
    net = unwrap(model)
    table = net.get_input_embeddings() if hasattr(net, "get_input_embeddings") else None  # type: ignore[operator]
    if isinstance(table, nn.Embedding):
        return table
    tables = [
        module for module in modules_in_call_order(model, inputs, nn.Embedding) if isinstance(module, nn.Embedding)
    ]
    if not tables:
        raise AnchorlabError(
            f"{name} works on the embeddings of words, but the model has no nn.Embedding: take another {instead}"
        )
    return max(tables, key=lambda module: module.num_embeddings)


@dataclass(frozen=True)
class WordLookup:
    """How a model looks words up: what its table puts out for an id, and where that enters the model.

    A table of V words may put out its rows times a scale, as Gemma's does. A decoder looks the text of its encoder up
    once more, one place later.

    Attributes:
        table: the table of words that the model calls first.
        scale: what it puts out, relative to its weight.
        lags: for each table with that weight, how many places later the text begins in each call of a forward pass.
    """

    table: nn.Embedding
    scale: float
    lags: Mapping[nn.Embedding, tuple[int, ...]]

    @property
    def size(self) -> int:
        """The number V of words."""
        return len(self.table.weight)

    def vectors(self, ids: Tensor) -> Tensor:
        """What the table puts out for ids of any shape: float32 with a last dimension D, without a graph."""
        with torch.no_grad():
            found: Tensor = self.table(ids)
        return found.detach().float()

    def mixed(self, shares: Tensor) -> Tensor:
        """Mixtures of all words: shares float32 ``[n, V]`` to embeddings ``[n, D]``, with their graph."""
        return self._scaled(shares @ self.table.weight.float())

    def along(self, direction: Tensor) -> Tensor:
        """The product of each word's embedding with a direction ``[D]``: float32 ``[V]``."""
        return self._scaled(self.table.weight.float() @ direction)

    def _scaled(self, values: Tensor) -> Tensor:
        return values if self.scale == 1 else values * self.scale

    @contextmanager
    def replaced(self, vectors: Tensor, start: int) -> Iterator[None]:
        """Inside, the tokens of each text from one place on have other embeddings.

        Args:
            vectors: ``[n, D]``, or ``[B, n, D]`` by text; of the size that the table puts out.
            start: the first place.
        """
        with ExitStack() as stack:
            for table, lags in self.lags.items():
                stack.enter_context(_output_replaced(table, vectors, start, lags))
            yield


def word_lookup(model: nn.Module, inputs: Mapping[str, Tensor], name: str) -> WordLookup:
    """How a model looks words up in its ``word_table``.

    Args:
        model: in evaluation mode.
        inputs: of at least one example, on the model's device.
        name: name of the detector, for messages.

    Raises:
        AnchorlabError: if there is no table, the model does not call it, calls it for something else than the text, or
            its table does more to its rows than to scale them.
    """
    weight = word_table(model, inputs, name).weight
    calls = [(table, ids) for table, ids in lookups(model, inputs) if table.weight is weight]
    if not calls:
        raise AnchorlabError(
            f"{name} replaces what the table of words puts out, but the model never calls the nn.Embedding that it "
            "names as this table: take another detector"
        )
    first, text = calls[0]
    lags: dict[nn.Embedding, tuple[int, ...]] = {}
    for table, ids in calls:
        lags[table] = (*lags.get(table, ()), _lag(text, ids, name))
    return WordLookup(first, _scale(first, name), lags)


def _lag(text: Tensor, ids: Tensor, name: str) -> int:
    """How many places later the ids of a text stand in a call's ids, 0 or 1."""
    for lag in (0, 1):
        later = ids[..., lag:]
        if torch.equal(later, text[..., : later.shape[-1]]):
            return lag
    raise AnchorlabError(
        f"{name} replaces words where the model looks them up, but the model looks up other ids than the text's in the "
        "same table: take another detector"
    )


@torch.no_grad()
def _scale(table: nn.Embedding, name: str) -> float:
    """What a table puts out, relative to its weight."""
    weight = table.weight
    ids = torch.linspace(0, len(weight) - 1, min(_MEASURED, len(weight)), device=weight.device).long()
    rows, found = weight[ids], table(ids)
    if torch.equal(rows, found):
        return 1.0
    precision = torch.finfo(found.dtype).eps
    rows, found = in_double(rows), in_double(found)
    scale = float((rows * found).sum() / rows.square().sum())
    if not torch.allclose(found, scale * rows, rtol=4 * precision, atol=precision * float(found.abs().max())):
        raise AnchorlabError(
            f"{name} needs a table of words that puts out its rows, or all of them times one number, but the model's "
            f"{type(table).__name__} does something else: take another detector"
        )
    return scale


@contextmanager
def _output_replaced(table: nn.Embedding, vectors: Tensor, start: int, lags: tuple[int, ...]) -> Iterator[None]:
    """Inside, one table puts other embeddings out from a place on, which lags behind in some calls."""
    coming = cycle(lags)

    def put(_module: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        begin = start + next(coming)
        # What a lag pushes beyond the last place is not read.
        middle = vectors.to(output.dtype).expand(len(output), -1, -1)[:, : max(0, output.shape[1] - begin)]
        return torch.cat([output[:, :begin], middle, output[:, begin + vectors.shape[-2] :]], dim=1)

    handle = table.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()
