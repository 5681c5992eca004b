"""Opens an adapter on its base model: no weight of it is left out, and nothing is unpickled or run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.data import Kind
from anchorlab.errors import AnchorlabError, quoted, reason, shortened, some
from anchorlab.files import kind_at, read_json, user_path
from anchorlab.models.adapter_settings import ADAPTER, ADAPTER_WEIGHTS, StoredAdapter, is_adapter, read_adapter
from anchorlab.models.classes import settle_outputs
from anchorlab.models.classifiers import as_classifier, auto_class, kind_of_network
from anchorlab.models.folders import CONFIG, check_folder, find_folder
from anchorlab.models.loading import load_network, quiet, read_configuration
from anchorlab.models.lora import PREFIX, adapter_tensors, attach, remember_brought
from anchorlab.models.padding import refuse_dependence_on_batch
from anchorlab.models.verbalizer import Verbalizer, ask
from anchorlab.models.weight_files import check_finite
from anchorlab.models.wrap import unwrap


def open_adapter(
    folder: Path, base: str | None = None, *, kind: Kind | None = None, verbalizer: Verbalizer | None = None
) -> nn.Module:
    """A classifier from an adapter and its base, in evaluation mode and float32, on the CPU; the adapter is in it.

    Args:
        folder: holds the adapter.
        base: the base model, a folder or a name on the hub; None for the one that the adapter names.
        kind: image or text; None for what adapter and base say.
        verbalizer: of a base that is a causal language model; None for the one that its configuration has.

    Raises:
        AnchorlabError: if peft is not installed, the adapter is of a kind that is not opened, or the base cannot be
            found or is another one: every weight of the adapter must have its place, and every place a weight.
    """
    adapter = read_adapter(folder)
    place = find_base(adapter, base)
    net, own = _open_base(adapter, place, verbalizer)
    if kind not in (None, own):
        raise AnchorlabError(f"the adapter in {folder} reads {own}s, but the task holds {kind}s: give one that fits")
    model = as_classifier(net.eval(), own, str(place))
    put_into(model, adapter, place)
    refuse_dependence_on_batch(model, str(folder))
    return model.eval()


def put_into(model: nn.Module, adapter: StoredAdapter, place: Path) -> None:
    """Puts a stored adapter into its base, in place.

    Args:
        model: the base, wrapped or not.
        adapter: what is put in.
        place: the base's folder, for messages.

    Raises:
        AnchorlabError: if the adapter was tuned on another base.
    """
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            attach(model, adapter.config)
    except Exception as error:  # peft raises several types where the settings do not fit a network
        raise AnchorlabError(
            f"the adapter in {adapter.folder} does not fit the base {shortened(str(place))} "
            f"({shortened(reason(error))}): give the base that it was tuned on, with --base"
        ) from error
    places = adapter_tensors(model)
    # peft stores weights of the base too, such as embeddings that are adapted, and means them to be loaded.
    own = {f"{PREFIX}{name}": value for name, value in unwrap(model).state_dict().items()}
    brought = {name: own[name] for name in adapter.tensors if name in own and name not in places}
    remember_brought(model, [name.removeprefix(PREFIX) for name in brought])
    places |= brought
    _check_places(adapter, places, place)
    with torch.no_grad():
        for name, value in places.items():
            value.copy_(adapter.tensors[name])
    check_finite(model, adapter.folder)


def find_base(adapter: StoredAdapter, base: str | None) -> Path:
    """The folder of an adapter's base model.

    Raises:
        AnchorlabError: if none is named or found, or another one is named than the adapter's.
    """
    shown = shortened(str(adapter.folder))
    if base is None and adapter.base is None:
        raise AnchorlabError(f"the adapter in {shown} names no base model: give it with --base FOLDER")
    beside = adapter.folder / (adapter.base or "")
    named = base or (str(beside) if adapter.base and kind_at(beside) == "folder" else str(adapter.base))
    if base is not None and _are_other_names(base, adapter.base):
        raise AnchorlabError(
            f"the adapter in {shown} was tuned on {quoted(adapter.base)}, and not on {quoted(base)}: give the base "
            "that it was tuned on, or a folder that holds it"
        )
    revision = adapter.config.revision if named == adapter.base else None
    try:
        folder = find_folder(named, revision)
    except AnchorlabError as error:
        if base is not None:
            raise
        raise AnchorlabError(
            f"the adapter in {shown} names its base model {quoted(adapter.base)}"
            f"{f' at the revision {quoted(revision)}' if revision else ''}, which is no folder here and cannot be "
            "fetched from the hub: give its folder with --base"
        ) from error
    if is_adapter(folder):
        raise AnchorlabError(
            f"the base {shortened(str(folder))} is itself an adapter: merge it first, with anchorlab merge"
        )
    check_folder(folder)
    return folder


def _are_other_names(base: str, named: str | None) -> bool:
    """Whether two different models of the hub are named; a folder may hold any model under any name."""
    if named is None or base == named:
        return False
    return all(
        kind_at(user_path(name)) is None and name.count("/") == 1 and name[0] not in "/.~" for name in (base, named)
    )


def _open_base(adapter: StoredAdapter, place: Path, verbalizer: Verbalizer | None) -> tuple[Any, Kind]:
    """The base network with the head that the adapter needs, and what it reads."""
    config, source = read_configuration(place), str(place)
    written = read_json(place / CONFIG, "give another folder", nan=True)
    names = " ".join(written.get("architectures") or [])
    is_classifier = "ForSequenceClassification" in names or "ForImageClassification" in names or "ResNet" in names
    brought = [name.removeprefix(PREFIX) for name in adapter.tensors if ".lora_" not in name]
    if verbalizer is not None:
        ask(config, verbalizer, source)
    kind: Kind
    if Verbalizer.of(config) is not None:
        kind = "text"
    elif is_classifier and adapter.classes in (None, config.num_labels):
        kind = kind_of_network(config, source)
        settle_outputs(config, written, source)
    elif adapter.kind in ("text", "image") and adapter.classes is not None:
        kind = "text" if adapter.kind == "text" else "image"
        # The head is the adapter's, which stores no names of its classes.
        config.problem_type, config.num_labels = None, adapter.classes
    else:
        raise AnchorlabError(
            f"the adapter in {shortened(str(adapter.folder))} makes no classifier of {shortened(source)} "
            f"({adapter.network or names or 'a network without a name'}): give a base that is a classifier, or, for "
            "language models, compare them with --texts, or name classes by words with adopt --verbalizer"
        )
    net = load_network(place, config, auto_class(kind, config), source, new_head=False, brought=brought)
    if adapter.network and adapter.network not in (type(net).__name__, "ForSequenceClassification"):
        raise AnchorlabError(
            f"the adapter in {shortened(str(adapter.folder))} was tuned in a {shortened(adapter.network)}, but "
            f"{shortened(source)} holds a {type(net).__name__}: give the base that it was tuned on, with --base"
        )
    return net, kind


def _check_places(adapter: StoredAdapter, own: dict[str, Tensor], place: Path) -> None:
    """Raises AnchorlabError for a stored weight without a place in the base, a place without one, or another size."""
    stored = adapter.tensors
    sizes = [
        f"{list(stored[name].shape)} in place of {list(value.shape)} in {name.removeprefix(PREFIX)}"
        for name, value in own.items()
        if name in stored and stored[name].shape != value.shape
    ]
    parts = (
        ("missing in the adapter", [name for name in own if name not in stored]),
        ("without a place in the base", [name for name in stored if name not in own]),
        ("of another size", sizes),
    )
    wrong = ", ".join(f"{len(names):,} {what} ({some(names)})" for what, names in parts if names)
    if wrong:
        raise AnchorlabError(
            f"the adapter in {shortened(str(adapter.folder))} does not fit the base {shortened(str(place))}, and none "
            f"of its weights may be left out: of its tensors {wrong}; give the base that it was tuned on, with --base, "
            f"or the {ADAPTER} that was saved with {ADAPTER_WEIGHTS}"
        )
