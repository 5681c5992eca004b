"""Networks of torch as ONNX files, in float32 or with int8 products."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError, lacking, reason, shortened
from anchorlab.models.call import logits_of
from anchorlab.models.wrap import PixelClassifier, TextClassifier, unwrap

#: Version of ONNX's operators that is written: the first that torch's exporter makes without conversion.
OPSET = 18

#: Examples that are run together while ranges are measured.
_BATCH = 32


class _Logits(nn.Module):
    """A network with its inputs by name and its logits as the only output."""

    def __init__(self, net: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.net, self.names = net, names

    def forward(self, *inputs: Tensor) -> Tensor:
        from transformers import PreTrainedModel

        by_name = dict(zip(self.names, inputs, strict=True))
        return logits_of(self.net(**by_name) if isinstance(self.net, PreTrainedModel) else self.net(*inputs))


def network_inputs(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the network inside a classifier gets for a batch of raw inputs, by the names of its ONNX file.

    Args:
        model: a classifier, on the CPU.
        inputs: a batch of a split.
    """
    net = unwrap(model)
    if not isinstance(model, (PixelClassifier, TextClassifier)):
        return dict(inputs)
    names = ("pixel_values",) if isinstance(model, PixelClassifier) else ("input_ids", "attention_mask")
    caught: dict[str, Tensor] = {}

    def catch(_module: nn.Module, args: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        caught.update(zip(names, args, strict=False))
        caught.update({name: value for name, value in named.items() if name in names})

    handle = net.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        with torch.no_grad():
            model(**inputs)
    finally:
        handle.remove()
    return caught


def onnx_of(model: nn.Module, inputs: Mapping[str, Tensor], notice: str) -> bytes:
    """The network inside a classifier as an ONNX file: any number of examples, texts of any length.

    Args:
        model: a classifier in evaluation mode, on the CPU.
        inputs: a batch of a split, of at least two examples.
        notice: what the model is, which the file's metadata say.

    Raises:
        AnchorlabError: without the extra ``onnx``, or if torch cannot export the network.
    """
    given = network_inputs(model, inputs)
    batch = torch.export.Dim("batch")
    sizes = {0: batch} if "input_ids" not in given else {0: batch, 1: torch.export.Dim("length")}
    net = _Logits(unwrap(model).eval(), tuple(given)).eval()
    with _quiet():
        try:
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401  (torch's exporter needs it)
        except ImportError as error:
            raise lacking("the export to ONNX", "onnx") from error
        try:
            program: Any = torch.onnx.export(
                net,
                tuple(given.values()),
                input_names=list(given),
                output_names=["logits"],
                dynamo=True,
                dynamic_shapes=((sizes,) * len(given),),
                opset_version=OPSET,
                verbose=False,
            )
            proto = program.model_proto
        except Exception as error:  # each operation that cannot be exported raises another type
            raise AnchorlabError(
                f"torch cannot export {type(unwrap(model)).__name__} to ONNX ({shortened(reason(error))}): compare its "
                "stored logits, as .npy files, or take another form, such as int8 or bf16"
            ) from error
    return _labelled(proto, notice)


def dynamic_int8(content: bytes, notice: str) -> bytes:
    """An ONNX file whose products have int8 weights, and activations of each batch's own range."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    return _quantised(
        content, notice, lambda before, after: quantize_dynamic(before, after, weight_type=QuantType.QInt8)
    )


def static_int8(content: bytes, calibration: Mapping[str, Tensor], notice: str) -> bytes:
    """An ONNX file whose convolutions and products are int8, with activations of ranges that were measured before.

    Weights have a range a channel. What a product puts out at the end, the logits, stays float32.

    Args:
        content: of the file in float32.
        calibration: inputs of the network, N examples, whose least and largest activations are the ranges.
        notice: what the model is, which the file's metadata say.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    def quantise(before: Path, after: Path) -> None:
        quantize_static(
            before,
            after,
            _reader(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
        )

    return _quantised(content, notice, quantise)


def _reader(calibration: Mapping[str, Tensor]) -> Any:
    """What gives onnxruntime the examples, a batch at a time."""
    from onnxruntime.quantization import CalibrationDataReader

    count = len(next(iter(calibration.values())))
    arrays = {name: value.numpy() for name, value in calibration.items()}

    def batches() -> Iterator[dict[str, NDArray[np.generic]]]:
        for start in range(0, count, _BATCH):
            yield {name: array[start : start + _BATCH] for name, array in arrays.items()}

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = batches()

        def get_next(self) -> dict[str, NDArray[np.generic]] | None:
            return next(self._batches, None)

    return Reader()


def _quantised(content: bytes, notice: str, quantise: Any) -> bytes:
    """What onnxruntime makes of a file, which it reads and writes on the disk, after its own preparation."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="anchorlab-") as folder, _quiet():
        given, prepared, made = (Path(folder) / f"{name}.onnx" for name in ("given", "prepared", "made"))
        given.write_bytes(content)
        try:
            quant_pre_process(given, prepared, skip_symbolic_shape=True)
            quantise(prepared, made)
        except Exception as error:
            raise AnchorlabError(
                f"onnxruntime cannot quantise the network ({shortened(reason(error))}): take the form onnx or bf16"
            ) from error
        return _labelled(onnx.load(made), notice)


def _labelled(proto: Any, notice: str) -> bytes:
    """The file with its notice, and without what differs from run to run or names this machine."""
    proto.producer_name, proto.producer_version, proto.doc_string = "anchorlab", version("anchorlab"), notice
    del proto.metadata_props[:]
    proto.metadata_props.add(key="anchorlab", value=notice)
    for place in (proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        place.doc_string = ""
        if hasattr(place, "metadata_props"):
            del place.metadata_props[:]
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, exporter and quantiser say nothing: what matters of it is an error."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
