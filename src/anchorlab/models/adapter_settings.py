"""The settings of a stored adapter (``adapter_config.json``): what it is, on which base, and what is not opened."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from anchorlab.errors import AnchorlabError, quoted, reason, shortened
from anchorlab.files import read_json
from anchorlab.models.weight_files import INDEX, WEIGHTS, read_tensors

#: The files of an adapter.
ADAPTER, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

#: Settings that decide what a plain low-rank adapter computes, which modules it changes, or of which base.
_OPENED = [
    "r",
    "lora_alpha",
    "target_modules",
    "exclude_modules",
    "fan_in_fan_out",
    "bias",
    "use_rslora",
    "use_dora",
    "modules_to_save",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "revision",
]

#: Settings that say nothing of what is computed when the adapter answers.
_TOLD = [
    "peft_type",
    "task_type",
    "inference_mode",
    "base_model_name_or_path",
    "auto_mapping",
    "peft_version",
    "lora_dropout",
    "init_lora_weights",
    "runtime_config",
    "ensure_weight_tying",
    "anchorlab_notice",
]

#: Starts of the factors that leave the base's weights as they are; others change them before the adapter counts.
_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")

#: Classifiers by the kind of their inputs, as names of classes end.
_CLASSIFIERS = {"text": "ForSequenceClassification", "image": "ForImageClassification"}

_AGAIN = "give a folder that save_pretrained of peft or anchorlab wrote"


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter as it is stored.

    Attributes:
        folder: where it lies.
        config: peft's ``LoraConfig``.
        tensors: its weights, by the names that peft stores.
        base: the base model's name, a folder or a name on the hub; None where it names none.
        network: the class of the network that it was tuned in, where it says that.
    """

    folder: Path
    config: Any
    tensors: Mapping[str, Tensor]
    base: str | None
    network: str | None

    @property
    def kind(self) -> str | None:
        """What its classifier reads, text or image, by the name of the network's class; None where it has none."""
        found = [kind for kind, ending in _CLASSIFIERS.items() if self.network and self.network.endswith(ending)]
        return found[0] if found else None

    @property
    def classes(self) -> int | None:
        """The number of classes of the head that is stored with it; None without one."""
        heads = [value for name, value in self.tensors.items() if _is_head(name)]
        return int(heads[-1].shape[0]) if heads else None


def require_peft(what: str) -> Any:
    """The package peft.

    Args:
        what: what needs it, as the beginning of a sentence.

    Raises:
        AnchorlabError: if it is not installed.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # other packages that peft imports report what they lack on this machine
    try:
        import peft
    except ImportError:
        raise AnchorlabError(f"{what} needs the package peft: install it by pip install 'anchorlab[peft]'") from None
    finally:
        logging.disable(before)
    return peft


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter."""
    return (folder / ADAPTER).exists()


def read_adapter(folder: Path) -> StoredAdapter:
    """The adapter in a folder.

    Raises:
        AnchorlabError: if peft is not installed, the adapter is of a kind that is not opened, or is damaged or pickled.
    """
    written = read_json(folder / ADAPTER, _AGAIN, nan=True)
    if (folder / WEIGHTS).exists() or (folder / INDEX).exists():
        raise ambiguous(str(folder))
    _check_kind(folder, written)
    require_peft(f"the adapter in {shortened(str(folder))}")
    tensors = _read_weights(folder)
    config = _config(folder, written, tensors)
    mapping, base = written.get("auto_mapping"), written.get("base_model_name_or_path")
    network = mapping.get("base_model_class") if isinstance(mapping, dict) else None
    if network is None and written.get("task_type") == "SEQ_CLS":
        network = _CLASSIFIERS["text"]
    return StoredAdapter(
        folder=folder,
        config=config,
        tensors=tensors,
        base=base if isinstance(base, str) and base else None,
        network=network if isinstance(network, str) else None,
    )


def ambiguous(source: str) -> AnchorlabError:
    """The refusal of a folder or a repository of the hub that holds an adapter and a whole model."""
    return AnchorlabError(
        f"{shortened(source)} holds a model and an adapter ({ADAPTER}), and which is meant cannot be known: give each "
        "a folder of its own"
    )


def _check_kind(folder: Path, written: Mapping[str, Any]) -> None:
    """Raises AnchorlabError for any other kind of adapter than a low-rank one."""
    kind = written.get("peft_type")
    if kind != "LORA":
        raise AnchorlabError(
            f"{folder / ADAPTER} describes an adapter of kind {quoted(kind)}, and only LORA is opened: merge it into "
            "its base with peft, and give the merged model"
        )
    start = written.get("init_lora_weights")
    if not any(start is known or start == known for known in _STARTS):
        raise AnchorlabError(
            f"{folder / ADAPTER} says init_lora_weights {quoted(start)}, which changes the base's weights too: give a "
            "plain adapter, into which peft's save_pretrained converts it with path_initial_model_for_weight_conversion"
        )


def _config(folder: Path, written: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """Peft's settings from the written ones, each of which is known."""
    from peft import LoraConfig

    usual = LoraConfig()
    defaults = {field.name: getattr(usual, field.name) for field in fields(LoraConfig)}
    for name, value in written.items():
        if name not in (*_OPENED, *_TOLD) and value and value != defaults.get(name):
            raise AnchorlabError(
                f"{folder / ADAPTER} sets {shortened(name)} to {quoted(value)}, a kind of LoRA that is not opened: "
                "merge the adapter into its base with peft, and give the merged model"
            )
    _check_ranks(folder, written, tensors)
    try:
        return LoraConfig(**{name: written[name] for name in _OPENED if written.get(name) is not None})
    except Exception as error:  # each wrong value raises another type
        raise AnchorlabError(f"{folder / ADAPTER} cannot be used ({shortened(reason(error))}): {_AGAIN}") from error


def _check_ranks(folder: Path, written: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raises AnchorlabError for a rank that no stored tensor has, before memory is taken for it."""
    pattern = written.get("rank_pattern") or {}
    asked = [written.get("r", 8), *(pattern.values() if isinstance(pattern, dict) else [pattern])]
    largest = max((size for value in tensors.values() for size in value.shape), default=0)
    for rank in asked:
        if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= largest:
            raise AnchorlabError(
                f"{folder / ADAPTER} gives the rank {quoted(rank)}, which none of its weights has: give the settings "
                "that were saved with them"
            )


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights beside the settings.

    Raises:
        AnchorlabError: if they are pickled, missing or damaged.
    """
    path = folder / ADAPTER_WEIGHTS
    if path.is_file():
        return read_tensors(path)
    if path.with_suffix(".bin").exists():
        raise AnchorlabError(
            f"{path.with_suffix('.bin')} is a pickle, which is never opened, because it can run any code: save the "
            "adapter again with save_pretrained of peft, which writes safetensors"
        )
    raise AnchorlabError(f"{shortened(str(folder))} holds no {ADAPTER_WEIGHTS} beside its {ADAPTER}: {_AGAIN}")


def _is_head(name: str) -> bool:
    parts = name.split(".")
    return "lora_" not in name and any(part in ("classifier", "score", "out_proj") for part in parts)
