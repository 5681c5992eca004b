"""ONNX files before onnxruntime sees them: what is refused because it reaches outside the file, or is not a network.

The protobuf is read by ``onnx``, which runs nothing. onnxruntime then gets the content, with the weights that lay
beside it put in, and opens no file itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anchorlab.errors import AnchorlabError, first_line, lacking, quoted, shortened, some
from anchorlab.files import input_file, kind_at, user_path
from anchorlab.models.adapter_settings import ADAPTER
from anchorlab.models.weight_files import INDEX, WEIGHTS

#: The network's file in a folder.
ONNX = "model.onnx"

#: Files of a folder whose model is another than the ONNX file.
_OTHERS = (WEIGHTS, INDEX, ADAPTER)

#: Operators that come with onnxruntime itself; any other domain is somebody's own library.
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")

#: Operators of onnxruntime that open further files.
_OPENERS = ("EPContext",)

#: Bytes that a protobuf can hold.
_MOST = 2**31 - 2**20

_AGAIN = "export the network again, with anchorlab export or torch.onnx.export"


def onnx_file(path: str | Path) -> Path | None:
    """The ONNX file that is meant: the file itself, or ``model.onnx`` in a folder without other weights; or None."""
    place = user_path(path)
    if place.suffix == ".onnx":
        return place
    inside = place / ONNX
    if kind_at(place) == "folder" and kind_at(inside) == "file" and not any(kind_at(place / name) for name in _OTHERS):
        return inside
    return None


def read_onnx(path: Path) -> bytes:
    """The content of an ONNX file whose operators are all onnxruntime's own, with its weights inside.

    Raises:
        AnchorlabError: without the extra ``onnx``; if the file cannot be read, or names custom operators, files outside
            its folder or more weights than 2 GB.
    """
    onnx = _library(str(path))
    file = input_file(path, "give a file that exists, or make one with anchorlab export")
    size = sum(each.stat().st_size for each in (file, *_beside(file)))
    if size > _MOST:
        raise AnchorlabError(
            f"{file} has {size:,} bytes of weights, more than the 2 GB that fit into one ONNX file: compare its stored "
            "logits, as .npy files"
        )
    content = file.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf has errors of its own, by the version
        raise AnchorlabError(f"{file} is no ONNX file ({shortened(first_line(error))}): {_AGAIN}") from error
    if not len(model.graph.node):
        raise AnchorlabError(f"{file} is no ONNX file with a network, because its graph is empty: {_AGAIN}")
    check_operators(model, str(file))
    outside = [tensor for tensor in _parts(model, onnx.TensorProto) if _is_outside(tensor)]
    for location in (location for tensor in outside for location in _locations(tensor)):
        _check_inside(location, file)
    if not outside:
        return content
    try:
        _put_in(outside, file.parent)
    except Exception as error:
        raise AnchorlabError(
            f"the weights beside {file} cannot be read ({shortened(first_line(error))}): copy all files of the export "
            "again"
        ) from error
    whole: bytes = model.SerializeToString()
    return whole


def notice_in_onnx(path: Path) -> str | None:
    """The notice in the metadata of an ONNX file; None if there is none, or the file cannot be read here."""
    try:
        import onnx

        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # the package is not installed, or protobuf has an error of its own
        return None
    return next((str(entry.value) for entry in model.metadata_props if entry.key == "anchorlab"), None)


def check_operators(model: Any, source: str) -> None:
    """Raises AnchorlabError for operators that are not onnxruntime's own, or that open files.

    Args:
        model: the protobuf.
        source: the file, for messages.
    """
    from onnx import NodeProto
    from onnx.defs import has as has_operator

    own = {(function.domain, function.name) for function in model.functions}
    custom = set()
    for node in _parts(model, NodeProto):
        if node.op_type in _OPENERS:
            raise AnchorlabError(f"{source} has the operator {node.op_type}, which opens other files: {_AGAIN}")
        if (node.domain, node.op_type) in own:
            continue
        standard = node.domain in ("", "ai.onnx")
        if node.domain not in _DOMAINS or (standard and not has_operator(node.op_type, "")):
            custom.add(f"{node.domain}.{node.op_type}".lstrip("."))
    if custom:
        raise AnchorlabError(
            f"{source} has custom operators ({some(sorted(custom))}), whose code is never run: give a file of standard "
            "operators of ONNX"
        )


def _library(what: str) -> Any:
    try:
        import onnx
        import onnxruntime  # noqa: F401  (asked for here, so that nothing is half done without it)
    except ImportError as error:
        raise lacking(f"the ONNX file {shortened(what)}", "onnx") from error
    return onnx


def _beside(file: Path) -> list[Path]:
    """Files that may hold a network's weights by the usual names."""
    return [
        path for path in (file.with_name(file.name + ".data"), file.with_name(file.name + "_data")) if path.exists()
    ]


def _parts(model: Any, kind: type) -> Iterator[Any]:
    """Every message of a kind in a model, at any depth: whatever may hold one is looked into, functions among them."""
    from onnx import TensorProto

    waiting = [model]
    while waiting:
        part = waiting.pop()
        if isinstance(part, kind):
            yield part
        if isinstance(part, TensorProto):
            continue  # numbers alone, and asking for its fields would copy them
        for field, value in part.ListFields():
            if field.message_type is not None:
                waiting += [value] if hasattr(value, "ListFields") else value


def _is_outside(tensor: Any) -> bool:
    """Whether a tensor's numbers lie in another file, or it names one."""
    from onnx import TensorProto

    return tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data) > 0


def _locations(tensor: Any) -> list[str]:
    """The files that a tensor names. A reader may take any of several, so that each is checked."""
    return [str(entry.value) for entry in tensor.external_data if entry.key == "location"] or [""]


def _put_in(tensors: list[Any], folder: Path) -> None:
    """Puts the numbers of tensors that lie in other files into the model; onnx itself leaves some outside."""
    from onnx import TensorProto
    from onnx.external_data_helper import load_external_data_for_tensor

    for tensor in tensors:
        if tensor.data_location == TensorProto.EXTERNAL:
            load_external_data_for_tensor(tensor, str(folder))
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _check_inside(location: str, file: Path) -> None:
    """Raises AnchorlabError for weights outside the folder of the ONNX file, links followed."""
    folder = file.parent.resolve()
    place = (file.parent / location).resolve()
    if not location or Path(location).is_absolute() or not place.is_relative_to(folder) or place == folder:
        raise AnchorlabError(
            f"{file} names weights outside its folder ({quoted(location)}), and no such file is opened: put them "
            "beside it, and export again"
        )
    input_file(place, f"copy the weights of {file} beside it")
