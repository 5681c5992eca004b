"""Makes a reference of a classifier that somebody trained elsewhere, as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import manifest_of
from anchorlab.artifacts.provenance import RunCost
from anchorlab.artifacts.resolve import check_selection
from anchorlab.data import Task, load_task
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import accuracy, check_classes
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.wrap import encoding_of, unwrap

_NOTICE = (
    "A reference model that anchorlab did not train: its user gave it, and it is held to be clean, for research on "
    "backdoors."
)


@checked
def adopt(model: str | Path | nn.Module, task: Task | str = "digits", *, seed: int = 0) -> Artifact:
    """A reference from a trained classifier, which is not changed.

    Args:
        model: a folder of transformers or a name on the hub; or a module that maps a batch of raw inputs to logits,
            such as what ``wrap`` makes of any network of images.
        task: a loaded task, or the name of one, whose splits are then cut with ``seed``. What the model was trained on
            is for its user to know: only for examples that it never saw are the splits what they say.
        seed: cuts the splits.

    Returns:
        The model with its manifest; the manifest's accuracy is measured on the split ``selection``.

    Raises:
        AnchorlabError: if the model cannot be opened, is not a classifier, or its classes are not the task's.
    """
    task = load_task(task, seed=seed) if isinstance(task, str) else task
    network = (model if isinstance(model, nn.Module) else open_pretrained(str(model), kind=task.kind)).cpu().eval()
    task = task.encoded(encoding_of(network))
    check_classes(network, task)
    _check_order(network, task.classes)
    check_selection(task)
    manifest = manifest_of(
        network,
        task,
        kind="clean",
        notice=_NOTICE,
        architecture=type(unwrap(model)).__name__ if isinstance(model, nn.Module) else str(model),
        seed=seed,
        cost=RunCost(),
        measurements={"accuracy": accuracy(network, task.split("selection"))},
    )
    return Artifact(network, manifest)


def _check_order(network: nn.Module, classes: Sequence[str]) -> None:
    """Raises AnchorlabError for a model that has the task's classes, by name, in another order."""
    names = getattr(getattr(unwrap(network), "config", None), "id2label", {})
    own = [str(names[label]).lower() for label in sorted(names)]
    wanted = [name.lower() for name in classes]
    if own != wanted and sorted(own) == sorted(wanted):
        raise AnchorlabError(
            f"the model numbers its classes {', '.join(own)}, but the task {', '.join(wanted)}: give the data labels "
            "in the model's order"
        )
