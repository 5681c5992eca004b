"""Model folders of others before transformers sees them: what must be there, and what would run code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anchorlab.errors import AnchorlabError, quoted, reason, shortened
from anchorlab.files import input_folder, kind_at, read_json, user_path
from anchorlab.models.adapter_settings import ADAPTER, ADAPTER_WEIGHTS, ambiguous, is_adapter
from anchorlab.models.conversion import PICKLES, conversion
from anchorlab.models.weight_files import INDEX, WEIGHTS, weight_files

CONFIG, PREPROCESSING, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"

#: The texts beside the weights that say what a model is, without code and without weights.
COMPANIONS = (
    CONFIG,
    PREPROCESSING,
    PROCESSOR,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "bpe.codes",
    "spiece.model",
    "spm.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)

#: How to mend a damaged file of a model.
_AGAIN = "give a folder that save_pretrained of transformers or anchorlab wrote"

#: What reads files of other kinds, which are easily given in place of models.
_FILES = {
    ".csv": "; stored answers in .csv are for 'anchorlab audit', and 'anchorlab compare' reads logits in .npy",
    ".jsonl": "; two logs of samples are compared by 'anchorlab compare --samples'",
    "": "; two files of answers to texts are compared by 'anchorlab compare --texts FILE'",
}

#: Most layers and classes of a network, because transformers builds each of them before anyone sees that it is one too
#: many.
_LAYERS, _CLASSES = 10_000, 1_000_000

#: Kinds of attention that come with PyTorch; any other would be fetched and run.
_ATTENTION = (None, "eager", "sdpa", "flex_attention")


def find_folder(source: str, revision: str | None = None) -> Path:
    """The local folder that is meant; or else a model of the hub, of which only texts and weights are fetched.

    Args:
        source: a folder, or a name on the hub.
        revision: branch, tag or commit of the hub's model; None for its default branch.

    Raises:
        AnchorlabError: for neither, without a network, or for a model of the hub beside an adapter.
    """
    folder = user_path(source)
    if kind_at(folder) is not None:
        return folder
    from huggingface_hub.errors import HFValidationError

    try:
        return _fetched(source, revision)
    except HFValidationError as error:
        raise AnchorlabError(
            f"there is no folder {shortened(source)}: give one that exists, or a name on the hub as in OWNER/NAME"
        ) from error
    except AnchorlabError:
        raise
    except Exception as error:  # each kind of trouble raises another type
        raise AnchorlabError(
            f"{shortened(source)} is no folder, and cannot be fetched from the hub ({shortened(reason(error))}): check "
            "the name and the network, or give a local folder with config.json, model.safetensors and, for texts, "
            "tokenizer.json"
        ) from error


def _fetched(name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError

    texts = [*COMPANIONS, ADAPTER, INDEX]
    folder = Path(snapshot_download(name, revision=revision, allow_patterns=texts))
    if is_adapter(folder):
        try:
            hf_hub_download(name, WEIGHTS, revision=folder.name, dry_run=True)  # asks only whether it is there
        except EntryNotFoundError:
            hf_hub_download(name, ADAPTER_WEIGHTS, revision=folder.name)
            return folder
        raise ambiguous(name)
    try:
        hf_hub_download(name, WEIGHTS, revision=folder.name)
    except EntryNotFoundError:  # not there, or, without a network, not in the cache
        if (folder / INDEX).is_file():
            named = read_json(folder / INDEX, "download it again").get("weight_map", {}).values()
            snapshot_download(name, allow_patterns=sorted(set(map(str, named))), revision=folder.name)
    return folder


def check_folder(folder: Path) -> None:
    """Raises AnchorlabError for a path that is no model folder, or a folder that anything but safetensors would open.

    Refused are pickled weights, indexes that name other files, adapters, quantised weights, and configurations that
    want code of their own.
    """
    check_is_folder(folder)
    if is_adapter(folder):
        raise AnchorlabError(
            f"{shortened(str(folder))} holds an adapter ({ADAPTER}), which is no model without its base: merge it "
            "first, with anchorlab merge"
        )
    weight_files(folder)
    for name in (CONFIG, PREPROCESSING, PROCESSOR, "tokenizer_config.json"):
        if (folder / name).is_file():
            check_settings(folder / name)


def check_is_folder(folder: Path) -> None:
    """Raises AnchorlabError for a path without a folder, such as a lone file of weights."""
    if kind_at(folder) != "file":
        input_folder(folder, "give one that exists, or make one with anchorlab train")
        return
    if folder.suffix not in PICKLES:
        hint = _FILES.get(folder.suffix.lower(), "")
        raise AnchorlabError(
            f"{shortened(str(folder))} is a file, and no model: give a model folder with {WEIGHTS}{hint}"
        )
    raise AnchorlabError(
        f"{shortened(str(folder))} is a file, and pickled models are never opened, because they can run any code: "
        f"{conversion(folder, folder.with_suffix(''))}"
    )


def check_settings(path: Path) -> None:
    """Raises AnchorlabError for a JSON file of a model that names code to run, or weights that are stored otherwise."""
    for key, value in _entries(read_json(path, _AGAIN, nan=True)):
        if value is None:
            continue
        if key == "architectures" and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise AnchorlabError(f"{path} gives architectures as {quoted(value)}: give a list of one name of a class")
        if key == "auto_map":
            raise AnchorlabError(
                f"the model needs code of its own, which is never run ({path} names it in auto_map): give a model that "
                "transformers knows, or take auto_map out if transformers' own code computes the same"
            )
        if key in ("quantization_config", "compression_config"):
            method = value.get("quant_method") if isinstance(value, dict) else value
            raise AnchorlabError(
                f"{path} says that the weights are quantised ({quoted(method)}), which anchorlab does not open: give "
                "the model's weights in float32, float16 or bfloat16"
            )
        if key == "transformers_weights":
            raise AnchorlabError(f"{path} names another file of weights ({quoted(value)}): call it {WEIGHTS}")
        if (most := _most(key)) and _largest(value) > most:
            raise AnchorlabError(f"{path} says {key} {quoted(value)}, more than any network has: give the model's own")
        if key.endswith(("attn_implementation", "experts_implementation")) and value not in _ATTENTION:
            raise AnchorlabError(
                f"{path} wants {key} {quoted(value)}, which may be code from elsewhere, and none is ever run: take the "
                "entry out"
            )


def _most(key: str) -> int | None:
    """The largest number that an entry may say; None for entries without such a number."""
    if key in ("num_labels", "_num_labels"):
        return _CLASSES
    return _LAYERS if any(word in key for word in ("layers", "depth", "blocks", "stages")) else None


def _largest(value: Any) -> float:
    """The largest number in an entry, or in its list; infinity if one of them is NaN."""
    values = value if isinstance(value, list) else [value]
    numbers = [one for one in values if isinstance(one, (int, float))]
    return max((math.inf if one != one else one for one in numbers), default=0)


def _entries(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at whatever depth of objects."""
    waiting = [settings]
    while waiting:
        for key, value in waiting.pop().items():
            yield key, value
            if isinstance(value, dict):
                waiting.append(value)
