"""Models of transformers from a folder or the hub, as classifiers of raw inputs. No code of theirs is ever run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from anchorlab.data import Kind
from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json
from anchorlab.models.adapter_settings import is_adapter
from anchorlab.models.adapters import open_adapter
from anchorlab.models.classes import in_own_order, settle_outputs
from anchorlab.models.classifiers import as_classifier, auto_class, kind_of_network
from anchorlab.models.folders import CONFIG, check_folder, find_folder
from anchorlab.models.loading import (
    build_network,
    explained,
    load_network,
    quiet,
    read_configuration,
)
from anchorlab.models.padding import refuse_dependence_on_batch
from anchorlab.models.verbalizer import Verbalizer, ask


def open_pretrained(
    source: str,
    *,
    kind: Kind | None = None,
    classes: Sequence[str] | None = None,
    base: str | None = None,
    verbalizer: Verbalizer | None = None,
) -> nn.Module:
    """A classifier from a folder or the hub, in evaluation mode and float32, on the CPU.

    Args:
        source: a folder with config.json and weights in safetensors, or a name on the hub.
        kind: image or text; None for what its configuration says.
        classes: names of the classes that it gets. Where it has another number, it gets a new last layer
            from torch's global generator. Where it has these names in another order, it keeps its order. None for
            its own classes, which it must have. A language model with label words keeps its own.
        base: the base model of an adapter, a folder or a name on the hub; None for the one that the adapter names.
        verbalizer: of a causal language model; None for the one that its configuration has.

    Raises:
        AnchorlabError: if it cannot be fetched or read, needs code of its own, or is not a classifier.
    """
    folder = find_folder(source)
    if is_adapter(folder) and classes is None:
        return open_adapter(folder, base, kind=kind, verbalizer=verbalizer)
    check_folder(folder)
    config = read_configuration(folder)
    if verbalizer is not None:
        ask(config, verbalizer, source)
    if Verbalizer.of(config) is not None:
        classes = None
    if classes is None:
        own = kind_of_network(config, source)
        if kind not in (None, own):
            raise AnchorlabError(
                f"the model {source} reads {own}s, but the task holds {kind}s: give one that reads them"
            )
        if verbalizer is None:
            settle_outputs(config, read_json(folder / CONFIG, "give another folder", nan=True), source)
    else:
        classes = in_own_order(classes, config)
        config.problem_type = None
        config.num_labels = len(classes)
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: label for label, name in enumerate(classes)}
    kind = kind or kind_of_network(config, source)
    net = load_network(folder, config, auto_class(kind, config), source, new_head=classes is not None)
    model = as_classifier(net.eval(), kind, str(folder))
    refuse_dependence_on_batch(model, source)
    return model


def from_configuration(folder: Path) -> nn.Module:
    """The classifier that a folder's configuration describes, with fresh weights.

    Raises:
        AnchorlabError: if it describes none that transformers knows.
    """
    with quiet(), explained(str(folder / CONFIG), "describes no classifier that can be built"):
        config = read_configuration(folder)
        kind = kind_of_network(config, str(folder / CONFIG))
        net = build_network(folder, config, auto_class(kind, config))
    return as_classifier(net.eval(), kind, str(folder))
