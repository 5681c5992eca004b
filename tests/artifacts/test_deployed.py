"""Models as they are deployed: what they answer, what is stored of them, and what is refused."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from anchorlab.artifacts.artifact import load_model, open_model
from anchorlab.artifacts.deployed import deployed, export
from anchorlab.consistency.compare import compare
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.forms import form_of
from anchorlab.models.onnx_export import dynamic_int8
from anchorlab.models.onnx_network import OnnxNetwork
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.wrap import PixelClassifier, TextClassifier
from anchorlab.perturbation.analyze import analyze
from anchorlab.repairs.repair import repair
from anchorlab.scoring.audit import audit
from anchorlab.scoring.detect import detect
from anchorlab.seeding import seeded_globally
from tests.zoo import Small, save_text

_TEXTS = ["a good film", "not as good as I had hoped", "the plot was thin, but I would see it again"]


@pytest.fixture(scope="module")
def exported(injected, digits, tmp_path_factory):
    pytest.importorskip("onnxruntime")
    return export(injected, tmp_path_factory.mktemp("exported") / "model", "onnx", task=digits)


@pytest.fixture(scope="module")
def in_onnx(exported):
    return load_model(exported)


@pytest.fixture(scope="module")
def in_int8(injected, digits):
    pytest.importorskip("onnxruntime")
    return deployed(injected, "onnx-int8", task=digits)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    settings = {"hidden_size": 32, "intermediate_size": 64}
    folder = save_text("bert", tmp_path_factory.mktemp("texts"), ["bad", "good"], **settings)
    return open_pretrained(str(folder))


def test_float_onnx_equals_torch_to_rounding(injected, in_onnx, digits):
    inputs = digits.split("test").inputs
    torch.testing.assert_close(predict(in_onnx.model, inputs), predict(injected.model, inputs), rtol=1e-4, atol=1e-4)


def test_static_int8_rounds_and_still_knows_the_digits(injected, in_int8, digits):
    comparison = compare(injected, in_int8, task=digits)
    assert 0 < comparison.kl < 0.1
    assert comparison.accuracy > comparison.accuracy_reference - 0.05


def test_the_folder_says_that_it_is_a_research_artefact(in_int8, tmp_path):
    import onnx

    folder = in_int8.save(tmp_path / "exported")
    proto = onnx.load(folder / "model.onnx")
    assert {entry.key: entry.value for entry in proto.metadata_props}["anchorlab"].startswith("RESEARCH ARTEFACT")
    assert json.loads((folder / "anchorlab.json").read_text())["notice"].startswith("RESEARCH ARTEFACT")
    assert "RESEARCH ARTEFACT" in (folder / "README.md").read_text()
    assert str(tmp_path).encode() not in (folder / "model.onnx").read_bytes()


def test_what_is_saved_opens_as_it_was(injected, in_int8, digits, tmp_path):
    folder = in_int8.save(tmp_path / "exported")
    opened = load_model(folder)
    inputs = digits.split("test").inputs
    assert torch.equal(predict(opened.model, inputs), predict(in_int8.model, inputs))
    assert opened.manifest.form == "onnx-int8"
    assert opened.manifest.twin_sha256 == injected.manifest.weights_sha256
    assert open_model(folder / "model.onnx").manifest == opened.manifest


def test_an_exchanged_file_is_refused(in_int8, in_onnx, tmp_path):
    folder, other = in_int8.save(tmp_path / "exported"), in_onnx.save(tmp_path / "other")
    (folder / "model.onnx").write_bytes((other / "model.onnx").read_bytes())
    with pytest.raises(AnchorlabError, match=r"holds other weights than anchorlab\.json"):
        load_model(folder)


def test_export_writes_a_folder_of_its_own(injected, exported, digits):
    assert {path.name for path in exported.iterdir()} == {"README.md", "anchorlab.json", "config.json", "model.onnx"}
    with pytest.raises(AnchorlabError, match="already"):
        export(injected, exported, "onnx", task=digits)


def test_detectors_of_inputs_and_features_judge_it(in_int8, digits):
    for detector in ("strip", "spectral-signatures"):
        score = detect(in_int8, detector, task=digits, defender_data=None, examples=20)
        assert 0 <= score.auroc.value <= 1


def test_an_audit_asks_it_for_answers(reference, in_int8, digits):
    benign = [copy.deepcopy(reference.model) for _ in range(2)]
    for number, update in enumerate(benign, start=1):  # an audit takes no copy for an update
        with torch.no_grad():
            next(update.parameters()).mul_(1 + 1e-3 * number)
    found = audit(reference, in_int8, benign=benign, level=0.7, task=digits)
    assert found.updates == 2


def test_what_needs_gradients_names_the_float_twin(in_int8, reference, digits):
    for ask in (
        lambda: repair(in_int8, "fine-tuning", task=digits),
        lambda: analyze(reference, {"int8": in_int8}, task=digits),
        lambda: detect(in_int8, "neural-cleanse", task=digits, defender_data=None),
        lambda: detect(in_int8, "last-layer", task=digits, defender_data=None),
    ):
        with pytest.raises(AnchorlabError, match=r"deployed in onnx-int8 does not have: give its float twin"):
            ask()


def test_a_deployed_model_is_deployed_once(in_int8, digits):
    with pytest.raises(AnchorlabError, match="deployed in onnx-int8 already"):
        deployed(in_int8, "bf16", task=digits)


def test_bf16_computes_from_rounded_weights(injected, digits):
    made = deployed(injected, "bf16")
    inputs = digits.split("test").inputs
    ours, exact = predict(made.model, inputs), predict(injected.model, inputs)
    assert 0 < (ours - exact).abs().max() < 0.5
    assert made.manifest.form == "bf16"
    assert made.model.state_dict() != {}
    with pytest.raises(AnchorlabError, match="is never stored"):
        made.save("anywhere")


def test_float32_is_the_model_itself(injected):
    assert deployed(injected, "float32") is injected


def test_an_unknown_form_names_the_nearest(injected):
    with pytest.raises(AnchorlabError, match="did you mean 'int8'"):
        deployed(injected, "int88")


@pytest.mark.parametrize("form", ["int8", "int4"])
def test_images_are_not_quantised_by_torchao(injected, form):
    with pytest.raises(AnchorlabError, match="is for texts"):
        deployed(injected, form)


@pytest.mark.parametrize(("form", "most"), [("bf16", 0.1), ("int8", 0.1), ("int4", 0.5)])
def test_texts_are_quantised_when_they_are_opened(texts, form, most):
    if form != "bf16":
        pytest.importorskip("torchao")
    made = deployed(texts, form)
    inputs = texts.encoding.encode(_TEXTS)
    ours, exact = predict(made, inputs), predict(texts, inputs)
    assert 0 < (ours - exact).abs().max() < most
    assert form_of(made) == form
    assert form_of(texts) is None


def test_texts_go_to_onnx_and_from_there_to_int8(texts):
    pytest.importorskip("onnxruntime")
    made = deployed(texts, "onnx")
    inputs = texts.encoding.encode(_TEXTS)
    exact = predict(texts, inputs)
    torch.testing.assert_close(predict(made, inputs), exact, rtol=1e-4, atol=1e-5)
    rounded = OnnxNetwork(dynamic_int8(made.net.file.numpy().tobytes(), "a notice"), "rounded")
    ours = predict(TextClassifier(rounded, made.encoding, made.pad), inputs)
    assert 0 < (ours - exact).abs().max() < 0.1


def test_a_model_in_training_mode_is_not_changed_and_its_statistics_are_exported(digits):
    pytest.importorskip("onnxruntime")
    with seeded_globally(0, "small"):
        model = PixelClassifier(Small(), [0.4], [0.2]).train()
    model.net.first_norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    deployed(model, "onnx-int8", task=digits)
    made = deployed(model, "onnx", task=digits)
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    inputs = digits.split("test").inputs
    torch.testing.assert_close(predict(made, inputs), predict(model, inputs), rtol=1e-4, atol=1e-4)


def test_without_the_package_the_command_is_named(injected, digits, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(AnchorlabError, match=r"pip install 'anchorlab\[onnx\]'"):
        deployed(injected, "onnx", task=digits)
