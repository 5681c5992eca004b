"""Whether two models can be audited: they must read the same inputs and answer with the same classes."""

from __future__ import annotations

from torch import nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import module_of, output_names
from anchorlab.data import Task
from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError, first_line, some
from anchorlab.models.call import predict
from anchorlab.models.device import device_of
from anchorlab.models.wrap import encoding_of

#: Classes that a sentence names.
_NAMED = 6


def check_alike(reference: Artifact | nn.Module, candidate: Artifact | nn.Module, task: Task | None) -> None:
    """Raises AnchorlabError, which names both, if the candidate has other inputs, tokenizer or classes.

    Args:
        reference: the trusted model.
        candidate: the model to audit.
        task: the data; None if the reference's manifest names them, and then numbers of classes are not compared.
    """
    first, second = (encoding_of(module_of(model)) for model in (reference, candidate))
    if (first is None) != (second is None):
        raise AnchorlabError(
            f"the reference reads {_kind(first)} and the candidate {_kind(second)}, so that no query suits both: give "
            "two versions of one model"
        )
    if first is not None and second is not None and first.tokenizer_fingerprint != second.tokenizer_fingerprint:
        raise AnchorlabError(
            f"the reference reads texts by {_tokenizer(first)} and the candidate by {_tokenizer(second)}, which "
            "differ: store the answers of both to the same texts, and audit the two .npy files"
        )
    if task is None:
        return
    task = task.encoded(first)
    (ours, answered), (theirs, other) = (_classes(model, name, task) for model, name in _named(reference, candidate))
    if answered != other:
        raise AnchorlabError(
            f"the reference has {ours} and the candidate {theirs}, so that their answers have nothing in common: give "
            "two versions of one model"
        )


def _named(reference: Artifact | nn.Module, candidate: Artifact | nn.Module) -> list[tuple[Artifact | nn.Module, str]]:
    return [(reference, "the reference"), (candidate, "the candidate")]


def _kind(encoding: TextEncoding | None) -> str:
    return "images" if encoding is None else "texts"


def _tokenizer(encoding: TextEncoding) -> str:
    return f"{type(encoding.tokenizer).__name__} of {len(encoding.tokenizer):,} tokens"


def _classes(model: Artifact | nn.Module, name: str, task: Task) -> tuple[str, int]:
    """The classes of a model in words, and their number, from its answer to one query."""
    module = module_of(model)
    query = {part: value[:1].to(device_of(module)) for part, value in task.split("test").inputs.items()}
    try:
        count = predict(module, query).shape[1]
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shape = " × ".join(str(size) for size in next(iter(query.values())).shape[1:])
        raise AnchorlabError(
            f"{name} cannot read the queries of {task.name}, which are {task.kind}s of {shape} ({first_line(error)}): "
            "reference and candidate must read the same inputs, so give two versions of one model, or other data"
        ) from error
    names = next(iter(output_names(model)), None)
    listed = f" ({some(names, _NAMED)})" if names is not None and len(names) == count else ""
    return f"{count} classes{listed}", count
