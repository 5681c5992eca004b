"""``python -m anchorlab.models.unpickle``: the process of its own in which a pickled checkpoint is read.

It reads an order as JSON (``file``, ``out``, ``keys``, ``strip``) and answers with a report. What it opens may be made
to exhaust memory or time, so that it sets itself limits, and dies alone.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anchorlab.errors import AnchorlabError, first_line, shortened
from anchorlab.models.conversion import PICKLES
from anchorlab.models.state_dicts import find_weights, strip_names
from anchorlab.models.weight_files import INDEX, named_files, notice_in, read_tensors, read_weights

#: Bytes of memory beyond four times the file, and seconds of computing beyond what reading it takes.
_MEMORY, _SECONDS = 2**32, 10

#: Bytes that the slowest disk and machine read in a second.
_BYTES_A_SECOND = 2**24


#: What pickled arrays and numbers of numpy name, in its versions 1 and 2.
_NUMPY = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *("numpy.ndarray", "numpy.dtype"),
)


class _LeftOut:
    """Stands in a checkpoint where numpy would have built something: no weights, so that nothing is built."""

    def __init__(self, *parts: Any, **named: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def main() -> None:
    """Reads a checkpoint and writes its weights in safetensors, as the order on the standard input says."""
    order = json.loads(sys.stdin.read())
    try:
        report = _convert(Path(order["file"]), Path(order["out"]), order["keys"], order["strip"])
    except AnchorlabError as error:
        report = {"refusal": str(error)}
    sys.stdout.write(json.dumps(report) + "\n")


def _convert(file: Path, out: Path, keys: list[str], strip: str) -> dict[str, Any]:
    from safetensors.torch import save_file

    files = _files(file)
    _limit_this_process(sum(path.stat().st_size for path in files))
    source = shortened(str(file))
    found = strip_names(find_weights(_stored(file, files), source, keys), source, strip)
    notice = next((told for path in files if path.suffix == ".safetensors" and (told := notice_in(path))), None)
    metadata = {"format": "pt"} | ({} if notice is None else {"anchorlab": notice})
    try:
        save_file(_separate(found.tensors), out, metadata=metadata)
    except Exception as error:  # a kind of number that safetensors does not have, or a full disk
        raise AnchorlabError(
            f"the weights in {source} cannot be written as safetensors ({shortened(first_line(error))}): store them in "
            "float32, on a disk with room"
        ) from error
    return {
        "tensors": len(found.tensors),
        "numbers": sum(tensor.numel() for tensor in found.tensors.values()),
        "unwrapped": found.unwrapped,
        "stripped": found.stripped,
        "left_out": found.left_out,
    }


def _files(file: Path) -> list[Path]:
    """The files to read: the one that was given, or the pickles or files in safetensors that it lists."""
    if not file.name.endswith(".index.json"):
        return [file]
    if file.name == INDEX:
        return sorted({file.parent / name for name in named_files(file).values()})
    return sorted({file.parent / name for name in named_files(file, tuple(sorted(PICKLES))).values()})


def _stored(file: Path, files: list[Path]) -> Any:
    if file.name == INDEX:
        return read_weights(file.parent, index_alone=True)
    if file.suffix == ".safetensors":
        return read_tensors(file)
    if len(files) == 1:
        return _unpickled(file)
    together: dict[str, Any] = {}
    for path in files:
        part = _unpickled(path)
        if not isinstance(part, dict) or together.keys() & part.keys():
            raise AnchorlabError(f"{path} holds no part of the weights: store the model again")
        together |= part
    return together


def _unpickled(path: Path) -> Any:
    """What a checkpoint holds, as far as it is made of tensors, numbers, texts and their containers.

    Arrays of numpy, such as BackdoorBench keeps beside the weights, are read as nothing.
    """
    try:
        with torch.serialization.safe_globals([(_LeftOut, name) for name in _NUMPY]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each kind of damage raises another type
        text = str(error)
        asked = re.search(r"(?:GLOBAL|global|function|class|type) `?([\w.]+\.[\w.]+)", text)
        if asked or re.search(r"GLOBAL|unrecognized|[Cc]an only|instantiate", text):
            what = f" ({shortened(asked[1])})" if asked else ""
            raise AnchorlabError(
                f"{shortened(str(path))} wants to run code when it is opened{what}, which never happens: store "
                "model.state_dict() alone, where the model was trained"
            ) from error
        if "TorchScript" in text:
            raise AnchorlabError(
                f"{shortened(str(path))} is a TorchScript program and no checkpoint of weights: store "
                "model.state_dict()"
            ) from error
        raise AnchorlabError(
            f"{shortened(str(path))} cannot be read as a checkpoint of PyTorch ({shortened(first_line(error))}): copy "
            "it again, or store model.state_dict()"
        ) from error


def _separate(tensors: Any) -> dict[str, Tensor]:
    """The tensors, each with memory of its own, as safetensors wants them."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        whole = tensor.contiguous()
        memory = whole.untyped_storage()
        result[name] = whole.clone() if memory.data_ptr() in seen else whole
        seen.add(memory.data_ptr())
    return result


def _limit_this_process(size: int) -> None:
    """Ends this process if it takes far more memory or time than reading ``size`` bytes does, where that can be set."""
    torch.set_num_threads(1)
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 4 * size + _MEMORY,) * 2)
        seconds = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + _SECONDS + size // _BYTES_A_SECOND
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
