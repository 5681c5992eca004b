"""ONNX files: what is refused before onnxruntime opens one, and how a network of onnxruntime is called."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.classes import class_names
from anchorlab.models.hooks import features
from anchorlab.models.onnx_files import onnx_file, read_onnx
from anchorlab.models.onnx_network import OnnxNetwork
from anchorlab.models.opening import open_classifier
from anchorlab.notices import Notice
from tests.refusals import refused
from tests.tokenizers import encoding

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

_WEIGHT = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)


def _network(shape: list[Any] | None = None, *, type_: int | None = None, output: str = "logits") -> Any:
    """Pixels, flattened, times a matrix: twelve pixels to three logits."""
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["x"], ["numbers"], to=types.FLOAT),
        helper.make_node("Flatten", ["numbers"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight"], [output]),
    ]
    inputs = [helper.make_tensor_value_info("x", type_ or types.UINT8, shape or ["N", 3, 2, 2])]
    outputs = [helper.make_tensor_value_info(output, types.FLOAT, ["N", 3])]
    weights = [onnx.numpy_helper.from_array(_WEIGHT, "weight")]
    graph = helper.make_graph(nodes, "classifier", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _saved(model: Any, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def pixels() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {"pixel_values": torch.randint(0, 256, (7, 3, 2, 2), dtype=torch.uint8, generator=draw)}


def _expected(pixels: dict[str, torch.Tensor]) -> torch.Tensor:
    return pixels["pixel_values"].float().flatten(1) @ torch.from_numpy(_WEIGHT)


def test_a_file_of_somebody_elses_answers_as_its_operators_say(nothing_runs, pixels):
    model = open_classifier(str(_saved(_network(), nothing_runs)), kind="image")
    torch.testing.assert_close(predict(model, pixels), _expected(pixels))


def test_a_batch_of_fixed_size_is_filled_up(tmp_path, pixels):
    model = open_classifier(str(_saved(_network([4, 3, 2, 2]), tmp_path)))
    torch.testing.assert_close(predict(model, pixels), _expected(pixels))


def test_a_copy_answers_as_the_network_and_has_its_hash(tmp_path, pixels):
    model = open_classifier(str(_saved(_network(), tmp_path)))
    copied = copy.deepcopy(model)
    assert torch.equal(predict(copied, pixels), predict(model, pixels))
    assert torch.equal(copied.file, model.file)


def test_features_are_what_enters_the_last_product(tmp_path, pixels):
    model = open_classifier(str(_saved(_network(), tmp_path)))
    entering, logits = features(model, pixels)
    torch.testing.assert_close(entering, pixels["pixel_values"].float().flatten(1))
    torch.testing.assert_close(logits, _expected(pixels))


def test_images_of_another_shape_are_refused_by_their_shape(tmp_path):
    model = open_classifier(str(_saved(_network(), tmp_path)))
    with pytest.raises(ValueError, match="takes x of 3 × 2 × 2, not of 1 × 8 × 8"):
        predict(model, {"pixel_values": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)})


def test_normalised_images_need_a_file_that_says_how(tmp_path):
    path = _saved(_network(type_=onnx.TensorProto.FLOAT), tmp_path)
    with pytest.raises(AnchorlabError, match=r"no preprocessor_config\.json beside it says how"):
        open_classifier(str(path))


def test_preprocessing_beside_the_file_is_done(tmp_path, pixels):
    path = _saved(_network(type_=onnx.TensorProto.FLOAT), tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.5, 1]}')
    normalised = (pixels["pixel_values"].float() / 255 - 0.5) / torch.tensor([0.25, 0.5, 1.0]).view(1, 3, 1, 1)
    expected = normalised.flatten(1) @ torch.from_numpy(_WEIGHT)
    torch.testing.assert_close(predict(open_classifier(str(path)), pixels), expected)


def test_preprocessing_beside_a_file_of_raw_pixels_is_ignored_with_a_notice(tmp_path, pixels):
    path = _saved(_network(), tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.5, 1]}')
    with pytest.warns(Notice, match=r"preprocessor_config\.json beside .* is ignored, .* takes raw pixels"):
        model = open_classifier(str(path))
    torch.testing.assert_close(predict(model, pixels), _expected(pixels))


def test_numbers_with_fractions_are_not_cut_to_pixels(tmp_path, pixels):
    model = open_classifier(str(_saved(_network(), tmp_path)))
    with pytest.raises(ValueError, match="takes x as uint8, not as float32"):
        predict(model, {"pixel_values": pixels["pixel_values"] / 255})


def _described(folder: Path, **said: object) -> Path:
    (folder / "config.json").write_text(json.dumps(said))
    return _saved(_network(), folder)


_NAMES, _NUMBERS = {"0": "cat", "1": "dog", "2": "owl"}, {"cat": 2, "dog": 1, "owl": 0}


@pytest.mark.parametrize("kind", [{"model_type": "resnet"}, {}])
def test_the_configuration_beside_the_file_names_the_classes(tmp_path, kind):
    assert class_names(open_classifier(str(_described(tmp_path, id2label=_NAMES, **kind)))) == ("cat", "dog", "owl")
    assert class_names(open_classifier(str(_described(tmp_path, label2id=_NUMBERS, **kind)))) == ("owl", "dog", "cat")


@pytest.mark.parametrize("kind", [{"model_type": "resnet"}, {}])
@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"problem_type": "multi_label_classification"}, "has problem_type 'multi_label_classification'"),
        ({"id2label": _NAMES, "label2id": _NUMBERS}, "gives 'cat' the number 2, and id2label does not"),
        ({"id2label": {"0": "cat"}}, "has one output, as for regression"),
    ],
)
def test_outputs_that_are_no_classes_are_refused_as_beside_weights_of_torch(tmp_path, kind, said, message):
    refused(message, open_classifier, str(_described(tmp_path, **said, **kind)))


def _of_texts(folder: Path, *, length: int | None = None, heeds_mask: bool = True) -> Path:
    """The sum of a text's token ids, and its negative, as logits; or of each id and 1, padding included."""
    helper, types = onnx.helper, onnx.TensorProto
    masked = helper.make_node("Mul", ["input_ids", "attention_mask"], ["ids"])
    nodes = [
        masked if heeds_mask else helper.make_node("Add", ["input_ids", "axis"], ["ids"]),
        helper.make_node("Cast", ["ids"], ["numbers"], to=types.FLOAT),
        helper.make_node("ReduceSum", ["numbers", "axis"], ["sum"], keepdims=1),
        helper.make_node("MatMul", ["sum", "weight"], ["logits"]),
    ]
    names = ("input_ids", "attention_mask")
    inputs = [helper.make_tensor_value_info(name, types.INT64, ["N", length or "L"]) for name in names]
    outputs = [helper.make_tensor_value_info("logits", types.FLOAT, ["N", 2])]
    weights = [
        onnx.numpy_helper.from_array(np.array([[1.0, -1.0]], dtype=np.float32), "weight"),
        onnx.numpy_helper.from_array(np.array([1], dtype=np.int64), "axis"),
    ]
    graph = helper.make_graph(nodes, "classifier", inputs, outputs, weights)
    encoding("wordpiece").tokenizer.save_pretrained(folder)
    return _saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder)


def test_texts_are_read_with_the_tokenizer_beside_the_file(tmp_path):
    model = open_classifier(str(_of_texts(tmp_path, length=12)))
    assert model.encoding.max_length == 12
    given = model.encoding.encode(["a good film"])
    total = (given["input_ids"] * given["attention_mask"]).sum().item()
    assert predict(model, given).tolist() == [[total, -total]]


def test_texts_whose_answers_depend_on_the_batch_are_refused_without_a_configuration_too(tmp_path):
    refused(
        "depend on the batch: .* heeds the attention mask", open_classifier, str(_of_texts(tmp_path, heeds_mask=False))
    )


def test_positions_that_begin_after_the_padding_token_are_left_out_of_a_texts_tokens(tmp_path):
    """An ONNX file shows no table of positions, so that the configuration beside it says how they are counted."""
    path = _of_texts(tmp_path)
    said = {"model_type": "roberta", "max_position_embeddings": 34, "pad_token_id": 1, "id2label": {"0": "a", "1": "b"}}
    (tmp_path / "config.json").write_text(json.dumps(said))
    assert open_classifier(str(path)).encoding.max_length == 32


def test_custom_operators_are_refused(nothing_runs):
    model = _network()
    model.graph.node[1].domain = "my.ops"
    with pytest.raises(AnchorlabError, match=r"custom operators \(my\.ops\.Flatten\), whose code is never run"):
        read_onnx(_saved(model, nothing_runs))


def test_custom_operators_in_a_branch_are_refused(tmp_path):
    helper, model = onnx.helper, _network()
    inner = helper.make_graph([helper.make_node("Evil", [], ["y"], domain="my.ops")], "branch", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner))
    with pytest.raises(AnchorlabError, match=r"my\.ops\.Evil"):
        read_onnx(_saved(model, tmp_path))


def test_an_operator_that_onnx_does_not_know_is_custom(tmp_path):
    model = _network()
    model.graph.node[1].op_type = "Flattenize"
    with pytest.raises(AnchorlabError, match="custom operators"):
        read_onnx(_saved(model, tmp_path))


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "link.bin", ""])
def test_weights_outside_the_folder_are_refused(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(_WEIGHT.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(AnchorlabError, match="names weights outside its folder"):
        read_onnx(_saved(_external(location), folder))


def test_weights_beside_the_file_are_read(tmp_path, pixels):
    (tmp_path / "weights.bin").write_bytes(_WEIGHT.tobytes())
    model = open_classifier(str(_saved(_external("weights.bin"), tmp_path)))
    torch.testing.assert_close(predict(model, pixels), _expected(pixels))


def _external(location: str) -> Any:
    model = _network()
    _move_out(model.graph.initializer[0], location)
    return model


def _move_out(weight: Any, *locations: str) -> Any:
    """The tensor without its numbers, which lie in another file from now on."""
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for location in locations:
        weight.external_data.add(key="location", value=location)
    return weight


#: What may hold a tensor in a graph, or in an attribute of a node.
_IN_GRAPHS = ("initializer", "sparse values", "sparse indices")
_IN_ATTRIBUTES = ("t", "tensors", "sparse_tensor", "sparse_tensors")


def _put(tensor: Any, place: Any, kind: str) -> None:
    """Puts a tensor into a graph or an attribute."""
    sparse = onnx.SparseTensorProto(dims=[12, 3])
    part = sparse.indices if kind.endswith("indices") else sparse.values
    part.CopyFrom(tensor)
    if kind == "initializer":
        place.initializer.append(tensor)
    elif kind.startswith("sparse "):
        place.sparse_initializer.append(sparse)
    elif kind in ("t", "sparse_tensor"):
        getattr(place, kind).CopyFrom(tensor if kind == "t" else sparse)
    else:
        getattr(place, kind).append(tensor if kind == "tensors" else sparse)


def _graph_in(model: Any, way: str) -> Any:
    """An empty graph somewhere in a model: the main one, one of a node's, or one of a function's, two deep."""
    if way == "main":
        return model.graph
    if way in ("function", "default of a function"):
        model.functions.append(onnx.helper.make_function("local", "F", [], [], [], []))
    node = (model.functions[0] if way == "function" else model.graph).node.add(op_type="If")
    if way == "training":
        return model.training_info.add().algorithm
    attribute = model.functions[0].attribute_proto.add() if way.startswith("default") else node.attribute.add()
    between = attribute.graphs.add().node.add(op_type="If").attribute.add()
    return between.g


@pytest.mark.parametrize("kind", [*_IN_GRAPHS, *_IN_ATTRIBUTES])
@pytest.mark.parametrize("way", ["main", "branch", "function", "default of a function", "training"])
def test_no_weights_outside_the_folder_are_overlooked(tmp_path, way, kind):
    model = _network()
    graph = _graph_in(model, way)
    place = graph if kind in _IN_GRAPHS else graph.node.add(op_type="Constant").attribute.add()
    _put(_move_out(onnx.numpy_helper.from_array(_WEIGHT, "w"), "../weights.bin"), place, kind)
    with pytest.raises(AnchorlabError, match="names weights outside its folder"):
        read_onnx(_saved(model, tmp_path))


def test_each_of_several_places_of_a_weight_is_checked(tmp_path):
    (tmp_path / "weights.bin").write_bytes(_WEIGHT.tobytes())
    model = _network()
    _move_out(model.graph.initializer[0], "weights.bin", "../weights.bin")
    with pytest.raises(AnchorlabError, match="names weights outside its folder"):
        read_onnx(_saved(model, tmp_path))


@pytest.mark.parametrize("kind", _IN_GRAPHS)
def test_weights_beside_the_file_are_put_in_wherever_they_are_named(tmp_path, monkeypatch, kind):
    """onnxruntime would look for them in the current folder."""
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model" / "weights.bin").write_bytes(_WEIGHT.tobytes())
    model = _network()
    _put(_move_out(onnx.numpy_helper.from_array(_WEIGHT, "w"), "weights.bin"), _graph_in(model, "function"), kind)
    content = read_onnx(_saved(model, tmp_path / "model"))
    assert _WEIGHT.tobytes() in content
    assert b"weights.bin" not in content


def test_a_function_hides_no_operator_that_opens_files(tmp_path):
    model = _network()
    model.functions.append(onnx.helper.make_function("com.microsoft", "EPContext", [], [], [], []))
    model.graph.node.add(op_type="EPContext", domain="com.microsoft")
    with pytest.raises(AnchorlabError, match="EPContext, which opens other files"):
        read_onnx(_saved(model, tmp_path))


def test_custom_operators_in_the_defaults_of_a_function_are_refused(tmp_path):
    model = _network()
    _graph_in(model, "default of a function").node.add(op_type="Evil", domain="my.ops")
    with pytest.raises(AnchorlabError, match=r"my\.ops\.Evil"):
        read_onnx(_saved(model, tmp_path))


@pytest.mark.parametrize("content", [b"", b"no protobuf at all", b"\x08\x08"])
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(AnchorlabError, match="no ONNX file"):
        read_onnx(path)


def test_a_damaged_graph_is_refused_by_onnxruntime(tmp_path):
    model = _network()
    model.graph.node[2].input[1] = "missing"
    with pytest.raises(AnchorlabError, match="onnxruntime cannot open"):
        OnnxNetwork(read_onnx(_saved(model, tmp_path)), "net.onnx")


def test_an_output_of_labels_is_refused(tmp_path):
    model = _network()
    model.graph.node.append(onnx.helper.make_node("ArgMax", ["logits"], ["label"], axis=1))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("label", onnx.TensorProto.INT64, ["N", 1]))
    with pytest.raises(AnchorlabError, match="no logits"):
        OnnxNetwork(read_onnx(_saved(model, tmp_path)), "net.onnx")


@pytest.mark.parametrize("other", ["model.safetensors", "model.safetensors.index.json", "adapter_config.json"])
def test_a_folder_with_weights_of_torch_or_an_adapter_is_no_onnx_model(tmp_path, other):
    _saved(_network(), tmp_path).rename(tmp_path / "model.onnx")
    assert onnx_file(tmp_path) == tmp_path / "model.onnx"
    (tmp_path / other).touch()
    assert onnx_file(tmp_path) is None
