"""Makes a reference of a classifier that somebody trained elsewhere, as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import manifest_of
from anchorlab.artifacts.merge import whole
from anchorlab.artifacts.provenance import RunCost
from anchorlab.artifacts.resolve import check_trusted, task_in_order_of
from anchorlab.artifacts.trust import artefact_notice, check_trusted_folder, dangerous_notice
from anchorlab.data import Split, Task, load_task
from anchorlab.errors import AnchorlabError
from anchorlab.files import user_path
from anchorlab.models.adapter_settings import is_adapter, read_adapter
from anchorlab.models.adapters import find_base
from anchorlab.models.call import check_classes, predict
from anchorlab.models.classes import class_names, matched_in_words
from anchorlab.models.opening import open_classifier
from anchorlab.models.verbalizer import Verbalizer, parse_verbalizer
from anchorlab.models.wrap import encoding_of, unwrap

_NOTICE = "A reference model that anchorlab did not train: its user gave it, and holds it to be clean."

#: What a model is given as that is to be held clean, and what else can be done with one that is refused.
ADOPTED, OR_SUSPICIOUS = "the model to adopt as clean", ", or adopt this one with --kind suspicious"


@checked
def adopt(
    model: str | Path | nn.Module,
    task: Task | str = "digits",
    *,
    kind: Literal["clean", "suspicious"] = "clean",
    seed: int = 0,
    on_task: Callable[[Task], None] | None = None,
    base: str | Path | None = None,
    verbalizer: str | None = None,
    prompt: str | None = None,
) -> Artifact:
    """A reference from a trained classifier, or a model that is to be examined; it is not changed.

    Args:
        model: a folder of transformers, an ONNX file or a name on the hub; or a module that maps a batch of raw inputs
            to logits, such as what ``wrap`` makes of any network of images. The artefact has a copy of a module.
        task: a loaded task, or the name of one, whose splits are then cut with ``seed``. What the model was trained on
            is for its user to know: only for examples that it never saw are the splits what they say.
        kind: whether the model is held to be clean, and so a reference, or suspicious, because it may carry a backdoor.
        seed: cuts the splits.
        base: for the folder of an adapter: its base model, a folder or a name on the hub; None for the one that the
            adapter names. The adapter is merged into it.
        verbalizer: makes a classifier of a causal language model: a word for each class, as in ``positive,negative``
            or ``1=good,0=bad``. A class's logit is the one of its word as the next token.
        prompt: what the language model reads, with ``{text}`` where the text stands; ``"{text}\\nAnswer:"`` if None.
        on_task: called once with the task as the model reads it, before anything is computed.

    Returns:
        The model with its manifest, whose classes are the task's in the order of the model's outputs, by name. Where
        the names do not say it all, ``outputs`` says which output is which class. The accuracy is measured on the
        split ``selection``. A suspicious model that says itself that it is a research artefact keeps that notice.

    Raises:
        AnchorlabError: if the model cannot be opened, is not a classifier, its answers are not finite, its classes are
            not the task's, or one that is to be clean may carry a backdoor by its own files.
    """
    words = parse_verbalizer(verbalizer, prompt)
    if words is not None and isinstance(model, nn.Module):
        raise AnchorlabError("label words are for the folder of a causal language model, and a module was given")
    task = load_task(task, seed=seed) if isinstance(task, str) else task
    if kind == "clean" and not isinstance(model, nn.Module):
        check_trusted_folder(model, ADOPTED, otherwise=OR_SUSPICIOUS)
    opened = copy.deepcopy(model) if isinstance(model, nn.Module) else _opened(str(model), task, base, kind, words)
    notice: str | None
    if kind == "clean":
        check_trusted(opened, ADOPTED)
        notice = _NOTICE
    else:
        notice = (None if isinstance(model, nn.Module) else artefact_notice(model)) or dangerous_notice(opened)
    network = whole(opened.cpu().eval())
    task = task.encoded(encoding_of(network))
    if on_task is not None:
        on_task(task)
    check_classes(network, task)
    classes, task = task.classes, task_in_order_of(network, task)
    task.check_filled("selection")
    manifest = manifest_of(
        network,
        task,
        kind=kind,
        notice=notice,
        architecture=type(unwrap(model)).__name__ if isinstance(model, nn.Module) else str(model),
        seed=seed,
        cost=RunCost(),
        measurements={"accuracy": _accuracy(network, task.split("selection"))},
        outputs=matched_in_words(class_names(network), task.classes, moved=task.classes != classes),
    )
    return Artifact(network, manifest)


def _accuracy(network: nn.Module, split: Split) -> float:
    """The share of a split that a model predicts right; raises AnchorlabError if an answer is not finite."""
    answers = predict(network, split.inputs)
    broken = ~answers.isfinite().all(1)
    if broken.any():
        raise AnchorlabError(
            f"the model's logits are not finite in {int(broken.sum()):,} of {len(broken):,} examples: look at its "
            "weights, or at the half precision that it was stored in"
        )
    return (answers.argmax(1) == split.labels).sum().item() / len(split)


def _opened(model: str, task: Task, base: str | Path | None, kind: str, verbalizer: Verbalizer | None) -> nn.Module:
    """A classifier of transformers, an adapter on its base among them.

    Raises:
        AnchorlabError: for an adapter that is held to be clean, on a base that may carry a backdoor by its files.
    """
    named = None if base is None else str(base)
    network = open_classifier(model, kind=task.kind, base=named, verbalizer=verbalizer)
    folder = user_path(model)
    if kind == "clean" and is_adapter(folder):
        place = find_base(read_adapter(folder), named)
        check_trusted_folder(place, "the base of the adapter", otherwise=OR_SUSPICIOUS)
    return network
