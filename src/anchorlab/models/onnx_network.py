"""A network that onnxruntime computes, as a module that is called like any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError, first_line, quoted, shortened, some
from anchorlab.models.hooks import DistantHead

#: Inputs of texts that can be made; token types are 0 as in every text that is no pair.
_TEXT = ("input_ids", "attention_mask", "token_type_ids")

#: ONNX Runtime's names of types, and numpy's.
_TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(bool)": np.bool_,
}  # fmt: skip

#: What an ONNX file of somebody else's may call pixels.
_PIXELS = "pixel_values"


class OnnxNetwork(nn.Module):
    """A network in an ONNX file, computed on the CPU in as many threads as torch's.

    Its only tensor is the file itself, uint8 ``[bytes]``, so that it is hashed, copied and moved as weights are.

    Args:
        content: of the file, which ``read_onnx`` gave.
        source: the file, for messages.
        config: the configuration of transformers of the network that it was made from; None where there is none.
        form: ``onnx`` or ``onnx-int8``.

    Raises:
        AnchorlabError: if onnxruntime cannot open it, or it is not a network of images or of texts with logits.
    """

    file: Tensor

    def __init__(self, content: bytes, source: str, config: Any = None, form: str = "onnx") -> None:
        super().__init__()
        self.register_buffer("file", torch.frombuffer(bytearray(content), dtype=torch.uint8))
        self.source, self.config, self.form = source, config, form
        self.head = DistantHead()
        self._sessions: dict[bool, Any] = {}
        session = self._session(features=False)
        self.inputs = {value.name: value for value in session.get_inputs()}
        self.output = _logits_of(session, source)
        unknown = [name for name in self.inputs if name not in _TEXT]
        if len(self.inputs) != 1 and unknown:
            raise AnchorlabError(
                f"{source} takes {some(self.inputs)}, which is neither one batch of images nor input_ids and "
                "attention_mask of texts: export the network with these inputs alone"
            )
        for name, value in self.inputs.items():
            if value.type not in _TYPES:
                raise AnchorlabError(
                    f"{source} takes {name} as {value.type}, which anchorlab does not make: export it with numbers"
                )

    @property
    def kind(self) -> str:
        """``text`` or ``image``."""
        return "text" if "input_ids" in self.inputs else "image"

    @property
    def takes_pixels(self) -> bool:
        """Whether it takes raw pixels, 0 to 255, and normalises them itself."""
        return self.kind == "image" and next(iter(self.inputs.values())).type == "tensor(uint8)"

    @property
    def length(self) -> int | None:
        """The number of tokens that each text must have; None for any."""
        return self._fixed(1) if self.kind == "text" else None

    def __getstate__(self) -> dict[str, Any]:
        """Without what onnxruntime holds, which a copy makes for itself."""
        return self.__dict__ | {"_sessions": {}, "inputs": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.inputs = {value.name: value for value in self._session(features=False).get_inputs()}

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """The logits of a batch, float32 ``[B, C]``, on the inputs' device; inputs by their order or by name."""
        order = _TEXT if self.kind == "text" else (_PIXELS,)
        given = dict(zip(order, inputs, strict=False)) | named
        device = next(iter(given.values())).device
        if self.kind == "image":
            given = {next(iter(self.inputs)): given[_PIXELS]}
        elif "token_type_ids" in self.inputs:
            given.setdefault("token_type_ids", torch.zeros_like(given["input_ids"]))
        arrays = {name: self._array(name, given[name]) for name in self.inputs}
        if not self.head.watched:
            return torch.from_numpy(self._run(arrays, features=False)[0]).to(device)
        logits, features = (torch.from_numpy(each).to(device) for each in self._run(arrays, features=True))
        answer: Tensor = self.head(features, logits)
        return answer

    def remove_notice(self) -> None:
        """Takes what the file's metadata say of the model out of it; it computes as before."""
        import onnx

        model = onnx.load_model_from_string(self.file.cpu().numpy().tobytes())
        model.doc_string = ""
        del model.metadata_props[:]
        content = bytearray(model.SerializeToString(deterministic=True))
        self.file = torch.frombuffer(content, dtype=torch.uint8).to(self.file.device)

    def _array(self, name: str, value: Tensor) -> NDArray[Any]:
        """An input as the file declares it; texts are filled up to a fixed length."""
        numbers = _TYPES[self.inputs[name].type]
        if value.is_floating_point() and not issubclass(numbers, np.floating):
            given = str(value.dtype).removeprefix("torch.")
            raise ValueError(f"{self.source} takes {name} as {numbers.__name__}, not as {given}")
        array: NDArray[Any] = value.detach().cpu().numpy().astype(numbers)
        if self.length is not None:
            more = self.length - array.shape[1]
            if more < 0:
                raise ValueError(f"{self.source} takes texts of {self.length} tokens, and one has {array.shape[1]}")
            array = np.pad(array, ((0, 0), (0, more)))
        wanted = self.inputs[name].shape
        fits = len(wanted) == array.ndim and all(
            size == found for size, found in zip(wanted[1:], array.shape[1:], strict=True) if isinstance(size, int)
        )
        if not fits:
            shape = " × ".join(str(size) for size in wanted[1:])
            raise ValueError(f"{self.source} takes {name} of {shape}, not of {' × '.join(map(str, array.shape[1:]))}")
        return array

    def _run(self, arrays: Mapping[str, NDArray[Any]], *, features: bool) -> list[NDArray[np.float32]]:
        """Outputs of all examples; where the batch has a fixed size, in batches of it, the last one filled up."""
        count = len(next(iter(arrays.values())))
        size = self._fixed(0) or max(1, count)
        pieces: list[list[NDArray[Any]]] = []
        session = self._session(features=features)
        for start in range(0, max(1, count), size):
            batch = {name: array[start : start + size] for name, array in arrays.items()}
            missing = size - len(next(iter(batch.values()))) if self._fixed(0) else 0
            if missing:
                batch = {name: np.concatenate([part, part[-1:].repeat(missing, 0)]) for name, part in batch.items()}
            try:
                pieces.append(session.run(None, batch))
            except Exception as error:  # onnxruntime's errors have a type each
                raise ValueError(
                    f"onnxruntime cannot compute {self.source} ({shortened(first_line(error))})"
                ) from error
        names = [value.name for value in session.get_outputs()]
        wanted = [self.output, *([names[-1]] if features else [])]
        outputs = [np.concatenate([piece[names.index(name)] for piece in pieces])[:count] for name in wanted]
        if outputs[0].ndim != 2:
            raise ValueError(
                f"{self.source} answers with {outputs[0].shape[1:]} for an example, not with a logit a class"
            )
        return [output.astype(np.float32) for output in outputs]

    def _fixed(self, dimension: int) -> int | None:
        size = next(iter(self.inputs.values())).shape[dimension]
        return size if isinstance(size, int) and size > 0 else None

    def _session(self, *, features: bool) -> Any:
        if features not in self._sessions:
            content = self.file.cpu().numpy().tobytes()
            self._sessions[features] = _open(with_features(content, self.source) if features else content, self.source)
        return self._sessions[features]


def with_features(content: bytes, source: str) -> bytes:
    """The same network with one more output, the last: what enters the layer that gives the logits.

    Raises:
        AnchorlabError: if no single product of matrices gives them.
    """
    import onnx

    model = onnx.load_model_from_string(content)
    makers = {name: node for node in model.graph.node for name in node.output}
    names = [value.name for value in model.graph.output]
    name = "logits" if "logits" in names else names[0]
    entering = _entering(name, makers)
    if entering is not None:
        model.graph.output.append(onnx.helper.make_tensor_value_info(entering, onnx.TensorProto.FLOAT, None))
        whole: bytes = model.SerializeToString()
        return whole
    raise AnchorlabError(
        f"no single product of matrices gives the logits of {source}, so that it has no features before its last "
        "layer: take a detector that asks for answers alone"
    )


#: Operators between the last product and the logits that only add a bias or change how numbers are written.
_PASSING = ("Add", "Cast", "Mul", "Identity", "Reshape", "Flatten", "QuantizeLinear", "DequantizeLinear")


def _entering(name: str, makers: Mapping[str, Any]) -> str | None:
    """The floating-point tensor that enters the product from which a tensor comes; None if there is none."""
    node = makers.get(name)
    if node is None:
        return None
    if node.op_type in ("Gemm", "MatMul"):
        return str(node.input[0])
    if node.op_type == "MatMulInteger":
        before = makers.get(node.input[0])
        return None if before is None else str(before.input[0])
    if node.op_type not in _PASSING:
        return None
    return next((found for each in node.input if (found := _entering(each, makers)) is not None), None)


def _open(content: bytes, source: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise AnchorlabError(
            f"onnxruntime cannot open {source} ({shortened(first_line(error))}): export the network again, for an "
            "opset that your onnxruntime knows"
        ) from error


def _logits_of(session: Any, source: str) -> str:
    """The name of the output that has the logits: the one called so, or the only one."""
    outputs = {value.name: value for value in session.get_outputs()}
    name = "logits" if "logits" in outputs else next(iter(outputs))
    if name != "logits" and len(outputs) > 1:
        raise AnchorlabError(
            f"{source} has the outputs {some(outputs)}, and none is called logits: export it with that output alone"
        )
    if outputs[name].type not in ("tensor(float)", "tensor(double)", "tensor(float16)"):
        raise AnchorlabError(
            f"the output {quoted(name)} of {source} is {outputs[name].type}, and no logits: export a classifier's "
            "logits, floating-point numbers of shape [B, C]"
        )
    return name
