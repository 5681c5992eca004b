"""Weights in safetensors: which files of a folder hold them, and reading them whole. Nothing is ever unpickled here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError, first_line, quoted, shortened
from anchorlab.files import read_json
from anchorlab.models.conversion import PICKLES, conversion

#: The file of all weights, and the list of files that share them.
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"

_ENDING = ".safetensors"

#: Kinds of numbers that a float32 parameter is read from. Eight bits and fewer mean something only with a scale.
_FLOATS = {torch.float64, torch.float32, torch.float16, torch.bfloat16}

#: What trainers leave beside a model: never its weights.
_BYSTANDERS = ("training_args", "optimizer", "scheduler", "scaler", "rng_state", "random_states")


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights: ``model.safetensors``, or those that its index names.

    The index is a text that came with the data, so it may only name safetensors of the same folder.

    Raises:
        AnchorlabError: if there are none, or the index is damaged, or names anything else.
    """
    whole, index = folder / WEIGHTS, folder / INDEX
    if index.is_file() and not whole.is_file():
        return sorted({folder / name for name in named_files(index).values()})
    if whole.is_file():
        parts = sorted(path.name for path in folder.glob("model-*-of-*.safetensors"))
        if index.is_file() and parts:
            raise AnchorlabError(
                f"{shortened(str(folder))} holds weights twice, in {WEIGHTS} and, by its index, in {parts[0]}, and "
                "which are meant cannot be known: remove one of them"
            )
        return [whole]
    raise _no_weights(folder)


def read_weights(folder: Path, *, index_alone: bool = False) -> dict[str, Tensor]:
    """The weights of a folder, name to tensor, on the CPU.

    Args:
        folder: holds ``model.safetensors``, or an index and what it names.
        index_alone: whether to read what the index names, whatever else is there.

    Raises:
        AnchorlabError: as ``weight_files`` and ``read_tensors``, or if files and index disagree.
    """
    index = folder / INDEX
    if not index_alone and weight_files(folder) == [folder / WEIGHTS]:
        return read_tensors(folder / WEIGHTS)
    named = named_files(index)
    weights: dict[str, Tensor] = {}
    for path in sorted({folder / name for name in named.values()}):
        tensors = read_tensors(path)
        twice = sorted(weights.keys() & tensors.keys())
        if twice:
            raise AnchorlabError(
                f"{path} holds the tensor {shortened(twice[0])}, which another file of {index} holds too: "
                "download or save the model again"
            )
        weights |= tensors
    lacking = sorted(name for name in named if name not in weights)
    if lacking:
        raise AnchorlabError(
            f"{index} promises the tensor {shortened(lacking[0])} in {shortened(named[lacking[0]])}, which lacks it: "
            "download or save the model again"
        )
    return weights


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file in safetensors, on the CPU.

    Raises:
        AnchorlabError: if the file is a pickle, missing, damaged or empty, or its numbers need a scale that it lacks.
    """
    from safetensors.torch import load_file

    if path.suffix in PICKLES:
        raise AnchorlabError(
            f"{shortened(str(path))} is a pickle, which is never opened, because it can run any code: "
            f"{conversion(path, path.with_suffix(''))}"
        )
    if not path.is_file():
        raise AnchorlabError(f"there is no file {path}: give a state_dict in safetensors")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except OSError:
        raise
    except Exception as error:  # each kind of damage raises another type
        raise AnchorlabError(
            f"{path} is damaged ({shortened(first_line(error))}): copy it again, or make the model again"
        ) from error
    if not tensors:
        raise AnchorlabError(f"{path} holds no tensor: copy it again, or make the model again")
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS and name.endswith("weight"):
            raise AnchorlabError(
                f"{path} stores {shortened(name)} as {str(tensor.dtype).removeprefix('torch.')}, as quantised models "
                "do: give the model's weights in float32, float16 or bfloat16"
            )
    return tensors


def notice_in(path: Path) -> str | None:
    """The notice in the metadata of weights in safetensors; None if there is none, or the file cannot be read."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("anchorlab")
    except (SafetensorError, OSError):
        return None


def check_finite(net: nn.Module, source: object) -> None:
    """Raises AnchorlabError for a network whose parameters are not all finite, or with a buffer that holds NaN.

    An infinity in a buffer may be meant, as in a mask.
    """
    wrong = [name for name, value in net.named_parameters() if not value.isfinite().all()]
    wrong += [name for name, value in net.named_buffers() if value.is_floating_point() and value.isnan().any()]
    if wrong:
        raise AnchorlabError(
            f"the weights in {source} are not finite in {shortened(wrong[0])}{_and_more(wrong)}, so that its answers "
            "mean nothing: train the model again, with a smaller learning rate if its loss was not finite"
        )


def named_files(index: Path, endings: tuple[str, ...] = (_ENDING,)) -> dict[str, str]:
    """Name of each tensor to the file that an index names for it, each an ordinary file of the same folder.

    Raises:
        AnchorlabError: if the index is damaged, or names anything else.
    """
    named = read_json(index, "download the model again").get("weight_map")
    if not isinstance(named, dict) or not named:
        raise AnchorlabError(f"{index} has no weight_map from tensors to files: download or save the model again")
    for name in named.values():
        _check_named(index, name, endings)
    return named


def _check_named(index: Path, name: Any, endings: tuple[str, ...]) -> None:
    wanted = f"it may name files of its own folder alone, as in model-00001-of-00002{endings[0]}"
    if not isinstance(name, str) or not name.endswith(endings):
        others = "and nothing else is opened" if len(endings) == 1 else "as a checkpoint does"
        raise AnchorlabError(f"{index} names {quoted(name)}, which does not end in {endings[0]}, {others}: {wanted}")
    if name in endings or any(sign in name for sign in "/\\\0"):
        raise AnchorlabError(f"{index} names {quoted(name)}, which may lie outside its folder: {wanted}")
    path = index.parent / name
    if not path.is_file():
        raise AnchorlabError(f"{index} names {quoted(name)}, but there is no such file beside it: copy it there")
    if not lies_inside(path):
        raise AnchorlabError(f"{index} names {quoted(name)}, which is a link out of the folder: {wanted}")


def lies_inside(path: Path) -> bool:
    """Whether a file lies in its folder and is no link out of it; a link of the hub's cache is allowed."""
    folder, real = path.parent.resolve(), path.resolve()
    # The hub's cache: models--OWNER--NAME/snapshots/REVISION/file links to models--OWNER--NAME/blobs/HASH.
    blobs = folder.parent.parent / "blobs" if folder.parent.name == "snapshots" else None
    return real.parent == folder or real.parent == blobs


def _no_weights(folder: Path) -> AnchorlabError:
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    pickles = [name for name in names if Path(name).suffix in PICKLES and not name.startswith(_BYSTANDERS)]
    # The index of several pickles converts all of them.
    several = [name for name in names if name.endswith(tuple(f"{ending}.index.json" for ending in PICKLES))]
    if pickles:
        first = (several or [name for name in pickles if name.startswith("pytorch_model")] or pickles)[0]
        return AnchorlabError(
            f"{shortened(str(folder))} holds only pickled weights ({shortened(first)}), which are never opened, "
            f"because they can run any code: {conversion(folder / first)}"
        )
    others = [name for name in names if name.endswith((_ENDING, ".h5", ".msgpack", ".gguf", ".onnx", ".ot"))]
    seen = f", but {shortened(others[0])}" if others else ""
    return AnchorlabError(
        f"{folder} holds no {WEIGHTS}{seen}: give a folder that save_pretrained of transformers or anchorlab wrote"
    )


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1:,} more" if len(names) > 1 else ""
