"""The embeddings of token ids in a classifier of texts."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.hooks import modules_in_call_order
from anchorlab.models.wrap import unwrap


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
